//! One partition of the join room: messages in, what has to become durable out. The same decisions, in the same order, as
//! `streams/core/join/stage.py`, whose text explains them.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::clock::Clock;
use crate::cohorts::OpenBins;
use crate::decode::{Spec, Value};
use crate::dedup::Change;
use crate::episodes::{OpenedContact, Episodes, CustomerFailure};
use crate::leaves::{hash_of, Leaves};
use crate::pack::{Damaged, Packer, Read, Reader, Write};
use crate::partition::partition_of;
use crate::promises::{Fact, OrderKey, Outcome, Promises, DAY_MS};
use crate::repairs::{link, obligation, owed, SuccessLog, Owed};
use crate::rules::{Row, Rules};
use crate::seen::{Loaded, SeenEvents, SliceChange};
use crate::sources::{Kind, Sources};
use crate::wire::{BinClosed, Late, Watermark};

const MINUTE_MS: i64 = 60_000;
/// 2000-01-01: no valid event is older.
const MIN_TIME_MS: i64 = 946_684_800_000;
/// Open bins of the last minute are shown as they fill.
const SHOWN_MS: i64 = MINUTE_MS;
const PROGRESS_KEY: &str = "cx.progress";

/// A derived message: noun, key, value, partition.
pub type Message = (&'static str, Vec<u8>, Vec<u8>, i64);
/// A change of the state topic: key, value or None to delete it.
pub type Written = (Vec<u8>, Option<Vec<u8>>);

/// What became of the messages of a feed, besides what went into the state.
#[derive(Default)]
pub struct Fed {
    pub accepted: u64,
    pub unknown: u64,
    /// Indexes of events from the future, and of events that belong to another partition.
    pub future: Vec<usize>,
    pub foreign: Vec<usize>,
}

/// One fetched message.
#[derive(Clone, Copy)]
pub struct Fetched<'a> {
    pub index: usize,
    pub offset: i64,
    pub key: Option<&'a [u8]>,
    pub appended_ms: i64,
}

struct Topic {
    clock: Clock,
    seen: SeenEvents,
    sources: Sources,
}

/// One partition of the room: the decoders of its topics in front, everything it remembers behind.
pub struct Room {
    specs: Vec<Spec>,
    row: Vec<Value>,
    scratch: Vec<u8>,
    pub core: Core,
}

/// Everything one partition of the room remembers.
pub struct Core {
    rules: Rules,
    partition: i64,
    partitions: i64,
    topics: Vec<Topic>,
    leaves: Leaves,
    bins: OpenBins,
    promises: Promises,
    episodes: Episodes,
    /// What went well, by topic.
    logs: Vec<Option<SuccessLog>>,
    closed_ms: i64,
    through_ms: i64,
    clocks_written: Vec<u8>,
    late: Vec<Message>,
    outcomes: Vec<Outcome>,
}

fn floor(time_ms: i64, width_ms: i64) -> i64 {
    time_ms - time_ms.rem_euclid(width_ms)
}

impl Room {
    pub fn new((rules, specs): (Rules, Vec<Spec>), partition: i64, partitions: i64) -> Room {
        Room { specs, row: vec![], scratch: vec![], core: Core::new(rules, partition, partitions) }
    }

    /// Folds one message in; false if it is for the reference implementation to decide, and then nothing was done.
    ///
    /// Events more than `future_ms` ahead of their arrival are from the future; with None the caller vouches for its time
    /// and its partition.
    pub fn take(
        &mut self,
        topic: usize,
        message: &[u8],
        from: Fetched<'_>,
        future_ms: Option<i64>,
        fed: &mut Fed,
    ) -> bool {
        let Ok(unknown) = self.specs[topic].decode(message, &mut self.row, &mut self.scratch) else { return false };
        fed.unknown += u64::from(unknown);
        let row = Row { spec: &self.specs[topic], message, scratch: &self.scratch, values: &self.row };
        let core = &mut self.core;
        let rules = &core.rules.topics[topic];
        let time_ms = row.int(rules.event_time).unwrap_or(0);
        let arrived_ms = row.int(rules.arrived_at).map_or(from.appended_ms, |own_ms| own_ms.min(from.appended_ms));
        if future_ms.is_some_and(|future_ms| time_ms > arrived_ms.saturating_add(future_ms)) {
            fed.future.push(from.index);
        } else if future_ms.is_some() && core.is_foreign(row.text(rules.customer).as_bytes(), from.key) {
            fed.foreign.push(from.index);
        } else {
            fed.accepted += 1;
            admit(core, topic, row, from.offset, arrived_ms);
        }
        true
    }
}

