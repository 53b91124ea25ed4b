//! One partition of the join room: messages in, what has to become durable out. The same decisions, in the same order, as
//! `streams/core/join/stage.py`, whose text explains them.

mod reading;
mod state;

use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Clock;
use crate::cohorts::OpenBins;
use crate::decode::{Spec, Value};
use crate::episodes::Episodes;
use crate::history::CustomerFailure;
use crate::leaves::Leaves;
use crate::pack::Write;
use crate::partition::partition_of;
use crate::promises::{Outcome, Promises};
use crate::repairs::{link, obligation, Owed, SuccessLog};
use crate::rules::{Row, Rules};
use crate::seen::SeenEvents;
use crate::sources::Sources;
use crate::wire::{BinClosed, Watermark};

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
            reading::admit(core, topic, row, from.offset, arrived_ms);
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
            let leaf = self.leaves.of(&outcome.line, self.rules.promise.signal, &values);
            let customer = xxh3_64(outcome.key.customer.as_bytes());
            if outcome.on_time {
                self.bins.count(floor(outcome.time_ms, self.rules.bin_ms), leaf, customer, outcome.failed);
            }
            if outcome.failed {
                let failure = CustomerFailure {
                    time_ms: outcome.time_ms,
                    leaf,
                    event_id: &outcome.event_id,
                    amount: (outcome.currency, self.rules.currencies.minor(outcome.amount_cents, outcome.currency)),
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

    fn sweep(&mut self) {
        if self.leaves.wants_sweep() {
            self.bins.mark(&mut self.leaves);
            self.episodes.mark(&mut self.leaves);
            self.leaves.sweep();
        }
    }
}
