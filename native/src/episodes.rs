//! One customer's connected evidence: failures of one signal in one hour, and the contacts about them. The same
//! algorithm, messages and persisted values as `streams/core/join/episodes.py`, whose text explains it.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::history::{message, packed, read_history, CustomerFailure, CustomerHistory, EpisodeState, OpenedContact};
use crate::leaves::{LeafId, Leaves};
use crate::money::Amounts;
use crate::pack::{Packer, Read, Reader};
use crate::repairs::{Obligation, OpenObligations, Owed};
use crate::rules::Rules;

const HOUR_MS: i64 = 3_600_000;

/// A customer by slot and generation.
type Ticket = (u32, u32);

/// A failure that is to be looked up: whose, of which hour, leaf and obligation.
struct Open {
    ticket: Ticket,
    window_ms: i64,
    leaf: LeafId,
    obligation: u64,
}

/// All customers of one source partition that failed or complained lately.
#[derive(Default)]
pub struct Episodes {
    histories: Vec<Option<CustomerHistory>>,
    free: Vec<u32>,
    table: HashTable<u32>,
    by_hour: BTreeMap<i64, Vec<Ticket>>,
    changed: Vec<u32>,
    gone: Vec<Box<str>>,
    dirty: Vec<u32>,
    generation: u32,
    open: Vec<Open>,
    pub open_obligations: OpenObligations,
}

impl Episodes {
    /// Folds one failure in; `hash` is the customer's.
    pub fn fail(&mut self, rules: &Rules, leaves: &Leaves, customer: &str, hash: u64, failure: &CustomerFailure<'_>) {
        let leaf = leaves.get(failure.leaf);
        let window_ms = failure.time_ms - failure.time_ms.rem_euclid(rules.window_ms);
        let slot = self.history(customer, hash);
        let history = self.histories[slot as usize].as_mut().expect("just found");
        let ticket = (slot, history.generation);
        let known = history.episodes.iter_mut().position(|found| {
            found.window_ms == window_ms && found.signal == leaf.signal && found.line == leaf.line
        });
        let index = known.unwrap_or_else(|| {
            history.episodes.push(EpisodeState {
                line: leaf.line.clone(),
                signal: leaf.signal,
                window_ms,
                dirty: false,
                first_ms: failure.time_ms,
                last_ms: failure.time_ms,
                failures: 0,
                amounts: Amounts::default(),
                leaves: Vec::with_capacity(1),
                earliest: Vec::with_capacity(1),
            });
            history.episodes.len() - 1
        });
        let evidence = &mut history.episodes[index];
        let Owed { obligation, mask } = failure.owed;
        if evidence.add(failure, &rules.limits, leaves, &mut self.open_obligations) && mask != 0 {
            self.open.push(Open { ticket, window_ms, leaf: failure.leaf, obligation });
            self.open_obligations.reopen(obligation);
        }
        mark_dirty(&mut self.dirty, slot, evidence);
        if known.is_none() {
            self.expire_after(window_ms, ticket);
        }
    }

    /// Folds in an event that puts an obligation right, if its kind (`mask`) does and it is the first after it.
    pub fn repair(&mut self, rules: &Rules, customer: &str, hash: u64, obligation: u64, time_ms: i64, mask: u8) {
        let Some(slot) = self.known(customer, hash) else { return };
        let history = self.histories[slot as usize].as_mut().expect("a slot in the table is taken");
        let ticket = (slot, history.generation);
        let takes = |owed: &Obligation| {
            owed.hash == obligation && owed.mask & mask != 0 && owed.takes(time_ms, rules.unrepaired_ms)
        };
        let mut needed = Vec::new();
        for evidence in &mut history.episodes {
            let mut taken = false;
            for owed in evidence.leaves.iter_mut().flat_map(|seen| &mut seen.owed).filter(|owed| takes(owed)) {
                owed.put_right_ms = Some(time_ms);
                taken = true;
            }
            if taken {
                mark_dirty(&mut self.dirty, slot, evidence);
                needed.push(evidence.needed_ms(rules));
            }
        }
        if !needed.is_empty() {
            self.open_obligations.settle(obligation, history.until_ms(obligation));
            self.touch(slot);
            needed.into_iter().for_each(|time_ms| self.expire_after(time_ms, ticket));
        }
    }

    /// Asks for all failures since the last call whether they were put right before they arrived.
    pub fn look_up(&mut self, rules: &Rules, find: &mut dyn FnMut(u64, i64, u8) -> Option<i64>) {
        for Open { ticket: (slot, generation), window_ms, leaf, obligation } in std::mem::take(&mut self.open) {
            let history = self.histories[slot as usize].as_mut().filter(|history| history.generation == generation);
            let Some(history) = history else { continue };
            let target = history.episodes.iter_mut().filter(|found| found.window_ms == window_ms).find_map(|evidence| {
                let index = evidence.leaves.iter().position(|seen| seen.leaf == leaf)?;
                Some((evidence, index))
            });
            let Some((evidence, index)) = target else { continue };
            let Some(owed) = evidence.leaves[index].owed.iter_mut().find(|owed| owed.hash == obligation) else {
                continue; // crowded out by other obligations
            };
            let found = find(obligation, owed.time_ms, owed.mask);
            if let Some(time_ms) = found.filter(|time_ms| owed.takes(*time_ms, rules.unrepaired_ms)) {
                owed.put_right_ms = Some(time_ms);
                mark_dirty(&mut self.dirty, slot, evidence);
                let needed_ms = evidence.needed_ms(rules);
                self.open_obligations.settle(obligation, history.until_ms(obligation));
                self.expire_after(needed_ms, (slot, generation));
            }
        }
    }

