//! What went well after all: obligations that failures leave, and the memory of events that put failures right. The same
//! rules, and the same persisted values, as `streams/core/join/repairs.py`, whose text explains them.

use std::collections::BTreeMap;
use std::hash::BuildHasherDefault;

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::dedup::{Already, Change, Memory};
use crate::pack::{Packer, Read, Reader};
use crate::rules::Row;

pub const KIND_BITS: u32 = 3;
/// Later than every time.
pub const NEVER_MS: i64 = 1 << 62;

/// What a failure leaves: the obligation, and a bit for each kind of event that puts it right (0: nothing can).
#[derive(Clone, Copy, Default)]
pub struct Owed {
    pub obligation: u64,
    pub mask: u8,
}

/// The latest failure of an obligation, what would put it right, and when something did.
pub struct Obligation {
    pub hash: u64,
    pub time_ms: i64,
    pub mask: u8,
    pub put_right_ms: Option<i64>,
}

impl Obligation {
    /// An event that puts it right changes something if it happened before this.
    pub fn until_ms(&self) -> i64 {
        self.put_right_ms.unwrap_or(NEVER_MS)
    }

    /// True while something can put it right and nothing did.
    pub fn waits(&self) -> bool {
        self.put_right_ms.is_none() && self.mask != 0
    }

    /// Folds a failure in; true if what puts it right has to be looked for anew.
    pub fn fail(&mut self, time_ms: i64, mask: u8) -> bool {
        if time_ms < self.time_ms || time_ms == self.time_ms && mask & self.mask == self.mask {
            return false;
        }
        self.mask = if time_ms == self.time_ms { mask & self.mask } else { mask };
        (self.time_ms, self.put_right_ms) = (time_ms, None);
        true
    }

    /// True if an event of the right kind would change something.
    pub fn takes(&self, time_ms: i64, reach_ms: i64) -> bool {
        self.time_ms <= time_ms && time_ms < self.until_ms().min(self.time_ms + reach_ms)
    }

    pub fn pack(&self, packer: &mut Packer) {
        packer.array(4);
        packer.int(self.hash as i64);
        packer.int(self.time_ms);
        packer.int(i64::from(self.mask));
        match self.put_right_ms {
            Some(time_ms) => packer.int(time_ms),
            None => packer.nil(),
        }
    }

    pub fn read(reader: &mut Reader<'_>) -> Read<Obligation> {
        reader.array()?;
        Ok(Obligation {
            hash: reader.int()? as u64,
            time_ms: reader.int()?,
            mask: reader.int()? as u8,
            put_right_ms: reader.optional_int()?,
        })
    }
}

/// All obligations of a partition that something can put right: how many leaves hold each, and before which time an event
/// about it changes something (it may say too much, never too little).
#[derive(Default)]
pub struct OpenObligations {
    known: HashMap<u64, (u32, i64), BuildHasherDefault<Already>>,
}

impl OpenObligations {
    /// True if an event about an obligation may change something.
    pub fn matters(&self, obligation: u64, time_ms: i64) -> bool {
        self.known.get(&obligation).is_some_and(|(_, until_ms)| time_ms < *until_ms)
    }

    /// A leaf holds an obligation.
    pub fn hold(&mut self, owed: &Obligation) {
        if owed.mask != 0 {
            let (count, until_ms) = self.known.entry(owed.hash).or_insert((0, 0));
            (*count, *until_ms) = (*count + 1, owed.until_ms().max(*until_ms));
        }
    }

    /// A leaf does not hold it any more.
    pub fn release(&mut self, owed: &Obligation) {
        if owed.mask == 0 {
            return;
        }
        match self.known.get_mut(&owed.hash) {
            Some((count, _)) if *count > 1 => *count -= 1,
            _ => {
                self.known.remove(&owed.hash);
            }
        }
    }

    /// It failed once more: whatever puts it right matters, if anybody holds it.
    pub fn reopen(&mut self, obligation: u64) {
        self.settle(obligation, NEVER_MS);
    }

    /// Whatever a leaf holds of it was put right before `until_ms`, or is open until then.
    pub fn settle(&mut self, obligation: u64, until: i64) {
        if let Some((_, until_ms)) = self.known.get_mut(&obligation) {
            *until_ms = until;
        }
    }
}

/// When the last of several parts was put right, none while one is not.
pub fn all_put_right(mut times: impl Iterator<Item = Option<i64>>) -> Option<i64> {
    let latest_ms = times.try_fold(0, |latest_ms, time_ms| time_ms.map(|time_ms| time_ms.max(latest_ms)))?;
    Some(latest_ms).filter(|time_ms| *time_ms > 0)
}

/// Which fields name an obligation, and the index of the rule among all rules.
pub struct Naming {
    pub fields: Vec<usize>,
    pub seed: u64,
}

