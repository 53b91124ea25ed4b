//! The rules of the join room as Python's `JoinRules` gives them, with field names turned into indexes in a decoded row.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::decode::{spec_from_python, Spec, Value};
use crate::money::Currencies;
use crate::repairs::{Leaving, Naming, Success};

/// True for a row whose field has one of the values.
pub struct FieldTest {
    field: usize,
    values: Vec<String>,
}

/// One message and what the decoder made of it.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub spec: &'a Spec,
    pub message: &'a [u8],
    pub scratch: &'a [u8],
    pub values: &'a [Value],
}

impl<'a> Row<'a> {
    /// Text of a field, empty where it is null.
    pub fn text(&self, field: usize) -> &'a str {
        self.spec.text(field, self.values[field], self.message, self.scratch).unwrap_or("")
    }

    /// The texts of a list.
    pub fn texts(&self, field: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let texts = self.spec.parts(self.values[field], self.message, self.scratch);
        texts.map(|text| std::str::from_utf8(text).expect("the value's own buffers"))
    }

    pub fn int(&self, field: usize) -> Option<i64> {
        self.spec.int(field, self.values[field])
    }
}

impl FieldTest {
    pub fn holds(&self, row: Row<'_>) -> bool {
        let found = row.spec.text(self.field, row.values[self.field], row.message, row.scratch);
        found.is_some_and(|text| self.values.iter().any(|value| value == text))
    }
}

/// One signal that single events decide.
pub struct SignalRule {
    pub signal: u8,
    pub exposed: FieldTest,
    pub failed: FieldTest,
    pub attributes: Vec<usize>,
    /// Its amount, and the currency of that.
    pub amount: Option<(usize, usize)>,
    pub leaving: Vec<Leaving>,
}

/// What the room does with one topic.
pub struct TopicRules {
    pub name: String,
    pub disorder_ms: i64,
    pub lateness_ms: i64,
    pub signals: Vec<SignalRule>,
    pub event_id: usize,
    pub event_time: usize,
    pub customer: usize,
    pub source: usize,
    pub product: usize,
    pub arrived_at: usize,
    pub origin: usize,
    /// Which of its events put failures right.
    pub success: Option<Success>,
    /// Topic -> how far behind its newest event a failure may lie that is looked up in this topic's log.
    pub reaches: Vec<(usize, i64)>,
}

/// Fields of an order, and what its statuses mean.
pub struct PromiseRule {
    pub signal: u8,
    pub attributes: Vec<usize>,
    pub kept: Vec<String>,
    pub broken: Vec<String>,
    pub cancelled: Vec<String>,
    pub dropped: Vec<String>,
    pub memory_ms: i64,
    pub horizon_ms: i64,
    pub disorder_ms: i64,
    pub order_id: usize,
    pub status: usize,
    pub amount: usize,
    pub currency: usize,
    pub promised_at: usize,
    pub cancelled_by: usize,
    pub leaving: Option<Leaving>,
}

/// Fields of a contact, and which reasons are about which signals.
pub struct ContactRule {
    pub opened: FieldTest,
    pub contact_id: usize,
    pub reason: usize,
    pub any_signal: Vec<String>,
    /// Reason and its signals, a bit each.
    pub by_reason: Vec<(String, u32)>,
    pub all_signals: u32,
    pub before_ms: i64,
    pub after_ms: i64,
    /// How a contact names an order.
    pub order: Option<Naming>,
    /// What else it is about, and the seed under which that names an order.
    pub subjects: Option<(usize, u64)>,
}

impl ContactRule {
    /// The signals that a contact with this reason may be about, a bit each; None if it never attaches.
    pub fn signals(&self, reason: &str) -> Option<u32> {
        if self.any_signal.iter().any(|known| known == reason) {
            return Some(self.all_signals);
        }
        self.by_reason.iter().find(|(known, _)| known == reason).map(|(_, signals)| *signals)
    }
}

pub struct Limits {
    pub leaves: usize,
    pub episode_leaves: usize,
    pub episode_leaves_shown: usize,
    pub evidence: usize,
    pub contacts: usize,
    pub obligations: usize,
    pub old_episodes: usize,
}

/// How much longer than the ordinary retention an episode stays: behind its window in any case and while it waits to be
/// put right, behind its repair afterwards.
#[derive(Clone, Copy, FromPyObject)]
pub struct Terms {
    pub joined_ms: i64,
    pub open_ms: i64,
    pub settled_ms: i64,
}

