//! Strict decoder of flat JSON records, driven by a table of fields made from the pydantic models
//! (`schemas/fieldspec.py`).
//!
//! What is accepted is defined by the reference implementation, `schemas/reference.py`. This decoder may only be
//! stricter: whatever is not certain is answered with [`Undecided`], and Python decides. It checks the grammar of RFC
//! 8259 everywhere, also inside unknown fields.
//!
//! Where the time goes, and what is done about it (a message of 325 bytes has about 28 strings of 5 to 20 bytes):
//! * names: fields mostly come in the order of the message before, so a name is first compared with the one that came
//!   next last time; only a wrong guess costs a hash;
//! * texts: scanned 16 bytes at a time up to the first byte that is not plain printable ASCII; anything else takes a
//!   longer way, and only then is the message checked for UTF-8 (outside strings the grammar admits ASCII alone);
//! * nothing is allocated or copied: a value is a span of the message, or of `scratch` where escapes were undone.

mod cursor;
mod python;
mod scan;
#[cfg(test)]
mod tests;

use crate::wire::{DRILL_LINES, DRILL_ORIGIN, DRILL_PREFIX, DRILL_SOURCE};

pub(crate) use cursor::Cursor;
pub(crate) use python::{decode_rows, field_from_python, spec_from_python, Row};

/// The message is wrong, or for the reference implementation to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided;

/// Type and limits of a field; all limits are inclusive.
#[derive(Clone, Debug)]
pub enum FieldKind {
    /// Lengths in code points. `plain` refuses what `schemas.events.PLAIN_TEXT` refuses, otherwise only NUL is refused.
    Text { min: u32, max: u32, plain: bool },
    Choice { values: Vec<String> },
    Int { min: i64, max: i64 },
    Float { min: f64, max: f64 },
    Bool,
    /// An object of so many texts by name.
    Map { min: u32, max: u32, name: TextLimits, value: TextLimits },
    /// A list of so many texts.
    Texts { min: u32, max: u32, element: TextLimits },
}

/// Limits of a text in a map or a list, as those of [`FieldKind::Text`].
#[derive(Clone, Copy, Debug)]
pub struct TextLimits {
    pub min: u32,
    pub max: u32,
    pub plain: bool,
}

/// What an absent field means.
#[derive(Clone, Debug)]
pub enum Default {
    Required,
    None,
    Text(String),
    Int(i64),
    /// A map or a list without entries.
    Empty,
}

/// One field of a record. `optional` allows null.
#[derive(Clone, Debug)]
pub struct FieldSpec {
    pub name: String,
    pub kind: FieldKind,
    pub optional: bool,
    pub default: Default,
}

/// A span of the message, or in the scratch buffer if escapes had to be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
    scratch: bool,
}

impl Span {
    /// The bytes of the span; both buffers must be those it was read with.
    #[inline]
    pub fn of<'a>(self, message: &'a [u8], scratch: &'a [u8]) -> &'a [u8] {
        let from = if self.scratch { scratch } else { message };
        &from[self.start as usize..self.start as usize + self.len as usize]
    }
}

/// The value of one field; a choice is the index of its value in the field's list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Missing,
    Null,
    Text(Span),
    Choice(u16),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// The texts of a list, or of a map, name and value in turn: so many from a place on among [`Spec::parts`].
    Parts { first: u32, count: u32 },
}

/// Names that the reference looks at before the model does; a record type that lists one as a field owns it.
const RESERVED: [&[u8]; 4] = [b"schema_version", b"specversion", b"data", b"kind"];
/// Fields of a record and unknown fields of a message; more are for the reference implementation.
const MAX_FIELDS: usize = 64;
const MAX_UNKNOWN: usize = 32;
/// Room for `"name":` in the form that is compared 16 bytes at a time.
const QUOTED: usize = 32;
/// A choice as its length, its first eight bytes and the whole.
#[derive(Clone)]
struct Choice {
    head: u64,
    text: String,
}

#[derive(Clone)]
enum Kind {
    Text { min: u32, max: u32, plain: bool },
    Choice(Vec<Choice>),
    Int { min: i64, max: i64 },
    Float { min: f64, max: f64 },
    Bool,
    /// In a box, so that the common kinds stay small.
    Many(Box<Many>),
}

