//! One customer's connected evidence: failures of one family in one hour, and the contacts about them. The same
//! algorithm, messages and persisted values as `streams/core/join/episodes.py`, whose text explains it.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::cohorts::family_number;
use crate::leaves::{LeafId, Leaves};
use crate::pack::{List, Packer, Read, Reader, Write};
use crate::repairs::{all_put_right, Obligation, Owed, OpenObligations};
use crate::rules::{ContactRule, Limits, Rules, Terms};
use crate::wire::{Episode, LeafEvidence};

const HOUR_MS: i64 = 3_600_000;

/// One failure of one customer; line, family and values are those of the leaf.
pub struct CustomerFailure<'a> {
    pub time_ms: i64,
    pub leaf: LeafId,
    pub event_id: &'a str,
    pub amount_cents: i64,
    pub owed: Owed,
    /// Index in the origins of the rules.
    pub origin: u8,
}

/// One contact that may be about failures. Ordered by its fields.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenedContact {
    pub time_ms: i64,
    pub contact_id: Box<str>,
    pub line: Box<str>,
    pub reason: Box<str>,
    /// The obligation of the order that it names, 0 if it names none.
    pub order: u64,
    /// It came too late to be joined by time.
    pub by_order: bool,
}

struct LeafFailures {
    leaf: LeafId,
    first_ms: i64,
    last_ms: i64,
    count: i64,
    origin: u8,
    owed: Vec<Obligation>,
}

impl LeafFailures {
    fn new(leaf: LeafId, time_ms: i64, origin: u8) -> LeafFailures {
        LeafFailures { leaf, first_ms: time_ms, last_ms: time_ms, count: 0, origin, owed: Vec::with_capacity(1) }
    }

    /// Folds one failure in; true if what puts it right has to be looked for. Keeps the obligations with the smallest
    /// hashes.
    fn add(&mut self, failure: &CustomerFailure<'_>, most: usize, open_obligations: &mut OpenObligations) -> bool {
        let (time_ms, Owed { obligation, mask }) = (failure.time_ms, failure.owed);
        self.first_ms = self.first_ms.min(time_ms);
        self.last_ms = self.last_ms.max(time_ms);
        self.count += 1;
        self.origin = self.origin.min(failure.origin);
        if let Some(known) = self.owed.iter_mut().find(|owed| owed.hash == obligation) {
            return known.fail(time_ms, mask);
        }
        let owed = Obligation { hash: obligation, time_ms, mask, put_right_ms: None };
        open_obligations.hold(&owed);
        self.owed.push(owed);
        if self.owed.len() > most {
            let last = (0..self.owed.len()).max_by_key(|index| self.owed[*index].hash).expect("there is one");
            let last = self.owed.swap_remove(last);
            open_obligations.release(&last);
            return last.hash != obligation;
        }
        true
    }

    fn put_right_ms(&self) -> Option<i64> {
        all_put_right(self.owed.iter().map(|owed| owed.put_right_ms))
    }
}

/// What is remembered of one episode.
struct EpisodeState {
    line: Box<str>,
    family: u8,
    window_ms: i64,
    dirty: bool,
    first_ms: i64,
    last_ms: i64,
    failures: i64,
    amount_cents: i64,
    leaves: Vec<LeafFailures>,
    earliest: Vec<(i64, Box<str>)>,
}

impl EpisodeState {
    /// Folds one failure in; true if what puts it right has to be looked for.
    fn add(
        &mut self,
        failure: &CustomerFailure<'_>,
        limits: &Limits,
        leaves: &Leaves,
        open_obligations: &mut OpenObligations,
    ) -> bool {
        let time_ms = failure.time_ms;
        self.first_ms = self.first_ms.min(time_ms);
        self.last_ms = self.last_ms.max(time_ms);
        self.failures += 1;
        self.amount_cents = self.amount_cents.max(failure.amount_cents);
        let index = self.earliest.partition_point(|(time, id)| (*time, &**id) <= (time_ms, failure.event_id));
        if index < limits.evidence {
            self.earliest.insert(index, (time_ms, failure.event_id.into()));
            self.earliest.truncate(limits.evidence);
        }
        let index = self.leaves.iter().position(|seen| seen.leaf == failure.leaf).unwrap_or_else(|| {
            self.leaves.push(LeafFailures::new(failure.leaf, time_ms, failure.origin));
            self.leaves.len() - 1
        });
        let is_open = self.leaves[index].add(failure, limits.obligations, open_obligations);
        if self.leaves.len() > limits.episode_leaves {
            self.evict(leaves, open_obligations);
        }
        is_open
    }

    fn evict(&mut self, leaves: &Leaves, open_obligations: &mut OpenObligations) {
        let highest = (0..self.leaves.len()).max_by(|one, two| {
            let (one, two) = (leaves.get(self.leaves[*one].leaf), leaves.get(self.leaves[*two].leaf));
            one.rank().cmp(&two.rank()).then_with(|| one.values().cmp(two.values()))
        });
        if let Some(index) = highest {
            self.leaves.remove(index).owed.iter().for_each(|owed| open_obligations.release(owed));
        }
    }

