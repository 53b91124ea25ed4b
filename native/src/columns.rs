//! Columns of a ClickHouse table as the server reads them (Native format), filled from undecoded messages. What a row
//! holds is defined by `streams/sinks/rows.py`; messages that are left undecided are named and left to it.

use hashbrown::HashTable;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use xxhash_rust::xxh3::xxh3_64;

use crate::decode::{spec_from_python, Spec, Value};
use crate::pack::push_leb128;
use crate::records::Parts;
use crate::Offsets;

/// Version of the serialisation of dictionaries that servers read.
const KEYS_VERSION: u64 = 1;
/// The block brings its own keys (bit 9), and they replace those of the block before (bit 10).
const OWN_KEYS: u64 = 1 << 9 | 1 << 10;

/// Where a column's values come from.
#[derive(Clone, Copy)]
enum Source {
    Field(usize),
    Topic,
    Partition,
    Offset,
}

/// How a column is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Text,
    Word,
    /// An integer in so many bytes, little endian.
    Whole { width: usize, nullable: bool },
    Real { nullable: bool },
    /// Lists of texts; `word`: of a dictionary.
    Texts { word: bool },
    /// Lists of lists of texts.
    Lists,
    /// Maps of names, of a dictionary, to texts.
    Pairs,
    /// Lists of amounts: a currency of a dictionary and an integer in 8 bytes each.
    Money,
}

const MONEY: &str = "Array(Tuple(currency LowCardinality(String), minor Int64))";

impl Layout {
    /// The layout of a ClickHouse type. ValueError for one that is not written here.
    pub fn of(kind: &str) -> PyResult<Layout> {
        let inner = kind.strip_prefix("Nullable(").and_then(|rest| rest.strip_suffix(')'));
        let nullable = inner.is_some();
        match inner.unwrap_or(kind) {
            "String" if !nullable => Ok(Layout::Text),
            "LowCardinality(String)" if !nullable => Ok(Layout::Word),
            "Array(String)" => Ok(Layout::Texts { word: false }),
            "Array(LowCardinality(String))" => Ok(Layout::Texts { word: true }),
            "Array(Array(String))" => Ok(Layout::Lists),
            "Map(LowCardinality(String), String)" => Ok(Layout::Pairs),
            MONEY => Ok(Layout::Money),
            "Bool" if !nullable => Ok(Layout::Whole { width: 1, nullable }),
            "UInt8" => Ok(Layout::Whole { width: 1, nullable }),
            "UInt32" => Ok(Layout::Whole { width: 4, nullable }),
            "Int64" | "UInt64" | "DateTime64(3, 'UTC')" => Ok(Layout::Whole { width: 8, nullable }),
            "Float64" => Ok(Layout::Real { nullable }),
            _ => Err(PyValueError::new_err(format!("no columns of type {kind} are written here"))),
        }
    }
}

/// Distinct texts of a column, in the order met, and which of them each row has.
#[derive(Default)]
struct Dictionary {
    found: HashTable<u32>,
    /// Start and end of each text in `texts`.
    spans: Vec<(usize, usize)>,
    /// The texts, each behind its length.
    texts: Vec<u8>,
    keys: Vec<u32>,
}

impl Dictionary {
    fn push(&mut self, text: &[u8]) {
        let Dictionary { found, spans, texts, keys } = self;
        let at = |key: u32| spans[key as usize];
        let hash = xxh3_64(text);
        if let Some(&key) = found.find(hash, |&key| &texts[at(key).0..at(key).1] == text) {
            keys.push(key);
            return;
        }
        let key = spans.len() as u32;
        found.insert_unique(hash, key, |&key| xxh3_64(&texts[at(key).0..at(key).1]));
        put_text(texts, text);
        spans.push((texts.len() - text.len(), texts.len()));
        keys.push(key);
    }

