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

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

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
}

/// What an absent field means.
#[derive(Clone, Debug)]
pub enum Default {
    Required,
    None,
    Text(String),
    Int(i64),
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
}

/// Names that the reference looks at before the model does; a record type that lists one as a field owns it.
const RESERVED: [&[u8]; 4] = [b"schema_version", b"specversion", b"data", b"kind"];
/// Fields of a record and unknown fields of a message; more are for the reference implementation.
const MAX_FIELDS: usize = 64;
const MAX_UNKNOWN: usize = 32;
/// Levels inside an unknown field (one bit each); readers differ on depths from about 200 on.
const MAX_DEPTH: u32 = 63;
/// Characters of a number; readers differ from 4,300 digits on.
const MAX_NUMBER: usize = 64;
/// Digits that always fit a signed 64-bit integer.
const MAX_DIGITS: usize = 18;
/// Room for `"name":` in the form that is compared 16 bytes at a time.
const QUOTED: usize = 32;
/// Powers of ten that are exact as f64.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
const EXACT: u64 = 1 << 53;

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
}

impl Spec {
    /// Prepare a record type. One with more than 64 fields, or equal names, refuses every message.
    pub fn new(fields: Vec<FieldSpec>) -> Spec {
        let mut spec = Spec { fields: Vec::new(), required: 0, table: vec![0; 256], next: Vec::new(), unknown: Vec::new() };
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
        spec
    }

    /// Place of a field in the rows.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Fill `row` with one value per field (absent ones are `Missing`, required ones never) and return the number of
    /// unknown fields. `row` and `scratch` are emptied first; after `Undecided` their content means nothing.
    pub fn decode(&mut self, message: &[u8], row: &mut Vec<Value>, scratch: &mut Vec<u8>) -> Result<u32, Undecided> {
        row.clear();
        row.resize(self.fields.len(), Value::Missing);
        scratch.clear();
        self.unknown.clear();
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
                        row[field] = self.fields[field].value(&mut cursor, scratch)?;
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
        Ok(self.unknown.len() as u32)
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
            return sse2::starts_with(window.first_chunk().expect("32 bytes"), &self.quoted, self.length);
        }
        message.get(at..at + self.length) == Some(&self.quoted[..self.length])
    }

    #[inline(always)]
    fn value(&self, cursor: &mut Cursor, scratch: &mut Vec<u8>) -> Result<Value, Undecided> {
        let first = cursor.peek();
        if first == b'n' {
            cursor.literal(b"null")?;
            return if self.optional { Ok(Value::Null) } else { Err(Undecided) };
        }
        match &self.kind {
            Kind::Text { min, max, plain } => cursor.text(*min, *max, *plain, scratch).map(Value::Text),
            Kind::Choice(values) => cursor.choice(values, scratch),
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
        }
    }
}

