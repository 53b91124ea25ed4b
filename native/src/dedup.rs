//! Memory of what was seen: 64-bit hashes in buckets of event time. The same algorithm, and the same persisted slices, as
//! `streams/core/join/dedup.py`, whose text explains it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashSet;

/// Most hashes in one persisted slice.
pub const CHUNK: usize = 32_768;
/// A bucket at rest is sorted again once more than a 16th of it was added by stragglers.
const REST_WORTH: usize = 16;

/// Hasher for keys that are hashes already; a multiplication spreads what a small table looks at.
#[derive(Default, Clone)]
pub struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

pub type Hashes<T> = HashSet<T, BuildHasherDefault<Already>>;

/// One change of the state topic: ((bucket start in ms, first index of the slice), the slice or None to delete it).
pub type Change = ((i64, usize), Option<Vec<u64>>);
/// Persisted slices: bucket start -> first index -> hashes.
pub type Slices = BTreeMap<i64, BTreeMap<usize, Vec<u64>>>;

#[derive(Default)]
struct Bucket {
    recent: Hashes<u64>,
    rest: Vec<u64>,
    log: Vec<u64>,
    slices: Vec<usize>,
    written: usize,
    /// The log up to `sorted`, for who asks by order.
    runs: Vec<Vec<u64>>,
    sorted: usize,
}

impl Bucket {
    fn restored(slices: BTreeMap<usize, Vec<u64>>) -> Bucket {
        let starts = slices.keys().copied().collect();
        let mut rest: Vec<u64> = slices.into_values().flatten().collect();
        rest.sort_unstable();
        Bucket { written: rest.len(), rest, slices: starts, ..Bucket::default() }
    }

    fn len(&self) -> usize {
        self.rest.len() + self.log.len()
    }

    fn contains(&self, item: u64) -> bool {
        self.recent.contains(&item) || self.rest.binary_search(&item).is_ok()
    }

    fn add(&mut self, item: u64) -> bool {
        if !self.rest.is_empty() && self.rest.binary_search(&item).is_ok() || !self.recent.insert(item) {
            return false;
        }
        self.log.push(item);
        true
    }

    fn dirty(&self) -> bool {
        self.len() > self.written
    }

    fn drain(&mut self, start_ms: i64, out: &mut Vec<Change>) {
        let (base, end) = (self.rest.len(), self.len());
        let mut start = self.written;
        let mut obsolete = Vec::new();
        // Only slices that lie in the log can be rewritten: what is at rest has lost its order.
        while let Some(previous) = self.slices.last().copied().filter(|first| *first >= base) {
            if start - previous >= 2 * (end - start) || end - previous > CHUNK {
                break;
            }
            if start != self.written {
                obsolete.push(start);
            }
            start = previous;
            self.slices.pop();
        }
        for first in (start..end).step_by(CHUNK) {
            self.slices.push(first);
            let slice = &self.log[first - base..end.min(first + CHUNK) - base];
            out.push(((start_ms, first), Some(slice.to_vec())));
        }
        out.extend(obsolete.into_iter().map(|first| ((start_ms, first), None)));
        self.written = end;
    }

    fn rest(&mut self) {
        if self.log.len() * REST_WORTH > self.rest.len() && !self.dirty() {
            self.rest.append(&mut self.log);
            self.rest.sort_unstable();
            self.rest.shrink_to_fit();
            self.log = Vec::new();
            self.recent = Hashes::default();
            (self.runs, self.sorted) = (Vec::new(), 0);
        }
    }

    /// The smallest item from `low` to `high` that counts. What was added since the last question is sorted once, into
    /// runs whose sizes grow as in a binary counter.
    fn first(&mut self, low: u64, high: u64, counts: &dyn Fn(u64) -> bool) -> Option<u64> {
        if self.sorted < self.log.len() {
            let mut fresh = self.log[self.sorted..].to_vec();
            while let Some(run) = self.runs.pop_if(|run| run.len() <= 2 * fresh.len()) {
                fresh.extend(run);
            }
            fresh.sort_unstable();
            self.runs.push(fresh);
            self.sorted = self.log.len();
        }
        let within = |run: &Vec<u64>| {
            let from = run.partition_point(|item| *item < low);
            run[from..].iter().copied().take_while(|item| *item <= high).find(|item| counts(*item))
        };
        self.runs.iter().chain([&self.rest]).filter_map(within).min()
    }
}

/// Buckets of `width_ms` of event time. One per topic and partition.
pub struct Memory {
    width_ms: i64,
    buckets: BTreeMap<i64, Bucket>,
    touched: BTreeSet<i64>,
    fresh: BTreeSet<i64>,
    dropped: Vec<Change>,
    /// The bucket in use, out of the map while it is.
    current: Option<(i64, Bucket)>,
}

