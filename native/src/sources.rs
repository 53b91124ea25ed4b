//! Accepted, late and repeated events per topic, producer and bin. The same as `streams/core/join/sourcecount.py`.

use std::collections::{BTreeMap, BTreeSet};

use crate::pack::{Packer, Read, Reader, Write};
use crate::wire::{SourceCount, DRILL_SOURCE};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// What is counted; late events are accepted too.
#[derive(Clone, Copy)]
pub enum Kind {
    Accepted = 0,
    Late = 1,
    Duplicate = 2,
}

/// Start of the bin and producer.
type CellKey = (i64, Box<str>);
type Cells = BTreeMap<CellKey, [i64; 3]>;

/// Counts of one topic and partition.
pub struct Sources {
    topic: String,
    partition: i64,
    width_ms: i64,
    minutes: BTreeMap<i64, Cells>,
    /// As they are written.
    hours: BTreeMap<i64, Vec<u8>>,
    /// Hours that were touched since the last drain; they win over the packed ones.
    open: BTreeMap<i64, Cells>,
    hours_before_ms: i64,
    changed: BTreeSet<i64>,
    unsent: BTreeSet<CellKey>,
    gone: Vec<(i64, Option<i64>)>,
    /// Counts of a feed, summed up before they go where they belong.
    pending: Vec<(i64, Box<str>, [i64; 3])>,
}

fn floor(time_ms: i64, width_ms: i64) -> i64 {
    time_ms - time_ms.rem_euclid(width_ms)
}

impl Sources {
    pub fn new(topic: &str, partition: i64, width_ms: i64) -> Sources {
        Sources {
            topic: topic.into(),
            partition,
            width_ms,
            minutes: BTreeMap::new(),
            hours: BTreeMap::new(),
            open: BTreeMap::new(),
            hours_before_ms: 0,
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
            let key = (bin_ms, source);
            let cells = self.cells(bin_ms);
            let known = match cells.get_mut(&key) {
                Some(known) => known,
                None => cells.entry(key.clone()).or_default(),
            };
            known.iter_mut().zip(counts).for_each(|(known, more)| *known += more);
            self.unsent.insert(key);
        }
    }

    /// The cells of a bin's minute or hour, to be changed.
    fn cells(&mut self, bin_ms: i64) -> &mut Cells {
        let minute_ms = floor(bin_ms, MINUTE_MS);
        if minute_ms < self.hours_before_ms {
            return self.hour(floor(bin_ms, HOUR_MS));
        }
        self.changed.insert(minute_ms);
        self.minutes.entry(minute_ms).or_default()
    }

    fn hour(&mut self, hour_ms: i64) -> &mut Cells {
        let packed = self.hours.get(&hour_ms);
        self.open.entry(hour_ms).or_insert_with(|| {
            packed.map_or_else(Cells::new, |packed| read(&mut Reader::new(packed)).unwrap_or_default())
        })
    }

    /// Counts that changed since they were last sent, of bins that end at or before `through_ms`.
    pub fn messages(&mut self, through_ms: i64, send: &mut dyn FnMut(&str, Vec<u8>)) {
        while let Some(key) = self.unsent.first().filter(|key| key.0 + self.width_ms <= through_ms).cloned() {
            self.unsent.remove(&key);
            if &*key.1 == DRILL_SOURCE {
                continue;
            }
            let minute_ms = floor(key.0, MINUTE_MS);
            let counts = match minute_ms < self.hours_before_ms {
                true => self.hour(floor(key.0, HOUR_MS))[&key],
                false => self.minutes[&minute_ms][&key],
            };
            let [events, late, duplicates] = counts;
            let count = SourceCount {
                topic: &self.topic,
                source: &key.1,
                partition: self.partition,
                bin_ms: key.0,
                width_ms: self.width_ms,
                events,
                late,
                duplicates,
            };
            send(&key.1, count.json(192));
        }
    }