impl Core {
    fn new(rules: Rules, partition: i64, partitions: i64) -> Core {
        let topics = rules
            .topics
            .iter()
            .map(|topic| Topic {
                clock: Clock::new(rules.clock_customers),
                seen: SeenEvents::new(),
                sources: Sources::new(&topic.name, partition, rules.bin_ms),
            })
            .collect();
        let logs = rules.topics.iter().map(|topic| topic.success.as_ref().map(SuccessLog::new)).collect();
        Core {
            logs,
            rules,
            partition,
            partitions,
            topics,
            leaves: Leaves::default(),
            bins: OpenBins::new(partition),
            promises: Promises::new(),
            episodes: Episodes::default(),
            closed_ms: 0,
            through_ms: 0,
            clocks_written: vec![],
            late: vec![],
            outcomes: vec![],
        }
    }

    /// Index of a topic in the rules.
    pub fn topic(&self, name: &str) -> Option<usize> {
        self.rules.topics.iter().position(|topic| topic.name == name)
    }

    fn is_foreign(&self, customer: &[u8], key: Option<&[u8]>) -> bool {
        key != Some(customer) || partition_of(customer, self.partitions) != self.partition
    }

    /// A heartbeat of a source.
    pub fn hear(&mut self, topic: usize, time_ms: i64) {
        self.topics[topic].clock.hear(time_ms);
    }

    /// How far a topic has come; 0 if nothing was heard.
    pub fn clock_ms(&self, topic: usize) -> i64 {
        self.topics[topic].clock.newest_ms
    }

    /// Treats the watermarks of topics as at least `time_ms`.
    pub fn pass_idle(&mut self, topics: &[String], time_ms: i64) {
        for name in topics {
            if let Some(index) = self.topic(name) {
                self.hear(index, time_ms + self.rules.topics[index].disorder_ms);
            }
        }
    }

    /// Ends a feed: counts per producer are added up, promises see how far the order topic has come.
    pub fn settle(&mut self, topic: Option<usize>) {
        if let Some(topic) = topic {
            self.topics[topic].sources.settle();
        }
        self.advance(self.watermark_ms(self.rules.order));
    }

    fn watermark_ms(&self, topic: usize) -> i64 {
        (self.clock_ms(topic) - self.rules.topics[topic].disorder_ms).max(0)
    }

    fn oldest_ms(&self, topic: usize) -> i64 {
        (self.clock_ms(topic) - self.rules.topics[topic].lateness_ms).max(0)
    }

    fn slowest_ms(&self) -> i64 {
        (0..self.topics.len()).map(|topic| self.watermark_ms(topic)).min().unwrap_or(0)
    }

    fn advance(&mut self, watermark_ms: i64) {
        if self.promises.next_ms() < watermark_ms {
            let mut outcomes = std::mem::take(&mut self.outcomes);
            self.promises.advance(&self.rules.promise, watermark_ms, &mut outcomes);
            self.conclude(&mut outcomes);
            self.outcomes = outcomes;
        }
    }

