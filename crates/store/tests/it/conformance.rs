//! What every store has to do.

rhiz_testkit::store_conformance!(crate::Database::new());
