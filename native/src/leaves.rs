//! Texts and leaf cohorts, each stored once and named by a small number; what nothing uses any more is swept out.

use std::cmp::Ordering;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Number of a leaf cohort. Valid until the next sweep that does not mark it.
pub type LeafId = u32;

/// A leaf cohort: service line, signal (its index in the rules), values of the signal's attributes.
pub struct Leaf {
    pub line: Box<str>,
    pub signal: u8,
    values: Box<str>,
    ends: Box<[u32]>,
    hash: u64,
    live: bool,
}

impl Leaf {
    /// The values, in the order of the signal's attributes.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.ends.len()).map(|index| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
            &self.values[start..self.ends[index] as usize]
        })
    }

    /// How the cap of an episode ranks it: hash of the joined values, then the values.
    pub fn rank(&self) -> u64 {
        xxh3_64(self.values().collect::<Vec<_>>().join("\u{1f}").as_bytes())
    }

    fn is(&self, line: &str, signal: u8, values: &[&str]) -> bool {
        self.signal == signal
            && &*self.line == line
            && self.ends.len() == values.len()
            && self.values().zip(values).all(|(mine, theirs)| mine == *theirs)
    }
}

/// All leaf cohorts of a partition.
#[derive(Default)]
pub struct Leaves {
    all: Vec<Option<Leaf>>,
    free: Vec<LeafId>,
    table: HashTable<LeafId>,
    sweep_at: usize,
}

const LEAST_SWEEP: usize = 16_384;

impl Leaves {
    /// The number of a leaf cohort, given its hash by `hash_of`.
    pub fn intern(&mut self, hash: u64, line: &str, signal: u8, values: &[&str]) -> LeafId {
        let all = &self.all;
        if let Some(found) = self.table.find(hash, |id| {
            all[*id as usize].as_ref().is_some_and(|leaf| leaf.hash == hash && leaf.is(line, signal, values))
        }) {
            return *found;
        }
        let mut ends = Vec::with_capacity(values.len());
        let mut joined = String::with_capacity(values.iter().map(|value| value.len()).sum());
        for value in values {
            joined.push_str(value);
            ends.push(joined.len() as u32);
        }
        let leaf =
            Leaf { line: line.into(), signal, values: joined.into(), ends: ends.into(), hash, live: false };
        let id = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            (self.all.len() - 1) as LeafId
        });
        self.all[id as usize] = Some(leaf);
        let all = &self.all;
        self.table.insert_unique(hash, id, |id| all[*id as usize].as_ref().map_or(0, |leaf| leaf.hash));
        id
    }

    /// As `intern`, for callers that are not in the hot loop.
    pub fn of(&mut self, line: &str, signal: u8, values: &[&str]) -> LeafId {
        self.intern(hash_of(line, signal, values), line, signal, values)
    }

    pub fn get(&self, id: LeafId) -> &Leaf {
        self.all[id as usize].as_ref().expect("a leaf that is used is not swept out")
    }

    /// Order of the persisted and sent forms: by line, signal name, values.
    pub fn order(&self, signals: &[String], one: LeafId, two: LeafId) -> Ordering {
        if one == two {
            return Ordering::Equal;
        }
        let (one, two) = (self.get(one), self.get(two));
        one.line
            .cmp(&two.line)
            .then_with(|| signals[usize::from(one.signal)].cmp(&signals[usize::from(two.signal)]))
            .then_with(|| one.values().cmp(two.values()))
    }

    /// True if so many were added since the last sweep that one is worth its time.
    pub fn wants_sweep(&self) -> bool {
        self.all.len() - self.free.len() > self.sweep_at.max(LEAST_SWEEP)
    }

    pub fn mark(&mut self, id: LeafId) {
        if let Some(leaf) = &mut self.all[id as usize] {
            leaf.live = true;
        }
    }

    /// Removes every leaf that was not marked since the last sweep.
    pub fn sweep(&mut self) {
        for id in 0..self.all.len() {
            match &mut self.all[id] {
                Some(leaf) if leaf.live => leaf.live = false,
                slot @ Some(_) => {
                    let hash = slot.as_ref().map_or(0, |leaf| leaf.hash);
                    *slot = None;
                    if let Ok(entry) = self.table.find_entry(hash, |found| *found as usize == id) {
                        entry.remove();
                    }
                    self.free.push(id as LeafId);
                }
                None => {}
            }
        }
        self.sweep_at = 2 * (self.all.len() - self.free.len());
    }
}

/// A fast hash of a leaf cohort, for this table only.
pub fn hash_of(line: &str, signal: u8, values: &[&str]) -> u64 {
    let start = mix(u64::from(signal), line.as_bytes());
    values.iter().fold(start, |hash, value| mix(hash, value.as_bytes()))
}

fn mix(hash: u64, bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (hash ^ bytes.len() as u64).wrapping_mul(ODD);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("8 bytes"));
        hash = (hash.rotate_left(29) ^ word).wrapping_mul(ODD);
    }
    let mut word = 0u64;
    for byte in chunks.remainder() {
        word = word << 8 | u64::from(*byte);
    }
    hash = (hash.rotate_left(29) ^ word).wrapping_mul(ODD);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_leaf_has_one_number() {
        let mut leaves = Leaves::default();
        let one = leaves.of("shop", 1, &["ab", "c"]);
        assert_eq!(leaves.of("shop", 1, &["ab", "c"]), one);
        for other in [("shop", 1, ["a", "bc"]), ("shop", 2, ["ab", "c"]), ("bank", 1, ["ab", "c"])] {
            assert_ne!(leaves.of(other.0, other.1, &other.2), one, "{other:?}");
        }
        assert_eq!(leaves.get(one).values().collect::<Vec<_>>(), ["ab", "c"]);
    }

    #[test]
    fn a_sweep_removes_what_is_not_marked_and_gives_its_number_away() {
        let mut leaves = Leaves::default();
        let (used, unused) = (leaves.of("shop", 0, &["used"]), leaves.of("shop", 0, &["unused"]));
        leaves.mark(used);
        leaves.sweep();
        assert_eq!(leaves.of("shop", 0, &["used"]), used);
        assert_eq!(leaves.of("shop", 0, &["new"]), unused, "the number is free");
        assert_eq!(leaves.get(unused).values().collect::<Vec<_>>(), ["new"]);
    }

    #[test]
    fn leaves_are_ordered_by_line_name_of_the_signal_and_values() {
        let mut leaves = Leaves::default();
        let signals = ["payment".to_owned(), "app".to_owned()];
        let sorted = [("bank", 0, ["z"]), ("shop", 1, ["b"]), ("shop", 0, ["a"]), ("shop", 0, ["b"])];
        let sorted = sorted.map(|(line, signal, values)| leaves.of(line, signal, &values));
        let mut found = [sorted[3], sorted[0], sorted[2], sorted[1]];
        found.sort_by(|one, two| leaves.order(&signals, *one, *two));
        assert_eq!(found, sorted);
    }
}
