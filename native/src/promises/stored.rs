//! The persisted forms of promises and of events that wait: MessagePack, as `streams/core/join/promises.py` writes them.

use super::{Fact, OrderKey, Promise};
use crate::money::Currency;
use crate::pack::{Packer, Read, Reader};

pub(super) fn promise_key(key: &OrderKey) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.array(3);
    packer.text("p");
    packer.text(&key.customer);
    packer.text(&key.order);
    packer.out
}

pub(super) fn chunk_key(chunk: i64) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.array(2);
    packer.text("q");
    packer.int(chunk);
    packer.out
}

pub(super) fn packed(promise: &Promise) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.array(9);
    for (time_ms, event_id) in [&promise.stated, &promise.latest] {
        packer.array(2);
        packer.int(*time_ms);
        packer.text(event_id);
    }
    packer.int(promise.due_ms);
    packer.int(promise.fire_ms);
    packer.text(&promise.line);
    packer.texts(promise.values.iter().map(|value| &**value));
    packer.int(promise.amount_cents);
    packer.int(i64::from(promise.origin));
    packer.text(promise.currency.text());
    packer.out
}

pub(super) fn pack_fact(packer: &mut Packer, fact: &Fact) {
    packer.array(12);
    packer.int(fact.time_ms);
    packer.text(&fact.event_id);
    packer.text(&fact.key.customer);
    packer.text(&fact.key.order);
    packer.text(&fact.status);
    packer.text(&fact.line);
    packer.texts(fact.values.iter().map(|value| &**value));
    packer.int(fact.amount_cents);
    match fact.promised_at_ms {
        Some(promised_ms) => packer.int(promised_ms),
        None => packer.nil(),
    }
    packer.boolean(fact.by_company);
    packer.int(i64::from(fact.origin));
    packer.text(fact.currency.text());
}

pub(super) fn read_fact(reader: &mut Reader<'_>) -> Read<Fact> {
    let fields = reader.array()?;
    let (time_ms, event_id) = (reader.int()?, reader.text()?);
    let key = OrderKey { customer: reader.text()?.into(), order: reader.text()?.into() };
    let (status, line) = (reader.text()?, reader.text()?);
    let values = reader.texts()?.into_iter().map(Into::into).collect();
    let (amount, promised, by_company) = (reader.int()?, reader.optional_int()?, reader.boolean()?);
    let origin = if fields > 10 { reader.int()? as u8 } else { 0 };
    let currency = if fields > 11 { Currency::read(reader)? } else { Currency::default() };
    Ok(Fact::new(time_ms, event_id, key, status, line, values, amount, promised, by_company, origin, currency))
}
