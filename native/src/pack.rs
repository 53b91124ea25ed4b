//! The wire forms that the room writes: MessagePack for its state (as msgspec writes it: shortest forms) and compact
//! JSON for its messages (as pydantic writes it), and a reader for the state.

/// Appends MessagePack values to a buffer.
#[derive(Default)]
pub struct Packer {
    pub out: Vec<u8>,
}

impl Packer {
    pub fn array(&mut self, length: usize) {
        self.head(length, 0x90, 16, [0, 0xdc, 0xdd]);
    }

    pub fn map(&mut self, length: usize) {
        self.head(length, 0x80, 16, [0, 0xde, 0xdf]);
    }

    pub fn text(&mut self, text: &str) {
        self.head(text.len(), 0xa0, 32, [0xd9, 0xda, 0xdb]);
        self.out.extend_from_slice(text.as_bytes());
    }

    pub fn nil(&mut self) {
        self.out.push(0xc0);
    }

    pub fn boolean(&mut self, value: bool) {
        self.out.push(if value { 0xc3 } else { 0xc2 });
    }

    pub fn int(&mut self, value: i64) {
        let out = &mut self.out;
        match value {
            0..=0x7f => out.push(value as u8),
            -32..=-1 => out.push(value as i8 as u8),
            0x80..=0xff => out.extend([0xcc, value as u8]),
            0x100..=0xffff => push(out, 0xcd, &(value as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => push(out, 0xce, &(value as u32).to_be_bytes()),
            0x1_0000_0000.. => push(out, 0xcf, &(value as u64).to_be_bytes()),
            -0x80..=-33 => out.extend([0xd0, value as i8 as u8]),
            -0x8000..=-0x81 => push(out, 0xd1, &(value as i16).to_be_bytes()),
            -0x8000_0000..=-0x8001 => push(out, 0xd2, &(value as i32).to_be_bytes()),
            _ => push(out, 0xd3, &value.to_be_bytes()),
        }
    }

    /// Customer hashes as one binary value, 8 bytes little endian each.
    pub fn hashes(&mut self, hashes: &[u64]) {
        self.head(hashes.len() * 8, 0, 0, [0xc4, 0xc5, 0xc6]);
        for hash in hashes {
            self.out.extend_from_slice(&hash.to_le_bytes());
        }
    }

    pub fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.array(texts.len());
        for text in texts {
            self.text(text);
        }
    }

    fn head(&mut self, length: usize, short: u8, short_below: usize, wide: [u8; 3]) {
        let out = &mut self.out;
        if length < short_below {
            out.push(short | length as u8);
        } else if length < 0x100 && wide[0] != 0 {
            out.extend([wide[0], length as u8]);
        } else if length < 0x1_0000 {
            push(out, wide[1], &(length as u16).to_be_bytes());
        } else {
            push(out, wide[2], &(length as u32).to_be_bytes());
        }
    }
}

fn push(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

/// Appends a number in seven bits a byte, the lowest first; the top bit says that more follow.
pub fn push_leb128(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The state is not what this build writes.
#[derive(Debug)]
pub struct Damaged(pub &'static str);

pub type Read<T> = Result<T, Damaged>;

/// Reads MessagePack values one after the other.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        if self.rest.len() < count {
            return Err(Damaged("a value ends early"));
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, width: usize) -> Read<u64> {
        Ok(self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn tag(&mut self) -> Read<u8> {
        Ok(self.take(1)?[0])
    }

    /// True if an array comes next.
    pub fn is_array(&self) -> bool {
        matches!(self.rest.first(), Some(0x90..=0x9f | 0xdc | 0xdd))
    }

    pub fn array(&mut self) -> Read<usize> {
        match self.tag()? {
            tag @ 0x90..=0x9f => Ok(usize::from(tag & 0x0f)),
            0xdc => Ok(self.unsigned(2)? as usize),
            0xdd => Ok(self.unsigned(4)? as usize),
            _ => Err(Damaged("an array was expected")),
        }
    }

    pub fn map(&mut self) -> Read<usize> {
        match self.tag()? {
            tag @ 0x80..=0x8f => Ok(usize::from(tag & 0x0f)),
            0xde => Ok(self.unsigned(2)? as usize),
            0xdf => Ok(self.unsigned(4)? as usize),
            _ => Err(Damaged("a map was expected")),
        }
    }

    pub fn text(&mut self) -> Read<&'a str> {
        let length = match self.tag()? {
            tag @ 0xa0..=0xbf => usize::from(tag & 0x1f),
            0xd9 => self.unsigned(1)? as usize,
            0xda => self.unsigned(2)? as usize,
            0xdb => self.unsigned(4)? as usize,
            _ => return Err(Damaged("a text was expected")),
        };
        std::str::from_utf8(self.take(length)?).map_err(|_| Damaged("a text is not UTF-8"))
    }


    pub fn bin(&mut self) -> Read<&'a [u8]> {
        let length = match self.tag()? {
            0xc4 => self.unsigned(1)? as usize,
            0xc5 => self.unsigned(2)? as usize,
            0xc6 => self.unsigned(4)? as usize,
            _ => return Err(Damaged("bytes were expected")),
        };
        self.take(length)
    }

    pub fn hashes(&mut self) -> Read<Vec<u64>> {
        let bytes = self.bin()?;
        if bytes.len() % 8 != 0 {
            return Err(Damaged("hashes have 8 bytes each"));
        }
        Ok(bytes.chunks_exact(8).map(|hash| u64::from_le_bytes(hash.try_into().expect("8 bytes"))).collect())
    }

    pub fn int(&mut self) -> Read<i64> {
        let value = match self.tag()? {
            tag @ 0..=0x7f => i64::from(tag),
            tag @ 0xe0..=0xff => i64::from(tag as i8),
            0xcc => self.unsigned(1)? as i64,
            0xcd => self.unsigned(2)? as i64,
            0xce => self.unsigned(4)? as i64,
            0xcf => i64::try_from(self.unsigned(8)?).map_err(|_| Damaged("a number is too large"))?,
            0xd0 => i64::from(self.unsigned(1)? as i8),
            0xd1 => i64::from(self.unsigned(2)? as i16),
            0xd2 => i64::from(self.unsigned(4)? as i32),
            0xd3 => self.unsigned(8)? as i64,
            _ => return Err(Damaged("a number was expected")),
        };
        Ok(value)
    }

    pub fn boolean(&mut self) -> Read<bool> {
        match self.tag()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            _ => Err(Damaged("true or false was expected")),
        }
    }

    pub fn optional_int(&mut self) -> Read<Option<i64>> {
        if self.rest.first() == Some(&0xc0) {
            self.tag()?;
            return Ok(None);
        }
        self.int().map(Some)
    }

    /// An array of texts.
    pub fn texts(&mut self) -> Read<Vec<&'a str>> {
        (0..self.array()?).map(|_| self.text()).collect()
    }
}