    fn owed(&self) -> impl Iterator<Item = &Obligation> {
        self.leaves.iter().flat_map(|seen| &seen.owed)
    }

    fn put_right_ms(&self) -> Option<i64> {
        all_put_right(self.leaves.iter().map(LeafFailures::put_right_ms))
    }

    /// The time for whose sake it is kept: it goes when the ordinary retention is past this.
    fn needed_ms(&self, rules: &Rules) -> i64 {
        let Terms { joined_ms, open_ms, settled_ms } = rules.terms[usize::from(self.family)];
        if self.owed().any(Obligation::waits) {
            return self.window_ms + open_ms;
        }
        let latest_ms = self.owed().filter_map(|owed| owed.put_right_ms).max().unwrap_or(0);
        (self.window_ms + joined_ms).max(latest_ms + settled_ms)
    }

    /// Until when a failure can still join it.
    fn joined_ms(&self, rules: &Rules) -> i64 {
        self.window_ms + rules.terms[usize::from(self.family)].joined_ms
    }

    /// Order of the persisted and sent forms.
    fn key<'a>(&'a self, families: &'a [String]) -> (&'a str, &'a str, i64) {
        (&self.line, &families[usize::from(self.family)], self.window_ms)
    }

    fn is_about(&self, rule: &ContactRule, contact: &OpenedContact) -> bool {
        (contact.line.is_empty() || contact.line == self.line)
            && rule.families(&contact.reason).unwrap_or(0) & 1 << self.family != 0
            && self.first_ms <= contact.time_ms + rule.after_ms
            && (contact.time_ms - rule.before_ms <= self.first_ms && !contact.by_order || self.is_named(contact))
    }

    /// True if a contact names an order that failed here and was not put right before the contact.
    fn is_named(&self, contact: &OpenedContact) -> bool {
        let matches = |owed: &Obligation| owed.hash == contact.order && contact.time_ms < owed.until_ms();
        contact.order != 0 && self.owed().any(matches)
    }
}

struct CustomerHistory {
    id: Box<str>,
    hash: u64,
    /// Distinguishes owners of one slot, so that an old entry of the calendar finds nobody.
    generation: u32,
    changed: bool,
    episodes: Vec<EpisodeState>,
    contacts: Vec<OpenedContact>,
}