/// A map or a list of texts, with the lowest and highest number of entries.
#[derive(Clone)]
enum Many {
    Map { sizes: (u32, u32), name: TextLimits, value: TextLimits },
    Texts { sizes: (u32, u32), element: TextLimits },
}

#[derive(Clone)]
struct Field {
    /// `"name":` padded with zeros, and its length (0: too long for the quick comparison).
    quoted: [u8; QUOTED],
    length: usize,
    kind: Kind,
    optional: bool,
    name: String,
    default: Default,
}

/// The fields of one record type, made ready for [`Spec::decode`].
#[derive(Clone)]
pub struct Spec {
    fields: Vec<Field>,
    required: u64,
    /// Open addressing by [`hash`]: index of a field + 1, or 0.
    table: Vec<u8>,
    /// The field that came after field `i` last time; the last entry: the field that came first.
    next: Vec<u8>,
    /// Names of unknown fields of the present message: start, length.
    unknown: Vec<(usize, usize)>,
    /// Texts of the maps and lists of the present message.
    parts: Vec<Span>,
    /// Customer, product, source and origin, of a record type that has all of them: an event.
    marks: Option<[usize; 4]>,
}

impl Spec {
    /// Prepare a record type. One with more than 64 fields, or equal names, refuses every message.
    pub fn new(fields: Vec<FieldSpec>) -> Spec {
        let mut spec = Spec {
            fields: Vec::new(),
            required: 0,
            table: vec![0; 256],
            next: Vec::new(),
            unknown: Vec::new(),
            parts: Vec::new(),
            marks: None,
        };
        let names: std::collections::HashSet<_> = fields.iter().map(|field| field.name.clone()).collect();
        if fields.len() > MAX_FIELDS || names.len() < fields.len() {
            return spec;
        }
        for (index, field) in fields.into_iter().enumerate() {
            if matches!(field.default, Default::Required) {
                spec.required |= 1 << index;
            }
            let mut slot = hash(field.name.as_bytes());
            while spec.table[slot] != 0 {
                slot = (slot + 1) & 255;
            }
            spec.table[slot] = index as u8 + 1;
            spec.next.push(index as u8 + 1);
            spec.fields.push(Field::new(field));
        }
        let last = spec.fields.len().saturating_sub(1);
        if let Some(next) = spec.next.last_mut() {
            *next = last as u8;
        }
        spec.next.push(0);
        let [customer, product, source, origin] =
            ["customer_id", "product", "source", "origin"].map(|name| spec.index_of(name));
        spec.marks = customer.zip(product).zip(source.zip(origin)).map(|((a, b), (c, d))| [a, b, c, d]);
        spec
    }

    /// Place of a field in the rows.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// True for a field that is a map or a list of texts.
    pub fn holds_texts(&self, field: usize) -> bool {
        matches!(self.fields[field].kind, Kind::Many(_))
    }

    /// Fill `row` with one value per field (absent ones are `Missing`, required ones never) and return the number of
    /// unknown fields. `row` and `scratch` are emptied first; after `Undecided` their content means nothing.
    pub fn decode(&mut self, message: &[u8], row: &mut Vec<Value>, scratch: &mut Vec<u8>) -> Result<u32, Undecided> {
        row.clear();
        row.resize(self.fields.len(), Value::Missing);
        scratch.clear();
        self.unknown.clear();
        self.parts.clear();
        if self.fields.is_empty() || message.len() > u32::MAX as usize / 2 {
            return Err(Undecided);
        }
        let mut cursor = Cursor::new(message);
        cursor.skip_space();
        cursor.take(b'{')?;
        cursor.skip_space();
        let mut seen = 0u64;
        let mut before = self.fields.len();
        if cursor.peek() != b'}' {
            loop {
                match self.name(&mut cursor, before)? {
                    Some(field) => {
                        if seen & (1 << field) != 0 {
                            return Err(Undecided);
                        }
                        seen |= 1 << field;
                        before = field;
                        row[field] = self.fields[field].value(&mut cursor, scratch, &mut self.parts)?;
                    }
                    None => cursor.skip_value()?,
                }
                match cursor.solid() {
                    b',' => cursor.at += 1,
                    b'}' => break,
                    _ => return Err(Undecided),
                }
                cursor.skip_space();
            }
        }
        cursor.at += 1;
        cursor.skip_space();
        if cursor.at != message.len() || seen & self.required != self.required {
            return Err(Undecided);
        }
        match self.marks {
            Some(marks) if self.is_half_drill(marks, row, message, scratch) => Err(Undecided),
            _ => Ok(self.unknown.len() as u32),
        }
    }

