//! Promise timers: every order that was promised for a time has exactly one outcome. The same algorithm and persisted
//! values as `streams/core/join/promises.py`, whose text explains it.

mod stored;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::Arc;

use hashbrown::HashTable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::dedup::Memory;
use crate::money::Currency;
use crate::pack::{Packer, Read, Reader};
use crate::rules::PromiseRule;
use stored::{chunk_key, pack_fact, packed, promise_key, read_fact};

pub const DAY_MS: i64 = 86_400_000;
/// Timers of promises decided early stay queued until there are this many of them.
const STALE_TIMERS: usize = 10_000;
/// An event that arrived since the last drain belongs to no persisted chunk.
const NO_CHUNK: i64 = -1;

/// Customer and order.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OrderKey {
    pub customer: Box<str>,
    pub order: Box<str>,
}

impl OrderKey {
    pub fn hash(&self) -> u64 {
        xxh3_64_with_seed(self.order.as_bytes(), xxh3_64(self.customer.as_bytes()))
    }
}

/// What a promise needs to know of one order event.
pub struct Fact {
    pub time_ms: i64,
    pub event_id: Box<str>,
    pub key: Arc<OrderKey>,
    pub status: Box<str>,
    pub line: Box<str>,
    pub values: Vec<Box<str>>,
    pub amount_cents: i64,
    pub promised_at_ms: Option<i64>,
    pub by_company: bool,
    pub origin: u8,
    pub currency: Currency,
    chunk: AtomicI64,
}

impl Fact {
    #[allow(clippy::too_many_arguments)] // the parts of one event, each named by its field
    pub fn new(
        time_ms: i64,
        event_id: &str,
        key: OrderKey,
        status: &str,
        line: &str,
        values: Vec<Box<str>>,
        amount_cents: i64,
        promised_at_ms: Option<i64>,
        by_company: bool,
        origin: u8,
        currency: Currency,
    ) -> Fact {
        Fact {
            time_ms,
            event_id: event_id.into(),
            key: Arc::new(key),
            status: status.into(),
            line: line.into(),
            values,
            amount_cents,
            promised_at_ms,
            by_company,
            origin,
            currency,
            chunk: AtomicI64::new(NO_CHUNK),
        }
    }

    fn stamp(&self) -> (i64, &str) {
        (self.time_ms, &self.event_id)
    }
}

/// A promise was decided: exposure of the delivery signal, failed if broken.
pub struct Outcome {
    pub time_ms: i64,
    pub key: Arc<OrderKey>,
    pub line: Box<str>,
    pub values: Vec<Box<str>>,
    pub failed: bool,
    pub on_time: bool,
    pub event_id: Box<str>,
    pub amount_cents: i64,
    pub currency: Currency,
    /// Status of the event that decided it, empty if time did.
    pub status: Box<str>,
    /// Origin of the event it is named by.
    pub origin: u8,
}

/// One open promise; `stated` and `latest` are event time and event id.
struct Promise {
    key: Arc<OrderKey>,
    stated: (i64, Box<str>),
    latest: (i64, Box<str>),
    due_ms: i64,
    fire_ms: i64,
    line: Box<str>,
    values: Vec<Box<str>>,
    amount_cents: i64,
    /// Origin of the statement.
    origin: u8,
    currency: Currency,
}

impl Promise {
    fn on_time(&self) -> bool {
        self.fire_ms == self.due_ms && self.due_ms >= self.stated.0
    }

    fn learn(&mut self, fact: &Fact) {
        let newer = fact.stamp() >= (self.latest.0, &*self.latest.1);
        for (known, new) in self.values.iter_mut().zip(&fact.values) {
            if !new.is_empty() && (newer || known.is_empty()) && known != new {
                *known = new.clone();
            }
        }
        if fact.amount_cents != 0 && (newer || self.amount_cents == 0) {
            self.amount_cents = fact.amount_cents;
        }
        if fact.currency.is_named() && (newer || !self.currency.is_named()) {
            self.currency = fact.currency;
        }
        if newer {
            self.latest = (fact.time_ms, fact.event_id.clone());
        }
    }
}