    /// Everything behind the version, which in lists stands before their sizes; nothing if there is no value.
    fn write(&self, out: &mut Vec<u8>) {
        if self.keys.is_empty() {
            return;
        }
        let width = match self.spans.len() {
            0..=0x100 => 0,
            0x101..=0x1_0000 => 1,
            _ => 2u64,
        };
        out.reserve(self.texts.len() + (self.keys.len() << width) + 24);
        out.extend((OWN_KEYS | width).to_le_bytes());
        out.extend((self.spans.len() as u64).to_le_bytes());
        out.extend(&self.texts);
        out.extend((self.keys.len() as u64).to_le_bytes());
        match width {
            0 => out.extend(self.keys.iter().map(|&key| key as u8)),
            1 => self.keys.iter().for_each(|&key| out.extend((key as u16).to_le_bytes())),
            _ => self.keys.iter().for_each(|&key| out.extend(key.to_le_bytes())),
        }
    }
}

/// A text behind its length.
fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    push_leb128(out, text.len() as u64);
    out.extend(text);
}

/// The values of one column so far. A null is marked in `nulls` and has a zero among the values.
pub struct Column {
    layout: Layout,
    nulls: Vec<u8>,
    /// Where each list ends among the values, and each inner list.
    ends: Vec<u8>,
    inner_ends: Vec<u8>,
    lists: u64,
    texts: u64,
    values: Vec<u8>,
    words: Dictionary,
}

impl Column {
    pub fn new(layout: Layout) -> Column {
        let (nulls, ends, inner_ends, values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Column { layout, nulls, ends, inner_ends, lists: 0, texts: 0, values, words: Dictionary::default() }
    }

    pub fn text(&mut self, text: &[u8]) {
        match self.layout {
            Layout::Word | Layout::Texts { word: true } => self.words.push(text),
            _ => put_text(&mut self.values, text),
        }
    }

    pub fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.texts += texts.len() as u64;
        texts.for_each(|text| self.text(text));
        self.ends.extend(self.texts.to_le_bytes());
    }

    /// A list of amounts: currency and minor units.
    pub fn money<'a>(&mut self, amounts: impl Iterator<Item = (&'a [u8], i64)>) {
        for (currency, minor) in amounts {
            self.texts += 1;
            self.words.push(currency);
            self.values.extend(minor.to_le_bytes());
        }
        self.ends.extend(self.texts.to_le_bytes());
    }

    /// One of the lists that make up a list of lists.
    pub fn inner<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.texts += texts.len() as u64;
        self.lists += 1;
        texts.for_each(|text| self.text(text));
        self.inner_ends.extend(self.texts.to_le_bytes());
    }

    /// A map: names and values in turn.
    pub fn pairs<'a>(&mut self, mut texts: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.texts += texts.len() as u64 / 2;
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            self.words.push(name);
            put_text(&mut self.values, value);
        }
        self.ends.extend(self.texts.to_le_bytes());
    }

    /// The end of a list of lists.
    pub fn outer(&mut self) {
        self.ends.extend(self.lists.to_le_bytes());
    }

    fn bits(&mut self, bits: Option<[u8; 8]>, width: usize, nullable: bool) {
        if nullable {
            self.nulls.push(u8::from(bits.is_none()));
        }
        self.values.extend(&bits.unwrap_or_default()[..width]);
    }

    pub fn whole(&mut self, number: Option<i64>) {
        if let Layout::Whole { width, nullable } = self.layout {
            self.bits(number.map(i64::to_le_bytes), width, nullable);
        }
    }

    fn real(&mut self, number: Option<f64>) {
        if let Layout::Real { nullable } = self.layout {
            self.bits(number.map(f64::to_le_bytes), 8, nullable);
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if matches!(self.layout, Layout::Word | Layout::Texts { word: true } | Layout::Pairs | Layout::Money) {
            out.extend(KEYS_VERSION.to_le_bytes());
            out.extend(&self.ends);
            self.words.write(&mut out);
            out.extend(&self.values);
            return out;
        }
        let parts = [&self.nulls, &self.ends, &self.inner_ends, &self.values];
        out.reserve_exact(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| out.extend(*part));
        out
    }
}

/// What raw copies of one topic look like: its fields, and the columns of its table.
#[pyclass(module = "cxwatch_native", frozen)]
pub struct CopyPlan {
    spec: Spec,
    topic: String,
    columns: Vec<(Source, Layout)>,
}

