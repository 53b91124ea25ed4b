//! Bytes of a message looked at many at a time, and escapes undone.

use super::Undecided;

/// Eight ASCII digits as a number, the first in the lowest byte; None if one of them is no digit.
#[inline(always)]
pub(super) fn eight_digits(word: u64) -> Option<u64> {
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
pub(super) fn plain_end(message: &[u8], mut at: usize) -> usize {
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
pub(super) mod sse2 {
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
pub(super) fn escape(message: &[u8], at: &mut usize) -> Result<char, Undecided> {
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
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Undecided> {
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
pub(super) fn holds_refused(text: &[u8]) -> bool {
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