/// Appends compact JSON to a buffer. The caller writes names and punctuation as they are.
#[derive(Default)]
pub struct Json {
    pub out: Vec<u8>,
}

impl Json {
    pub fn raw(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    pub fn int(&mut self, value: i64) -> &mut Self {
        if value < 0 {
            self.out.push(b'-');
        }
        self.unsigned(value.unsigned_abs())
    }

    pub fn unsigned(&mut self, mut value: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[at..]);
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        let bytes = text.as_bytes();
        self.out.push(b'"');
        if bytes.iter().all(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\') {
            self.out.extend_from_slice(bytes);
        } else {
            bytes.iter().for_each(|byte| self.escaped(*byte));
        }
        self.out.push(b'"');
        self
    }

    fn escaped(&mut self, byte: u8) {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            8 => b'b',
            9 => b't',
            10 => b'n',
            12 => b'f',
            13 => b'r',
            0..=0x1f => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                self.out.extend_from_slice(b"\\u00");
                return self.out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => return self.out.push(byte),
        };
        self.out.extend([b'\\', short]);
    }

    pub fn value(&mut self, value: impl Write) -> &mut Self {
        value.write(self);
        self
    }
}

/// What can be written as JSON. The records of the room are in `wire.rs`.
pub trait Write: Sized {
    fn write(self, json: &mut Json);

    /// The JSON of this value alone; `bytes`: about how long it is.
    fn json(self, bytes: usize) -> Vec<u8> {
        let mut json = Json::default();
        json.out.reserve(bytes);
        self.write(&mut json);
        json.out
    }
}

impl Write for &str {
    fn write(self, json: &mut Json) {
        json.text(self);
    }
}

impl Write for i64 {
    fn write(self, json: &mut Json) {
        json.int(self);
    }
}

impl Write for u64 {
    fn write(self, json: &mut Json) {
        json.unsigned(self);
    }
}

impl Write for bool {
    fn write(self, json: &mut Json) {
        json.raw(if self { "true" } else { "false" });
    }
}

impl<T: Write> Write for Option<T> {
    fn write(self, json: &mut Json) {
        match self {
            Some(value) => value.write(json),
            None => {
                json.raw("null");
            }
        }
    }
}

/// A JSON array of what an iterator gives.
pub struct List<T>(pub T);

impl<T: IntoIterator<Item: Write>> Write for List<T> {
    fn write(self, json: &mut Json) {
        json.raw("[");
        for (index, value) in self.0.into_iter().enumerate() {
            json.raw(if index > 0 { "," } else { "" }).value(value);
        }
        json.raw("]");
    }
}
