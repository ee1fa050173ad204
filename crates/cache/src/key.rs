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

/// One part of a key. `%`, wildcards, white space, control and non-ASCII characters are
/// percent-encoded, and so are colons, but for those that begin a DID or the URI of one
/// (`did:plc:`, `at://did:plc:`): these stay as operators read them and write patterns.
///
/// Law: parts joined by colons can be told apart again, so no two lists of parts are one key. A
/// reader takes a part to its next colon; where that is `did`, two more, where it is `at`, three
/// more. No other part begins like that: `did` and `at` alone have their first letter encoded.
#[must_use]
pub fn part(text: &str) -> Cow<'_, str> {
    let colons = text.bytes().filter(|b| *b == b':').count();
    let mut kept = match text {
        _ if colons >= 2 && text.starts_with("did:") => 2,
        _ if colons >= 3 && text.starts_with("at://did:") => 3,
        _ => 0,
    };
    let plain =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'%' | b'*' | b'?' | b'[' | b']' | b'\\');
    let passes_for_a_beginning = matches!(text, "did" | "at");
    if colons == kept && !passes_for_a_beginning && text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for (at, b) in text.bytes().enumerate() {
        let stays = match b {
            b':' if kept > 0 => {
                kept -= 1;
                true
            }
            b':' => false,
            _ => plain(b) && !(at == 0 && passes_for_a_beginning),
        };
        if stays {
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
    use proptest::prelude::*;

    #[test]
    fn identifiers_do_not_act_as_wildcards() {
        assert_eq!(part("did:plc:abc"), "did:plc:abc");
        assert_eq!(part("a*b?[c]\\%\u{e9} "), "a%2Ab%3F%5Bc%5D%5C%25%C3%A9%20");
    }

    #[test]
    fn ordinary_identifiers_stay_readable() {
        for text in [
            "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
            "did:web:example.com",
            "alice.example.com",
            "at://did:plc:a/net.rhiz.relationship.record/3k2yihcrp6f2c",
            "professional",
        ] {
            assert!(matches!(part(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        for (text, expected) in [
            ("did:web:a.com:did:web:b.com", "did:web:a.com%3Adid%3Aweb%3Ab.com"),
            ("at://did:web:a.com:u/c/r", "at://did:web:a.com%3Au/c/r"),
            ("did:a", "did%3Aa"),
            ("p:q", "p%3Aq"),
            ("did", "%64id"),
            ("at", "%61t"),
        ] {
            assert_eq!(part(text), expected);
        }
    }

    /// Texts that are likely to pass for one another.
    fn tricky() -> impl Strategy<Value = String> {
        let piece = proptest::sample::select(vec![
            "did", "at", ":", ":", ":", "//", "web", "a", "b.com", "%", "%3A", "3A", "", "*",
        ]);
        prop_oneof![
            3 => proptest::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat()),
            1 => any::<String>(),
        ]
    }

    fn joined(parts: &[String]) -> String {
        let parts: Vec<_> = parts.iter().map(|p| part(p)).collect();
        parts.join(":")
    }

    /// The parts of a key, read as the law says.
    fn read(key: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut pieces = key.split(':');
        while let Some(first) = pieces.next() {
            let more = match first {
                "did" => 2,
                "at" => 3,
                _ => 0,
            };
            let mut text = first.to_owned();
            for piece in pieces.by_ref().take(more) {
                text.push(':');
                text.push_str(piece);
            }
            let mut bytes = Vec::new();
            let mut rest = text.bytes();
            while let Some(b) = rest.next() {
                let mut digit = || char::from(rest.next().unwrap()).to_digit(16).unwrap() as u8;
                bytes.push(if b == b'%' { digit() << 4 | digit() } else { b });
            }
            out.push(String::from_utf8(bytes).unwrap());
        }
        out
    }

    #[test]
    fn two_pairs_that_were_one_key_are_two() {
        let pairs = [
            ["did:web:a.com", "did:web:b.com:did:web:c.com"],
            ["did:web:a.com:did:web:b.com", "did:web:c.com"],
        ];
        let [a, b] = pairs.map(|pair| joined(&pair.map(str::to_owned)));
        assert_ne!(a, b);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn parts_can_be_told_apart_again(
            parts in proptest::collection::vec(tricky(), 1..4),
            others in proptest::collection::vec(tricky(), 1..4),
        ) {
            let key = joined(&parts);
            prop_assert_eq!(&read(&key), &parts);
            prop_assert_eq!(key == joined(&others), parts == others);
        }
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
