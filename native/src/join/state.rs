//! How one partition of the room lies in the state topic: what changed since the last drain, and the way back. The same
//! keys and values as `streams/core/join/state.py`, whose text lists them.

use std::collections::BTreeMap;

use super::{Core, Written, MINUTE_MS};
use crate::dedup::Change;
use crate::pack::{Damaged, Packer, Read, Reader};
use crate::promises::DAY_MS;
use crate::repairs::SuccessLog;
use crate::seen::{Loaded, SliceChange};

impl Core {
    /// Every key of the state topic that changed since the last drain.
    pub(super) fn changes(&mut self) -> Vec<Written> {
        let mut out: Vec<Written> = Vec::new();
        let clocks = self.clocks();
        if clocks != self.clocks_written {
            let mut key = Packer::default();
            key.array(1);
            key.text("w");
            out.push((key.out, Some(clocks.clone())));
            self.clocks_written = clocks;
        }
        for index in 0..self.topics.len() {
            let rest_before_ms = self.watermark_ms(index) - MINUTE_MS;
            let name = &self.rules.topics[index].name;
            let topic = &mut self.topics[index];
            out.extend(topic.seen.drain(rest_before_ms).into_iter().map(|change| seen_slice(name, change)));
            topic.sources.drain(&mut |key, value| out.push((key, value)));
        }
        let mut write = |key, value| out.push((key, value));
        self.bins.drain(&self.rules, &self.leaves, &mut write);
        let order_ms = self.watermark_ms(self.rules.order);
        self.promises.drain(order_ms, &mut write);
        self.episodes.drain(&self.rules, &self.leaves, &mut write);
        out.extend(self.promises.ended.drain(order_ms - DAY_MS).into_iter().map(|change| slice(&["e"], change)));
        for (rules, log) in self.rules.topics.iter().zip(&mut self.logs) {
            let changes = log.as_mut().map(SuccessLog::drain).into_iter().flatten();
            out.extend(changes.map(|change| slice(&["r", &rules.name], change)));
        }
        out
    }

    fn clocks(&self) -> Vec<u8> {
        let mut packer = Packer::default();
        packer.array(4);
        packer.map(self.topics.len());
        for (rules, topic) in self.rules.topics.iter().zip(&self.topics) {
            packer.text(&rules.name);
            packer.int(topic.clock.newest_ms);
        }
        packer.int(self.closed_ms);
        packer.int(self.through_ms);
        packer.map(self.topics.len());
        for (rules, topic) in self.rules.topics.iter().zip(&self.topics) {
            packer.text(&rules.name);
            let ahead = topic.clock.ahead();
            packer.array(ahead.len());
            for (time_ms, customer) in ahead {
                packer.array(2);
                packer.int(time_ms);
                packer.hashes(&[customer]);
            }
        }
        packer.out
    }

