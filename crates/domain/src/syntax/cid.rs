//! Content identifiers.

/// Whether the text has the shape of a CID: 8–256 letters, digits, `+` and `=`, not version 0.
/// This is the protocol's syntax; it does not decode.
#[must_use]
pub fn is_cid_text(text: &str) -> bool {
    (8..=256).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'=')
        && !text.starts_with("Qmb")
}

/// Whether the text decodes as a CID of version 1.
#[must_use]
pub fn is_cid(text: &str) -> bool {
    is_cid_text(text) && cid::Cid::try_from(text).is_ok_and(|c| c.version() == cid::Version::V1)
}