impl CustomerHistory {
    /// Until when an event about an obligation changes something, over every leaf that holds it.
    fn until_ms(&self, obligation: u64) -> i64 {
        let owed = self.episodes.iter().flat_map(EpisodeState::owed);
        owed.filter(|owed| owed.hash == obligation && owed.mask != 0).map(Obligation::until_ms).max().unwrap_or(0)
    }
}

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
            found.window_ms == window_ms && found.family == leaf.family && found.line == leaf.line
        });
        let index = known.unwrap_or_else(|| {
            history.episodes.push(EpisodeState {
                line: leaf.line.clone(),
                family: leaf.family,
                window_ms,
                dirty: false,
                first_ms: failure.time_ms,
                last_ms: failure.time_ms,
                failures: 0,
                amount_cents: 0,
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
        if rules.contact.families(&contacted.reason).is_none() {
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

    /// Every episode that changed since the last call, by customer, line, family and window.
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
                let key = |at: &usize| history.episodes[*at].key(&rules.families);
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
        reader.array()?;
        let mut episodes = Vec::new();
        for _ in 0..reader.array()? {
            episodes.push(read_evidence(rules, leaves, reader)?);
        }
        let mut contacts = Vec::new();
        for _ in 0..reader.array()? {
            let fields = reader.array()?;
            contacts.push(OpenedContact {
                time_ms: reader.int()?,
                contact_id: reader.text()?.into(),
                line: reader.text()?.into(),
                reason: reader.text()?.into(),
                order: if fields > 4 { reader.int()? as u64 } else { 0 },
                by_order: fields > 4 && reader.boolean()?,
            });
        }
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
        let (left, right) = (one.key(&rules.families), two.key(&rules.families));
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

fn message(rules: &Rules, leaves: &Leaves, history: &CustomerHistory, evidence: &EpisodeState) -> Vec<u8> {
    let about: Vec<i64> = history
        .contacts
        .iter()
        .filter(|contact| evidence.is_about(&rules.contact, contact))
        .map(|contact| contact.time_ms)
        .collect();
    let mut shown: Vec<&LeafFailures> = evidence.leaves.iter().collect();
    shown.sort_by(|one, two| {
        let (left, right) = (leaves.get(one.leaf), leaves.get(two.leaf));
        one.first_ms.cmp(&two.first_ms).then_with(|| left.values().cmp(right.values()))
    });
    shown.truncate(rules.limits.episode_leaves_shown);
    let shown = shown.into_iter().map(|seen| LeafEvidence {
        values: List(leaves.get(seen.leaf).values()),
        first_ms: seen.first_ms,
        last_ms: seen.last_ms,
        failures: seen.count,
        put_right_ms: seen.put_right_ms(),
        origin: &rules.origins[usize::from(seen.origin)],
    });
    let gravest = evidence.leaves.iter().map(|seen| seen.origin).min().unwrap_or(0);
    let episode = Episode {
        customer_id: &history.id,
        line: &evidence.line,
        family: &rules.families[usize::from(evidence.family)],
        window_ms: evidence.window_ms,
        attributes: List(rules.attributes[usize::from(evidence.family)].iter().map(String::as_str)),
        leaves: List(shown),
        first_failed_ms: evidence.first_ms,
        last_failed_ms: evidence.last_ms,
        failures: evidence.failures,
        evidence: List(evidence.earliest.iter().map(|(_, id)| &**id)),
        amount_cents: evidence.amount_cents,
        contacted_at_ms: about.iter().min().copied(),
        contacts: about.len() as i64,
        put_right_ms: evidence.put_right_ms(),
        origin: &rules.origins[usize::from(gravest)],
    };
    episode.json(640)
}

fn packed(rules: &Rules, leaves: &Leaves, history: &CustomerHistory) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.out.reserve(256);
    packer.array(2);
    let mut episodes: Vec<&EpisodeState> = history.episodes.iter().collect();
    episodes.sort_by(|one, two| one.key(&rules.families).cmp(&two.key(&rules.families)));
    packer.array(episodes.len());
    for evidence in episodes {
        pack_evidence(&mut packer, rules, leaves, evidence);
    }
    let mut contacts: Vec<&OpenedContact> = history.contacts.iter().collect();
    contacts.sort();
    packer.array(contacts.len());
    for contact in contacts {
        packer.array(6);
        packer.int(contact.time_ms);
        packer.text(&contact.contact_id);
        packer.text(&contact.line);
        packer.text(&contact.reason);
        packer.int(contact.order as i64);
        packer.boolean(contact.by_order);
    }
    packer.out
}

fn pack_evidence(packer: &mut Packer, rules: &Rules, leaves: &Leaves, evidence: &EpisodeState) {
    packer.array(9);
    packer.text(&evidence.line);
    packer.text(&rules.families[usize::from(evidence.family)]);
    packer.int(evidence.window_ms);
    packer.int(evidence.first_ms);
    packer.int(evidence.last_ms);
    packer.int(evidence.failures);
    packer.int(evidence.amount_cents);
    let mut seen: Vec<&LeafFailures> = evidence.leaves.iter().collect();
    seen.sort_by(|one, two| leaves.get(one.leaf).values().cmp(leaves.get(two.leaf).values()));
    packer.array(seen.len());
    for one in seen {
        packer.array(4);
        packer.texts(leaves.get(one.leaf).values());
        packer.array(3);
        packer.int(one.first_ms);
        packer.int(one.last_ms);
        packer.int(one.count);
        packer.int(i64::from(one.origin));
        let mut owed: Vec<&Obligation> = one.owed.iter().collect();
        owed.sort_by_key(|owed| owed.hash);
        packer.array(owed.len());
        owed.iter().for_each(|owed| owed.pack(packer));
    }
    packer.array(evidence.earliest.len());
    for (time_ms, id) in &evidence.earliest {
        packer.array(2);
        packer.int(*time_ms);
        packer.text(id);
    }
}

fn read_evidence(rules: &Rules, leaves: &mut Leaves, reader: &mut Reader<'_>) -> Read<EpisodeState> {
    reader.array()?;
    let line = reader.text()?;
    let family = family_number(rules, reader.text()?)?;
    let mut evidence = EpisodeState {
        line: line.into(),
        family,
        window_ms: reader.int()?,
        dirty: false,
        first_ms: reader.int()?,
        last_ms: reader.int()?,
        failures: reader.int()?,
        amount_cents: reader.int()?,
        leaves: vec![],
        earliest: vec![],
    };
    for _ in 0..reader.array()? {
        let fields = reader.array()?;
        let values = reader.texts()?;
        let leaf = leaves.of(line, family, &values);
        reader.array()?;
        let (first_ms, last_ms, count) = (reader.int()?, reader.int()?, reader.int()?);
        let (mut origin, mut owed) = (0, vec![]);
        if fields > 2 {
            origin = reader.int()? as u8;
            for _ in 0..reader.array()? {
                owed.push(Obligation::read(reader)?);
            }
        } else {
            // An older build did not write what is owed: then nothing is known to put it right.
            owed.push(Obligation { hash: 0, time_ms: last_ms, mask: 0, put_right_ms: None });
        }
        evidence.leaves.push(LeafFailures { leaf, first_ms, last_ms, count, origin, owed });
    }
    for _ in 0..reader.array()? {
        reader.array()?;
        evidence.earliest.push((reader.int()?, reader.text()?.into()));
    }
    Ok(evidence)
}
