//! Timestamp identifiers: 13 characters of sortable base32 over a 64-bit number.

use super::SyntaxError;
use jiff::Timestamp;
use std::fmt;

/// A TID: microseconds since 1970 in the upper 53 bits, a clock identifier in the lower 10.
/// Sorts as its text does.
///
/// ```
/// use rhiz_domain::Tid;
/// let tid = Tid::parse("3jzfcijpj2z2a").unwrap();
/// assert_eq!(tid.to_string(), "3jzfcijpj2z2a");
/// assert!(Tid::parse("3jzfcijpj2z2b").unwrap() > tid);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tid(u64);

const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

impl Tid {
    /// The smallest TID: the key of what has none, and the floor of a repo that has none.
    pub const ZERO: Self = Self(0);

    /// Checks the syntax: 13 characters of `234567a-z`, the first one at most `j`.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let no = |why| Err(SyntaxError::new("a TID", text, why));
        let bytes = text.as_bytes();
        if bytes.len() != 13 {
            return no("a TID has 13 characters, as in 3jzfcijpj2z2a");
        }
        if bytes[0] > b'j' {
            return no("the first character of a TID is one of 234567abcdefghij");
        }
        let mut value = 0u64;
        for &b in bytes {
            let digit = match b {
                b'2'..=b'7' => b - b'2',
                b'a'..=b'z' => b - b'a' + 6,
                _ => return no("only 234567abcdefghijklmnopqrstuvwxyz are allowed"),
            };
            value = (value << 5) | u64::from(digit);
        }
        Ok(Self(value))
    }

    /// From its number. `None` when the top bit is set: such a number has no text.
    #[must_use]
    pub fn from_u64(value: u64) -> Option<Self> {
        (value >> 63 == 0).then_some(Self(value))
    }

    /// The number behind the text; its top bit is 0.
    #[must_use]
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// The TID of an instant. Times before 1970 give [`Tid::ZERO`]'s instant; `clock` is taken
    /// modulo 1024.
    #[must_use]
    pub fn at(time: Timestamp, clock: u16) -> Self {
        let micros = u64::try_from(time.as_microsecond()).unwrap_or(0) & ((1 << 53) - 1);
        Self((micros << 10) | u64::from(clock & 0x3ff))
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn micros(self) -> i64 {
        // 53 bits always fit.
        (self.0 >> 10) as i64
    }

    /// The instant it was made at, as its maker says.
    #[must_use]
    pub fn time(self) -> Timestamp {
        // 2^53 microseconds is the year 2255, within jiff's range.
        Timestamp::from_microsecond(self.micros()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The smallest TID that is greater. Saturates at the end of the range.
    #[must_use]
    pub fn next(self) -> Self {
        Self((self.0 + 1).min(u64::MAX >> 1))
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 13];
        for (i, place) in text.iter_mut().enumerate() {
            *place = ALPHABET[(self.0 >> (60 - 5 * i)) as usize & 31];
        }
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}
impl fmt::Debug for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl serde::Serialize for Tid {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
