//! What a fetch brought of one topic partition: record batches of format 2, uncompressed, unpacked without making a
//! Python object a record. A [`Column`] is a sequence of keys, values, headers, timestamps or offsets that makes its
//! items when somebody asks; the join room and the store read the bytes where they lie.
//!
//! Everything else (older formats, compression, damage of any kind) is left to aiokafka, which defines what is right.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySequence, PySlice, PyString, PyTuple};

/// Bytes of a batch before its length counts, before what the checksum covers, and before its first record.
pub const LENGTH_END: usize = 12;
pub const ATTRIBUTES_AT: usize = 21;
pub const HEADER: usize = 61;
const COMPRESSION: i16 = 0x07;
const APPEND_TIME: i16 = 0x08;
pub const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// One record: where its parts lie in the fetched bytes.
struct Record {
    offset: i64,
    time_ms: i64,
    key: Option<Range<u32>>,
    value: Option<Range<u32>>,
    /// Number of headers, and where the first begins.
    headers: (u32, u32),
}

/// The records of a fetch and the bytes that they lie in.
struct Block {
    data: Py<PyBytes>,
    records: Vec<Record>,
}

impl Block {
    fn part<'a>(data: &'a [u8], range: &Option<Range<u32>>) -> Option<&'a [u8]> {
        range.as_ref().map(|range| &data[range.start as usize..range.end as usize])
    }
}

/// Reads the big-endian numbers and varints of a batch; None at the end of the bytes, or where a varint is too long.
struct Bytes<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let found = self.data.get(self.at..end)?;
        self.at = end;
        Some(found)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn varint(&mut self) -> Option<i64> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.data.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }

    /// A length and that many bytes; the outer None is damage, the inner one the null of a length of -1.
    fn field(&mut self) -> Option<Option<Range<u32>>> {
        let length = self.varint()?;
        if length == -1 {
            return Some(None);
        }
        let start = self.at;
        self.take(usize::try_from(length).ok()?)?;
        Some(Some(start as u32..self.at as u32))
    }
}

/// Head of a record batch.
struct Head {
    base_offset: i64,
    next_offset: i64,
    attributes: i16,
    first_ms: i64,
    newest_ms: i64,
    producer: i64,
    count: usize,
}

impl Head {
    fn is(&self, flag: i16) -> bool {
        self.attributes & flag != 0
    }
}

/// Reads the head of a whole batch and checks its checksum.
fn head_of(batch: &[u8], check: bool) -> Option<Head> {
    let mut bytes = Bytes { data: batch, at: 0 };
    let base_offset = i64::from_be_bytes(bytes.fixed()?);
    bytes.take(8)?; // length, leader epoch
    let [magic] = bytes.fixed()?;
    let crc = u32::from_be_bytes(bytes.fixed()?);
    if magic != 2 || batch.len() < HEADER || (check && crc32c::crc32c(&batch[ATTRIBUTES_AT..]) != crc) {
        return None;
    }
    let attributes = i16::from_be_bytes(bytes.fixed()?);
    let last_delta = i32::from_be_bytes(bytes.fixed()?);
    let first_ms = i64::from_be_bytes(bytes.fixed()?);
    let newest_ms = i64::from_be_bytes(bytes.fixed()?);
    let producer = i64::from_be_bytes(bytes.fixed()?);
    bytes.take(6)?; // producer epoch, first sequence
    let count = usize::try_from(i32::from_be_bytes(bytes.fixed()?)).ok()?;
    let next_offset = base_offset.checked_add(i64::from(last_delta))?.checked_add(1)?;
    (attributes & COMPRESSION == 0).then_some(Head {
        base_offset,
        next_offset,
        attributes,
        first_ms,
        newest_ms,
        producer,
        count,
    })
}

