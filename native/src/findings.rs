//! Findings that come in numbers as columns of their table: of several with the same key the newest is retained. What a
//! row holds is defined by `streams/sinks/rows.py`. Only messages spelled as our rooms spell them are read here; at the first
//! other one everything is left to Python, what was retained is given back.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::columns::{Column, Layout};
use crate::decode::{field_from_python, Cursor, Undecided, FieldKind, FieldSpec, Row, Span};
use crate::records::Parts;

/// Digits of a version and of a hash; longer ones are for Python.
const VERSION_DIGITS: usize = 18;
const HASH_DIGITS: usize = 20;

/// What a field holds.
#[derive(Clone)]
enum Form {
    Text { min: u32, max: u32, plain: bool, choices: Vec<String> },
    Int { min: i64, max: i64, optional: bool },
    Bool,
    Texts { min: u32, max: u32, plain: bool },
    /// Hashes, of which only the number is retained.
    Hashes,
    Records(Vec<Field>),
}

#[derive(Clone)]
struct Field {
    name: String,
    /// What stands before the value: a comma unless it is the first, the name, a colon.
    prefix: String,
    form: Form,
}

/// A value of a message; lists are ranges of [`Parsed::texts`], records of [`Parsed::inner`].
#[derive(Clone, Copy)]
enum Cell {
    Text(Span),
    Int(Option<i64>),
    Texts(usize, usize),
    Records(usize, usize),
}

/// The values of one message.
#[derive(Default)]
struct Parsed {
    row: Vec<Cell>,
    inner: Vec<Cell>,
    texts: Vec<Span>,
    scratch: Vec<u8>,
}

impl Parsed {
    fn read(&mut self, fields: &[Field], start: &[u8], message: &[u8]) -> Result<(), Undecided> {
        self.row.clear();
        self.inner.clear();
        self.texts.clear();
        self.scratch.clear();
        let mut cursor = Cursor::new(message);
        cursor.literal(start)?;
        for field in fields {
            cursor.literal(field.prefix.as_bytes())?;
            let cell = match &field.form {
                Form::Records(inner) => self.records(inner, &mut cursor)?,
                form => self.cell(form, &mut cursor)?,
            };
            self.row.push(cell);
        }
        cursor.take(b'}')?;
        if cursor.at == message.len() { Ok(()) } else { Err(Undecided) }
    }

    fn records(&mut self, fields: &[Field], cursor: &mut Cursor) -> Result<Cell, Undecided> {
        let (from, mut count) = (self.inner.len(), 0);
        list(cursor, |cursor| {
            cursor.take(b'{')?;
            for field in fields {
                cursor.literal(field.prefix.as_bytes())?;
                let cell = self.cell(&field.form, cursor)?;
                self.inner.push(cell);
            }
            count += 1;
            cursor.take(b'}')
        })?;
        Ok(Cell::Records(from, count))
    }

    #[inline(always)]
    fn cell(&mut self, form: &Form, cursor: &mut Cursor) -> Result<Cell, Undecided> {
        match form {
            Form::Text { min, max, plain, choices } => {
                let span = cursor.text(*min, *max, *plain, &mut self.scratch)?;
                let text = |span: Span| span.of(cursor.message(), &self.scratch);
                let is_known = choices.is_empty() || choices.iter().any(|choice| choice.as_bytes() == text(span));
                if is_known { Ok(Cell::Text(span)) } else { Err(Undecided) }
            }
            Form::Int { optional: true, .. } if cursor.peek() == b'n' => {
                cursor.literal(b"null").map(|()| Cell::Int(None))
            }
            Form::Int { min, max, .. } => match cursor.int()? {
                number if (*min..=*max).contains(&number) => Ok(Cell::Int(Some(number))),
                _ => Err(Undecided),
            },
            Form::Bool if cursor.peek() == b't' => cursor.literal(b"true").map(|()| Cell::Int(Some(1))),
            Form::Bool => cursor.literal(b"false").map(|()| Cell::Int(Some(0))),
            Form::Texts { min, max, plain } => {
                let Parsed { texts, scratch, .. } = self;
                let from = texts.len();
                list(cursor, |cursor| cursor.text(*min, *max, *plain, scratch).map(|span| texts.push(span)))?;
                Ok(Cell::Texts(from, texts.len() - from))
            }
            Form::Hashes => {
                let mut count = 0;
                list(cursor, |cursor| {
                    count += 1;
                    let is_zero = cursor.peek() == b'0';
                    match cursor.digits(0).1 {
                        1 => Ok(()),
                        2..=HASH_DIGITS if !is_zero => Ok(()),
                        _ => Err(Undecided),
                    }
                })?;
                Ok(Cell::Int(Some(count)))
            }
            Form::Records(_) => Err(Undecided),
        }
    }