impl Memory {
    pub fn new(width_ms: i64) -> Memory {
        Memory {
            width_ms,
            buckets: BTreeMap::new(),
            touched: BTreeSet::new(),
            fresh: BTreeSet::new(),
            dropped: Vec::new(),
            current: None,
        }
    }

    /// Remembers a hash at a time; false if its bucket had it already.
    pub fn add(&mut self, time_ms: i64, item: u64) -> bool {
        let start_ms = time_ms - time_ms.rem_euclid(self.width_ms);
        match &mut self.current {
            Some((current, bucket)) if *current == start_ms => bucket.add(item),
            _ => {
                self.put_back();
                self.touched.insert(start_ms);
                self.fresh.insert(start_ms);
                let mut bucket = self.buckets.remove(&start_ms).unwrap_or_default();
                let fresh = bucket.add(item);
                self.current = Some((start_ms, bucket));
                fresh
            }
        }
    }

    /// Remembers an item at a time, whether it is known or not; `add` must not be used besides.
    pub fn push(&mut self, time_ms: i64, item: u64) {
        let start_ms = time_ms - time_ms.rem_euclid(self.width_ms);
        if !matches!(&self.current, Some((current, _)) if *current == start_ms) {
            self.put_back();
            self.touched.insert(start_ms);
            self.fresh.insert(start_ms);
            self.current = Some((start_ms, self.buckets.remove(&start_ms).unwrap_or_default()));
        }
        if let Some((_, bucket)) = &mut self.current {
            bucket.log.push(item);
        }
    }

    /// Starts of all buckets from `from_ms` on, the earliest first.
    pub fn starts_from(&mut self, from_ms: i64) -> Vec<i64> {
        self.put_back();
        self.buckets.range(from_ms..).map(|(start_ms, _)| *start_ms).collect()
    }

    /// The smallest item of a bucket from `low` to `high` that counts.
    pub fn first(&mut self, start_ms: i64, low: u64, high: u64, counts: &dyn Fn(u64) -> bool) -> Option<u64> {
        self.buckets.get_mut(&start_ms)?.first(low, high, counts)
    }

    fn put_back(&mut self) {
        if let Some((start_ms, bucket)) = self.current.take() {
            self.buckets.insert(start_ms, bucket);
        }
    }

    /// Tells whether any bucket that ends after `time_ms` holds the hash.
    pub fn holds_since(&self, time_ms: i64, item: u64) -> bool {
        let current = self.current.iter().map(|(start_ms, bucket)| (start_ms, bucket));
        self.buckets
            .iter()
            .chain(current)
            .any(|(start_ms, bucket)| start_ms + self.width_ms > time_ms && bucket.contains(item))
    }

    /// Drops every bucket that ends at or before `before_ms`.
    pub fn forget(&mut self, before_ms: i64) {
        while self.pop_before(before_ms.saturating_sub(self.width_ms - 1)).is_some() {}
    }

    /// Drops the first bucket if it starts before `before_ms` and gives what was in it, sorted.
    pub fn take_before(&mut self, before_ms: i64) -> Option<(i64, Vec<u64>)> {
        self.pop_before(before_ms).map(|(start_ms, mut bucket)| {
            bucket.rest.append(&mut bucket.log);
            bucket.rest.sort_unstable();
            (start_ms, bucket.rest)
        })
    }

    fn pop_before(&mut self, before_ms: i64) -> Option<(i64, Bucket)> {
        self.put_back();
        let (start_ms, bucket) = self.buckets.first_entry().filter(|entry| *entry.key() < before_ms)?.remove_entry();
        self.dropped.extend(bucket.slices.iter().map(|first| ((start_ms, *first), None)));
        self.touched.remove(&start_ms);
        self.fresh.remove(&start_ms);
        Some((start_ms, bucket))
    }

    /// Remembers hashes, none of which their bucket holds.
    pub fn extend(&mut self, start_ms: i64, items: &[u64]) {
        self.put_back();
        self.touched.insert(start_ms);
        self.fresh.insert(start_ms);
        let bucket = self.buckets.entry(start_ms).or_default();
        bucket.log.extend_from_slice(items);
        bucket.recent.extend(items);
    }

    /// Hands out what changed since the last drain; buckets that end by `rest_before_ms` take their compact form.
    pub fn drain(&mut self, rest_before_ms: i64) -> Vec<Change> {
        self.put_back();
        let mut out = std::mem::take(&mut self.dropped);
        for start_ms in std::mem::take(&mut self.touched) {
            let bucket = self.buckets.get_mut(&start_ms).expect("a touched bucket is there");
            if bucket.dirty() {
                bucket.drain(start_ms, &mut out);
            }
        }
        let (width_ms, buckets) = (self.width_ms, &mut self.buckets);
        self.fresh.retain(|start_ms| {
            let rests = start_ms + width_ms <= rest_before_ms;
            if rests {
                buckets.get_mut(start_ms).expect("a fresh bucket is there").rest();
            }
            !rests
        });
        out
    }