    /// Rebuilds the state from the live pairs of its state topic, in any order. Err: the state is not ours.
    pub fn load(&mut self, pairs: &[(&[u8], &[u8])]) -> Read<()> {
        let mut slices: BTreeMap<&str, Loaded> = BTreeMap::new();
        let mut ended: BTreeMap<i64, BTreeMap<usize, Vec<u64>>> = BTreeMap::new();
        let mut went_well: BTreeMap<&str, BTreeMap<i64, BTreeMap<usize, Vec<u64>>>> = BTreeMap::new();
        // Clocks first: other kinds are read by them.
        if let Some((_, clocks)) = pairs.iter().find(|(key, _)| *key == b"\x91\xa1w") {
            self.load_clocks(clocks)?;
        }
        let order_ms = self.watermark_ms(self.rules.order);
        for (key, value) in pairs {
            let mut key = Reader::new(key);
            let parts = key.array()?;
            let kind = key.text()?;
            let mut value = Reader::new(value);
            match kind {
                "w" => {}
                "d" | "r" => {
                    let (topic, start_ms, first) = (key.text()?, key.int()?, key.int()?);
                    if kind == "d" {
                        let width_ms = if parts > 4 { key.int()? } else { MINUTE_MS };
                        let found = slices.entry(topic).or_default().entry(width_ms).or_default();
                        found.entry(start_ms).or_default().insert(first as usize, value.hashes()?);
                    } else {
                        let found = went_well.entry(topic).or_default().entry(start_ms).or_default();
                        found.insert(first as usize, value.hashes()?);
                    }
                }
                "e" => {
                    let (start_ms, first) = (key.int()?, key.int()?);
                    ended.entry(start_ms).or_default().insert(first as usize, value.hashes()?);
                }
                "b" => {
                    let chunk = (key.int()?, key.int()?);
                    self.bins.load_chunk(&self.rules, &mut self.leaves, chunk, &mut value)?;
                }
                "k" => self.bins.load_slot(&self.rules, &mut self.leaves, &mut key, value.int()?)?,
                "s" => {
                    let topic = self.topic(key.text()?).ok_or(Damaged("a topic is not known"))?;
                    self.topics[topic].sources.load(key.int()?, parts > 3, &mut value, self.closed_ms)?;
                }
                "p" => self.promises.load_open(key.text()?, key.text()?, &mut value)?,
                "q" => self.promises.load_pending(key.int()?, &mut value, order_ms)?,
                "c" => self.episodes.load(&self.rules, &mut self.leaves, key.text()?, &mut value)?,
                _ => return Err(Damaged("a key is of no known kind")),
            }
        }
        for (name, found) in slices {
            let topic = self.topic(name).ok_or(Damaged("a topic is not known"))?;
            let newest_ms = self.clock_ms(topic);
            self.topics[topic].seen.load(found, newest_ms);
        }
        for topic in &mut self.topics {
            topic.seen.age(topic.clock.newest_ms);
            topic.sources.age(topic.clock.newest_ms);
        }
        for (name, found) in went_well {
            let topic = self.topic(name).ok_or(Damaged("a topic is not known"))?;
            self.logs[topic].as_mut().ok_or(Damaged("nothing goes well on a topic"))?.load(found);
        }
        self.promises.ended.load(ended);
        Ok(())
    }

    fn load_clocks(&mut self, value: &[u8]) -> Read<()> {
        let mut reader = Reader::new(value);
        let parts = reader.array()?;
        for _ in 0..reader.map()? {
            let topic = self.topic(reader.text()?).ok_or(Damaged("a topic is not known"))?;
            let newest_ms = reader.int()?;
            self.hear(topic, newest_ms);
        }
        (self.closed_ms, self.through_ms) = (reader.int()?, reader.int()?);
        if parts > 3 {
            self.load_ahead(&mut reader)?;
        }
        self.clocks_written = self.clocks();
        Ok(())
    }

    fn load_ahead(&mut self, reader: &mut Reader<'_>) -> Read<()> {
        for _ in 0..reader.map()? {
            let topic = self.topic(reader.text()?).ok_or(Damaged("a topic is not known"))?;
            for _ in 0..reader.array()? {
                reader.array()?;
                let time_ms = reader.int()?;
                let customer = *reader.hashes()?.first().ok_or(Damaged("a customer was expected"))?;
                self.topics[topic].clock.follow(customer, time_ms);
            }
        }
        Ok(())
    }
}

/// State change of a slice of what was seen.
fn seen_slice(topic: &str, ((start_ms, first, width), hashes): SliceChange) -> Written {
    let (mut key, value) = slice(&["d", topic], ((start_ms, first), hashes));
    if let Some(width_ms) = width {
        let mut packer = Packer::default();
        packer.int(width_ms);
        key[0] += 1; // one element more; a short array holds up to 15
        key.extend(packer.out);
    }
    (key, value)
}

/// State change of a slice of a memory.
fn slice(prefix: &[&str], ((start_ms, first), hashes): Change) -> Written {
    let mut key = Packer::default();
    key.array(prefix.len() + 2);
    prefix.iter().for_each(|part| key.text(part));
    key.int(start_ms);
    key.int(first as i64);
    let value = hashes.map(|hashes| {
        let mut packer = Packer::default();
        packer.hashes(&hashes);
        packer.out
    });
    (key.out, value)
}