    /// True for an event that has some of a drill's names but not all of them; `schemas.drills` explains it.
    #[inline]
    fn is_half_drill(&self, marks: [usize; 4], row: &[Value], message: &[u8], scratch: &[u8]) -> bool {
        let text = |field: usize| self.bytes(field, row[field], message, scratch).unwrap_or_default();
        let [customer, product, source, origin] = marks;
        let is_nobody = text(customer).starts_with(DRILL_PREFIX.as_bytes());
        let is_source = text(source) == DRILL_SOURCE.as_bytes();
        if !(is_nobody || is_source || text(product).starts_with(DRILL_PREFIX.as_bytes())) {
            return false;
        }
        let is_line = DRILL_LINES.iter().any(|line| text(product) == line.as_bytes());
        !(is_nobody && is_source && is_line && text(origin) == DRILL_ORIGIN.as_bytes())
    }

    /// Read a name with its colon; None for an unknown one. `before` is the known field before it.
    #[inline(always)]
    fn name(&mut self, cursor: &mut Cursor, before: usize) -> Result<Option<usize>, Undecided> {
        let guess = self.next[before] as usize;
        if self.fields[guess].is_at(cursor.message, cursor.at) {
            cursor.at += self.fields[guess].length;
            cursor.skip_space();
            return Ok(Some(guess));
        }
        // An optional field that was there last time and is not there now.
        let skipped = self.next[guess] as usize;
        if self.fields[skipped].is_at(cursor.message, cursor.at) {
            cursor.at += self.fields[skipped].length;
            cursor.skip_space();
            return Ok(Some(skipped));
        }
        self.name_by_hash(cursor, before)
    }

    #[inline(never)]
    fn name_by_hash(&mut self, cursor: &mut Cursor, before: usize) -> Result<Option<usize>, Undecided> {
        cursor.take(b'"')?;
        let start = cursor.at;
        let (end, escaped) = cursor.skip_string()?;
        if escaped {
            return Err(Undecided);
        }
        let name = &cursor.message[start..end];
        cursor.skip_space();
        cursor.take(b':')?;
        cursor.skip_space();
        let mut slot = hash(name);
        while self.table[slot] != 0 {
            let field = self.table[slot] as usize - 1;
            if self.fields[field].name.as_bytes() == name {
                self.next[before] = field as u8;
                return Ok(Some(field));
            }
            slot = (slot + 1) & 255;
        }
        let is_repeated = self.unknown.iter().any(|&(at, length)| &cursor.message[at..at + length] == name);
        if RESERVED.contains(&name) || is_repeated || self.unknown.len() == MAX_UNKNOWN {
            return Err(Undecided);
        }
        self.unknown.push((start, name.len()));
        Ok(None)
    }

    /// The text of a value as bytes (UTF-8): a text, the name of a choice, or the default of an absent field. None for
    /// null. `message` and `scratch` must be those of the call of [`Spec::decode`] that gave `value`.
    #[inline]
    pub fn bytes<'a>(&'a self, field: usize, value: Value, message: &'a [u8], scratch: &'a [u8]) -> Option<&'a [u8]> {
        match value {
            Value::Text(span) => Some(span.of(message, scratch)),
            Value::Choice(index) => match &self.fields[field].kind {
                Kind::Choice(values) => Some(values[index as usize].text.as_bytes()),
                _ => None,
            },
            Value::Missing => match &self.fields[field].default {
                Default::Text(text) => Some(text.as_bytes()),
                _ => None,
            },
            _ => None,
        }
    }

    /// The texts of a list, or of a map, name and value in turn; none for an absent one. `message` and `scratch` as for
    /// [`Spec::bytes`]; only the message that was decoded last has any.
    #[inline]
    pub fn parts<'a>(
        &'a self,
        value: Value,
        message: &'a [u8],
        scratch: &'a [u8],
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let found = match value {
            Value::Parts { first, count } => &self.parts[first as usize..(first + count) as usize],
            _ => &[],
        };
        found.iter().map(move |span| span.of(message, scratch))
    }

    /// [`Spec::bytes`] as text. Panics if the buffers are not those that the value came from.
    #[inline]
    pub fn text<'a>(&'a self, field: usize, value: Value, message: &'a [u8], scratch: &'a [u8]) -> Option<&'a str> {
        self.bytes(field, value, message, scratch).map(|bytes| std::str::from_utf8(bytes).expect("the value's own buffers"))
    }

    /// The integer of a value, or the default of an absent field; None for null.
    #[inline]
    pub fn int(&self, field: usize, value: Value) -> Option<i64> {
        match (value, &self.fields[field].default) {
            (Value::Int(number), _) => Some(number),
            (Value::Missing, Default::Int(number)) => Some(*number),
            _ => None,
        }
    }
}

