//! Events read by the rules: which are admitted, and what each counts for. The same decisions, in the same order, as
//! `streams/core/join/reading.py` and `stage.py`.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{floor, Core, MIN_TIME_MS};
use crate::history::{CustomerFailure, OpenedContact};
use crate::leaves::hash_of;
use crate::money::Currency;
use crate::pack::Write;
use crate::partition::partition_of;
use crate::promises::{Fact, OrderKey};
use crate::repairs::{link, obligation, owed};
use crate::rules::{Row, Rules, SignalRule};
use crate::sources::Kind;
use crate::wire::{Late, DRILL_PREFIX};

/// Sorts out what is too old or was seen before, moves the topic's clock, and folds the rest in.
pub(super) fn admit(room: &mut Core, index: usize, row: Row<'_>, offset: i64, arrived_ms: i64) {
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
        let key = source.as_bytes();
        room.late.push(("late", key.to_vec(), late.json(192), partition_of(key, room.partitions)));
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
    if !row.text(rules.customer).starts_with(DRILL_PREFIX) {
        topic.clock.follow(customer, time_ms.min(arrived_ms));
    }
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
    for rule in &topic.signals {
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
        let leaf = leaves.intern(hash_of(line, rule.signal, values), line, rule.signal, values);
        if !is_late {
            bins.count(floor(time_ms, rules.bin_ms), leaf, customer, failed);
        }
        if failed {
            let failure = CustomerFailure {
                time_ms,
                leaf,
                event_id: row.text(topic.event_id),
                amount: amount_of(rules, rule, row),
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

fn amount_of(rules: &Rules, rule: &SignalRule, row: Row<'_>) -> (Currency, i64) {
    let Some((amount, currency)) = rule.amount else { return Default::default() };
    let currency = rules.currencies.code(row.text(currency));
    (currency, rules.currencies.minor(row.int(amount).unwrap_or(0), currency))
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
        room.rules.currencies.code(row.text(rule.currency)),
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
    if !rule.opened.holds(row) {
        return;
    }
    let time_ms = row.int(topic.event_time).unwrap_or(0);
    let order = rule.order.as_ref().filter(|naming| naming.is_given(row)).map_or(0, |naming| naming.of(row, customer));
    let subjects = rule.subjects.map_or_else(Box::default, |(field, seed)| subjects_of(row, field, seed, customer, order));
    let by_order = time_ms < newest_ms - room.rules.attach_ms;
    if by_order && order == 0 && subjects.is_empty() {
        return;
    }
    let contacted = OpenedContact {
        time_ms,
        contact_id: row.text(rule.contact_id).into(),
        line: row.text(topic.product).into(),
        reason: row.text(rule.reason).into(),
        order,
        by_order,
        subjects,
    };
    room.episodes.contact(&room.rules, row.text(topic.customer), customer, contacted);
}

/// The obligations of the orders that the subjects of a contact may be, besides `order`; sorted, each once.
fn subjects_of(row: Row<'_>, field: usize, seed: u64, customer: u64, order: u64) -> Box<[u64]> {
    let named = row.texts(field).map(|subject| obligation(customer, link(subject, seed)));
    let mut found: Vec<u64> = named.filter(|one| *one != order).collect();
    found.sort_unstable();
    found.dedup();
    found.into()
}