/// A position in a message. Beyond the end every byte reads as NUL, which no rule accepts.
pub(crate) struct Cursor<'a> {
    message: &'a [u8],
    pub(crate) at: usize,
    is_utf8: bool,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a message of at most 2^31 bytes.
    pub(crate) fn new(message: &'a [u8]) -> Cursor<'a> {
        Cursor { message, at: 0, is_utf8: false }
    }

    pub(crate) fn message(&self) -> &'a [u8] {
        self.message
    }

    #[inline(always)]
    pub(crate) fn peek(&self) -> u8 {
        self.message.get(self.at).copied().unwrap_or(0)
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, byte: u8) -> Result<(), Undecided> {
        if self.peek() != byte {
            return Err(Undecided);
        }
        self.at += 1;
        Ok(())
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// The next byte that is no white space.
    #[inline(always)]
    fn solid(&mut self) -> u8 {
        self.skip_space();
        self.peek()
    }

    #[inline]
    pub(crate) fn literal(&mut self, word: &[u8]) -> Result<(), Undecided> {
        if !self.message[self.at.min(self.message.len())..].starts_with(word) {
            return Err(Undecided);
        }
        self.at += word.len();
        Ok(())
    }

    /// Check the whole message for UTF-8, once: called for the first byte outside ASCII.
    #[inline(never)]
    fn check_utf8(&mut self) -> Result<(), Undecided> {
        if !self.is_utf8 {
            std::str::from_utf8(self.message).map_err(|_| Undecided)?;
            self.is_utf8 = true;
        }
        Ok(())
    }

    /// A string with its quotes, within limits.
    #[inline(always)]
    pub(crate) fn text(&mut self, min: u32, max: u32, plain: bool, scratch: &mut Vec<u8>) -> Result<Span, Undecided> {
        self.take(b'"')?;
        let start = self.at;
        let end = plain_end(self.message, start);
        if self.message.get(end) == Some(&b'"') {
            let length = (end - start) as u32;
            self.at = end + 1;
            if length < min || length > max {
                return Err(Undecided);
            }
            return Ok(Span { start: start as u32, len: length, scratch: false });
        }
        self.odd_text(start, min, max, plain, scratch)
    }

    /// A string that holds more than printable ASCII; the cursor is behind its opening quote.
    #[inline(never)]
    fn odd_text(&mut self, start: usize, min: u32, max: u32, plain: bool, out: &mut Vec<u8>) -> Result<Span, Undecided> {
        let (end, escaped) = self.skip_string()?;
        let raw = &self.message[start..end];
        let span = if escaped {
            let from = out.len();
            unescape(raw, out)?;
            Span { start: from as u32, len: (out.len() - from) as u32, scratch: true }
        } else {
            Span { start: start as u32, len: raw.len() as u32, scratch: false }
        };
        let text = if escaped { &out[span.start as usize..] } else { raw };
        let points = text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
        let is_refused = if plain { holds_refused(text) } else { escaped && text.contains(&0) };
        if is_refused || points < min as usize || points > max as usize {
            return Err(Undecided);
        }
        Ok(span)
    }

    #[inline(always)]
    fn choice(&mut self, values: &[Choice], scratch: &mut Vec<u8>) -> Result<Value, Undecided> {
        let span = self.text(0, u32::MAX, true, scratch)?;
        let from: &[u8] = if span.scratch { scratch } else { self.message };
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

    /// Go behind the closing quote of a string; return where it ends and whether it holds escapes.
    #[inline]
    fn skip_string(&mut self) -> Result<(usize, bool), Undecided> {
        let mut escaped = false;
        loop {
            self.at = plain_end(self.message, self.at);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok((self.at - 1, escaped));
                }
                b'\\' => {
                    escaped = true;
                    escape(self.message, &mut self.at)?;
                }
                0..=0x1f => return Err(Undecided),
                _ => {
                    self.check_utf8()?;
                    while self.peek() >= 0x7f {
                        self.at += 1;
                    }
                }
            }
        }
    }

    /// Decimal digits from here as a number, and how many there are; more than 18 make the number meaningless.
    #[inline(always)]
    pub(crate) fn digits(&mut self, mut number: u64) -> (u64, usize) {
        let start = self.at;
        while let Some(eight) = self.message.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let Some(part) = eight_digits(u64::from_le_bytes(*eight)) else { break };
            number = number.wrapping_mul(100_000_000).wrapping_add(part);
            self.at += 8;
        }
        while let digit @ b'0'..=b'9' = self.peek() {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        (number, self.at - start)
    }

    /// Sign and whole part of a number: negative, absolute value, number of digits.
    #[inline(always)]
    fn whole(&mut self) -> Result<(bool, u64, usize), Undecided> {
        let is_negative = self.peek() == b'-';
        self.at += usize::from(is_negative);
        match self.peek() {
            b'0' => {
                self.at += 1; // a digit behind it is refused by whoever expects a comma
                Ok((is_negative, 0, 1))
            }
            b'1'..=b'9' => {
                let (number, count) = self.digits(0);
                Ok((is_negative, number, count))
            }
            _ => Err(Undecided),
        }
    }

    #[inline(always)]
    pub(crate) fn int(&mut self) -> Result<i64, Undecided> {
        let (is_negative, number, count) = self.whole()?;
        if count > MAX_DIGITS {
            return Err(Undecided);
        }
        Ok(if is_negative { -(number as i64) } else { number as i64 })
    }

    /// A number as the nearest f64. `-0` is refused: whether it keeps its sign is for the reference to say.
    #[inline(always)]
    fn float(&mut self) -> Result<f64, Undecided> {
        let start = self.at;
        let (is_negative, mut number, mut count) = self.whole()?;
        let mut decimals = 0;
        if self.peek() == b'.' {
            self.at += 1;
            (number, decimals) = self.digits(number);
            if decimals == 0 {
                return Err(Undecided);
            }
            count += decimals;
        }
        let is_exact = count <= MAX_DIGITS && number <= EXACT && decimals < TENS.len();
        let size = if is_exact && !matches!(self.peek(), b'e' | b'E') {
            let size = number as f64 / TENS[decimals];
            if is_negative { -size } else { size }
        } else {
            self.odd_float(start)?
        };
        let is_integer_zero = size == 0.0 && is_negative && decimals == 0;
        if is_integer_zero || !size.is_finite() { Err(Undecided) } else { Ok(size) }
    }

    /// A number with an exponent, or with more digits than an f64 holds.
    #[inline(never)]
    fn odd_float(&mut self, start: usize) -> Result<f64, Undecided> {
        self.at = start;
        self.skip_number()?;
        let text = std::str::from_utf8(&self.message[start..self.at]).map_err(|_| Undecided)?;
        if !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            return Err(Undecided); // Python rounds a long integer by rules of its own
        }
        text.parse().map_err(|_| Undecided)
    }

    fn skip_number(&mut self) -> Result<(), Undecided> {
        let start = self.at;
        self.whole()?;
        if self.peek() == b'.' {
            self.at += 1;
            if self.digits(0).1 == 0 {
                return Err(Undecided);
            }
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            if !matches!(self.digits(0).1, 1..=3) {
                return Err(Undecided);
            }
        }
        if self.at - start > MAX_NUMBER { Err(Undecided) } else { Ok(()) }
    }

    /// Go behind any value, nested at most [`MAX_DEPTH`] levels; `levels` holds one bit per level, 1 for an object.
    #[inline(never)]
    fn skip_value(&mut self) -> Result<(), Undecided> {
        let (mut levels, mut depth) = (0u64, 0u32);
        loop {
            let opened = match self.solid() {
                bracket @ (b'{' | b'[') => {
                    if depth == MAX_DEPTH {
                        return Err(Undecided);
                    }
                    self.at += 1;
                    depth += 1;
                    levels = levels << 1 | u64::from(bracket == b'{');
                    true
                }
                _ => {
                    self.skip_scalar()?;
                    false
                }
            };
            // Behind a value or an opening bracket: close what ends here, then go on to the next value.
            if !self.close(opened, &mut levels, &mut depth)? {
                return Ok(());
            }
        }
    }

    /// Close levels that end here and stop in front of the next value; false when the outermost value is complete.
    #[inline]
    fn close(&mut self, mut opened: bool, levels: &mut u64, depth: &mut u32) -> Result<bool, Undecided> {
        while *depth > 0 {
            let is_object = *levels & 1 == 1;
            let closing = if is_object { b'}' } else { b']' };
            if self.solid() == closing {
                self.at += 1;
                *levels >>= 1;
                *depth -= 1;
                opened = false;
                continue;
            }
            if !opened {
                self.take(b',')?;
            }
            if is_object {
                self.skip_space();
                self.take(b'"')?;
                self.skip_string()?;
                self.skip_space();
                self.take(b':')?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    #[inline]
    fn skip_scalar(&mut self) -> Result<(), Undecided> {
        match self.peek() {
            b'"' => {
                self.at += 1;
                self.skip_string().map(|_| ())
            }
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.skip_number(),
        }
    }
}

/// Eight ASCII digits as a number, the first in the lowest byte; None if one of them is no digit.
#[inline(always)]
fn eight_digits(word: u64) -> Option<u64> {
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    if word & HIGH != ZEROS || word.wrapping_add(0x0606_0606_0606_0606) & HIGH != ZEROS {
        return None;
    }
    // Neighbours are joined to pairs, pairs to fours, fours to eight.
    let pairs = (word & 0x0F0F_0F0F_0F0F_0F0F).wrapping_mul((10 << 8) + 1) >> 8;
    let fours = (pairs & 0x00FF_00FF_00FF_00FF).wrapping_mul((100 << 16) + 1) >> 16;
    Some((fours & 0x0000_FFFF_0000_FFFF).wrapping_mul((10_000 << 32) + 1) >> 32)
}

/// Index of the first byte from `at` on that is not printable ASCII, or is a quote or a backslash; at most the length.
#[inline(always)]
fn plain_end(message: &[u8], mut at: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    while let Some(window) = message.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        match sse2::odd_bytes(window) {
            0 => at += 16,
            mask => return at + mask.trailing_zeros() as usize,
        }
    }
    plain_end_by_words(message, at)
}

/// [`plain_end`] eight bytes at a time, for other processors and for the end of a message.
#[inline(always)]
fn plain_end_by_words(message: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    // The lowest marked byte is always a right one; a borrow can only mark bytes above it.
    let marks_below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & TOPS;
    let marks_equal = |word: u64, byte: u8| marks_below(word ^ (ONES * u64::from(byte)), 1);
    while let Some(eight) = message.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let odd = (word & TOPS) | marks_below(word, 0x20) | marks_equal(word, b'"') | marks_equal(word, b'\\')
            | marks_equal(word, 0x7f);
        if odd != 0 {
            return at + odd.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while at < message.len() && matches!(message[at], 0x20..=0x7e) && !matches!(message[at], b'"' | b'\\') {
        at += 1;
    }
    at
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    //! Sixteen bytes at a time; every x86-64 processor has these instructions.
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };

    /// Bit `i` is set if byte `i` is not printable ASCII, or is a quote or a backslash.
    #[inline(always)]
    pub fn odd_bytes(window: &[u8; 16]) -> u32 {
        // SAFETY: the array has the 16 bytes that are loaded, and SSE2 is part of x86-64.
        unsafe {
            let bytes = _mm_loadu_si128(window.as_ptr().cast::<__m128i>());
            // Signed: bytes from 0x80 on are negative, so this is true for 0x20 to 0x7f alone.
            let printable = _mm_cmpgt_epi8(bytes, _mm_set1_epi8(0x1f));
            let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            let delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
            let special = _mm_or_si128(_mm_or_si128(quote, backslash), delete);
            (!_mm_movemask_epi8(printable) as u32 & 0xFFFF) | _mm_movemask_epi8(special) as u32
        }
    }

    /// True if the first `length` (at most 32) bytes are equal.
    #[inline(always)]
    pub fn starts_with(window: &[u8; 32], quoted: &[u8; 32], length: usize) -> bool {
        // SAFETY: both arrays have the 32 bytes that are loaded, and SSE2 is part of x86-64.
        let (low, high) = unsafe {
            let (left, right) = (window.as_ptr().cast::<__m128i>(), quoted.as_ptr().cast::<__m128i>());
            let low = _mm_cmpeq_epi8(_mm_loadu_si128(left), _mm_loadu_si128(right));
            let high = _mm_cmpeq_epi8(_mm_loadu_si128(left.add(1)), _mm_loadu_si128(right.add(1)));
            (_mm_movemask_epi8(low) as u64, _mm_movemask_epi8(high) as u64)
        };
        (low | high << 16).trailing_ones() as usize >= length
    }
}

/// Go behind an escape; lone surrogates are refused.
fn escape(message: &[u8], at: &mut usize) -> Result<char, Undecided> {
    let kind = message.get(*at + 1).copied().unwrap_or(0);
    *at += 2;
    Ok(match kind {
        b'"' | b'\\' | b'/' => kind as char,
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = four_hex(message, at)?;
            if !(0xD800..0xDC00).contains(&first) {
                return char::from_u32(first).ok_or(Undecided);
            }
            if message.get(*at..*at + 2) != Some(b"\\u") {
                return Err(Undecided);
            }
            *at += 2;
            let second = four_hex(message, at)?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(Undecided);
            }
            return char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or(Undecided);
        }
        _ => return Err(Undecided),
    })
}