    /// Counts decided promises.
    fn conclude(&mut self, outcomes: &mut Vec<Outcome>) {
        for outcome in outcomes.drain(..) {
            let values: Vec<&str> = outcome.values.iter().map(|value| &**value).collect();
            let leaf = self.leaves.of(&outcome.line, self.rules.promise.family, &values);
            let customer = xxh3_64(outcome.key.customer.as_bytes());
            if outcome.on_time {
                self.bins.count(floor(outcome.time_ms, self.rules.bin_ms), leaf, customer, outcome.failed);
            }
            if outcome.failed {
                let failure = CustomerFailure {
                    time_ms: outcome.time_ms,
                    leaf,
                    event_id: &outcome.event_id,
                    amount_cents: outcome.amount_cents.max(0),
                    owed: self.promised(customer, &outcome),
                    origin: outcome.origin,
                };
                self.episodes.fail(&self.rules, &self.leaves, &outcome.key.customer, customer, &failure);
            }
        }
    }

    /// What a broken promise leaves; what decided it cannot put it right.
    fn promised(&self, customer: u64, outcome: &Outcome) -> Owed {
        let Some(rule) = &self.rules.promise.leaving else { return Owed::default() };
        let success = self.rules.topics[self.rules.order].success.as_ref();
        let kinds = success.map_or(&[][..], |success| &success.kinds);
        let own = kinds.iter().find(|(value, _)| **value == *outcome.status).map_or(0, |(_, kind)| 1 << kind);
        Owed { obligation: obligation(customer, link(&outcome.key.order, rule.naming.seed)), mask: rule.mask & !own }
    }

    /// Asks for all failures since the last drain whether they were put right before they arrived.
    fn look_up(&mut self) {
        let Core { rules, logs, episodes, .. } = self;
        episodes.look_up(rules, &mut |obligation, since_ms, mask| {
            logs.iter_mut().flatten().filter_map(|log| log.first(obligation, since_ms, mask)).min()
        });
    }

    /// Hands out everything that changed since the last drain: messages in their order, changes sorted by key.
    pub fn drain(&mut self) -> (Vec<Message>, Vec<Written>) {
        self.look_up();
        let watermark_ms = self.slowest_ms();
        let through_ms = self.closed_ms.max(floor(watermark_ms, self.rules.bin_ms));
        let mut messages = std::mem::take(&mut self.late);
        self.send_counts(through_ms, &mut messages);
        if through_ms > self.closed_ms.max(MIN_TIME_MS) {
            let closed = BinClosed { partition: self.partition, partitions: self.partitions, through_ms };
            messages.push(("cohort_count", PROGRESS_KEY.into(), closed.json(96), 0));
            self.closed_ms = through_ms;
        }
        let partitions = self.partitions;
        self.episodes.messages(&self.rules, &self.leaves, &mut |customer, value| {
            let key = customer.as_bytes();
            messages.push(("episode", key.to_vec(), value, partition_of(key, partitions)));
        });
        if watermark_ms > self.through_ms.max(MIN_TIME_MS) {
            let reached = Watermark { partition: self.partition, through_ms: watermark_ms };
            messages.push(("episode", PROGRESS_KEY.into(), reached.json(96), self.partition));
            self.through_ms = watermark_ms;
        }
        self.forget(watermark_ms);
        let mut changes = self.changes();
        changes.sort_by(|(one, _), (two, _)| one.cmp(two));
        self.sweep();
        (messages, changes)
    }

    /// Closed cohort counts, source counts of closed bins, then open cohort counts.
    fn send_counts(&mut self, through_ms: i64, messages: &mut Vec<Message>) {
        let newest_ms = self.topics.iter().map(|topic| topic.clock.newest_ms).max().unwrap_or(0);
        let (rules, leaves, partitions) = (&self.rules, &self.leaves, self.partitions);
        self.bins.close(rules, leaves, through_ms, &mut |line, value| {
            messages.push(("cohort_count", line.as_bytes().to_vec(), value, 0));
        });
        let mut order: Vec<usize> = (0..self.topics.len()).collect();
        order.sort_by(|one, two| rules.topics[*one].name.cmp(&rules.topics[*two].name));
        for topic in order {
            self.topics[topic].sources.messages(through_ms, &mut |source, value| {
                let key = source.as_bytes();
                messages.push(("source_count", key.to_vec(), value, partition_of(key, partitions)));
            });
        }
        self.bins.preview(rules, leaves, newest_ms - SHOWN_MS, &mut |line, value| {
            messages.push(("cohort_count", line.as_bytes().to_vec(), value, 0));
        });
    }