impl Naming {
    /// The obligation that an event is about, given its customer's hash.
    pub fn of(&self, row: Row<'_>, customer: u64) -> u64 {
        obligation(customer, self.fields.iter().fold(self.seed, |seed, field| link(row.text(*field), seed)))
    }

    pub fn is_given(&self, row: Row<'_>) -> bool {
        self.fields.iter().all(|field| !row.text(*field).is_empty())
    }
}

/// One more value in the chain of hashes that names something.
pub fn link(value: &str, seed: u64) -> u64 {
    xxh3_64_with_seed(value.as_bytes(), seed)
}

pub fn obligation(customer: u64, name: u64) -> u64 {
    (customer ^ name) >> 1
}

/// One way to find what a failing event leaves. With `reach_ms` it is looked up in another topic's log.
pub struct Leaving {
    pub naming: Naming,
    pub mask: u8,
    pub reach_ms: Option<i64>,
}

/// What is owed; `behind_ms`: how far the event lies behind the newest of its topic.
pub fn owed(rules: &[Leaving], row: Row<'_>, customer: u64, behind_ms: i64) -> Owed {
    let fits = |rule: &&Leaving| rule.reach_ms.is_none_or(|reach_ms| behind_ms <= reach_ms && rule.naming.is_given(row));
    let found = rules.iter().find(fits);
    found.map_or(Owed::default(), |rule| Owed { obligation: rule.naming.of(row, customer), mask: rule.mask })
}

/// Which events of a topic put something right: the field that says so, and the number of each of its values.
pub struct Success {
    pub field: usize,
    pub kinds: Vec<(String, u8)>,
    pub naming: Naming,
    pub width_ms: i64,
    pub time_bits: u32,
}

impl Success {
    pub fn kind(&self, row: Row<'_>) -> Option<u8> {
        let found = row.text(self.field);
        self.kinds.iter().find(|(value, _)| value == found).map(|(_, kind)| *kind)
    }

    pub fn mask(&self) -> u8 {
        self.kinds.iter().fold(0, |mask, (_, kind)| mask | 1 << kind)
    }
}

/// What went well on one topic.
pub struct SuccessLog {
    memory: Memory,
    width_ms: i64,
    time_bits: u32,
    mask: u8,
}

impl SuccessLog {
    pub fn new(rule: &Success) -> SuccessLog {
        let (width_ms, time_bits) = (rule.width_ms, rule.time_bits);
        SuccessLog { memory: Memory::new(width_ms), width_ms, time_bits, mask: rule.mask() }
    }

    fn item(&self, obligation: u64, offset_ms: i64, kind: u64) -> u64 {
        let shift = self.time_bits + KIND_BITS;
        obligation >> (shift - 1) << shift | (offset_ms as u64) << KIND_BITS | kind
    }

    /// Remembers one event.
    pub fn note(&mut self, time_ms: i64, obligation: u64, kind: u8) {
        self.memory.push(time_ms, self.item(obligation, time_ms.rem_euclid(self.width_ms), u64::from(kind)));
    }

    /// The time of the earliest event from `since_ms` on that is about the obligation and counts.
    pub fn first(&mut self, obligation: u64, since_ms: i64, mask: u8) -> Option<i64> {
        if self.mask & mask == 0 {
            return None;
        }
        let most = (1i64 << self.time_bits) - 1;
        let high = self.item(obligation, most, (1 << KIND_BITS) - 1);
        let from_ms = since_ms - since_ms.rem_euclid(self.width_ms);
        let counts = |entry: u64| mask >> (entry & ((1 << KIND_BITS) - 1)) & 1 == 1;
        let starts: Vec<i64> = self.memory.starts_from(from_ms);
        starts.into_iter().find_map(|start_ms| {
            let low = self.item(obligation, (since_ms - start_ms).max(0), 0);
            let found = self.memory.first(start_ms, low, high, &counts)?;
            Some(start_ms + (found >> KIND_BITS) as i64 % (1 << self.time_bits))
        })
    }

    /// Drops every bucket that ends at or before `before_ms`.
    pub fn forget(&mut self, before_ms: i64) {
        self.memory.forget(before_ms);
    }

    /// Hands out what changed since the last drain.
    pub fn drain(&mut self) -> Vec<Change> {
        self.memory.drain(0)
    }