/// Slot of a name in a table of 256.
#[inline]
fn hash(name: &[u8]) -> usize {
    let mut state = name.len() as u64;
    for chunk in name.chunks(8) {
        state = (state.rotate_left(5) ^ head(chunk)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    (state >> 56) as usize
}

/// The first eight bytes as a number, padded with zeros.
#[inline]
fn head(text: &[u8]) -> u64 {
    match text.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => text.iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte)),
    }
}

impl Field {
    fn new(spec: FieldSpec) -> Field {
        let text = format!("\"{}\":", spec.name);
        let mut quoted = [0; QUOTED];
        // A name that JSON has to escape is left to the hash, which refuses escapes: such a field is never found.
        let is_quick = text.len() <= QUOTED && spec.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let length = if is_quick { text.len() } else { 0 };
        quoted[..length].copy_from_slice(&text.as_bytes()[..length]);
        let kind = match spec.kind {
            FieldKind::Text { min, max, plain } => Kind::Text { min, max, plain },
            FieldKind::Choice { values } => {
                Kind::Choice(values.into_iter().map(|text| Choice { head: head(text.as_bytes()), text }).collect())
            }
            FieldKind::Int { min, max } => Kind::Int { min, max },
            FieldKind::Float { min, max } => Kind::Float { min, max },
            FieldKind::Bool => Kind::Bool,
            FieldKind::Map { min, max, name, value } => {
                Kind::Many(Box::new(Many::Map { sizes: (min, max), name, value }))
            }
            FieldKind::Texts { min, max, element } => Kind::Many(Box::new(Many::Texts { sizes: (min, max), element })),
        };
        Field { quoted, length, kind, optional: spec.optional, name: spec.name, default: spec.default }
    }