fn four_hex(message: &[u8], at: &mut usize) -> Result<u32, Undecided> {
    let digits = message.get(*at..*at + 4).ok_or(Undecided)?;
    *at += 4;
    digits.iter().try_fold(0, |all, &byte| Ok(all << 4 | (byte as char).to_digit(16).ok_or(Undecided)?))
}

/// Append a checked string with its escapes undone.
fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Undecided> {
    let mut at = 0;
    while at < raw.len() {
        let run = raw[at..].iter().position(|&byte| byte == b'\\').unwrap_or(raw.len() - at);
        out.extend_from_slice(&raw[at..at + run]);
        at += run;
        if at < raw.len() {
            let character = escape(raw, &mut at)?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(())
}

/// True if valid UTF-8 holds a character that `schemas.events.PLAIN_TEXT` refuses.
fn holds_refused(text: &[u8]) -> bool {
    let is_refused = |at: usize| {
        let follower = |offset: usize| text.get(at + offset).copied().unwrap_or(0);
        match text[at] {
            0..=0x1f | 0x7f => true,
            0xC2 => matches!(follower(1), 0x80..=0x9f),
            0xD8 => follower(1) == 0x9C,
            0xE2 if follower(1) == 0x80 => matches!(follower(2), 0x8E | 0x8F | 0xA8..=0xAE),
            0xE2 if follower(1) == 0x81 => matches!(follower(2), 0xA6..=0xA9),
            _ => false,
        }
    };
    (0..text.len()).any(is_refused)
}

/// One row of `schemas.fieldspec.field_specs`: name, kind, minimum, maximum, plain, choices, optional, kind of default,
/// default.
pub(crate) type Row<'py> =
    (String, String, Bound<'py, PyAny>, Bound<'py, PyAny>, bool, Vec<String>, bool, String, Bound<'py, PyAny>);

/// Build a record type from the table that `schemas.fieldspec.field_specs` gives. Raises ValueError for an unknown kind.
pub fn spec_from_python(table: &Bound<'_, PyAny>) -> PyResult<Spec> {
    let rows: Vec<Row> = table.extract()?;
    Ok(Spec::new(rows.into_iter().map(field_from_python).collect::<PyResult<_>>()?))
}

pub(crate) fn field_from_python(row: Row) -> PyResult<FieldSpec> {
    let (name, kind, min, max, plain, values, optional, default_kind, default) = row;
    let kind = match kind.as_str() {
        "text" => FieldKind::Text { min: min.extract()?, max: max.extract()?, plain },
        "choice" => FieldKind::Choice { values },
        "int" => FieldKind::Int { min: min.extract()?, max: max.extract()? },
        "float" => FieldKind::Float { min: min.extract()?, max: max.extract()? },
        "bool" => FieldKind::Bool,
        other => return Err(PyValueError::new_err(format!("no such kind of field: {other}"))),
    };
    let default = match default_kind.as_str() {
        "required" => Default::Required,
        "none" => Default::None,
        "text" => Default::Text(default.extract()?),
        "int" => Default::Int(default.extract()?),
        other => return Err(PyValueError::new_err(format!("no such kind of default: {other}"))),
    };
    Ok(FieldSpec { name, kind, optional, default })
}

/// Decode messages one after the other, for tests: per message the values in the order of the table, defaults filled in,
/// then the number of unknown fields; None for a message that is refused.
#[pyfunction]
pub fn decode_rows<'py>(table: &Bound<'py, PyAny>, messages: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyList>> {
    let python = table.py();
    let mut spec = spec_from_python(table)?;
    let (mut row, mut scratch) = (Vec::new(), Vec::new());
    let found = PyList::empty(python);
    for message in &messages {
        let Ok(unknown) = spec.decode(message, &mut row, &mut scratch) else {
            found.append(python.None())?;
            continue;
        };
        let mut values: Vec<Bound<'py, PyAny>> = Vec::with_capacity(row.len() + 1);
        for (field, &value) in row.iter().enumerate() {
            values.push(match value {
                Value::Float(number) => number.into_pyobject(python)?.into_any(),
                Value::Bool(truth) => truth.into_pyobject(python)?.to_owned().into_any(),
                _ => match (spec.text(field, value, message, &scratch), spec.int(field, value)) {
                    (Some(text), _) => text.into_pyobject(python)?.into_any(),
                    (None, Some(number)) => number.into_pyobject(python)?.into_any(),
                    (None, None) => python.None().into_bound(python),
                },
            });
        }
        values.push(unknown.into_pyobject(python)?.into_any());
        found.append(PyTuple::new(python, values)?)?;
    }
    Ok(found)
}