fn record_of(bytes: &mut Bytes<'_>, head: &Head) -> Option<Record> {
    let length = usize::try_from(bytes.varint()?).ok()?;
    let end = bytes.at.checked_add(length)?;
    bytes.take(1)?; // attributes, unused in format 2
    let time_ms = head.first_ms.checked_add(bytes.varint()?)?;
    let offset = head.base_offset.checked_add(bytes.varint()?)?;
    let key = bytes.field()?;
    let value = bytes.field()?;
    let count = u32::try_from(bytes.varint()?).ok()?;
    let headers = (count, bytes.at as u32);
    for _ in 0..count {
        bytes.field()??; // a header without a name is damage
        bytes.field()?;
    }
    let time_ms = if head.is(APPEND_TIME) { head.newest_ms } else { time_ms };
    (bytes.at == end).then_some(Record { offset, time_ms, key, value, headers })
}

/// Unpacks everything from `start` on; None if any of it is for aiokafka. Also returns where to read on.
///
/// With `aborted` ((first offset, producer), sorted) records of aborted transactions are left out; control batches
/// always are.
fn unpack(data: &[u8], start: i64, mut aborted: Option<&[(i64, i64)]>, check: bool) -> Option<(i64, Vec<Record>)> {
    u32::try_from(data.len()).ok()?;
    let mut records = Vec::with_capacity(data.len() / 256);
    let mut open: HashSet<i64> = HashSet::new();
    let (mut next, mut at) = (start, 0);
    while let Some(front) = data.get(at..at + LENGTH_END) {
        let length = usize::try_from(i32::from_be_bytes(front[8..].try_into().ok()?)).ok()?;
        let end = at + LENGTH_END + length;
        let Some(batch) = data.get(at..end) else { break }; // the broker cuts the last one where it likes
        let head = head_of(batch, check)?;
        let mut bytes = Bytes { data: &data[..end], at: at + HEADER };
        let mut skipped = head.is(CONTROL);
        if let Some(rest) = &mut aborted {
            while let Some(((first, producer), later)) = rest.split_first() {
                if *first > head.base_offset {
                    break;
                }
                open.insert(*producer);
                *rest = later;
            }
            if head.is(CONTROL) && is_abort(&record_of(&mut bytes, &head)?, data) {
                open.remove(&head.producer);
            }
            skipped |= head.is(TRANSACTIONAL) && open.contains(&head.producer);
        }
        if !skipped {
            for _ in 0..head.count {
                let record = record_of(&mut bytes, &head)?;
                if record.offset >= start {
                    records.push(record);
                }
            }
            if bytes.at != end {
                return None;
            }
        }
        next = head.next_offset;
        at = end;
    }
    Some((next, records))
}

/// True for the mark of an aborted transaction: the key is a version and a type, two bytes each; type 0 is abort.
fn is_abort(record: &Record, data: &[u8]) -> bool {
    Block::part(data, &record.key).is_some_and(|key| key.len() >= 4 && key[2..4] == [0, 0])
}

/// What a column shows of its records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Offset,
    Time,
    Key,
    Value,
    Headers,
}

/// One part of some records in a row: a sequence whose items are made when they are asked for.
#[pyclass(module = "cxwatch_native", frozen, sequence)]
pub struct Column {
    block: Arc<Block>,
    kind: Kind,
    range: Range<usize>,
}

impl Column {
    fn records(&self) -> &[Record] {
        &self.block.records[self.range.clone()]
    }

    fn item<'py>(&self, python: Python<'py>, record: &Record) -> PyResult<Bound<'py, PyAny>> {
        let data = self.block.data.as_bytes(python);
        let bytes = |range| Block::part(data, range).map(|part| PyBytes::new(python, part));
        Ok(match self.kind {
            Kind::Offset => record.offset.into_pyobject(python)?.into_any(),
            Kind::Time => record.time_ms.into_pyobject(python)?.into_any(),
            Kind::Key => bytes(&record.key).into_pyobject(python)?,
            Kind::Value => bytes(&record.value).into_pyobject(python)?,
            Kind::Headers => headers_of(python, data, record)?.into_any(),
        })
    }

    fn list<'py>(&self, python: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let items: Vec<_> = self.records().iter().map(|record| self.item(python, record)).collect::<PyResult<_>>()?;
        PyList::new(python, items)
    }

    fn over(&self, kind: Kind) -> Column {
        Column { block: self.block.clone(), kind, range: self.range.clone() }
    }

    /// The bytes of every key or value; None for a null, and for what is neither.
    fn bytes<'a>(&'a self, python: Python<'a>) -> impl Iterator<Item = Option<&'a [u8]>> {
        let data = self.block.data.as_bytes(python);
        self.records().iter().map(move |record| match self.kind {
            Kind::Key => Block::part(data, &record.key),
            Kind::Value => Block::part(data, &record.value),
            Kind::Offset | Kind::Time | Kind::Headers => None,
        })
    }
}