/// Everything the room decides by.
pub struct Rules {
    pub topics: Vec<TopicRules>,
    /// Names of the signals by number, and the attributes of each.
    pub signals: Vec<String>,
    pub attributes: Vec<Vec<String>>,
    pub promise: PromiseRule,
    pub contact: ContactRule,
    pub limits: Limits,
    /// How many distinct customers move a topic's clock together.
    pub clock_customers: usize,
    pub bin_ms: i64,
    pub window_ms: i64,
    pub retention_ms: i64,
    pub unrepaired_ms: i64,
    /// How long episodes stay, by signal.
    pub terms: Vec<Terms>,
    /// Names of origins, the gravest first.
    pub origins: Vec<String>,
    pub currencies: Currencies,
    /// How late a contact may be to be joined by time.
    pub attach_ms: i64,
    pub order: usize,
    pub contact_topic: usize,
}

fn field(spec: &Spec, name: &str) -> PyResult<usize> {
    spec.index_of(name).ok_or_else(|| PyValueError::new_err(format!("no field {name}")))
}

fn item<'py, T>(from: &Bound<'py, PyAny>, name: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    from.get_item(name)?.extract()
}

fn test(spec: &Spec, from: &Bound<'_, PyAny>) -> PyResult<FieldTest> {
    let (name, values): (String, Vec<String>) = from.extract()?;
    Ok(FieldTest { field: field(spec, &name)?, values })
}

fn fields(spec: &Spec, names: &[String]) -> PyResult<Vec<usize>> {
    names.iter().map(|name| field(spec, name)).collect()
}

fn naming(spec: &Spec, from: &Bound<'_, PyAny>) -> PyResult<Naming> {
    Ok(Naming { fields: fields(spec, &item::<Vec<String>>(from, "same")?)?, seed: item(from, "seed")? })
}

fn leaving(spec: &Spec, from: &Bound<'_, PyAny>) -> PyResult<Vec<Leaving>> {
    let one = |rule: PyResult<Bound<'_, PyAny>>| {
        let rule = rule?;
        Ok(Leaving { naming: naming(spec, &rule)?, mask: item(&rule, "mask")?, reach_ms: item(&rule, "reach_ms")? })
    };
    from.get_item("leaving")?.try_iter()?.map(one).collect()
}

fn success(spec: &Spec, from: &Bound<'_, PyAny>) -> PyResult<Option<Success>> {
    let from = from.get_item("success")?;
    if from.is_none() {
        return Ok(None);
    }
    Ok(Some(Success {
        field: field(spec, &item::<String>(&from, "field")?)?,
        kinds: item(&from, "kinds")?,
        naming: naming(spec, &from)?,
        width_ms: item(&from, "width_ms")?,
        time_bits: item(&from, "time_bits")?,
    }))
}

fn signal_rule(spec: &Spec, names: &[String], from: &Bound<'_, PyAny>) -> PyResult<SignalRule> {
    let signal: String = item(from, "signal")?;
    let amount: Option<String> = item(from, "amount")?;
    let currency: Option<String> = item(from, "currency")?;
    Ok(SignalRule {
        signal: number(names, &signal)?,
        exposed: test(spec, &from.get_item("exposed")?)?,
        failed: test(spec, &from.get_item("failed")?)?,
        attributes: fields(spec, &item::<Vec<String>>(from, "attributes")?)?,
        amount: amount
            .zip(currency)
            .map(|(amount, currency)| Ok::<_, PyErr>((field(spec, &amount)?, field(spec, &currency)?)))
            .transpose()?,
        leaving: leaving(spec, from)?,
    })
}

fn number(names: &[String], name: &str) -> PyResult<u8> {
    names
        .iter()
        .position(|known| known == name)
        .map(|index| index as u8)
        .ok_or_else(|| PyValueError::new_err(format!("no signal {name}")))
}

fn topic_rules(names: &[String], topics: &[String], from: &Bound<'_, PyAny>) -> PyResult<(TopicRules, Spec)> {
    let spec = spec_from_python(&from.get_item("fields")?)?;
    let signals = from
        .get_item("signals")?
        .try_iter()?
        .map(|rule| signal_rule(&spec, names, &rule?))
        .collect::<PyResult<Vec<_>>>()?;
    let reaches: Vec<(String, i64)> = item(from, "reaches")?;
    let reach = |(name, reach_ms): (String, i64)| {
        let index = topics.iter().position(|topic| *topic == name);
        index.map(|index| (index, reach_ms)).ok_or_else(|| PyValueError::new_err(format!("no topic {name}")))
    };
    let rules = TopicRules {
        name: item(from, "name")?,
        disorder_ms: item(from, "disorder_ms")?,
        lateness_ms: item(from, "lateness_ms")?,
        signals,
        event_id: field(&spec, "event_id")?,
        event_time: field(&spec, "event_time_ms")?,
        customer: field(&spec, "customer_id")?,
        source: field(&spec, "source")?,
        product: field(&spec, "product")?,
        arrived_at: field(&spec, "arrived_at_ms")?,
        origin: field(&spec, "origin")?,
        success: success(&spec, from)?,
        reaches: reaches.into_iter().map(reach).collect::<PyResult<_>>()?,
    };
    Ok((rules, spec))
}

