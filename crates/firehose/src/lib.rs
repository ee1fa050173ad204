//! Bytes in, events out.
//!
//! [`decode()`] turns one message into an event, or says why it is none: pure, no I/O. A [`Source`]
//! feeds it: [`Jetstream`] from a socket that reconnects for ever, [`FileSource`] from a file of
//! JSON lines. Both hand over [`Intake`]s, in each of which the cursor stands behind its events,
//! so that whoever appends them to a journal can neither skip nor lose one.
//!
//! The server wires sources to the journal; nothing here knows of a store. Further sources
//! (Jetstream v2, `subscribeRepos` with proofs) implement the same trait on the same socket.

mod decode;
mod error;
mod jetstream;
mod replay;
mod socket;
mod source;
mod spool;

pub use decode::{Decoded, MAX_MESSAGE, Message, Place, decode};
pub use error::FirehoseError;
pub use jetstream::{Jetstream, Options};
pub use replay::{FileSource, Progress, Replay};
pub use source::{Gap, Source, Status, Trouble};
pub use spool::{FileDigest, Spooled, digest, spool};

pub use rhiz_domain::store::Intake;
