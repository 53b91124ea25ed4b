//! Open bins: per leaf cohort the distinct customers exposed and failed, until the watermark closes the bin. The same
//! algorithm, the same messages and the same persisted additions as `streams/core/join/cohorts.py`, whose text explains it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;

use hashbrown::HashMap as Map;

use crate::dedup::{Already, Hashes};
use crate::leaves::{LeafId, Leaves};
use crate::pack::{Damaged, List, Packer, Read, Reader, Write};
use crate::rules::Rules;
use crate::wire::{CohortCount, LeafCount, SeenValue, ValuesSeen};

const OTHER: &str = "__other__";
const HOUR_MS: i64 = 3_600_000;
/// Largest record, leaving room for what surrounds the leaves; bounds of the JSON of one value, one hash, one leaf's rest.
const RECORD_BYTES: usize = 1024 * 1024 * 7 / 8;
const LABEL_BYTES: usize = 128 * 4 + 3;
const HASH_BYTES: usize = 21;
const LEAF_BYTES: usize = 48;
/// Which closing bins tell of values, of how many customers per value, and of how many values.
const SEEN_EVERY_MS: i64 = 300_000;
const ENOUGH: usize = 20;
const SEEN_VALUES: usize = 512;

/// Line and signal.
type Group = (Box<str>, u8);

/// Customers of one leaf cohort in one bin, in the order of arrival; those before `*_written` are persisted.
struct Cell {
    leaf: LeafId,
    exposed: Vec<u64>,
    failed: Vec<u64>,
    exposed_written: usize,
    failed_written: usize,
}

impl Cell {
    fn is_clean(&self) -> bool {
        self.exposed.len() == self.exposed_written && self.failed.len() == self.failed_written
    }
}

/// The leaf cohorts of one bin.
#[derive(Default)]
struct Bin {
    indexes: Map<LeafId, u32, BuildHasherDefault<Already>>,
    cells: Vec<Cell>,
    exposed: Hashes<(u32, u64)>,
    failed: Hashes<(u32, u64)>,
    changed: Vec<u32>,
    /// Next sequence number of its persisted additions.
    chunks: i64,
}

impl Bin {
    fn cell(&mut self, leaf: LeafId) -> u32 {
        let cells = &mut self.cells;
        *self.indexes.entry(leaf).or_insert_with(|| {
            cells.push(Cell { leaf, exposed: vec![], failed: vec![], exposed_written: 0, failed_written: 0 });
            (cells.len() - 1) as u32
        })
    }

    fn touch(&mut self, index: u32) -> &mut Cell {
        let cell = &mut self.cells[index as usize];
        if cell.is_clean() {
            self.changed.push(index);
        }
        cell
    }

    fn count(&mut self, leaf: LeafId, customer: u64, failed: bool) {
        let index = self.cell(leaf);
        if self.exposed.insert((index, customer)) {
            self.touch(index).exposed.push(customer);
        }
        if failed && self.failed.insert((index, customer)) {
            self.touch(index).failed.push(customer);
        }
    }
}

/// A leaf as it is sent: its values and the cells whose customers it counts (several for `__other__`).
struct Sent<'a> {
    values: Vec<&'a str>,
    cells: Vec<&'a Cell>,
}