fn headers_of<'py>(python: Python<'py>, data: &[u8], record: &Record) -> PyResult<Bound<'py, PyTuple>> {
    let (count, at) = record.headers;
    let mut bytes = Bytes { data, at: at as usize };
    let pairs = (0..count).map(|_| {
        let name = bytes.field().flatten();
        let value = bytes.field().flatten();
        let name = std::str::from_utf8(Block::part(data, &name).unwrap_or_default())?;
        Ok((PyString::new(python, name), Block::part(data, &value).map(|value| PyBytes::new(python, value))))
    });
    PyTuple::new(python, pairs.collect::<PyResult<Vec<_>>>()?)
}

/// One of the parallel lists of a part: a column, or any sequence of Python's.
pub enum Parts<'py> {
    Fetched(Bound<'py, Column>),
    Listed(Vec<Bound<'py, PyAny>>),
}

impl<'py> Parts<'py> {
    /// Reads an attribute of a part.
    pub fn of(part: &Bound<'py, PyAny>, name: &str) -> PyResult<Parts<'py>> {
        let found = part.getattr(name)?;
        match found.cast_into::<Column>() {
            Ok(column) => Ok(Parts::Fetched(column)),
            Err(other) => Ok(Parts::Listed(other.into_inner().extract()?)),
        }
    }

    /// The bytes of every key or value; None for one that is not bytes.
    pub fn bytes(&self) -> Vec<Option<&[u8]>> {
        match self {
            Parts::Listed(items) => items.iter().map(bytes_of).collect(),
            Parts::Fetched(column) => column.get().bytes(column.py()).collect(),
        }
    }

    /// The number of every message: timestamps.
    pub fn times(&self) -> PyResult<Vec<i64>> {
        match self {
            Parts::Listed(items) => items.iter().map(|item| item.extract()).collect(),
            Parts::Fetched(column) => Ok(column.get().records().iter().map(|record| record.time_ms).collect()),
        }
    }

    /// What `read` makes of the value of every message's only header; None where it has another number of headers, or
    /// another header.
    pub fn only_header<T>(&self, name: &str, read: impl Fn(&[u8]) -> Option<T>) -> PyResult<Vec<Option<T>>> {
        match self {
            Parts::Listed(items) => items.iter().map(|headers| only_header(headers, name, &read)).collect(),
            Parts::Fetched(column) => {
                let (data, column) = (column.get().block.data.as_bytes(column.py()), column.get());
                let records = column.records().iter();
                Ok(records.map(|record| only_header_in(data, record, name).and_then(&read)).collect())
            }
        }
    }
}

fn bytes_of<'a>(found: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    found.cast::<PyBytes>().ok().map(|bytes| bytes.as_bytes())
}

fn only_header<T>(
    headers: &Bound<'_, PyAny>,
    name: &str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> PyResult<Option<T>> {
    if headers.len()? != 1 {
        return Ok(None);
    }
    let header = headers.get_item(0)?;
    let is_it = header.get_item(0)?.cast::<PyString>().is_ok_and(|found| found == name);
    let value = header.get_item(1)?;
    Ok(bytes_of(&value).filter(|_| is_it).and_then(read))
}

fn only_header_in<'a>(data: &'a [u8], record: &Record, name: &str) -> Option<&'a [u8]> {
    let (count, at) = record.headers;
    let mut bytes = Bytes { data, at: at as usize };
    let found = bytes.field()?;
    let value = bytes.field()?;
    let is_it = count == 1 && Block::part(data, &found) == Some(name.as_bytes());
    Block::part(data, &value).filter(|_| is_it)
}