#[pymethods]
impl CopyPlan {
    /// `fields`: the table of `schemas.fieldspec`. `columns`: per column its ClickHouse type and where it comes from,
    /// the name of a field or one of "@topic", "@partition", "@offset"; the caller has checked that all values fit.
    /// ValueError for a field or type that is unknown.
    #[new]
    fn new(topic: String, fields: &Bound<'_, PyAny>, columns: Vec<(String, String)>) -> PyResult<CopyPlan> {
        let spec = spec_from_python(fields)?;
        let read = |(kind, from): (String, String)| {
            let source = match from.as_str() {
                "@topic" => Source::Topic,
                "@partition" => Source::Partition,
                "@offset" => Source::Offset,
                name => Source::Field(
                    spec.index_of(name).ok_or_else(|| PyValueError::new_err(format!("no field {name}")))?,
                ),
            };
            match Layout::of(&kind)? {
                Layout::Lists | Layout::Money => {
                    Err(PyValueError::new_err(format!("raw copies have no columns of type {kind}")))
                }
                layout => Ok((source, layout)),
            }
        };
        let columns = columns.into_iter().map(read).collect::<PyResult<_>>()?;
        Ok(CopyPlan { spec, topic, columns })
    }

    /// Columns without rows.
    fn start(&self) -> Copies {
        let column = |&(source, layout): &(Source, Layout)| (source, Column::new(layout));
        Copies {
            spec: self.spec.clone(),
            topic: self.topic.clone(),
            columns: self.columns.iter().map(column).collect(),
            rows: 0,
        }
    }
}

/// Columns of copies of one topic.
#[pyclass(module = "cxwatch_native")]
pub struct Copies {
    spec: Spec,
    topic: String,
    columns: Vec<(Source, Column)>,
    rows: usize,
}

#[pymethods]
impl Copies {
    #[getter]
    fn rows(&self) -> usize {
        self.rows
    }

    /// Appends a row for every message that is decided here; gives the indexes of the others, for the reference
    /// implementation: those without a value, longer than `max_bytes`, or with the key `stop_key`, among them.
    fn add(
        &mut self,
        part: &Bound<'_, PyAny>,
        partition: i64,
        max_bytes: usize,
        stop_key: &[u8],
    ) -> PyResult<Vec<usize>> {
        let (values, keys) = (Parts::of(part, "values")?, Parts::of(part, "keys")?);
        let offsets = Offsets::read(&part.getattr("offsets")?)?;
        let (values, keys) = (values.bytes(), keys.bytes());
        if keys.len() != values.len() {
            return Err(PyValueError::new_err("parallel lists of different lengths"));
        }
        Ok(part.py().detach(|| {
            let (mut row, mut scratch, mut left) = (Vec::new(), Vec::new(), Vec::new());
            for (index, value) in values.iter().enumerate() {
                let taken = value
                    .filter(|value| value.len() <= max_bytes && keys[index] != Some(stop_key))
                    .filter(|value| self.spec.decode(value, &mut row, &mut scratch).is_ok());
                match taken {
                    Some(message) => self.append(message, &row, &scratch, partition, offsets.at(index)),
                    None => left.push(index),
                }
            }
            left
        }))
    }

    /// The bytes of every column.
    fn columns<'py>(&self, python: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let columns = python.detach(|| self.columns.iter().map(|(_, column)| column.bytes()).collect::<Vec<_>>());
        PyList::new(python, columns.iter().map(|bytes| PyBytes::new(python, bytes)))
    }
}

impl Copies {
    fn append(&mut self, message: &[u8], row: &[Value], scratch: &[u8], partition: i64, offset: i64) {
        let Copies { spec, topic, columns, rows } = self;
        for (source, column) in columns {
            match *source {
                Source::Topic => column.text(topic.as_bytes()),
                Source::Partition => column.whole(Some(partition)),
                Source::Offset => column.whole(Some(offset)),
                Source::Field(field) => match (column.layout, row[field]) {
                    // An absent text is stored as an empty one.
                    (Layout::Text | Layout::Word, value) => {
                        column.text(spec.bytes(field, value, message, scratch).unwrap_or_default());
                    }
                    (Layout::Whole { .. }, value) => column.whole(spec.int(field, value)),
                    (Layout::Texts { .. }, value) => column.texts(spec.parts(value, message, scratch)),
                    (Layout::Pairs, value) => column.pairs(spec.parts(value, message, scratch)),
                    (Layout::Real { .. }, Value::Float(number)) => column.real(Some(number)),
                    (_, _) => column.real(None),
                },
            }
        }
        *rows += 1;
    }
}
