//! The grammar of JSON, one value after the other: strings, numbers, and the way past values that nobody reads.

use super::scan::{eight_digits, escape, holds_refused, plain_end, unescape};
use super::{Span, Undecided};

/// Levels inside an unknown field (one bit each); readers differ on depths from about 200 on.
const MAX_DEPTH: u32 = 63;
/// Characters of a number; readers differ from 4,300 digits on.
const MAX_NUMBER: usize = 64;
/// Digits that always fit a signed 64-bit integer.
const MAX_DIGITS: usize = 18;
/// Powers of ten that are exact as f64.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
const EXACT: u64 = 1 << 53;

/// A position in a message. Beyond the end every byte reads as NUL, which no rule accepts.
pub(crate) struct Cursor<'a> {
    pub(super) message: &'a [u8],
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
    pub(super) fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// The next byte that is no white space.
    #[inline(always)]
    pub(super) fn solid(&mut self) -> u8 {
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

    /// Go behind the closing quote of a string; return where it ends and whether it holds escapes.
    #[inline]
    pub(super) fn skip_string(&mut self) -> Result<(usize, bool), Undecided> {
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
    pub(super) fn float(&mut self) -> Result<f64, Undecided> {
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
    pub(super) fn skip_value(&mut self) -> Result<(), Undecided> {
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
