//! Datetimes: the part of RFC 3339 and ISO 8601 that the protocol allows.

use super::SyntaxError;
use jiff::Timestamp;

/// 0000-01-01T00:00:00Z, in seconds since 1970.
const YEAR_0: i64 = -62_167_219_200;

/// Parses `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)`. No leap of syntax is forgiven: `T` and `Z`
/// are upper case, the zone is there, `-00:00` is not, and years are 0000 to 9999, in UTC too.
pub fn parse_datetime(text: &str) -> Result<Timestamp, SyntaxError> {
    let no = |why| Err(SyntaxError::new("a datetime", text, why));
    const SHAPE: &str = "it has to look like 2026-01-31T12:00:00Z";
    let b = text.as_bytes();
    if b.len() > 64 {
        return no("it is longer than 64 characters");
    }
    if b.len() < 20 {
        return no(SHAPE);
    }
    let shaped = b[..19].iter().enumerate().all(|(i, c)| match i {
        4 | 7 => *c == b'-',
        10 => *c == b'T',
        13 | 16 => *c == b':',
        _ => c.is_ascii_digit(),
    });
    if !shaped {
        return no(SHAPE);
    }
    let mut zone = &b[19..];
    if zone[0] == b'.' {
        let digits = zone[1..].iter().take_while(|c| c.is_ascii_digit()).count();
        if digits == 0 || digits > 20 {
            return no("a fraction of a second has 1 to 20 digits");
        }
        zone = &zone[1 + digits..];
    }
    match zone {
        b"Z" => {}
        [b'+' | b'-', h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(|c| c.is_ascii_digit()) =>
        {
            if zone == b"-00:00" {
                return no("the zone -00:00 is not allowed: write Z");
            }
        }
        _ => return no("a time zone has to follow: Z, or an offset like +02:00"),
    }
    // jiff takes nine digits of a fraction; more say nothing we keep.
    let fraction_end = 20 + b[20.min(b.len())..].iter().take_while(|c| c.is_ascii_digit()).count();
    let parsed = if b[19] == b'.' && fraction_end > 29 {
        format!("{}{}", &text[..29], &text[fraction_end..]).parse::<Timestamp>()
    } else {
        text.parse::<Timestamp>()
    };
    match parsed {
        Ok(time) if b[17..19] != *b"60" && time.as_second() >= YEAR_0 => Ok(time),
        _ => no("there is no such day or time"),
    }
}

/// The form we write: UTC, to the millisecond.
#[must_use]
pub fn format_datetime(time: Timestamp) -> String {
    format!("{time:.3}")
}