    /// Folds one opened contact in, if it can be about a failure at all.
    pub fn contact(&mut self, rules: &Rules, customer: &str, hash: u64, contacted: OpenedContact) {
        if rules.contact.signals(&contacted.reason).is_none() {
            return;
        }
        let slot = self.history(customer, hash);
        let history = self.histories[slot as usize].as_mut().expect("just found");
        let ticket = (slot, history.generation);
        let index = history.contacts.iter().position(|found| found.contact_id == contacted.contact_id);
        if index.is_some_and(|index| history.contacts[index] <= contacted) {
            return;
        }
        let mut changed = vec![contacted.clone()];
        changed.extend(index.map(|index| history.contacts.swap_remove(index)));
        let opened_ms = contacted.time_ms;
        history.contacts.push(contacted);
        if history.contacts.len() > rules.limits.contacts {
            let rank = |contact: &OpenedContact| xxh3_64(contact.contact_id.as_bytes());
            let highest = (0..history.contacts.len()).max_by(|one, two| {
                let (one, two) = (&history.contacts[*one], &history.contacts[*two]);
                rank(one).cmp(&rank(two)).then_with(|| one.contact_id.cmp(&two.contact_id))
            });
            changed.push(history.contacts.swap_remove(highest.expect("there is a contact")));
        }
        for evidence in &mut history.episodes {
            if changed.iter().any(|contact| evidence.is_about(&rules.contact, contact)) {
                mark_dirty(&mut self.dirty, slot, evidence);
            }
        }
        self.expire_after(opened_ms, ticket);
    }

    fn history(&mut self, customer: &str, hash: u64) -> u32 {
        let slot = self.slot(customer, hash);
        self.touch(slot);
        slot
    }

    fn touch(&mut self, slot: u32) {
        let history = self.histories[slot as usize].as_mut().expect("a slot in the table is taken");
        if !history.changed {
            history.changed = true;
            self.changed.push(slot);
        }
    }

    fn known(&self, customer: &str, hash: u64) -> Option<u32> {
        let is_it = |slot: &u32| self.histories[*slot as usize].as_ref().is_some_and(|history| &*history.id == customer);
        self.table.find(hash, is_it).copied()
    }