    fn texts_of(&self, from: usize, count: usize) -> &[Span] {
        &self.texts[from..from + count]
    }
}

/// A list with its brackets; `one` reads an element.
#[inline(always)]
fn list(cursor: &mut Cursor, mut one: impl FnMut(&mut Cursor) -> Result<(), Undecided>) -> Result<(), Undecided> {
    cursor.take(b'[')?;
    if cursor.peek() == b']' {
        return cursor.take(b']');
    }
    loop {
        one(cursor)?;
        match cursor.peek() {
            b',' => cursor.at += 1,
            _ => return cursor.take(b']'),
        }
    }
}

/// Where a column's values come from: a field, a field of the records of a list, or the version of the message.
#[derive(Clone, Copy, Debug)]
enum Source {
    Field(usize),
    Inner { list: usize, field: usize },
    Version,
}

/// How findings of one kind become rows.
#[derive(Clone)]
struct Plan {
    /// What every message of the kind begins with, and what messages of other kinds of the topic begin with.
    start: Vec<u8>,
    others: Vec<Vec<u8>>,
    fields: Vec<Field>,
    key: Vec<usize>,
    columns: Vec<(Source, Layout)>,
    /// The list whose every record is a row of its own.
    by: Option<usize>,
}

/// One field of `schemas.fieldspec.nested_specs`: name, form, limits of the value or of each element, fields of the
/// records of a list.
#[derive(FromPyObject)]
struct NestedRow<'py>(String, String, Option<Row<'py>>, Vec<(String, String, Option<Row<'py>>)>);

fn form_of(form: &str, row: Option<Row<'_>>) -> PyResult<Form> {
    let spec: Option<FieldSpec> = row.map(field_from_python).transpose()?;
    let (kind, optional) = spec.map(|spec| (spec.kind, spec.optional)).unzip();
    match (form, kind, optional.unwrap_or(false)) {
        ("one", Some(FieldKind::Text { min, max, plain }), false) => {
            Ok(Form::Text { min, max, plain, choices: Vec::new() })
        }
        ("one", Some(FieldKind::Choice { values }), false) if !values.is_empty() => {
            Ok(Form::Text { min: 0, max: u32::MAX, plain: true, choices: values })
        }
        ("one", Some(FieldKind::Int { min, max }), optional) => Ok(Form::Int { min, max, optional }),
        ("one", Some(FieldKind::Bool), false) => Ok(Form::Bool),
        ("list", Some(FieldKind::Text { min, max, plain }), false) => Ok(Form::Texts { min, max, plain }),
        ("list", Some(FieldKind::Int { min: i64::MIN, max: i64::MAX }), false) => Ok(Form::Hashes),
        _ => Err(PyValueError::new_err(format!("findings have no such field: {form}"))),
    }
}

fn fields_of<T>(rows: Vec<T>, is_first: bool, read: impl Fn(T) -> PyResult<(String, Form)>) -> PyResult<Vec<Field>> {
    let field = |(index, row): (usize, T)| {
        let (name, form) = read(row)?;
        let comma = if is_first && index == 0 { "" } else { "," };
        Ok(Field { prefix: format!("{comma}\"{name}\":"), name, form })
    };
    rows.into_iter().enumerate().map(field).collect()
}

fn index_of(fields: &[Field], name: &str) -> PyResult<usize> {
    let found = fields.iter().position(|field| field.name == name);
    found.ok_or_else(|| PyValueError::new_err(format!("no field {name}")))
}

/// How findings of one kind become rows of a table.
#[pyclass(module = "cxwatch_native", frozen)]
pub struct FindingPlan {
    plan: Plan,
}

#[pymethods]
impl FindingPlan {
    /// `fields`: see `schemas.fieldspec.nested_specs`; the limits of numbers are those of their columns, too. `columns`:
    /// ClickHouse type and origin of each, a field, `list.field`, or "@version". `key`: fields that tell findings apart.
    /// `by`: the list whose every record becomes a row, if any. `others`: other kinds of the topic.
    /// ValueError for what is unknown.
    #[new]
    #[pyo3(signature = (kind, fields, columns, key, by, others))]
    fn new(
        kind: &str,
        fields: Vec<NestedRow<'_>>,
        columns: Vec<(String, String)>,
        key: Vec<String>,
        by: Option<String>,
        others: Vec<String>,
    ) -> PyResult<FindingPlan> {
        let fields = fields_of(fields, false, |NestedRow(name, form, row, inner)| match form.as_str() {
            "records" => {
                let inner = fields_of(inner, true, |(name, form, row)| Ok((name, form_of(&form, row)?)))?;
                Ok((name, Form::Records(inner)))
            }
            form => Ok((name, form_of(form, row)?)),
        })?;
        let by = by.map(|name| index_of(&fields, &name)).transpose()?;
        let column = |(kind, from): (String, String)| Ok((source_of(&fields, &from)?, Layout::of(&kind)?));
        let columns: Vec<(Source, Layout)> = columns.into_iter().map(column).collect::<PyResult<_>>()?;
        if let Some((source, _)) = columns.iter().find(|(source, layout)| !fits(&fields, by, *source, *layout)) {
            return Err(PyValueError::new_err(format!("a column does not fit its origin: {source:?}")));
        }
        let key = key.iter().map(|name| index_of(&fields, name)).collect::<PyResult<Vec<_>>>()?;
        if key.iter().any(|&index| !matches!(fields[index].form, Form::Text { .. } | Form::Int { .. })) {
            return Err(PyValueError::new_err("keys are texts and numbers"));
        }
        let start = |kind: &str| format!("{{\"kind\":\"{kind}\"").into_bytes();
        let others = others.iter().map(|kind| start(kind)).collect();
        Ok(FindingPlan { plan: Plan { start: start(kind), others, fields, key, columns, by } })
    }

    /// No findings yet.
    fn start(&self) -> Findings {
        let (plan, parsed) = (self.plan.clone(), Parsed::default());
        Findings { plan, parsed, bytes: Vec::new(), retained: Vec::new(), indexes: HashMap::new() }
    }
}

fn source_of(fields: &[Field], from: &str) -> PyResult<Source> {
    if from == "@version" {
        return Ok(Source::Version);
    }
    let Some((list, inner)) = from.split_once('.') else {
        return Ok(Source::Field(index_of(fields, from)?));
    };
    let list = index_of(fields, list)?;
    match &fields[list].form {
        Form::Records(of) => Ok(Source::Inner { list, field: index_of(of, inner)? }),
        _ => Err(PyValueError::new_err(format!("no list of records: {from}"))),
    }
}

/// True if the layout takes what comes from there: single values of a list only if its records are rows.
fn fits(fields: &[Field], by: Option<usize>, source: Source, layout: Layout) -> bool {
    let (form, is_row) = match source {
        Source::Version => return layout == Layout::Whole { width: 8, nullable: false },
        Source::Field(field) => (&fields[field].form, true),
        Source::Inner { list, field } => match &fields[list].form {
            Form::Records(inner) => (&inner[field].form, by == Some(list)),
            _ => return false,
        },
    };
    match (form, layout) {
        (Form::Texts { .. }, Layout::Lists) => !is_row,
        (Form::Texts { .. }, Layout::Texts { .. }) | (Form::Text { .. }, Layout::Text | Layout::Word) => is_row,
        (Form::Int { optional, .. }, Layout::Whole { nullable, .. }) => is_row && (nullable || !optional),
        (Form::Records(inner), Layout::Money) => match inner.as_slice() {
            [currency, minor] => {
                matches!(currency.form, Form::Text { .. }) && matches!(minor.form, Form::Int { optional: false, .. })
            }
            _ => false,
        },
        (Form::Bool | Form::Hashes, Layout::Whole { nullable, .. }) => is_row && !nullable,
        _ => false,
    }
}

/// The newest finding of a key: its version, and where its message lies.
struct Retained {
    version: i64,
    from: usize,
    to: usize,
}

/// Findings of one kind.
#[pyclass(module = "cxwatch_native")]
pub struct Findings {
    plan: Plan,
    parsed: Parsed,
    bytes: Vec<u8>,
    retained: Vec<Retained>,
    indexes: HashMap<Vec<u8>, usize>,
}

#[pymethods]
impl Findings {
    /// Takes messages up to the first that is for Python to read. Gives (rows they would be, indexes of messages of other
    /// kinds, where it stopped); messages longer than `max_bytes`, or without a version under `name`, are for Python.
    fn add(&mut self, part: &Bound<'_, PyAny>, name: &str, max_bytes: usize) -> PyResult<(usize, Vec<usize>, usize)> {
        let values = Parts::of(part, "values")?;
        let values = values.bytes();
        let versions = Parts::of(part, "headers")?.only_header(name, version_of)?;
        if versions.len() != values.len() {
            return Err(PyValueError::new_err("parallel lists of different lengths"));
        }
        Ok(part.py().detach(|| {
            let (mut rows, mut others) = (0, Vec::new());
            for (index, value) in values.iter().enumerate() {
                let Some(message) = value.filter(|value| value.len() <= max_bytes) else {
                    return (rows, others, index);
                };
                if self.plan.others.iter().any(|start| message.starts_with(start)) {
                    others.push(index);
                    continue;
                }
                let Some(version) = versions[index] else { return (rows, others, index) };
                match self.take(message, version) {
                    Ok(more) => rows += more,
                    Err(Undecided) => return (rows, others, index),
                }
            }
            (rows, others, values.len())
        }))
    }

    /// Gives back the (message, version) pairs that were retained; afterwards there are none.
    fn give_back<'py>(&mut self, python: Python<'py>) -> Vec<(Bound<'py, PyBytes>, i64)> {
        let bytes = std::mem::take(&mut self.bytes);
        self.indexes.clear();
        let retained = self.retained.drain(..);
        retained.map(|entry| (PyBytes::new(python, &bytes[entry.from..entry.to]), entry.version)).collect()
    }

    /// (rows, bytes of every column).
    fn columns<'py>(&mut self, python: Python<'py>) -> PyResult<(usize, Bound<'py, PyList>)> {
        let (rows, columns) = python.detach(|| self.write());
        Ok((rows, PyList::new(python, columns.iter().map(|bytes| PyBytes::new(python, bytes)))?))
    }
}

