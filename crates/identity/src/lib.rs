//! Who a DID or a handle is.
//!
//! [`Resolver`] asks the PLC directory, the hosts of did:webs, name servers and the hosts of
//! handles, and gives an [`Identity`]: the handle verified both ways, the server that holds the
//! repo, and the key that its commits are signed with. It keeps nothing; the server puts a cache
//! before it, the pipeline turns a [`ResolveError`] into a retry or a dead letter by
//! [`is_temporary`](ResolveError::is_temporary), and the firehose takes keys from
//! [`document`](Resolver::document).
//!
//! What it promises, whatever a document or a handle says:
//! - No request leaves for a private network ([`is_public`]), unless that is allowed: the address
//!   that is checked is the address that is connected to, on each redirect anew.
//! - Each request ends within its time limit, reads a bounded answer, and there are never more than
//!   so many at once.
//! - A host that fails again and again is left alone for a while.
//! - Nobody's document and nobody's handle is taken for somebody else's.
//!
//! In this order: a name becomes a URL that may be asked (`hosts`); the request goes out (`web`,
//! with `names` for DNS and `backoff` for failing hosts); the bytes become a [`Document`]
//! (`document`, `key`); its handle is asked back (`resolver`).

mod address;
mod backoff;
mod config;
mod document;
mod error;
mod hosts;
mod identity;
mod key;
mod names;
mod resolver;
mod web;

pub use address::is_public;
pub use config::{Dns, ResolverConfig};
pub use error::ResolveError;
pub use identity::{Document, HandleCheck, Identity};
pub use key::{Curve, KeyError, SigningKey};
pub use resolver::Resolver;
pub use url::Url;
