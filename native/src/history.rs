//! What is remembered of one customer: episodes of failures, obligations of each leaf cohort, opened contacts; and its
//! message and persisted form. The same as `streams/core/join/history.py`, whose text explains it.

use crate::cohorts::signal_number;
use crate::leaves::{LeafId, Leaves};
use crate::money::{Amounts, Currency};
use crate::pack::{List, Packer, Read, Reader, Write};
use crate::repairs::{all_put_right, Obligation, OpenObligations, Owed};
use crate::rules::{ContactRule, Limits, Rules, Terms};
use crate::wire::{Episode, LeafEvidence};

/// One failure of one customer; line, signal and values are those of the leaf.
pub struct CustomerFailure<'a> {
    pub time_ms: i64,
    pub leaf: LeafId,
    pub event_id: &'a str,
    pub amount: (Currency, i64),
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
    /// The obligations of what else it is about, if that are orders; sorted, each once.
    pub subjects: Box<[u64]>,
}

pub struct LeafFailures {
    pub leaf: LeafId,
    pub first_ms: i64,
    pub last_ms: i64,
    pub count: i64,
    pub origin: u8,
    pub owed: Vec<Obligation>,
}

impl LeafFailures {
    pub fn new(leaf: LeafId, time_ms: i64, origin: u8) -> LeafFailures {
        LeafFailures { leaf, first_ms: time_ms, last_ms: time_ms, count: 0, origin, owed: Vec::with_capacity(1) }
    }

    /// Folds one failure in; true if what puts it right has to be looked for. Keeps the obligations with the smallest
    /// hashes.
    pub fn add(
        &mut self,
        failure: &CustomerFailure<'_>,
        most: usize,
        open_obligations: &mut OpenObligations,
    ) -> bool {
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

    pub fn put_right_ms(&self) -> Option<i64> {
        all_put_right(self.owed.iter().map(|owed| owed.put_right_ms))
    }
}

/// What is remembered of one episode.
pub struct EpisodeState {
    pub line: Box<str>,
    pub signal: u8,
    pub window_ms: i64,
    pub dirty: bool,
    pub first_ms: i64,
    pub last_ms: i64,
    pub failures: i64,
    pub amounts: Amounts,
    pub leaves: Vec<LeafFailures>,
    pub earliest: Vec<(i64, Box<str>)>,
}

impl EpisodeState {
    /// Folds one failure in; true if what puts it right has to be looked for.
    pub fn add(
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
        self.amounts.fold(failure.amount);
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

    pub fn evict(&mut self, leaves: &Leaves, open_obligations: &mut OpenObligations) {
        let highest = (0..self.leaves.len()).max_by(|one, two| {
            let (one, two) = (leaves.get(self.leaves[*one].leaf), leaves.get(self.leaves[*two].leaf));
            one.rank().cmp(&two.rank()).then_with(|| one.values().cmp(two.values()))
        });
        if let Some(index) = highest {
            self.leaves.remove(index).owed.iter().for_each(|owed| open_obligations.release(owed));
        }
    }

    pub fn owed(&self) -> impl Iterator<Item = &Obligation> {
        self.leaves.iter().flat_map(|seen| &seen.owed)
    }

    pub fn put_right_ms(&self) -> Option<i64> {
        all_put_right(self.leaves.iter().map(LeafFailures::put_right_ms))
    }

    /// The time for whose sake it is kept: it goes when the ordinary retention is past this.
    pub fn needed_ms(&self, rules: &Rules) -> i64 {
        let Terms { joined_ms, open_ms, settled_ms } = rules.terms[usize::from(self.signal)];
        if self.owed().any(Obligation::waits) {
            return self.window_ms + open_ms;
        }
        let latest_ms = self.owed().filter_map(|owed| owed.put_right_ms).max().unwrap_or(0);
        (self.window_ms + joined_ms).max(latest_ms + settled_ms)
    }

    /// Until when a failure can still join it.
    pub fn joined_ms(&self, rules: &Rules) -> i64 {
        self.window_ms + rules.terms[usize::from(self.signal)].joined_ms
    }

    /// Order of the persisted and sent forms.
    pub fn key<'a>(&'a self, signals: &'a [String]) -> (&'a str, &'a str, i64) {
        (&self.line, &signals[usize::from(self.signal)], self.window_ms)
    }

    pub fn is_about(&self, rule: &ContactRule, contact: &OpenedContact) -> bool {
        (contact.line.is_empty() || contact.line == self.line)
            && rule.signals(&contact.reason).unwrap_or(0) & 1 << self.signal != 0
            && self.first_ms <= contact.time_ms + rule.after_ms
            && (contact.time_ms - rule.before_ms <= self.first_ms && !contact.by_order || self.is_named(contact))
    }