/// The version that a header holds; None if it holds anything else.
fn version_of(digits: &[u8]) -> Option<i64> {
    let is_number = (1..=VERSION_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

impl Findings {
    fn take(&mut self, message: &[u8], version: i64) -> Result<usize, Undecided> {
        let Findings { plan, parsed, bytes, retained, indexes } = self;
        parsed.read(&plan.fields, &plan.start, message)?;
        let mut key = Vec::with_capacity(64);
        for &index in &plan.key {
            match parsed.row[index] {
                Cell::Text(span) => {
                    let text = span.of(message, &parsed.scratch);
                    key.extend((text.len() as u32).to_le_bytes());
                    key.extend(text);
                }
                Cell::Int(number) => key.extend(number.unwrap_or(i64::MIN).to_le_bytes()),
                _ => return Err(Undecided),
            }
        }
        let rows = match plan.by.map(|list| parsed.row[list]) {
            Some(Cell::Records(_, count)) => count,
            _ => 1,
        };
        let index = *indexes.entry(key).or_insert(retained.len());
        if retained.get(index).is_some_and(|entry| entry.version > version) {
            return Ok(rows);
        }
        let newest = Retained { version, from: bytes.len(), to: bytes.len() + message.len() };
        bytes.extend(message);
        match retained.get_mut(index) {
            Some(entry) => *entry = newest,
            None => retained.push(newest),
        }
        Ok(rows)
    }

    fn write(&mut self) -> (usize, Vec<Vec<u8>>) {
        let Findings { plan, parsed, bytes, retained, .. } = self;
        let mut columns: Vec<Column> = plan.columns.iter().map(|(_, layout)| Column::new(*layout)).collect();
        let mut rows = 0;
        for entry in retained.iter() {
            let message = &bytes[entry.from..entry.to];
            if parsed.read(&plan.fields, &plan.start, message).is_err() {
                continue; // it was read before
            }
            let (from, count, width) = match plan.by.map(|list| (parsed.row[list], &plan.fields[list].form)) {
                Some((Cell::Records(from, count), Form::Records(inner))) => (from, count, inner.len()),
                _ => (0, 1, 0),
            };
            for row in 0..count {
                let leaf = from + row * width;
                for ((source, _), column) in plan.columns.iter().zip(&mut columns) {
                    put(parsed, plan, message, entry.version, leaf, *source, column);
                }
            }
            rows += count;
        }
        (rows, columns.iter().map(Column::bytes).collect())
    }
}

/// Append one value of a message; `leaf` is where the record of the row begins, if its records are rows.
#[inline(always)]
fn put(parsed: &Parsed, plan: &Plan, message: &[u8], version: i64, leaf: usize, source: Source, column: &mut Column) {
    let texts = |from, count| parsed.texts_of(from, count).iter().map(|span| span.of(message, &parsed.scratch));
    let cell = match source {
        Source::Version => Cell::Int(Some(version)),
        Source::Field(field) => parsed.row[field],
        Source::Inner { list, field } if plan.by == Some(list) => parsed.inner[leaf + field],
        Source::Inner { list, field } => {
            if let (Cell::Records(from, count), Form::Records(inner)) = (parsed.row[list], &plan.fields[list].form) {
                for record in 0..count {
                    if let Cell::Texts(from, count) = parsed.inner[from + record * inner.len() + field] {
                        column.inner(texts(from, count));
                    }
                }
            }
            return column.outer();
        }
    };
    match cell {
        Cell::Text(span) => column.text(span.of(message, &parsed.scratch)),
        Cell::Int(number) => column.whole(number),
        Cell::Texts(from, count) => column.texts(texts(from, count)),
        Cell::Records(from, count) => column.money((0..count).filter_map(|record| {
            match parsed.inner[from + 2 * record..][..2] {
                [Cell::Text(currency), Cell::Int(Some(minor))] => Some((currency.of(message, &parsed.scratch), minor)),
                _ => None, // a plan whose columns do not fit is not made
            }
        })),
    }
}