    /// Drops what ended at or before `oldest_ms`.
    pub fn forget(&mut self, oldest_ms: i64) {
        while let Some(minute_ms) = self.minutes.keys().next().copied().filter(|start| start + MINUTE_MS <= oldest_ms) {
            self.drop_minute(minute_ms);
        }
        let first = |packed: &BTreeMap<i64, Vec<u8>>, open: &BTreeMap<i64, Cells>| {
            packed.keys().next().into_iter().chain(open.keys().next()).min().copied()
        };
        while let Some(hour_ms) = first(&self.hours, &self.open).filter(|start| start + HOUR_MS <= oldest_ms) {
            self.open.remove(&hour_ms);
            self.hours.remove(&hour_ms);
            self.gone.push((hour_ms, Some(HOUR_MS)));
        }
    }

    fn drop_minute(&mut self, minute_ms: i64) -> Cells {
        self.changed.remove(&minute_ms);
        self.gone.push((minute_ms, None));
        self.minutes.remove(&minute_ms).unwrap_or_default()
    }

    /// Joins minutes of hours that ended an hour before `newest_ms`, the topic's clock, to those.
    pub fn age(&mut self, newest_ms: i64) {
        self.hours_before_ms = floor((newest_ms - HOUR_MS).max(0), HOUR_MS);
        while let Some(minute_ms) = self.minutes.keys().next().copied().filter(|start| *start < self.hours_before_ms) {
            let cells = self.drop_minute(minute_ms);
            self.hour(floor(minute_ms, HOUR_MS)).extend(cells);
        }
    }

    /// Writes what changed since the last drain.
    pub fn drain(&mut self, write: &mut dyn FnMut(Vec<u8>, Option<Vec<u8>>)) {
        for (start_ms, width) in self.gone.drain(..) {
            write(key_of(&self.topic, start_ms, width), None);
        }
        for minute_ms in std::mem::take(&mut self.changed) {
            write(key_of(&self.topic, minute_ms, None), Some(packed(&self.minutes[&minute_ms])));
        }
        for (hour_ms, cells) in std::mem::take(&mut self.open) {
            let value = packed(&cells);
            if self.hours.get(&hour_ms) != Some(&value) {
                self.hours.insert(hour_ms, value.clone());
                write(key_of(&self.topic, hour_ms, Some(HOUR_MS)), Some(value));
            }
        }
    }

    /// Takes back one minute (no width) or hour; bins that end after `sent_through_ms` were not sent yet.
    pub fn load(&mut self, start_ms: i64, is_hour: bool, value: &mut Reader<'_>, sent_through_ms: i64) -> Read<()> {
        let cells = read(value)?;
        let late = cells.keys().filter(|key| key.0 + self.width_ms > sent_through_ms);
        self.unsent.extend(late.cloned());
        if is_hour {
            self.hours.insert(start_ms, packed(&cells));
        } else {
            self.minutes.insert(start_ms, cells);
        }
        Ok(())
    }
}

fn packed(cells: &Cells) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.array(cells.len());
    for ((bin_ms, source), counts) in cells {
        packer.array(3);
        packer.int(*bin_ms);
        packer.text(source);
        packer.array(3);
        counts.iter().for_each(|count| packer.int(*count));
    }
    packer.out
}

fn read(reader: &mut Reader<'_>) -> Read<Cells> {
    let mut cells = Cells::new();
    for _ in 0..reader.array()? {
        reader.array()?;
        let key: CellKey = (reader.int()?, reader.text()?.into());
        reader.array()?;
        cells.insert(key, [reader.int()?, reader.int()?, reader.int()?]);
    }
    Ok(cells)
}

fn key_of(topic: &str, start_ms: i64, width: Option<i64>) -> Vec<u8> {
    let mut key = Packer::default();
    key.array(3 + usize::from(width.is_some()));
    key.text("s");
    key.text(topic);
    key.int(start_ms);
    width.into_iter().for_each(|width| key.int(width));
    key.out
}