/// An event that waits for the watermark, or a timer; ordered as they are applied.
struct QueueEntry {
    time_ms: i64,
    key: Arc<OrderKey>,
    fact: Option<Arc<Fact>>,
}

impl QueueEntry {
    fn rank(&self) -> (i64, bool, &str, &OrderKey) {
        let event_id = self.fact.as_ref().map_or("", |fact| &fact.event_id);
        (self.time_ms, self.fact.is_none(), event_id, &self.key)
    }
}

impl PartialEq for QueueEntry {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}
impl Eq for QueueEntry {}
impl PartialOrd for QueueEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for QueueEntry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// All promises of one source partition.
pub struct Promises {
    open: HashTable<Promise>,
    pub ended: Memory,
    queue: BinaryHeap<Reverse<QueueEntry>>,
    changed: BTreeSet<Arc<OrderKey>>,
    arrived: Vec<Arc<Fact>>,
    /// Chunk -> how many of its events are still pending.
    left: HashMap<i64, usize>,
    enlisted: usize,
    next_chunk: i64,
    gone: Vec<i64>,
}

impl Promises {
    pub fn new() -> Promises {
        Promises {
            open: HashTable::new(),
            ended: Memory::new(DAY_MS),
            queue: BinaryHeap::new(),
            changed: BTreeSet::new(),
            arrived: vec![],
            left: HashMap::new(),
            enlisted: 0,
            next_chunk: 0,
            gone: vec![],
        }
    }

    /// Time of the next event or timer to apply.
    pub fn next_ms(&self) -> i64 {
        self.queue.peek().map_or(i64::MAX, |entry| entry.0.time_ms)
    }

    /// Takes one order event; `watermark_ms` is the order topic's before this event, `late` its verdict.
    pub fn offer(&mut self, rule: &PromiseRule, fact: Fact, watermark_ms: i64, late: bool, out: &mut Vec<Outcome>) {
        if late {
            return self.apply(rule, &fact, watermark_ms, true, out);
        }
        let fact = Arc::new(fact);
        self.queue.push(Reverse(QueueEntry { time_ms: fact.time_ms, key: fact.key.clone(), fact: Some(fact.clone()) }));
        self.arrived.push(fact);
    }

    /// Applies everything before `watermark_ms` (the order topic's), in order of time.
    pub fn advance(&mut self, rule: &PromiseRule, watermark_ms: i64, out: &mut Vec<Outcome>) {
        while self.next_ms() < watermark_ms {
            let Some(Reverse(entry)) = self.queue.pop() else { return };
            match entry.fact {
                Some(fact) => {
                    self.applied(&fact);
                    self.apply(rule, &fact, watermark_ms, false, out);
                }
                None => self.fire(&entry.key, entry.time_ms, out),
            }
        }
    }

    fn applied(&mut self, fact: &Fact) {
        let chunk = fact.chunk.load(Relaxed);
        if chunk == NO_CHUNK {
            return;
        }
        self.enlisted -= 1;
        let left = self.left.get_mut(&chunk).expect("a chunk with events that wait is known");
        *left -= 1;
        if *left == 0 {
            self.left.remove(&chunk);
            self.gone.push(chunk);
        }
    }