    /// Drops everything that no event still to be accepted can need.
    fn forget(&mut self, watermark_ms: i64) {
        for index in 0..self.topics.len() {
            let oldest_ms = self.oldest_ms(index);
            let topic = &mut self.topics[index];
            topic.seen.forget(oldest_ms);
            topic.seen.age(topic.clock.newest_ms);
            topic.sources.forget(oldest_ms.min(self.closed_ms));
            topic.sources.age(topic.clock.newest_ms);
        }
        for (rules, log) in self.rules.topics.iter().zip(&mut self.logs) {
            let behind = |(topic, reach_ms): &(usize, i64)| self.topics[*topic].clock.newest_ms - reach_ms;
            if let (Some(log), Some(before_ms)) = (log, rules.reaches.iter().map(behind).min()) {
                log.forget(before_ms);
            }
        }
        self.promises.forget(&self.rules.promise, self.oldest_ms(self.rules.order));
        self.episodes.forget(&self.rules, watermark_ms);
    }

    fn changes(&mut self) -> Vec<Written> {
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

    fn sweep(&mut self) {
        if self.leaves.wants_sweep() {
            self.bins.mark(&mut self.leaves);
            self.episodes.mark(&mut self.leaves);
            self.leaves.sweep();
        }
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

/// Sorts out what is too old or was seen before, moves the topic's clock, and folds the rest in.
fn admit(room: &mut Core, index: usize, row: Row<'_>, offset: i64, arrived_ms: i64) {
    let rules = &room.rules.topics[index];
    let topic = &mut room.topics[index];
    let time_ms = row.int(rules.event_time).unwrap_or(0);
    let newest_ms = topic.clock.newest_ms;
    let source = row.text(rules.source);
    if time_ms < newest_ms - rules.lateness_ms {
        let watermark_ms = MIN_TIME_MS.max(newest_ms - rules.disorder_ms);
        let late = Late {
            topic: &rules.name,
            partition: room.partition,
            offset,
            source,
            event_time_ms: time_ms,
            watermark_ms,
        };
        room.late.push(("late", source.as_bytes().to_vec(), late.json(192), partition_of(source.as_bytes(), room.partitions)));
        return;
    }
    let customer = xxh3_64(row.text(rules.customer).as_bytes());
    let identity = xxh3_64_with_seed(row.text(rules.event_id).as_bytes(), customer);
    let bin_ms = floor(time_ms, room.rules.bin_ms);
    if !topic.seen.add(time_ms, identity) {
        topic.sources.count(Kind::Duplicate, bin_ms, source);
        return;
    }
    topic.sources.count(Kind::Accepted, bin_ms, source);
    let is_late = time_ms < newest_ms - rules.disorder_ms;
    if is_late {
        topic.sources.count(Kind::Late, bin_ms, source);
    }
    topic.clock.follow(customer, time_ms.min(arrived_ms));
    count(room, index, row, customer, is_late, newest_ms - time_ms);
    note(room, index, row, customer);
    if index == room.rules.order {
        follow_promise(room, row, is_late, newest_ms);
    } else if index == room.rules.contact_topic {
        attach_contact(room, row, customer, newest_ms);
    }
}

/// Counts exposure and failure: on time in bins, failures in any case in episodes.
fn count(room: &mut Core, index: usize, row: Row<'_>, customer: u64, is_late: bool, behind_ms: i64) {
    let Core { rules, leaves, bins, episodes, .. } = room;
    let topic = &rules.topics[index];
    let time_ms = row.int(topic.event_time).unwrap_or(0);
    for rule in &topic.families {
        if !rule.exposed.holds(row) {
            continue;
        }
        let failed = rule.failed.holds(row);
        if is_late && !failed {
            continue;
        }
        let mut values = [""; 16];
        let values = &mut values[..rule.attributes.len()];
        for (value, field) in values.iter_mut().zip(&rule.attributes) {
            *value = row.text(*field);
        }
        let line = row.text(topic.product);
        let leaf = leaves.intern(hash_of(line, rule.family, values), line, rule.family, values);
        if !is_late {
            bins.count(floor(time_ms, rules.bin_ms), leaf, customer, failed);
        }
        if failed {
            let failure = CustomerFailure {
                time_ms,
                leaf,
                event_id: row.text(topic.event_id),
                amount_cents: rule.amount.and_then(|field| row.int(field)).unwrap_or(0),
                owed: owed(&rule.leaving, row, customer, behind_ms),
                origin: origin_of(rules, row.text(topic.origin)),
            };
            episodes.fail(rules, leaves, row.text(topic.customer), customer, &failure);
        }
    }
}

/// Remembers what went well, and puts right what it puts right.
fn note(room: &mut Core, index: usize, row: Row<'_>, customer: u64) {
    let Core { rules, logs, episodes, .. } = room;
    let topic = &rules.topics[index];
    let (Some(success), Some(log)) = (&topic.success, &mut logs[index]) else { return };
    let Some(kind) = success.kind(row) else { return };
    let (time_ms, obligation) = (row.int(topic.event_time).unwrap_or(0), success.naming.of(row, customer));
    log.note(time_ms, obligation, kind);
    if episodes.open_obligations.matters(obligation, time_ms) {
        episodes.repair(rules, row.text(topic.customer), customer, obligation, time_ms, 1 << kind);
    }
}

fn origin_of(rules: &Rules, name: &str) -> u8 {
    rules.origins.iter().position(|known| known == name).unwrap_or(0) as u8
}

fn follow_promise(room: &mut Core, row: Row<'_>, is_late: bool, newest_ms: i64) {
    let topic = &room.rules.topics[room.rules.order];
    let rule = &room.rules.promise;
    let watermark_ms = newest_ms - topic.disorder_ms;
    let fact = Fact::new(
        row.int(topic.event_time).unwrap_or(0),
        row.text(topic.event_id),
        OrderKey { customer: row.text(topic.customer).into(), order: row.text(rule.order_id).into() },
        row.text(rule.status),
        row.text(topic.product),
        rule.attributes.iter().map(|field| row.text(*field).into()).collect(),
        row.int(rule.amount).unwrap_or(0),
        row.int(rule.promised_at),
        row.text(rule.cancelled_by) == "company",
        origin_of(&room.rules, row.text(topic.origin)),
    );
    room.advance(watermark_ms);
    let mut outcomes = std::mem::take(&mut room.outcomes);
    room.promises.offer(&room.rules.promise, fact, watermark_ms, is_late, &mut outcomes);
    room.conclude(&mut outcomes);
    room.outcomes = outcomes;
}

fn attach_contact(room: &mut Core, row: Row<'_>, customer: u64, newest_ms: i64) {
    let topic = &room.rules.topics[room.rules.contact_topic];
    let rule = &room.rules.contact;
    let time_ms = row.int(topic.event_time).unwrap_or(0);
    let order = rule.order.as_ref().filter(|naming| naming.is_given(row)).map_or(0, |naming| naming.of(row, customer));
    let by_order = time_ms < newest_ms - room.rules.attach_ms;
    if by_order && order == 0 || !rule.opened.holds(row) {
        return;
    }
    let contacted = OpenedContact {
        time_ms,
        contact_id: row.text(rule.contact_id).into(),
        line: row.text(topic.product).into(),
        reason: row.text(rule.reason).into(),
        order,
        by_order,
    };
    room.episodes.contact(&room.rules, row.text(topic.customer), customer, contacted);
}
