//! Optional accelerator of cxwatch. The pure Python code defines what every part does; the same tests pass on both, and
//! both write the same bytes:
//! * the join room (`streams/core/join/stage.py`), reached through `streams/core/join/native.py`;
//! * the store's rows (`streams/sinks/rows.py`), reached through `streams/sinks/native.py`;
//! * record batches, read (`streams/runtime/bulk.py`) and written (`streams/runtime/writer.py`).

mod clock;
mod cohorts;
mod columns;
mod decode;
mod dedup;
mod episodes;
mod findings;
mod history;
mod join;
mod leaves;
mod money;
mod pack;
mod partition;
mod promises;
mod records;
mod repairs;
mod rules;
mod seen;
mod sources;
mod wire;
mod writing;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::join::{Fed, Fetched, Room};
use crate::records::Parts;
use crate::rules::Rules;

/// One partition of the join room.
#[pyclass(module = "cxwatch_native")]
struct JoinRoom {
    room: Room,
}

/// Offsets as they are: mostly a range.
enum Offsets {
    From(i64),
    Listed(Vec<i64>),
}

impl Offsets {
    fn read(found: &Bound<'_, PyAny>) -> PyResult<Offsets> {
        match found.getattr("start") {
            Ok(start) => Ok(Offsets::From(start.extract()?)),
            Err(_) => Ok(Offsets::Listed(found.extract()?)),
        }
    }

    fn at(&self, index: usize) -> i64 {
        match self {
            Offsets::From(start) => start + index as i64,
            Offsets::Listed(offsets) => offsets.get(index).copied().unwrap_or(0),
        }
    }
}

/// What became of the messages from `start` to `stop`: (stop, accepted, unknown fields, indexes of events from the
/// future, indexes of events of other partitions).
type Feeding = (usize, u64, u64, Vec<usize>, Vec<usize>);

#[pymethods]
impl JoinRoom {
    /// A partition that has seen nothing. `rules`: the table of `streams.core.join.native`.
    #[new]
    fn new(rules: &Bound<'_, PyAny>, partition: i64, partitions: i64) -> PyResult<Self> {
        Ok(JoinRoom { room: Room::new(Rules::from_python(rules)?, partition, partitions) })
    }

    /// Folds messages in from index `start` on, up to the first that the reference implementation has to decide. Longer
    /// messages than `max_bytes`, and those whose key is `stop_key`, are such.
    #[pyo3(signature = (part, start, max_bytes, future_ms, stop_key))]
    fn feed(
        &mut self,
        part: &Bound<'_, PyAny>,
        start: usize,
        max_bytes: usize,
        future_ms: i64,
        stop_key: &[u8],
    ) -> PyResult<Feeding> {
        let topic = self.topic(part.getattr("topic")?.extract()?)?;
        let (values, keys) = (Parts::of(part, "values")?, Parts::of(part, "keys")?);
        let (values, keys, times) = (values.bytes(), keys.bytes(), Parts::of(part, "timestamps")?.times()?);
        let offsets = Offsets::read(&part.getattr("offsets")?)?;
        if keys.len() != values.len() || times.len() != values.len() {
            return Err(PyValueError::new_err("parallel lists of different lengths"));
        }
        let room = &mut self.room;
        let mut fed = Fed::default();
        let stop = part.py().detach(|| {
            let stop = (start..values.len()).find(|index| {
                let from = Fetched {
                    index: *index,
                    offset: offsets.at(*index),
                    key: keys[*index],
                    appended_ms: times[*index],
                };
                !values[*index]
                    .filter(|value| value.len() <= max_bytes && from.key != Some(stop_key))
                    .is_some_and(|value| room.take(topic, value, from, Some(future_ms), &mut fed))
            });
            room.core.settle(Some(topic));
            stop.unwrap_or(values.len())
        });
        Ok((stop, fed.accepted, fed.unknown, fed.future, fed.foreign))
    }

    /// Folds in events that the reference has accepted and the caller has screened, in their canonical form, with the
    /// offsets they were read at and their append times.
    fn take(&mut self, topic: &str, events: Vec<(Vec<u8>, i64, i64)>) -> PyResult<()> {
        let topic = self.topic(topic)?;
        for (value, offset, appended_ms) in events {
            let from = Fetched { index: 0, offset, key: None, appended_ms };
            if !self.room.take(topic, &value, from, None, &mut Fed::default()) {
                return Err(PyValueError::new_err("a canonical event was refused: the field table is not the model's"));
            }
        }
        self.room.core.settle(Some(topic));
        Ok(())
    }

    /// A heartbeat of a source.
    fn hear(&mut self, topic: &str, time_ms: i64) -> PyResult<()> {
        let topic = self.topic(topic)?;
        self.room.core.hear(topic, time_ms);
        Ok(())
    }

    /// How far a topic has come; 0 if nothing was heard.
    fn clock_ms(&self, topic: &str) -> PyResult<i64> {
        Ok(self.room.core.clock_ms(self.topic(topic)?))
    }

    /// An idle passage.
    fn pass_idle(&mut self, topics: Vec<String>, time_ms: i64) {
        self.room.core.pass_idle(&topics, time_ms);
        self.room.core.settle(None);
    }

    /// (messages, changes) since the last drain; a message is (noun, key, value, partition).
    fn drain<'py>(&mut self, python: Python<'py>) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
        let room = &mut self.room;
        let (messages, changes) = python.detach(|| room.core.drain());
        let bytes = |bytes: &[u8]| PyBytes::new(python, bytes).into_any();
        let messages = messages.iter().map(|(noun, key, value, partition)| {
            let noun = pyo3::types::PyString::intern(python, noun).into_any();
            let partition = partition.into_pyobject(python).map(|partition| partition.into_any());
            PyTuple::new(python, [noun, bytes(key), bytes(value), partition?])
        });
        let changes = changes.iter().map(|(key, value)| {
            let value = value.as_ref().map_or_else(|| python.None().into_bound(python), |value| bytes(value));
            PyTuple::new(python, [bytes(key), value])
        });
        let messages: Vec<_> = messages.collect::<PyResult<_>>()?;
        let changes: Vec<_> = changes.collect::<PyResult<_>>()?;
        Ok((PyList::new(python, messages)?, PyList::new(python, changes)?))
    }

    /// Rebuilds the state of a new room from (key, value) pairs. ValueError if they are not ours.
    fn load(&mut self, python: Python<'_>, pairs: Vec<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>) -> PyResult<()> {
        let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
        let room = &mut self.room;
        python.detach(|| room.core.load(&pairs)).map_err(|damaged| PyValueError::new_err(damaged.0))
    }
}

impl JoinRoom {
    fn topic(&self, name: &str) -> PyResult<usize> {
        self.room.core.topic(name).ok_or_else(|| PyValueError::new_err(format!("no topic {name}")))
    }
}

#[pymodule]
fn cxwatch_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("CONTRACT", wire::CONTRACT)?;
    module.add_class::<JoinRoom>()?;
    module.add_class::<columns::CopyPlan>()?;
    module.add_class::<columns::Copies>()?;
    module.add_class::<findings::FindingPlan>()?;
    module.add_class::<findings::Findings>()?;
    module.add_function(wrap_pyfunction!(decode::decode_rows, module)?)?;
    records::register(module)?;
    module.add_class::<writing::ReadyBatch>()?;
    module.add_function(wrap_pyfunction!(writing::ready_batches, module)?)?;
    Ok(())
}