    fn apply(&mut self, rule: &PromiseRule, fact: &Fact, watermark_ms: i64, late: bool, out: &mut Vec<Outcome>) {
        let hash = fact.key.hash();
        let states = states(rule, fact);
        let known = self.open.find_entry(hash, |promise| *promise.key == *fact.key).is_ok();
        if !known {
            if !states {
                if is(&rule.kept, fact) || is(&rule.dropped, fact) || is(&rule.cancelled, fact) {
                    self.ended.add(fact.time_ms, hash);
                }
                return;
            }
            if self.ended.holds_since(fact.time_ms - rule.memory_ms, hash) {
                return;
            }
            self.insert(hash, blank(fact));
        }
        let promise = self.open.find_mut(hash, |promise| *promise.key == *fact.key).expect("found or made");
        promise.learn(fact);
        self.changed.insert(promise.key.clone());
        if states && fact.stamp() > (promise.stated.0, &*promise.stated.1) {
            let due_ms = fact.promised_at_ms.unwrap_or(0);
            let fire_ms = if late { due_ms.max(watermark_ms + rule.disorder_ms) } else { due_ms };
            if fire_ms != promise.fire_ms {
                self.queue.push(Reverse(QueueEntry { time_ms: fire_ms, key: promise.key.clone(), fact: None }));
            }
            promise.stated = (fact.time_ms, fact.event_id.clone());
            (promise.due_ms, promise.fire_ms) = (due_ms, fire_ms);
            promise.line = fact.line.clone();
            promise.origin = fact.origin;
        }
        if fact.time_ms <= promise.due_ms {
            self.resolve(rule, hash, fact, late, out);
        }
    }

    /// Lets the status of an event that is not past the promised time decide, if it decides anything.
    fn resolve(&mut self, rule: &PromiseRule, hash: u64, fact: &Fact, late: bool, out: &mut Vec<Outcome>) {
        let broken = is(&rule.broken, fact) || is(&rule.cancelled, fact) && fact.by_company;
        let decided = broken || is(&rule.kept, fact);
        if !decided && !is(&rule.dropped, fact) && !is(&rule.cancelled, fact) {
            return;
        }
        let promise = self.remove(hash, &fact.key, fact.time_ms);
        if decided {
            out.push(outcome(promise, Some(fact), broken, !late));
        }
    }

    fn fire(&mut self, key: &OrderKey, time_ms: i64, out: &mut Vec<Outcome>) {
        let hash = key.hash();
        let Some(promise) = self.open.find(hash, |promise| *promise.key == *key) else { return };
        if promise.fire_ms != time_ms {
            return; // revised since
        }
        let due_ms = promise.due_ms;
        let promise = self.remove(hash, key, due_ms);
        let on_time = promise.on_time();
        out.push(outcome(promise, None, true, on_time));
    }

    fn insert(&mut self, hash: u64, promise: Promise) {
        self.open.insert_unique(hash, promise, |promise| promise.key.hash());
    }

    fn remove(&mut self, hash: u64, key: &OrderKey, time_ms: i64) -> Promise {
        let entry = self.open.find_entry(hash, |promise| *promise.key == *key);
        let (promise, _) = entry.unwrap_or_else(|_| unreachable!("an open promise")).remove();
        self.changed.insert(promise.key.clone());
        self.ended.add(time_ms.max(promise.due_ms), hash);
        promise
    }

    /// Drops what no event at or after `oldest_ms` (the oldest that the order topic still accepts) can need.
    pub fn forget(&mut self, rule: &PromiseRule, oldest_ms: i64) {
        self.ended.forget(oldest_ms - rule.memory_ms);
        if self.queue.len() > 2 * self.open.len() + self.enlisted + self.arrived.len() + STALE_TIMERS {
            let open = &self.open;
            self.queue.retain(|Reverse(entry)| {
                entry.fact.is_some()
                    || open
                        .find(entry.key.hash(), |promise| *promise.key == *entry.key)
                        .is_some_and(|promise| promise.fire_ms == entry.time_ms)
            });
        }
    }

    /// Writes what changed since the last drain. Everything before `watermark_ms` must have been applied.
    pub fn drain(&mut self, watermark_ms: i64, write: &mut dyn FnMut(Vec<u8>, Option<Vec<u8>>)) {
        for key in std::mem::take(&mut self.changed) {
            let value = self.open.find(key.hash(), |promise| *promise.key == *key).map(packed);
            write(promise_key(&key), value);
        }
        for chunk in self.gone.drain(..) {
            write(chunk_key(chunk), None);
        }
        let mut facts = std::mem::take(&mut self.arrived);
        facts.retain(|fact| fact.time_ms >= watermark_ms);
        if !facts.is_empty() {
            let mut packer = Packer::default();
            packer.array(facts.len());
            facts.iter().for_each(|fact| pack_fact(&mut packer, fact));
            write(chunk_key(self.next_chunk), Some(packer.out));
            self.enlist(self.next_chunk, &facts);
        }
    }

