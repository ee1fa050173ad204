//! Namespaced identifiers, as in `net.rhiz.relationship.record`.

/// Whether the text is an NSID: at least two domain labels and a name of letters and digits that
/// starts with a letter; 317 characters at most.
#[must_use]
pub fn is_nsid(text: &str) -> bool {
    let Some((authority, name)) = text.rsplit_once('.') else {
        return false;
    };
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.len() <= 317
        && authority.contains('.')
        && authority.split('.').all(label)
        && !authority.starts_with(|c: char| c.is_ascii_digit())
        && (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
        && !name.starts_with(|c: char| c.is_ascii_digit())
}