fn promise_rule(names: &[String], topic: &TopicRules, spec: &Spec, from: &Bound<'_, PyAny>) -> PyResult<PromiseRule> {
    Ok(PromiseRule {
        signal: number(names, &item::<String>(from, "signal")?)?,
        attributes: fields(spec, &item::<Vec<String>>(from, "attributes")?)?,
        kept: item(from, "kept")?,
        broken: item(from, "broken")?,
        cancelled: item(from, "cancelled")?,
        dropped: item(from, "dropped")?,
        memory_ms: item(from, "memory_ms")?,
        horizon_ms: item(from, "horizon_ms")?,
        disorder_ms: topic.disorder_ms,
        order_id: field(spec, "order_id")?,
        status: field(spec, "status")?,
        amount: field(spec, "amount_cents")?,
        currency: field(spec, "currency")?,
        promised_at: field(spec, "promised_at_ms")?,
        cancelled_by: field(spec, "cancelled_by")?,
        leaving: leaving(spec, from)?.into_iter().next(),
    })
}

fn contact_rule(names: &[String], spec: &Spec, from: &Bound<'_, PyAny>) -> PyResult<ContactRule> {
    let by_reason: Vec<(String, Vec<String>)> = item(from, "by_reason")?;
    let bits = |signals: &[String]| -> PyResult<u32> {
        signals.iter().try_fold(0, |bits, name| Ok(bits | 1 << number(names, name)?))
    };
    let order = Some(from.get_item("order")?).filter(|order| !order.is_none());
    let order = order.map(|order| naming(spec, &order)).transpose()?;
    Ok(ContactRule {
        opened: test(spec, &from.get_item("opened")?)?,
        contact_id: field(spec, "contact_id")?,
        reason: field(spec, "reason")?,
        any_signal: item(from, "any_signal")?,
        by_reason: by_reason
            .into_iter()
            .map(|(reason, signals)| Ok((reason, bits(&signals)?)))
            .collect::<PyResult<_>>()?,
        all_signals: (1 << names.len()) - 1,
        before_ms: item(from, "before_ms")?,
        after_ms: item(from, "after_ms")?,
        subjects: match (&order, item(from, "by_subject")?) {
            (Some(order), true) => Some((field(spec, "subject_ids")?, order.seed)),
            _ => None,
        },
        order,
    })
}

impl Rules {
    /// Reads the table that `streams/core/join/native.py` makes of `JoinRules`, and the decoder of each topic. ValueError
    /// if a name is not known.
    pub fn from_python(from: &Bound<'_, PyAny>) -> PyResult<(Rules, Vec<Spec>)> {
        let signals: Vec<String> = item(from, "signal_names")?;
        let listed: Vec<Bound<'_, PyAny>> = from.get_item("topics")?.try_iter()?.collect::<PyResult<_>>()?;
        let names: Vec<String> = listed.iter().map(|topic| item(topic, "name")).collect::<PyResult<_>>()?;
        let both = listed.iter().map(|topic| topic_rules(&signals, &names, topic));
        let (topics, specs): (Vec<TopicRules>, Vec<Spec>) =
            both.collect::<PyResult<Vec<_>>>()?.into_iter().unzip();
        let index = |name: &str| {
            topics
                .iter()
                .position(|topic| topic.name == name)
                .ok_or_else(|| PyValueError::new_err(format!("no topic {name}")))
        };
        let (order, contact_topic) = (index("order")?, index("contact")?);
        let limits = from.get_item("limits")?;
        let rules = Rules {
            promise: promise_rule(&signals, &topics[order], &specs[order], &from.get_item("promise")?)?,
            contact: contact_rule(&signals, &specs[contact_topic], &from.get_item("contact")?)?,
            attributes: item(from, "attributes")?,
            limits: Limits {
                leaves: item(&limits, "leaves")?,
                episode_leaves: item(&limits, "episode_leaves")?,
                episode_leaves_shown: item(&limits, "episode_leaves_shown")?,
                evidence: item(&limits, "evidence")?,
                contacts: item(&limits, "contacts")?,
                obligations: item(&limits, "obligations")?,
                old_episodes: item(&limits, "old_episodes")?,
            },
            clock_customers: item(from, "clock_customers")?,
            bin_ms: item(from, "bin_ms")?,
            window_ms: item(from, "window_ms")?,
            retention_ms: item(from, "retention_ms")?,
            unrepaired_ms: item(from, "unrepaired_ms")?,
            terms: item(from, "terms")?,
            origins: item(from, "origins")?,
            currencies: Currencies::from_pairs(item(from, "currencies")?)?,
            attach_ms: item(from, "attach_ms")?,
            topics,
            signals,
            order,
            contact_topic,
        };
        Ok((rules, specs))
    }
}