    /// True if a contact names an order that failed here and was not put right before the contact.
    pub fn is_named(&self, contact: &OpenedContact) -> bool {
        let names = |hash: u64| contact.order != 0 && hash == contact.order || contact.subjects.contains(&hash);
        let is_none = contact.order == 0 && contact.subjects.is_empty();
        !is_none && self.owed().any(|owed| names(owed.hash) && contact.time_ms < owed.until_ms())
    }
}

pub struct CustomerHistory {
    pub id: Box<str>,
    pub hash: u64,
    /// Distinguishes owners of one slot, so that an old entry of the calendar finds nobody.
    pub generation: u32,
    pub changed: bool,
    pub episodes: Vec<EpisodeState>,
    pub contacts: Vec<OpenedContact>,
}

impl CustomerHistory {
    /// Until when an event about an obligation changes something, over every leaf that holds it.
    pub fn until_ms(&self, obligation: u64) -> i64 {
        let owed = self.episodes.iter().flat_map(EpisodeState::owed);
        owed.filter(|owed| owed.hash == obligation && owed.mask != 0).map(Obligation::until_ms).max().unwrap_or(0)
    }
}

pub fn message(rules: &Rules, leaves: &Leaves, history: &CustomerHistory, evidence: &EpisodeState) -> Vec<u8> {
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
        signal: &rules.signals[usize::from(evidence.signal)],
        window_ms: evidence.window_ms,
        attributes: List(rules.attributes[usize::from(evidence.signal)].iter().map(String::as_str)),
        leaves: List(shown),
        first_failed_ms: evidence.first_ms,
        last_failed_ms: evidence.last_ms,
        failures: evidence.failures,
        evidence: List(evidence.earliest.iter().map(|(_, id)| &**id)),
        amounts: List(evidence.amounts.money()),
        contacted_at_ms: about.iter().min().copied(),
        contacts: about.len() as i64,
        put_right_ms: evidence.put_right_ms(),
        origin: &rules.origins[usize::from(gravest)],
    };
    episode.json(640)
}

pub fn packed(rules: &Rules, leaves: &Leaves, history: &CustomerHistory) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.out.reserve(256);
    packer.array(2);
    let mut episodes: Vec<&EpisodeState> = history.episodes.iter().collect();
    episodes.sort_by(|one, two| one.key(&rules.signals).cmp(&two.key(&rules.signals)));
    packer.array(episodes.len());
    for evidence in episodes {
        pack_evidence(&mut packer, rules, leaves, evidence);
    }
    let mut contacts: Vec<&OpenedContact> = history.contacts.iter().collect();
    contacts.sort();
    packer.array(contacts.len());
    for contact in contacts {
        packer.array(6 + usize::from(!contact.subjects.is_empty()));
        packer.int(contact.time_ms);
        packer.text(&contact.contact_id);
        packer.text(&contact.line);
        packer.text(&contact.reason);
        packer.int(contact.order as i64);
        packer.boolean(contact.by_order);
        if !contact.subjects.is_empty() {
            packer.array(contact.subjects.len());
            contact.subjects.iter().for_each(|subject| packer.int(*subject as i64));
        }
    }
    packer.out
}

fn pack_evidence(packer: &mut Packer, rules: &Rules, leaves: &Leaves, evidence: &EpisodeState) {
    packer.array(9);
    packer.text(&evidence.line);
    packer.text(&rules.signals[usize::from(evidence.signal)]);
    packer.int(evidence.window_ms);
    packer.int(evidence.first_ms);
    packer.int(evidence.last_ms);
    packer.int(evidence.failures);
    evidence.amounts.pack(packer);
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

/// Undoes `packed`: episodes and contacts.
pub fn read_history(
    rules: &Rules,
    leaves: &mut Leaves,
    reader: &mut Reader<'_>,
) -> Read<(Vec<EpisodeState>, Vec<OpenedContact>)> {
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
            subjects: if fields > 6 { subjects(reader)? } else { Box::default() },
        });
    }
    Ok((episodes, contacts))
}

fn subjects(reader: &mut Reader<'_>) -> Read<Box<[u64]>> {
    (0..reader.array()?).map(|_| Ok(reader.int()? as u64)).collect()
}

fn read_evidence(rules: &Rules, leaves: &mut Leaves, reader: &mut Reader<'_>) -> Read<EpisodeState> {
    reader.array()?;
    let line = reader.text()?;
    let signal = signal_number(rules, reader.text()?)?;
    let mut evidence = EpisodeState {
        line: line.into(),
        signal,
        window_ms: reader.int()?,
        dirty: false,
        first_ms: reader.int()?,
        last_ms: reader.int()?,
        failures: reader.int()?,
        amounts: Amounts::read(reader)?,
        leaves: vec![],
        earliest: vec![],
    };
    for _ in 0..reader.array()? {
        let fields = reader.array()?;
        let values = reader.texts()?;
        let leaf = leaves.of(line, signal, &values);
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