    /// True if the message goes on with `"name":`.
    #[inline(always)]
    fn is_at(&self, message: &[u8], at: usize) -> bool {
        if self.length == 0 {
            return false;
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(window) = message.get(at..at + QUOTED) {
            return scan::sse2::starts_with(window.first_chunk().expect("32 bytes"), &self.quoted, self.length);
        }
        message.get(at..at + self.length) == Some(&self.quoted[..self.length])
    }

    #[inline(always)]
    fn value(&self, cursor: &mut Cursor, scratch: &mut Vec<u8>, parts: &mut Vec<Span>) -> Result<Value, Undecided> {
        let first = cursor.peek();
        if first == b'n' {
            cursor.literal(b"null")?;
            return if self.optional { Ok(Value::Null) } else { Err(Undecided) };
        }
        match &self.kind {
            Kind::Text { min, max, plain } => cursor.text(*min, *max, *plain, scratch).map(Value::Text),
            Kind::Choice(values) => choice(cursor, values, scratch),
            Kind::Int { min, max } => match cursor.int()? {
                number if number >= *min && number <= *max => Ok(Value::Int(number)),
                _ => Err(Undecided),
            },
            Kind::Float { min, max } => match cursor.float()? {
                number if number >= *min && number <= *max => Ok(Value::Float(number)),
                _ => Err(Undecided),
            },
            Kind::Bool if first == b't' => cursor.literal(b"true").map(|()| Value::Bool(true)),
            Kind::Bool => cursor.literal(b"false").map(|()| Value::Bool(false)),
            Kind::Many(many) => {
                let (value, at) = many.value(cursor.message, cursor.at, scratch, parts)?;
                cursor.at = at;
                Ok(value)
            }
        }
    }
}

impl Many {
    /// The value that begins at `at`, and where it ends. Kept out of the loop over fields, with a cursor of its own:
    /// lending that of the loop makes every message take twice as long.
    #[cold]
    #[inline(never)]
    fn value(
        &self,
        message: &[u8],
        at: usize,
        scratch: &mut Vec<u8>,
        parts: &mut Vec<Span>,
    ) -> Result<(Value, usize), Undecided> {
        let mut cursor = Cursor::new(message);
        cursor.at = at;
        let value = match *self {
            Many::Map { sizes, name, value } => map(&mut cursor, sizes, name, value, scratch, parts),
            Many::Texts { sizes, element } => texts(&mut cursor, sizes, element, scratch, parts),
        }?;
        Ok((value, cursor.at))
    }
}

/// An object of texts. One that names something twice is for the reference implementation.
#[inline(never)]
fn map(
    cursor: &mut Cursor,
    sizes: (u32, u32),
    name: TextLimits,
    value: TextLimits,
    scratch: &mut Vec<u8>,
    parts: &mut Vec<Span>,
) -> Result<Value, Undecided> {
    let first = parts.len();
    entries(cursor, *b"{}", sizes.1, |cursor| {
        let span = cursor.text(name.min, name.max, name.plain, scratch)?;
        let text = span.of(cursor.message, scratch);
        if parts[first..].iter().step_by(2).any(|known| known.of(cursor.message, scratch) == text) {
            return Err(Undecided);
        }
        parts.push(span);
        cursor.skip_space();
        cursor.take(b':')?;
        cursor.skip_space();
        parts.push(cursor.text(value.min, value.max, value.plain, scratch)?);
        Ok(())
    })?;
    counted(first, parts.len(), 2, sizes.0)
}

/// A list of texts.
#[inline(never)]
fn texts(
    cursor: &mut Cursor,
    sizes: (u32, u32),
    element: TextLimits,
    scratch: &mut Vec<u8>,
    parts: &mut Vec<Span>,
) -> Result<Value, Undecided> {
    let first = parts.len();
    entries(cursor, *b"[]", sizes.1, |cursor| {
        parts.push(cursor.text(element.min, element.max, element.plain, scratch)?);
        Ok(())
    })?;
    counted(first, parts.len(), 1, sizes.0)
}

/// Up to `most` entries between two brackets; `one` reads an entry.
#[inline(always)]
fn entries(
    cursor: &mut Cursor,
    [open, close]: [u8; 2],
    most: u32,
    mut one: impl FnMut(&mut Cursor) -> Result<(), Undecided>,
) -> Result<(), Undecided> {
    cursor.take(open)?;
    if cursor.solid() == close {
        return cursor.take(close);
    }
    for _ in 0..most {
        one(cursor)?;
        if cursor.solid() != b',' {
            return cursor.take(close);
        }
        cursor.at += 1;
        cursor.skip_space();
    }
    Err(Undecided)
}

/// The texts from `first` to `end`, so many of them an entry, if there are entries enough.
fn counted(first: usize, end: usize, each: u32, min: u32) -> Result<Value, Undecided> {
    let count = (end - first) as u32;
    if count < min * each { Err(Undecided) } else { Ok(Value::Parts { first: first as u32, count }) }
}

/// A string that has to be one of the values.
#[inline(always)]
fn choice(cursor: &mut Cursor, values: &[Choice], scratch: &mut Vec<u8>) -> Result<Value, Undecided> {
    let span = cursor.text(0, u32::MAX, true, scratch)?;
    let from: &[u8] = if span.scratch { scratch } else { cursor.message };
    let text = &from[span.start as usize..(span.start + span.len) as usize];
    let first = match from[span.start as usize..].first_chunk::<8>() {
        Some(bytes) if text.len() < 8 => u64::from_le_bytes(*bytes) & !(u64::MAX << (8 * text.len())),
        _ => head(text),
    };
    let found = values.iter().position(|value| {
        value.head == first && value.text.len() == text.len() && (text.len() <= 8 || value.text.as_bytes() == text)
    });
    found.map(|index| Value::Choice(index as u16)).ok_or(Undecided)
}