#[pymethods]
impl Column {
    fn __len__(&self) -> usize {
        self.range.len()
    }

    fn __getitem__<'py>(&self, python: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let size = self.range.len();
        if let Ok(slice) = index.cast::<PySlice>() {
            let found = slice.indices(size as isize)?;
            if found.step != 1 {
                return self.list(python)?.as_any().get_item(index);
            }
            let start = self.range.start + found.start as usize;
            let range = start..start + found.slicelength;
            return Ok(Bound::new(python, Column { range, ..self.over(self.kind) })?.into_any());
        }
        let index: isize = index.extract()?;
        let index = if index < 0 { index + size as isize } else { index };
        let record = usize::try_from(index).ok().and_then(|index| self.records().get(index));
        self.item(python, record.ok_or_else(|| PyIndexError::new_err("column index out of range"))?)
    }

    fn __iter__<'py>(&self, python: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.list(python)?.try_iter()?.into_any())
    }

    fn __contains__(&self, python: Python<'_>, wanted: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (Kind::Key | Kind::Value, Ok(bytes)) = (self.kind, wanted.cast::<PyBytes>()) else {
            return self.list(python)?.contains(wanted);
        };
        let wanted = Some(bytes.as_bytes());
        Ok(self.bytes(python).any(|found| found == wanted))
    }

    fn count(&self, python: Python<'_>, wanted: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.list(python)?.call_method1("count", (wanted,))?.extract()
    }

    #[pyo3(signature = (*wanted))]
    fn index(&self, python: Python<'_>, wanted: &Bound<'_, PyTuple>) -> PyResult<usize> {
        self.list(python)?.call_method1("index", wanted)?.extract()
    }

    fn __reversed__<'py>(&self, python: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.list(python)?.call_method0("__reversed__")
    }

    /// Bytes of all keys or values; how many headers there are; 0 for numbers.
    #[getter]
    fn weight(&self) -> u64 {
        let length = |range: &Option<Range<u32>>| range.as_ref().map_or(0, |range| u64::from(range.end - range.start));
        let records = self.records().iter();
        match self.kind {
            Kind::Key => records.map(|record| length(&record.key)).sum(),
            Kind::Value => records.map(|record| length(&record.value)).sum(),
            Kind::Headers => records.map(|record| u64::from(record.headers.0)).sum(),
            Kind::Offset | Kind::Time => 0,
        }
    }
}

/// (where to read on, offsets, keys, values, headers, timestamps): all columns of one fetch.
type Unpacked = (i64, Column, Column, Column, Column, Column);

/// Unpacks what a fetch brought of a partition from offset `start` on; None if it is for aiokafka to decide. `aborted`:
/// (first offset, producer) of the aborted transactions in it, sorted; None reads uncommitted records, too.
#[pyfunction]
#[pyo3(signature = (data, start, aborted, check_crcs))]
pub fn unpack_records(
    data: &Bound<'_, PyBytes>,
    start: i64,
    aborted: Option<Vec<(i64, i64)>>,
    check_crcs: bool,
) -> Option<Unpacked> {
    let bytes = data.as_bytes();
    let (next, records) = data.py().detach(|| unpack(bytes, start, aborted.as_deref(), check_crcs))?;
    let range = 0..records.len();
    let block = Arc::new(Block { data: data.clone().unbind(), records });
    let offsets = Column { block, kind: Kind::Offset, range };
    let (keys, values) = (offsets.over(Kind::Key), offsets.over(Kind::Value));
    let (headers, times) = (offsets.over(Kind::Headers), offsets.over(Kind::Time));
    Some((next, offsets, keys, values, headers, times))
}

/// Makes columns sequences to Python's eyes, and adds what this file gives to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    PySequence::register::<Column>(module.py())?;
    module.add_class::<Column>()?;
    module.add_function(wrap_pyfunction!(unpack_records, module)?)
}