    /// Takes back everything that drains handed out and that was not deleted since.
    pub fn load(&mut self, slices: Slices) {
        self.buckets = slices.into_iter().map(|(start_ms, found)| (start_ms, Bucket::restored(found))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    /// Applies what a drain handed out to what is persisted.
    fn persist(store: &mut Slices, changes: Vec<Change>) {
        for ((start_ms, first), slice) in changes {
            let slices = store.entry(start_ms).or_default();
            match slice {
                Some(hashes) => drop(slices.insert(first, hashes)),
                None => drop(slices.remove(&first).expect("only what was written is deleted")),
            }
        }
        store.retain(|_, slices| !slices.is_empty());
    }

    fn restarted(store: &Slices) -> Memory {
        let mut memory = Memory::new(MINUTE_MS);
        memory.load(store.clone());
        memory
    }

    #[test]
    fn a_hash_is_new_once_in_its_bucket() {
        let mut memory = Memory::new(MINUTE_MS);
        assert!(memory.add(59_999, 1));
        assert!(!memory.add(0, 1));
        assert!(memory.add(60_000, 1), "the next minute is another bucket");
        assert!(!memory.add(30_000, 1), "the bucket that was left is asked again");
        assert!(memory.add(-1, 1), "times before 1970 have buckets, too");
    }

    #[test]
    fn drains_and_restarts_forget_nothing() {
        let (mut memory, mut store) = (Memory::new(MINUTE_MS), Slices::new());
        for round in 0..200u64 {
            for number in 0..=round % 7 {
                assert!(memory.add((round as i64 % 3) * MINUTE_MS, round * 100 + number));
            }
            persist(&mut store, memory.drain(if round % 5 == 0 { i64::MAX } else { 0 }));
            if round % 11 == 0 {
                memory = restarted(&store);
            }
        }
        for round in 0..200u64 {
            for number in 0..=round % 7 {
                assert!(!memory.add((round as i64 % 3) * MINUTE_MS, round * 100 + number), "{round} {number}");
            }
        }
        assert!(memory.drain(0).is_empty(), "nothing changed");
    }

    #[test]
    fn slices_of_similar_size_are_joined() {
        let (mut memory, mut store) = (Memory::new(MINUTE_MS), Slices::new());
        for item in 0..1024u64 {
            memory.add(0, item);
            persist(&mut store, memory.drain(0));
        }
        assert!(store[&0].len() <= 11, "{} slices of 1024 hashes", store[&0].len());
        let most = CHUNK as u64 + 10;
        (1024..most).for_each(|item| assert!(memory.add(0, item)));
        persist(&mut store, memory.drain(0));
        assert!(store[&0].values().all(|slice| slice.len() <= CHUNK));
        assert_eq!(store[&0].values().map(Vec::len).sum::<usize>() as u64, most);
    }

    #[test]
    fn a_bucket_goes_once_it_ends() {
        let (mut memory, mut store) = (Memory::new(MINUTE_MS), Slices::new());
        memory.add(0, 1);
        memory.add(MINUTE_MS, 2);
        persist(&mut store, memory.drain(0));
        memory.forget(MINUTE_MS - 1);
        assert!(memory.holds_since(0, 1));
        memory.forget(MINUTE_MS);
        persist(&mut store, memory.drain(0));
        assert_eq!(store.keys().collect::<Vec<_>>(), [&MINUTE_MS]);
        assert!(memory.holds_since(2 * MINUTE_MS - 1, 2) && !memory.holds_since(2 * MINUTE_MS, 2));
    }

    #[test]
    fn the_smallest_that_counts_is_found_wherever_it_lies() {
        let mut memory = Memory::new(MINUTE_MS);
        [50, 10, 40].into_iter().for_each(|item| memory.push(0, item));
        assert_eq!(memory.starts_from(0), [0]);
        assert_eq!(memory.first(0, 11, 60, &|_| true), Some(40));
        [30, 20].into_iter().for_each(|item| memory.push(0, item));
        memory.put_back();
        assert_eq!(memory.first(0, 11, 60, &|_| true), Some(20));
        assert_eq!(memory.first(0, 10, 10, &|_| true), Some(10), "limits are inclusive");
        assert_eq!(memory.first(0, 11, 60, &|item| item > 35), Some(40));
        assert_eq!(memory.first(0, 51, 60, &|_| true), None);
    }
}