    fn enlist(&mut self, chunk: i64, facts: &[Arc<Fact>]) {
        self.left.insert(chunk, facts.len());
        self.enlisted += facts.len();
        facts.iter().for_each(|fact| fact.chunk.store(chunk, Relaxed));
        self.next_chunk = self.next_chunk.max(chunk + 1);
    }

    /// Takes back one open promise and sets its timer.
    pub fn load_open(&mut self, customer: &str, order: &str, reader: &mut Reader<'_>) -> Read<()> {
        let key = Arc::new(OrderKey { customer: customer.into(), order: order.into() });
        let fields = reader.array()?;
        reader.array()?;
        let stated = (reader.int()?, reader.text()?.into());
        reader.array()?;
        let latest = (reader.int()?, reader.text()?.into());
        let promise = Promise {
            key: key.clone(),
            stated,
            latest,
            due_ms: reader.int()?,
            fire_ms: reader.int()?,
            line: reader.text()?.into(),
            values: reader.texts()?.into_iter().map(Into::into).collect(),
            amount_cents: reader.int()?,
            origin: if fields > 7 { reader.int()? as u8 } else { 0 },
            currency: if fields > 8 { Currency::read(reader)? } else { Currency::default() },
        };
        self.queue.push(Reverse(QueueEntry { time_ms: promise.fire_ms, key: key.clone(), fact: None }));
        self.insert(key.hash(), promise);
        Ok(())
    }

    /// Takes back one chunk of pending events; those before `watermark_ms` were applied before the drain.
    pub fn load_pending(&mut self, chunk: i64, reader: &mut Reader<'_>, watermark_ms: i64) -> Read<()> {
        let mut still = Vec::new();
        for _ in 0..reader.array()? {
            let fact = Arc::new(read_fact(reader)?);
            if fact.time_ms >= watermark_ms {
                self.queue.push(Reverse(QueueEntry {
                    time_ms: fact.time_ms,
                    key: fact.key.clone(),
                    fact: Some(fact.clone()),
                }));
                still.push(fact);
            }
        }
        self.enlist(chunk, &still);
        Ok(())
    }
}

fn blank(fact: &Fact) -> Promise {
    Promise {
        key: fact.key.clone(),
        stated: (0, "".into()),
        latest: (0, "".into()),
        due_ms: 0,
        fire_ms: 0,
        line: "".into(),
        values: vec!["".into(); fact.values.len()],
        amount_cents: 0,
        origin: 0,
        currency: Currency::default(),
    }
}

/// What came of a promise: `fact` decided it, or its time.
fn outcome(promise: Promise, fact: Option<&Fact>, failed: bool, on_time: bool) -> Outcome {
    let (time_ms, event_id, status, origin) = match fact {
        Some(fact) => (fact.time_ms, fact.event_id.clone(), fact.status.clone(), fact.origin),
        None => (promise.due_ms, promise.stated.1, "".into(), promise.origin),
    };
    Outcome {
        time_ms,
        key: promise.key,
        line: promise.line,
        values: promise.values,
        failed,
        on_time,
        event_id,
        amount_cents: promise.amount_cents,
        currency: promise.currency,
        status,
        origin,
    }
}

fn is(statuses: &[String], fact: &Fact) -> bool {
    statuses.iter().any(|status| **status == *fact.status)
}

fn states(rule: &PromiseRule, fact: &Fact) -> bool {
    fact.promised_at_ms.is_some_and(|promised_ms| {
        fact.time_ms - rule.memory_ms <= promised_ms && promised_ms <= fact.time_ms + rule.horizon_ms
    })
}
