//! Identifiers of the AT Protocol, checked once where they come in and trusted afterwards.

mod at_uri;
mod cid;
mod datetime;
mod did;
mod handle;
mod nsid;
mod record_key;
mod tid;
mod uri;

pub use at_uri::AtUri;
pub use cid::{is_cid, is_cid_text};
pub use datetime::{format_datetime, parse_datetime};
pub use did::Did;
pub use handle::Handle;
pub use nsid::is_nsid;
pub use record_key::is_record_key;
pub use tid::Tid;
pub use uri::is_uri;

/// Why a text is not the identifier it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {why}")]
pub struct SyntaxError {
    /// The kind of identifier expected, with its article: "a DID".
    pub what: &'static str,
    /// The text, cut to 80 characters.
    pub text: String,
    /// What is wrong, or what is allowed.
    pub why: &'static str,
}

impl SyntaxError {
    pub(crate) fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        Self { what, text: text.chars().take(80).collect(), why }
    }
}
