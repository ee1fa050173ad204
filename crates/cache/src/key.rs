//! Keys: what may be one, and how identifiers become parts of one.
//!
//! A key is 1–512 bytes without control characters. Identifiers go in through [`part`], so that
//! none of their characters acts as a wildcard when an operator clears by pattern.

use rhiz_domain::cache::CacheError;
use std::borrow::Cow;

/// Longest key in bytes: two DIDs of ordinary length and a dozen parameters fit several times.
pub const MAX_KEY_BYTES: usize = 512;
/// Longest tag in bytes: that of the longest address of a record (AT URI) with a word before it.
pub const MAX_TAG_BYTES: usize = (8 << 10) + 64;
/// Longest pattern in bytes.
pub const MAX_PATTERN_BYTES: usize = 512;
/// How much of a refused key an error shows, in characters.
const SHOWN: usize = 40;

/// One part of a key: `%`, wildcards, white space, control and non-ASCII characters are
/// percent-encoded; the colons of DIDs stay as operators read them.
#[must_use]
pub fn part(text: &str) -> Cow<'_, str> {
    let plain =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'%' | b'*' | b'?' | b'[' | b']' | b'\\');
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for b in text.bytes() {
        if plain(b) {
            out.push(char::from(b));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(HEX[usize::from(b >> 4)]));
            out.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
    Cow::Owned(out)
}

/// Whether a key can be used.
pub fn check_key(key: &str) -> Result<(), CacheError> {
    match fault(key, MAX_KEY_BYTES) {
        None => Ok(()),
        Some(reason) => Err(CacheError::Key { shown: shown(key), reason }),
    }
}

/// Whether a tag can be used.
pub fn check_tag(tag: &str) -> Result<(), CacheError> {
    match fault(tag, MAX_TAG_BYTES) {
        None => Ok(()),
        Some(reason) => Err(CacheError::Tag { shown: shown(tag), reason }),
    }
}

/// Whether the text of a pattern can be used.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), CacheError> {
    match fault(pattern, MAX_PATTERN_BYTES) {
        None => Ok(()),
        Some(reason) => Err(CacheError::Pattern { shown: shown(pattern), reason }),
    }
}

fn fault(text: &str, longest: usize) -> Option<&'static str> {
    if text.is_empty() {
        Some("empty; at least 1 byte is needed")
    } else if text.len() > longest {
        Some(if longest == MAX_TAG_BYTES {
            "too long; 1 to 8,256 bytes are allowed"
        } else {
            "too long; 1 to 512 bytes are allowed"
        })
    } else if text.chars().any(char::is_control) {
        Some("has a control character; none is allowed")
    } else {
        None
    }
}

/// The beginning of a text, escaped, for errors.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push_str(&format!("… ({} bytes)", text.len()));
    }
    format!("\"{out}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_do_not_act_as_wildcards() {
        assert_eq!(part("did:plc:abc"), "did:plc:abc");
        assert_eq!(part("a*b?[c]\\%\u{e9} "), "a%2Ab%3F%5Bc%5D%5C%25%C3%A9%20");
    }

    #[test]
    fn bad_keys_are_refused_with_a_short_error() {
        let big = "k".repeat(1 << 20);
        let error = check_key(&big).expect_err("1 MB").to_string();
        assert!(error.contains("too long") && error.contains("1048576 bytes"), "{error}");
        assert!(error.len() < 200);
        let error = check_key("a\nb").expect_err("control").to_string();
        assert_eq!(error, "cache key \"a\\nb\": has a control character; none is allowed");
        assert!(check_key("").is_err());
        assert!(check_key("trust:score:did:plc:a").is_ok());
    }
}
