//! Record keys: the last part of an AT URI.

/// Whether the text is a record key: 1–512 of `A-Za-z0-9._:~-`, neither `.` nor `..`.
#[must_use]
pub fn is_record_key(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:~-".contains(&b))
}