    fn slot(&mut self, customer: &str, hash: u64) -> u32 {
        if let Some(slot) = self.known(customer, hash) {
            return slot;
        }
        self.generation = self.generation.wrapping_add(1);
        let history = CustomerHistory {
            id: customer.into(),
            hash,
            generation: self.generation,
            changed: false,
            episodes: Vec::with_capacity(1),
            contacts: Vec::new(),
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.histories.push(None);
            (self.histories.len() - 1) as u32
        });
        self.histories[slot as usize] = Some(history);
        let histories = &self.histories;
        self.table.insert_unique(hash, slot, |slot| histories[*slot as usize].as_ref().map_or(0, |history| history.hash));
        slot
    }

    fn expire_after(&mut self, time_ms: i64, ticket: Ticket) {
        let hour = self.by_hour.entry(time_ms - time_ms.rem_euclid(HOUR_MS)).or_default();
        if hour.last() != Some(&ticket) {
            hour.push(ticket);
        }
    }

    /// Drops what nothing can change or reach any more, given the partition's watermark.
    pub fn forget(&mut self, rules: &Rules, watermark_ms: i64) {
        let behind = watermark_ms - rules.retention_ms;
        let oldest_ms = behind - behind.rem_euclid(HOUR_MS);
        while let Some(entry) = self.by_hour.first_entry().filter(|entry| *entry.key() < oldest_ms) {
            for ticket in entry.remove() {
                self.prune(rules, ticket, oldest_ms);
            }
        }
    }

    fn prune(&mut self, rules: &Rules, (slot, generation): Ticket, oldest_ms: i64) {
        let history = self.histories[slot as usize].as_mut().filter(|history| history.generation == generation);
        let Some(history) = history else { return };
        let before = (history.episodes.len(), history.contacts.len());
        let gone = history.episodes.extract_if(.., |found| found.needed_ms(rules) < oldest_ms);
        let mut gone: Vec<EpisodeState> = gone.collect();
        let old = history.episodes.iter().filter(|found| found.joined_ms(rules) < oldest_ms).count();
        if old > rules.limits.old_episodes {
            gone.extend(oldest(rules, &mut history.episodes, oldest_ms, old - rules.limits.old_episodes));
        }
        gone.iter().flat_map(EpisodeState::owed).for_each(|owed| self.open_obligations.release(owed));
        let CustomerHistory { episodes, contacts, .. } = history;
        contacts.retain(|found| found.time_ms >= oldest_ms || episodes.iter().any(|rest| rest.is_named(found)));
        let retained = history.episodes.iter().filter(|found| found.window_ms < oldest_ms);
        let needed: Vec<i64> = retained.map(|found| found.needed_ms(rules)).collect();
        let is_changed = before != (history.episodes.len(), history.contacts.len());
        if is_changed && !history.changed {
            history.changed = true;
            self.changed.push(slot);
        }
        if history.episodes.is_empty() && history.contacts.is_empty() {
            let hash = history.hash;
            let history = self.histories[slot as usize].take().expect("just seen");
            if let Ok(entry) = self.table.find_entry(hash, |found| *found == slot) {
                entry.remove();
            }
            self.free.push(slot);
            self.gone.push(history.id);
        }
        needed.into_iter().for_each(|time_ms| self.expire_after(time_ms, (slot, generation)));
    }

    /// Every episode that changed since the last call, by customer, line, signal and window.
    pub fn messages(&mut self, rules: &Rules, leaves: &Leaves, send: &mut dyn FnMut(&str, Vec<u8>)) {
        let mut slots = std::mem::take(&mut self.dirty);
        let histories = &mut self.histories;
        slots.retain(|slot| histories[*slot as usize].is_some());
        slots.sort_by(|one, two| id_of(histories, *one).cmp(id_of(histories, *two)));
        slots.dedup();
        for slot in slots {
            let history = histories[slot as usize].as_mut().expect("just filtered");
            let dirty = |at: &usize| history.episodes[*at].dirty;
            let mut indexes: Vec<usize> = (0..history.episodes.len()).filter(dirty).collect();
            indexes.sort_by(|one, two| {
                let key = |at: &usize| history.episodes[*at].key(&rules.signals);
                key(one).cmp(&key(two))
            });
            for index in indexes {
                send(&history.id, message(rules, leaves, history, &history.episodes[index]));
                history.episodes[index].dirty = false;
            }
        }
    }

    /// Writes every customer that changed since the last drain, None for those forgotten. Call after `messages`.
    pub fn drain(&mut self, rules: &Rules, leaves: &Leaves, write: &mut dyn FnMut(Vec<u8>, Option<Vec<u8>>)) {
        for slot in std::mem::take(&mut self.changed) {
            if let Some(history) = self.histories[slot as usize].as_mut() {
                history.changed = false;
                write(key_of(&history.id), Some(packed(rules, leaves, history)));
            }
        }
        for id in std::mem::take(&mut self.gone) {
            write(key_of(&id), None);
        }
    }

    /// Takes back one customer.
    pub fn load(&mut self, rules: &Rules, leaves: &mut Leaves, customer: &str, reader: &mut Reader<'_>) -> Read<()> {
        let slot = self.slot(customer, xxh3_64(customer.as_bytes()));
        let (episodes, contacts) = read_history(rules, leaves, reader)?;
        let times: Vec<i64> = episodes
            .iter()
            .map(|found| found.needed_ms(rules))
            .chain(contacts.iter().map(|found| found.time_ms))
            .collect();
        episodes.iter().flat_map(EpisodeState::owed).for_each(|owed| self.open_obligations.hold(owed));
        let history = self.histories[slot as usize].as_mut().expect("just made");
        (history.episodes, history.contacts) = (episodes, contacts);
        let ticket = (slot, history.generation);
        times.into_iter().for_each(|time_ms| self.expire_after(time_ms, ticket));
        Ok(())
    }

    /// Marks every leaf cohort in use.
    pub fn mark(&self, leaves: &mut Leaves) {
        let episodes = self.histories.iter().flatten().flat_map(|history| &history.episodes);
        for seen in episodes.flat_map(|found| &found.leaves) {
            leaves.mark(seen.leaf);
        }
    }
}

/// Takes the oldest `count` of the episodes that no failure can join any more.
fn oldest(rules: &Rules, episodes: &mut Vec<EpisodeState>, oldest_ms: i64, count: usize) -> Vec<EpisodeState> {
    let (mut old, rest): (Vec<_>, Vec<_>) = episodes.drain(..).partition(|found| found.joined_ms(rules) < oldest_ms);
    old.sort_by(|one, two| {
        let (left, right) = (one.key(&rules.signals), two.key(&rules.signals));
        (left.2, left.0, left.1).cmp(&(right.2, right.0, right.1))
    });
    *episodes = old.split_off(count);
    episodes.extend(rest);
    old
}

fn mark_dirty(dirty: &mut Vec<u32>, slot: u32, evidence: &mut EpisodeState) {
    if !evidence.dirty {
        evidence.dirty = true;
        dirty.push(slot);
    }
}

fn id_of(histories: &[Option<CustomerHistory>], slot: u32) -> &str {
    histories[slot as usize].as_ref().map_or("", |history| &history.id)
}

fn key_of(customer: &str) -> Vec<u8> {
    let mut key = Packer::default();
    key.array(2);
    key.text("c");
    key.text(customer);
    key.out
}