    pub fn load(&mut self, slices: BTreeMap<i64, BTreeMap<usize, Vec<u64>>>) {
        self.memory.load(slices);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const MASK_OF_PAID: u8 = 1 << 2;

    fn log() -> SuccessLog {
        let kinds = vec![("delivered".to_owned(), 1), ("paid".to_owned(), 2)];
        SuccessLog::new(&Success {
            field: 0,
            kinds,
            naming: Naming { fields: vec![], seed: 0 },
            width_ms: HOUR_MS,
            time_bits: 22,
        })
    }

    fn failed(time_ms: i64, mask: u8) -> Obligation {
        Obligation { hash: 5, time_ms, mask, put_right_ms: None }
    }

    #[test]
    fn the_earliest_event_from_a_time_on_is_found() {
        let (mut log, order) = (log(), u64::MAX >> 1);
        for time_ms in [3 * HOUR_MS, HOUR_MS + 1, 5 * HOUR_MS - 1] {
            log.note(time_ms, order, 2);
        }
        assert_eq!(log.first(order, 0, MASK_OF_PAID), Some(HOUR_MS + 1));
        assert_eq!(log.first(order, HOUR_MS + 1, MASK_OF_PAID), Some(HOUR_MS + 1), "at the time itself");
        assert_eq!(log.first(order, HOUR_MS + 2, MASK_OF_PAID), Some(3 * HOUR_MS));
        assert_eq!(log.first(order, 3 * HOUR_MS + 1, MASK_OF_PAID), Some(5 * HOUR_MS - 1), "the last ms of an hour");
        assert_eq!(log.first(order, 5 * HOUR_MS, MASK_OF_PAID), None);
    }

    #[test]
    fn only_kinds_of_the_mask_and_the_own_obligation_count() {
        let (mut log, order) = (log(), 0x7123_4567_89ab_cdef);
        log.note(10, order, 1);
        log.note(20, order ^ (1 << 62), 2);
        assert_eq!(log.first(order, 0, MASK_OF_PAID), None);
        assert_eq!(log.first(order, 0, 1 << 4), None, "no event of the topic is of this kind");
        log.note(30, order, 2);
        assert_eq!(log.first(order, 0, MASK_OF_PAID), Some(30));
        assert_eq!(log.first(order, 0, MASK_OF_PAID | 1 << 1), Some(10));
    }

    #[test]
    fn a_log_is_the_same_after_a_restart_and_forgets_by_the_hour() {
        let (mut log, mut store) = (log(), BTreeMap::<i64, BTreeMap<usize, Vec<u64>>>::new());
        log.note(HOUR_MS + 7, 99 << 40, 2);
        log.note(9, 99 << 40, 2);
        for ((start_ms, first), hashes) in log.drain() {
            store.entry(start_ms).or_default().insert(first, hashes.expect("nothing was deleted"));
        }
        let mut again = self::log();
        again.load(store);
        assert_eq!(again.first(99 << 40, 0, MASK_OF_PAID), Some(9));
        again.forget(HOUR_MS);
        assert_eq!(again.first(99 << 40, 0, MASK_OF_PAID), Some(HOUR_MS + 7));
        assert_eq!(again.drain(), [((0, 0), None)]);
    }

    #[test]
    fn the_latest_failure_decides_what_puts_it_right() {
        let mut owed = failed(100, 0b110);
        owed.put_right_ms = Some(150);
        assert!(!owed.fail(90, 0b001), "an earlier failure changes nothing");
        assert!(!owed.fail(100, 0b111), "nor does the same with more that puts it right");
        assert!(owed.fail(100, 0b010) && owed.mask == 0b010 && owed.put_right_ms.is_none());
        owed.put_right_ms = Some(150);
        assert!(owed.fail(101, 0b100) && owed.mask == 0b100 && owed.put_right_ms.is_none());
    }

    #[test]
    fn an_event_puts_right_from_the_failure_on_for_so_long() {
        let mut owed = failed(100, 1);
        let takes = |owed: &Obligation| [99, 100, 149, 150].map(|time_ms| owed.takes(time_ms, 50));
        assert_eq!(takes(&owed), [false, true, true, false]);
        owed.put_right_ms = Some(120);
        assert_eq!(takes(&owed), [false, true, false, false], "only an earlier one changes anything");
    }

    #[test]
    fn an_obligation_matters_while_a_leaf_holds_it() {
        let (mut open, mut owed) = (OpenObligations::default(), failed(100, 1));
        open.hold(&owed);
        open.hold(&owed);
        assert!(open.matters(5, NEVER_MS - 1) && !open.matters(6, 0));
        owed.put_right_ms = Some(150);
        open.settle(5, owed.until_ms());
        assert!(open.matters(5, 149) && !open.matters(5, 150));
        open.reopen(5);
        open.release(&owed);
        assert!(open.matters(5, 150), "one leaf still holds it");
        open.release(&owed);
        assert!(!open.matters(5, 0));
        open.hold(&failed(100, 0));
        assert!(!open.matters(5, 0), "nothing can put it right");
    }

    #[test]
    fn all_is_put_right_when_the_last_part_is() {
        assert_eq!(all_put_right([Some(3), Some(9), Some(4)].into_iter()), Some(9));
        assert_eq!(all_put_right([Some(3), None].into_iter()), None);
        assert_eq!(all_put_right([].into_iter()), None);
    }
}
