//! Accepted, late and repeated events per topic, producer and bin. The same as `streams/core/sourcecount.py`.

use std::collections::{BTreeMap, BTreeSet};

use crate::pack::{Json, Packer, Read, Reader};

const MINUTE_MS: i64 = 60_000;

/// What is counted; late events are accepted too.
#[derive(Clone, Copy)]
pub enum Kind {
    Accepted = 0,
    Late = 1,
    Duplicate = 2,
}

/// Start of the bin and producer.
type CellKey = (i64, Box<str>);

/// Counts of one topic and partition.
pub struct Sources {
    topic: String,
    partition: i64,
    width_ms: i64,
    minutes: BTreeMap<i64, BTreeMap<CellKey, [i64; 3]>>,
    changed: BTreeSet<i64>,
    unsent: BTreeSet<CellKey>,
    gone: Vec<i64>,
    /// Counts of a feed, summed up before they go where they belong.
    pending: Vec<(i64, Box<str>, [i64; 3])>,
}

impl Sources {
    pub fn new(topic: &str, partition: i64, width_ms: i64) -> Sources {
        Sources {
            topic: topic.into(),
            partition,
            width_ms,
            minutes: BTreeMap::new(),
            changed: BTreeSet::new(),
            unsent: BTreeSet::new(),
            gone: vec![],
            pending: vec![],
        }
    }

    /// Counts one event. Call `settle` before anything else is asked.
    pub fn count(&mut self, kind: Kind, bin_ms: i64, source: &str) {
        let found = self.pending.iter_mut().find(|(bin, name, _)| *bin == bin_ms && &**name == source);
        match found {
            Some((_, _, counts)) => counts[kind as usize] += 1,
            None => {
                let mut counts = [0; 3];
                counts[kind as usize] = 1;
                self.pending.push((bin_ms, source.into(), counts));
                if self.pending.len() > 64 {
                    self.settle();
                }
            }
        }
    }

    /// Adds up what was counted.
    pub fn settle(&mut self) {
        for (bin_ms, source, counts) in std::mem::take(&mut self.pending) {
            let minute_ms = bin_ms - bin_ms.rem_euclid(MINUTE_MS);
            let key = (bin_ms, source);
            let minute = self.minutes.entry(minute_ms).or_default();
            let held = match minute.get_mut(&key) {
                Some(held) => held,
                None => minute.entry(key.clone()).or_default(),
            };
            held.iter_mut().zip(counts).for_each(|(held, more)| *held += more);
            self.changed.insert(minute_ms);
            self.unsent.insert(key);
        }
    }

    /// Counts that changed since they were last sent, of bins that end at or before `through_ms`.
    pub fn messages(&mut self, through_ms: i64, send: &mut dyn FnMut(&str, Vec<u8>)) {
        while let Some(key) = self.unsent.first().filter(|key| key.0 + self.width_ms <= through_ms).cloned() {
            self.unsent.remove(&key);
            let minute_ms = key.0 - key.0.rem_euclid(MINUTE_MS);
            let counts = self.minutes[&minute_ms][&key];
            let mut json = Json::default();
            json.raw("{\"kind\":\"source_count\",\"topic\":").text(&self.topic);
            json.raw(",\"source\":").text(&key.1).raw(",\"partition\":").int(self.partition);
            json.raw(",\"bin_ms\":").int(key.0).raw(",\"width_ms\":").int(self.width_ms);
            json.raw(",\"events\":").int(counts[0]).raw(",\"late\":").int(counts[1]);
            json.raw(",\"duplicates\":").int(counts[2]).raw("}");
            send(&key.1, json.out);
        }
    }

    /// Drops minutes that ended at or before `oldest_ms`.
    pub fn forget(&mut self, oldest_ms: i64) {
        while let Some(entry) = self.minutes.first_entry().filter(|entry| entry.key() + MINUTE_MS <= oldest_ms) {
            let (minute_ms, _) = entry.remove_entry();
            self.changed.remove(&minute_ms);
            self.gone.push(minute_ms);
        }
    }

    /// Writes what changed since the last drain.
    pub fn drain(&mut self, write: &mut dyn FnMut(Vec<u8>, Option<Vec<u8>>)) {
        for minute_ms in self.gone.drain(..) {
            write(key_of(&self.topic, minute_ms), None);
        }
        for minute_ms in std::mem::take(&mut self.changed) {
            let minute = &self.minutes[&minute_ms];
            let mut packer = Packer::default();
            packer.array(minute.len());
            for ((bin_ms, source), counts) in minute {
                packer.array(3);
                packer.int(*bin_ms);
                packer.text(source);
                packer.array(3);
                counts.iter().for_each(|count| packer.int(*count));
            }
            write(key_of(&self.topic, minute_ms), Some(packer.out));
        }
    }

    /// Takes back one minute; bins that end after `sent_through_ms` were not sent yet.
    pub fn load(&mut self, minute_ms: i64, reader: &mut Reader<'_>, sent_through_ms: i64) -> Read<()> {
        let mut minute = BTreeMap::new();
        for _ in 0..reader.array()? {
            reader.array()?;
            let key: CellKey = (reader.int()?, reader.text()?.into());
            reader.array()?;
            let counts = [reader.int()?, reader.int()?, reader.int()?];
            if key.0 + self.width_ms > sent_through_ms {
                self.unsent.insert(key.clone());
            }
            minute.insert(key, counts);
        }
        self.minutes.insert(minute_ms, minute);
        Ok(())
    }
}

fn key_of(topic: &str, minute_ms: i64) -> Vec<u8> {
    let mut key = Packer::default();
    key.array(3);
    key.text("s");
    key.text(topic);
    key.int(minute_ms);
    key.out
}
