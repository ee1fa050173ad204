//! The journal and the index on a database.
//!
//! One event here: [`sqlite`]'s `append` journals it, `claim` hands it to a worker, `settle`
//! merges its effect and removes it from the journal in one transaction; `read` answers from what
//! was merged.

mod error;
pub mod sqlite;

pub use sqlite::SqliteStore;
