//! Record batches to send: what aiokafka's `BatchBuilder` makes of one record after the other, made at a stretch.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::pack::push_leb128;
use crate::records::{ATTRIBUTES_AT, HEADER, LENGTH_END, TRANSACTIONAL};

const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const LAST_AT: usize = 23;
const FIRST_MS_AT: usize = 27;
const NEWEST_MS_AT: usize = 35;
const PRODUCER_AT: usize = 43;
const COUNT_AT: usize = 57;

/// A whole record batch of a transactional producer, format 2, uncompressed. Its methods are those of aiokafka's
/// `BatchBuilder` that are called once a batch is closed.
#[pyclass(module = "cxwatch_native")]
pub struct ReadyBatch {
    data: Vec<u8>,
    count: i32,
}

impl ReadyBatch {
    fn new(now_ms: i64) -> ReadyBatch {
        let mut data = vec![0; HEADER];
        data[LENGTH_END..MAGIC_AT].fill(0xff); // no leader epoch
        data[MAGIC_AT] = 2;
        data[ATTRIBUTES_AT..LAST_AT].copy_from_slice(&TRANSACTIONAL.to_be_bytes());
        data[FIRST_MS_AT..NEWEST_MS_AT].copy_from_slice(&now_ms.to_be_bytes());
        data[NEWEST_MS_AT..PRODUCER_AT].copy_from_slice(&now_ms.to_be_bytes());
        data[PRODUCER_AT..COUNT_AT].fill(0xff); // until the producer says who it is
        ReadyBatch { data, count: 0 }
    }

    /// Appends a record, or returns false if it would make the batch longer than `limit`; the first one always fits.
    fn append(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[u8], limit: usize) -> bool {
        let offset = varint(i64::from(self.count));
        let (key_head, value_head) = (length(key), length(value));
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        let parts: [&[u8]; 7] = [&[0, 0], &offset, &key_head, key, &value_head, value, headers];
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let size_head = varint(size as i64);
        if self.count > 0 && self.data.len() + size_head.len() + size > limit {
            return false;
        }
        self.data.extend_from_slice(&size_head);
        parts.iter().for_each(|part| self.data.extend_from_slice(part));
        self.count += 1;
        true
    }

    fn close(mut self) -> PyResult<ReadyBatch> {
        let length = i32::try_from(self.data.len() - LENGTH_END)
            .map_err(|_| PyValueError::new_err("a record is larger than a batch can be"))?;
        self.data[LENGTH_AT..LENGTH_END].copy_from_slice(&length.to_be_bytes());
        self.data[LAST_AT..FIRST_MS_AT].copy_from_slice(&(self.count - 1).to_be_bytes());
        self.data[COUNT_AT..HEADER].copy_from_slice(&self.count.to_be_bytes());
        Ok(self)
    }
}

#[pymethods]
impl ReadyBatch {
    #[pyo3(name = "_set_producer_state")]
    fn set_producer_state(&mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) {
        let state = [&producer_id.to_be_bytes()[..], &producer_epoch.to_be_bytes(), &base_sequence.to_be_bytes()];
        self.data[PRODUCER_AT..COUNT_AT].copy_from_slice(&state.concat());
    }

    #[pyo3(name = "_build")]
    fn build<'py>(&mut self, python: Python<'py>) -> Bound<'py, PyBytes> {
        let crc = crc32c::crc32c(&self.data[ATTRIBUTES_AT..]);
        self.data[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
        PyBytes::new(python, &self.data)
    }

    fn size(&self) -> usize {
        self.data.len()
    }

    fn record_count(&self) -> i32 {
        self.count
    }

    fn closed(&self) -> bool {
        true
    }
}

/// Zigzag varint, as the format wants all its lengths.
fn varint(value: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(5);
    push_leb128(&mut out, ((value << 1) ^ (value >> 63)) as u64);
    out
}

fn length(bytes: Option<&[u8]>) -> Vec<u8> {
    varint(bytes.map_or(-1, |bytes| bytes.len() as i64))
}

/// Number and bytes of the headers of a record.
fn headers_of(headers: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut out = varint(headers.len()? as i64);
    for header in headers.try_iter()? {
        let (name, value): (Bound<'_, PyString>, Option<Bound<'_, PyBytes>>) = header?.extract()?;
        let (name, value) = (name.to_str()?.as_bytes(), value.as_ref().map(|value| value.as_bytes()));
        out.extend(length(Some(name)));
        out.extend(name);
        out.extend(length(value));
        out.extend(value.unwrap_or_default());
    }
    Ok(out)
}

/// The records of one topic partition, (key, value, headers) each, as batches of at most `limit` bytes; a larger record
/// travels alone. All get the time `now_ms`.
#[pyfunction]
pub fn ready_batches(writes: &Bound<'_, PyList>, limit: usize, now_ms: i64) -> PyResult<Vec<ReadyBatch>> {
    let mut batches = Vec::new();
    let mut batch = ReadyBatch::new(now_ms);
    // The records of a flush mostly share one object of headers.
    let mut known: Option<(Bound<'_, PyAny>, Vec<u8>)> = None;
    for write in writes {
        let write = write.cast::<PyTuple>()?;
        let (key, value, given) = (write.get_item(0)?, write.get_item(1)?, write.get_item(2)?);
        let (key, value): (Option<Bound<'_, PyBytes>>, Option<Bound<'_, PyBytes>>) = (key.extract()?, value.extract()?);
        let (key, value) = (key.as_ref().map(|key| key.as_bytes()), value.as_ref().map(|value| value.as_bytes()));
        let headers = match &mut known {
            Some((seen, bytes)) if seen.is(&given) => bytes,
            other => &mut other.insert((given.clone(), headers_of(&given)?)).1,
        };
        if !batch.append(key, value, headers, limit) {
            batches.push(std::mem::replace(&mut batch, ReadyBatch::new(now_ms)).close()?);
            batch.append(key, value, headers, limit);
        }
    }
    if batch.count > 0 {
        batches.push(batch.close()?);
    }
    Ok(batches)
}
