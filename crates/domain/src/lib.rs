//! What Rhiz speaks of: identifiers, records, events, and the traits that are swapped.
//!
//! No runtime, no SQL, no sockets. Every other crate depends on this one and on no sibling.
//!
//! One event, in the words of this crate: bytes become an [`Event`]; [`payload::interpret`] turns
//! its payload into an [`Effect`] or says what is [`Invalid`]; the [`store`] merges the effect by
//! its [`Version`] and tells what changed as [`Change`]s, from which the graph is fed.

pub mod cache;
pub mod canonical;
pub mod clock;
pub mod effect;
pub mod event;
pub mod fact;
pub mod invalid;
pub mod outcome;
pub mod pause;
pub mod payload;
pub mod rebuild;
pub mod records;
pub mod retry;
pub mod store;
pub mod syntax;
pub mod version;

pub use clock::{Clock, Entropy};
pub use effect::{Effect, RecordWrite};
pub use event::{Event, EventId, EventType, Origin, Priority, Stage, StageName};
pub use fact::{Change, ChangeSet, EntityId, RecordKey};
pub use invalid::{FieldError, Invalid};
pub use outcome::Outcome;
pub use pause::{EventTypes, Pause, Paused};
pub use records::{Collection, Record};
pub use syntax::{AtUri, Did, Handle, Tid};
pub use version::Version;