impl Sent<'_> {
    fn exposed(&self) -> usize {
        match self.cells.as_slice() {
            [cell] => cell.exposed.len(),
            cells => cells.iter().flat_map(|cell| &cell.exposed).collect::<BTreeSet<_>>().len(),
        }
    }

    /// Sorted, without repetition.
    fn failed(&self) -> Vec<u64> {
        let mut found: Vec<u64> = self.cells.iter().flat_map(|cell| &cell.failed).copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Which leaf cohorts have a slot, per line and signal.
#[derive(Default)]
struct AdmittedLeaves {
    seen: BTreeMap<Group, Map<LeafId, i64, BuildHasherDefault<Already>>>,
    hour_ms: i64,
    changed: BTreeMap<LeafId, Option<i64>>,
}

impl AdmittedLeaves {
    /// Which of these cells have no slot and would get none now (almost always: none of them).
    fn overflow(&self, limit: usize, group: &Group, bin: &Bin, cells: &[u32], leaves: &Leaves) -> BTreeSet<u32> {
        let taken = self.seen.get(group);
        let has = |index: &u32| taken.is_some_and(|taken| taken.contains_key(&bin.cells[*index as usize].leaf));
        let mut candidates: Vec<u32> = cells.iter().copied().filter(|index| !has(index)).collect();
        let free = limit.saturating_sub(taken.map_or(0, |taken| taken.len()));
        let lone_free = free.saturating_sub(limit / 2);
        if candidates.len() <= lone_free {
            return BTreeSet::new();
        }
        candidates.sort_by(|one, two| {
            let (one, two) = (&bin.cells[*one as usize], &bin.cells[*two as usize]);
            two.exposed
                .len()
                .cmp(&one.exposed.len())
                .then_with(|| leaves.get(one.leaf).values().cmp(leaves.get(two.leaf).values()))
        });
        let shared = candidates.iter().filter(|index| bin.cells[**index as usize].exposed.len() > 1).count();
        candidates.into_iter().skip(free.min(shared.max(lone_free))).collect()
    }

    fn admit(&mut self, group: &Group, leaf: LeafId, hour_ms: i64) {
        if !self.seen.contains_key(group) {
            self.seen.insert(group.clone(), Map::default());
        }
        let taken = self.seen.get_mut(group).expect("just inserted");
        if taken.insert(leaf, hour_ms) != Some(hour_ms) {
            self.changed.insert(leaf, Some(hour_ms));
        }
    }

    fn expire(&mut self, at_ms: i64) {
        let hour_ms = at_ms - at_ms.rem_euclid(HOUR_MS);
        if hour_ms == self.hour_ms {
            return;
        }
        self.hour_ms = hour_ms;
        let changed = &mut self.changed;
        self.seen.retain(|_, taken| {
            taken.retain(|leaf, seen_ms| {
                let stays = *seen_ms >= hour_ms - HOUR_MS;
                if !stays {
                    changed.insert(*leaf, None);
                }
                stays
            });
            !taken.is_empty()
        });
    }
}

/// All bins of one source partition that the watermark has not passed yet.
pub struct OpenBins {
    partition: i64,
    bins: BTreeMap<i64, Bin>,
    admitted: AdmittedLeaves,
    closed: Vec<(i64, i64)>,
    current: Option<(i64, Bin)>,
}

impl OpenBins {
    pub fn new(partition: i64) -> OpenBins {
        OpenBins { partition, bins: BTreeMap::new(), admitted: AdmittedLeaves::default(), closed: vec![], current: None }
    }

    /// Counts one customer of a leaf cohort in the bin that starts at `bin_ms`.
    pub fn count(&mut self, bin_ms: i64, leaf: LeafId, customer: u64, failed: bool) {
        match &mut self.current {
            Some((current, bin)) if *current == bin_ms => bin.count(leaf, customer, failed),
            _ => {
                self.put_back();
                let mut bin = self.bins.remove(&bin_ms).unwrap_or_default();
                bin.count(leaf, customer, failed);
                self.current = Some((bin_ms, bin));
            }
        }
    }

    fn put_back(&mut self) {
        if let Some((bin_ms, bin)) = self.current.take() {
            self.bins.insert(bin_ms, bin);
        }
    }

    /// Closes every bin that ends at or before `through_ms`; `send` gets (line, message) by bin, line and signal.
    pub fn close(&mut self, rules: &Rules, leaves: &Leaves, through_ms: i64, send: &mut dyn FnMut(&str, Vec<u8>)) {
        self.put_back();
        while let Some(entry) = self.bins.first_entry().filter(|entry| entry.key() + rules.bin_ms <= through_ms) {
            let (bin_ms, bin) = entry.remove_entry();
            self.admitted.expire(bin_ms);
            for (group, cells) in groups(rules, leaves, &bin) {
                let overflow = self.admitted.overflow(rules.limits.leaves, &group, &bin, &cells, leaves);
                let hour_ms = bin_ms - bin_ms.rem_euclid(HOUR_MS);
                for index in cells.iter().filter(|index| !overflow.contains(index)) {
                    self.admitted.admit(&group, bin.cells[*index as usize].leaf, hour_ms);
                }
                send(&group.0, self.message(rules, leaves, bin_ms, &bin, &group, &cells, &overflow, true));
                if (SEEN_EVERY_MS / 2 - bin_ms).rem_euclid(SEEN_EVERY_MS) < rules.bin_ms {
                    let seen_cells = cells.iter().filter(|index| !overflow.contains(index));
                    let seen_cells = seen_cells.map(|index| &bin.cells[*index as usize]);
                    send(&group.0, self.values_seen(rules, leaves, bin_ms, &group, seen_cells));
                }
            }
            self.closed.extend((0..bin.chunks).map(|number| (bin_ms, number)));
        }
        self.admitted.expire(through_ms);
    }

    /// Who was exposed with which value, sorted by attribute and value.
    fn values_seen<'a>(
        &self,
        rules: &Rules,
        leaves: &Leaves,
        bin_ms: i64,
        group: &Group,
        cells: impl Iterator<Item = &'a Cell>,
    ) -> Vec<u8> {
        let mut found: BTreeMap<(&str, &str), BTreeSet<u64>> = BTreeMap::new();
        for cell in cells {
            let attributes = rules.attributes[usize::from(group.1)].iter();
            for (name, value) in attributes.zip(leaves.get(cell.leaf).values()) {
                if !value.is_empty() && value != OTHER {
                    found.entry((name.as_str(), value)).or_default().extend(&cell.exposed);
                }
            }
        }
        let mut ranked: Vec<_> = found.iter().collect();
        ranked.sort_by_key(|(_, customers)| Reverse(customers.len().min(ENOUGH)));
        ranked.truncate(SEEN_VALUES);
        ranked.sort_by_key(|(key, _)| **key);
        let values = ranked.iter().map(|((attribute, value), customers)| {
            SeenValue { attribute, value, customers: List(customers.iter().take(ENOUGH).copied()) }
        });
        let signal = &rules.signals[usize::from(group.1)];
        let partition = self.partition;
        ValuesSeen { line: &group.0, signal, bin_ms, partition, values: List(values) }.json(256)
    }

    /// The counts so far of every (bin, line, signal) that changed since the last drain, of bins from `since_ms` on.
    pub fn preview(&mut self, rules: &Rules, leaves: &Leaves, since_ms: i64, send: &mut dyn FnMut(&str, Vec<u8>)) {
        self.put_back();
        for (bin_ms, bin) in self.bins.range(since_ms..).filter(|(_, bin)| !bin.changed.is_empty()) {
            let changed: BTreeSet<(&str, u8)> = bin
                .changed
                .iter()
                .map(|index| leaves.get(bin.cells[*index as usize].leaf))
                .map(|leaf| (&*leaf.line, leaf.signal))
                .collect();
            for (group, cells) in groups(rules, leaves, bin) {
                if changed.contains(&(&*group.0, group.1)) {
                    let overflow = self.admitted.overflow(rules.limits.leaves, &group, bin, &cells, leaves);
                    send(&group.0, self.message(rules, leaves, *bin_ms, bin, &group, &cells, &overflow, false));
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // one message has this many parts; a struct would be used here only
    fn message(
        &self,
        rules: &Rules,
        leaves: &Leaves,
        bin_ms: i64,
        bin: &Bin,
        group: &Group,
        cells: &[u32],
        overflow: &BTreeSet<u32>,
        closed: bool,
    ) -> Vec<u8> {
        let (sent, below) = fitting(sent(leaves, bin, cells, overflow));
        let counts = sent.iter().map(|leaf| LeafCount {
            values: List(leaf.values.iter().copied()),
            exposed: leaf.exposed() as i64,
            failed: List(leaf.failed().into_iter().take_while(|hash| below.is_none_or(|below| *hash < below))),
        });
        let count = CohortCount {
            line: &group.0,
            signal: &rules.signals[usize::from(group.1)],
            bin_ms,
            width_ms: rules.bin_ms,
            partition: self.partition,
            attributes: List(rules.attributes[usize::from(group.1)].iter().map(String::as_str)),
            leaves: List(counts),
            closed,
        };
        count.json(256 + cells.len() * 96)
    }

    /// Writes what changed since the last drain: `write` gets (key, value or None).
    pub fn drain(&mut self, rules: &Rules, leaves: &Leaves, write: &mut dyn FnMut(Vec<u8>, Option<Vec<u8>>)) {
        self.put_back();
        for (bin_ms, number) in self.closed.drain(..) {
            write(chunk_key(bin_ms, number), None);
        }
        for (bin_ms, bin) in self.bins.iter_mut().filter(|(_, bin)| !bin.changed.is_empty()) {
            write(chunk_key(*bin_ms, bin.chunks), Some(take_changes(rules, leaves, bin)));
            bin.chunks += 1;
        }
        for (leaf, hour_ms) in std::mem::take(&mut self.admitted.changed) {
            let mut key = Packer::default();
            key.array(4);
            key.text("k");
            pack_leaf(&mut key, rules, leaves, leaf);
            let value = hour_ms.map(|hour_ms| {
                let mut packer = Packer::default();
                packer.int(hour_ms);
                packer.out
            });
            write(key.out, value);
        }
    }

    pub fn load_chunk(&mut self, rules: &Rules, leaves: &mut Leaves, key: (i64, i64), reader: &mut Reader<'_>) -> Read<()> {
        let (bin_ms, number) = key;
        let bin = self.bins.entry(bin_ms).or_default();
        bin.chunks = bin.chunks.max(number + 1);
        for _ in 0..reader.array()? {
            reader.array()?;
            let leaf = read_leaf(rules, leaves, reader)?;
            let index = bin.cell(leaf);
            let cell = &mut bin.cells[index as usize];
            for customer in reader.hashes()? {
                if bin.exposed.insert((index, customer)) {
                    cell.exposed.push(customer);
                }
            }
            for customer in reader.hashes()? {
                if bin.failed.insert((index, customer)) {
                    cell.failed.push(customer);
                }
            }
            (cell.exposed_written, cell.failed_written) = (cell.exposed.len(), cell.failed.len());
        }
        Ok(())
    }

    pub fn load_slot(&mut self, rules: &Rules, leaves: &mut Leaves, key: &mut Reader<'_>, hour_ms: i64) -> Read<()> {
        let id = read_leaf(rules, leaves, key)?;
        let leaf = leaves.get(id);
        self.admitted.seen.entry((leaf.line.clone(), leaf.signal)).or_default().insert(id, hour_ms);
        Ok(())
    }

    /// Marks every leaf cohort in use. Call after a drain.
    pub fn mark(&self, leaves: &mut Leaves) {
        let current = self.current.iter().map(|(_, bin)| bin);
        for cell in self.bins.values().chain(current).flat_map(|bin| &bin.cells) {
            leaves.mark(cell.leaf);
        }
        for leaf in self.admitted.seen.values().flat_map(|taken| taken.keys()) {
            leaves.mark(*leaf);
        }
    }
}

fn chunk_key(bin_ms: i64, number: i64) -> Vec<u8> {
    let mut key = Packer::default();
    key.array(3);
    key.text("b");
    key.int(bin_ms);
    key.int(number);
    key.out
}

/// Line, signal and values of a leaf as three values.
pub fn pack_leaf(packer: &mut Packer, rules: &Rules, leaves: &Leaves, id: LeafId) {
    let leaf = leaves.get(id);
    packer.text(&leaf.line);
    packer.text(&rules.signals[usize::from(leaf.signal)]);
    packer.texts(leaf.values());
}

/// Reads what `pack_leaf` wrote.
pub fn read_leaf(rules: &Rules, leaves: &mut Leaves, reader: &mut Reader<'_>) -> Read<LeafId> {
    let line = reader.text()?;
    let signal = signal_number(rules, reader.text()?)?;
    let values = reader.texts()?;
    Ok(leaves.of(line, signal, &values))
}

/// Number of a signal by its name.
pub fn signal_number(rules: &Rules, name: &str) -> Read<u8> {
    let found = rules.signals.iter().position(|known| known == name);
    found.map(|index| index as u8).ok_or(Damaged("a signal is not known"))
}

fn take_changes(rules: &Rules, leaves: &Leaves, bin: &mut Bin) -> Vec<u8> {
    let mut changed = std::mem::take(&mut bin.changed);
    changed.sort_by(|one, two| {
        leaves.order(&rules.signals, bin.cells[*one as usize].leaf, bin.cells[*two as usize].leaf)
    });
    let mut packer = Packer::default();
    packer.array(changed.len());
    for index in changed {
        let cell = &mut bin.cells[index as usize];
        packer.array(5);
        pack_leaf(&mut packer, rules, leaves, cell.leaf);
        packer.hashes(&cell.exposed[cell.exposed_written..]);
        packer.hashes(&cell.failed[cell.failed_written..]);
        (cell.exposed_written, cell.failed_written) = (cell.exposed.len(), cell.failed.len());
    }
    packer.out
}

/// The cells of a bin by line and signal, sorted by signal name within a line; cells in no order.
fn groups(rules: &Rules, leaves: &Leaves, bin: &Bin) -> Vec<(Group, Vec<u32>)> {
    let mut found: HashMap<(&str, u8), Vec<u32>> = HashMap::new();
    for (index, cell) in bin.cells.iter().enumerate() {
        let leaf = leaves.get(cell.leaf);
        found.entry((&leaf.line, leaf.signal)).or_default().push(index as u32);
    }
    let mut sorted: Vec<(Group, Vec<u32>)> =
        found.into_iter().map(|((line, signal), cells)| ((line.into(), signal), cells)).collect();
    sorted.sort_by(|((line, signal), _), ((other, theirs), _)| {
        let names = &rules.signals;
        line.cmp(other).then_with(|| names[usize::from(*signal)].cmp(&names[usize::from(*theirs)]))
    });
    sorted
}

/// The leaves with a slot, and one leaf `__other__` with the customers of all others, sorted by values.
fn sent<'a>(leaves: &'a Leaves, bin: &'a Bin, cells: &[u32], overflow: &BTreeSet<u32>) -> Vec<Sent<'a>> {
    let all = cells.iter().map(|index| {
        let cell = &bin.cells[*index as usize];
        (Sent { values: leaves.get(cell.leaf).values().collect(), cells: vec![cell] }, overflow.contains(index))
    });
    capped(all.collect())
}

/// Joins the leaves that are marked into `__other__`; sorted by values.
fn capped(all: Vec<(Sent<'_>, bool)>) -> Vec<Sent<'_>> {
    let some = all.iter().any(|(_, beyond)| *beyond);
    let mut found = Vec::with_capacity(all.len());
    let mut other = Sent { values: vec![], cells: vec![] };
    for (leaf, beyond) in all {
        // A leaf of the events that is called __other__ itself is counted there too.
        if beyond || some && leaf.values.iter().all(|value| *value == OTHER) {
            other.values = vec![OTHER; leaf.values.len()];
            other.cells.extend(leaf.cells);
        } else {
            found.push(leaf);
        }
    }
    if some {
        found.push(other);
    }
    found.sort_by(|one, two| one.values.cmp(&two.values));
    found
}

/// What fits into a record (almost always all): leaves, and the hash below which failed customers are kept.
fn fitting(all: Vec<Sent<'_>>) -> (Vec<Sent<'_>>, Option<u64>) {
    let failed = |all: &[Sent<'_>]| all.iter().map(|leaf| leaf.failed().len()).sum::<usize>();
    let width = all.first().map_or(0, |leaf| leaf.values.len());
    let most_bytes = all.len() * (width * LABEL_BYTES + LEAF_BYTES);
    if most_bytes <= RECORD_BYTES && most_bytes + failed(&all) * HASH_BYTES <= RECORD_BYTES {
        return (all, None);
    }
    let mut ranked: Vec<(usize, usize)> = all.iter().map(Sent::exposed).enumerate().collect();
    ranked.sort_by_key(|(index, exposed)| (Reverse(*exposed), *index)); // indexes are in the order of values
    let (mut left, mut beyond) = ((RECORD_BYTES / 2) as i64, vec![false; all.len()]);
    for (index, _) in ranked {
        let values = List(all[index].values.iter().copied()).json(width * LABEL_BYTES);
        left -= (values.len() + LEAF_BYTES) as i64;
        beyond[index] = left < 0;
    }
    let fits = capped(all.into_iter().zip(beyond).collect());
    let most = RECORD_BYTES / 2 / HASH_BYTES;
    if failed(&fits) <= most {
        return (fits, None);
    }
    let mut every: Vec<u64> = fits.iter().flat_map(Sent::failed).collect();
    every.sort_unstable();
    (fits, Some(every[most]))
}
