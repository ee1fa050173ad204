//! Which of two statements about one record holds.

use crate::syntax::Tid;

/// What wrote a record row. Of all events for one URI the greatest version wins, whatever the
/// order they come in; equal ones are the same event.
///
/// The law: compared by (class, rev, delete over write, SHA-256 of the canonical record).
///
/// ```
/// use rhiz_domain::{Tid, Version};
/// let rev = |t| Tid::parse(t).unwrap();
/// let served = Version { class: 0, rev: rev("3zzzzzzzzzzzz"), deleted: false, hash: [9; 32] };
/// let sourced = Version { class: 1, rev: rev("3jzfcijpj2z2a"), deleted: false, hash: [1; 32] };
/// assert!(sourced > served); // what the source numbered beats what we numbered
/// assert!(Version { deleted: true, ..sourced } > sourced); // at one rev, gone is gone
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 1 when the source supplied the revision, 0 when this server made it at accept.
    pub class: u8,
    /// The repo revision.
    pub rev: Tid,
    /// It deletes the record.
    pub deleted: bool,
    /// SHA-256 of the DAG-CBOR of the record; zeros for a delete.
    pub hash: [u8; 32],
}
