//! Why somebody could not be resolved, and whether it is worth trying again.

use rhiz_domain::{Did, Handle};
use std::time::Duration;

/// Why there is no answer. That somebody does not exist is an answer, not an error.
///
/// *Temporary* ones may go away by themselves: retry them, later. *Permanent* ones stay until the
/// other side changes something. See [`is_temporary`](Self::is_temporary).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No answer within the time limit.
    #[error("{what} did not answer in time")]
    TimedOut {
        /// A host or a name.
        what: String,
    },
    /// No connection, no valid certificate, or a connection that broke.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The host.
        host: String,
        /// What happened.
        why: String,
    },
    /// The server is in trouble (5xx), or has had enough of us (429).
    #[error("{host} answered with status {status}")]
    Status {
        /// The host.
        host: String,
        /// Its status code.
        status: u16,
        /// When it wants to be asked again, at the earliest.
        retry_after: Option<Duration>,
    },
    /// The name servers failed.
    #[error("the name {name} could not be looked up: {why}")]
    Dns {
        /// The name.
        name: String,
        /// What happened.
        why: String,
    },
    /// Not asked: this host failed again and again, and is left alone for a while.
    #[error("{host} has been failing and is left alone for a while")]
    LeftAlone {
        /// The host.
        host: String,
        /// How much longer.
        retry_after: Duration,
    },
    /// Not asked: too many requests are under way.
    #[error("too many identities are being resolved")]
    Busy,

    /// Not a DID method of the AT Protocol.
    #[error("{did} cannot be resolved: only did:plc and did:web are supported")]
    UnsupportedMethod {
        /// The DID.
        did: Did,
    },
    /// A DID that no did:plc or did:web of the AT Protocol can look like.
    #[error("{did} cannot exist: {why}")]
    ImpossibleDid {
        /// The DID.
        did: Did,
        /// What is wrong, or what is allowed.
        why: &'static str,
    },
    /// A handle that may not be used in the network.
    #[error(
        "the handle {handle} is not allowed: names under .{under} are not of the public internet"
    )]
    DisallowedHandle {
        /// The handle.
        handle: Handle,
        /// Its last label.
        under: String,
    },
    /// Several DIDs are named for one handle.
    #[error("the name servers name more than one DID for the handle {handle}")]
    AmbiguousHandle {
        /// The handle.
        handle: Handle,
    },
    /// What came is no DID document.
    #[error("the document of {did} is malformed: {why}")]
    Malformed {
        /// Whose document was asked for.
        did: Did,
        /// What is wrong.
        why: String,
    },
    /// The document of somebody else.
    #[error("asked for {did}, got the document of {got:?}")]
    OtherDid {
        /// Whose document was asked for.
        did: Did,
        /// Its `id`, cut to 80 characters.
        got: String,
    },
    /// More than a document may have.
    #[error("{host} sent more than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// Most bytes that are read.
        limit: usize,
    },
    /// The host leads into a private network.
    #[error("{host} is not on the public internet, and private addresses are not allowed")]
    PrivateAddress {
        /// The host.
        host: String,
    },
    /// A URL that is never asked, or a redirect that is never followed.
    #[error("{host} is not asked: {why}")]
    ForbiddenUrl {
        /// The host.
        host: String,
        /// What is wrong, or what is allowed.
        why: &'static str,
    },
    /// A client error other than "not found".
    #[error("{host} refused to answer, with status {status}")]
    Refused {
        /// The host.
        host: String,
        /// Its status code.
        status: u16,
    },
    /// The resolver cannot be set up like this.
    #[error("the identity resolver cannot start: {why}")]
    Setup {
        /// What is wrong.
        why: String,
    },
}

impl ResolveError {
    /// Whether trying again, later, may help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. }
                | Self::Unreachable { .. }
                | Self::Status { .. }
                | Self::Dns { .. }
                | Self::LeftAlone { .. }
                | Self::Busy
        )
    }

    /// How long to wait before trying again, when that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::LeftAlone { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// A short name for metrics and for callers who should not see host names.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timed_out",
            Self::Unreachable { .. } => "unreachable",
            Self::Status { .. } => "server_error",
            Self::Dns { .. } => "dns",
            Self::LeftAlone { .. } => "left_alone",
            Self::Busy => "busy",
            Self::UnsupportedMethod { .. } => "unsupported_method",
            Self::ImpossibleDid { .. } => "impossible_did",
            Self::DisallowedHandle { .. } => "disallowed_handle",
            Self::AmbiguousHandle { .. } => "ambiguous_handle",
            Self::Malformed { .. } => "malformed_document",
            Self::OtherDid { .. } => "document_of_another",
            Self::TooLarge { .. } => "too_large",
            Self::PrivateAddress { .. } => "private_address",
            Self::ForbiddenUrl { .. } => "forbidden_url",
            Self::Refused { .. } => "refused",
            Self::Setup { .. } => "setup",
        }
    }
}
