//! The configuration: where it comes from, and what the rest of the program gets of it.
//!
//! [`KEYS`] is the one table of keys. Parsing, `rhiz config show`, `--help` and
//! `docs/CONFIGURATION.md` all come from it; to add a key is to add one entry there and one field
//! to [`Config`].
//!
//! Layers, later ones win: defaults, `rhiz.toml`, environment, flags, and what a command fixes for
//! itself (the demo never writes to another database). All problems are found before any is
//! reported. The environment is read in [`environment`] and nowhere else.
//!
//! Called by `main`, before anything else is started.

mod describe;
mod file;
mod keys;
mod kind;
mod layers;
mod problem;
mod settings;
mod value;

#[cfg(test)]
mod tests;

pub use describe::{help, reference, shown};
pub use keys::{KEYS, Key};
pub use layers::{Flag, Sources, Survey, failure, survey};
pub use problem::{Origin, Problem};
pub use settings::{
    Api, Cache, CacheBackend, Config, Cors, Data, Database, DatabaseUrl, Firehose, Graph, Keys,
    LogFormat, Logging, Network, Pipeline, RateLimit, SourceKind,
};
pub use value::SecretUrl;

use std::ffi::OsString;

/// The environment of this process. Passed on as a value, so that tests can give their own.
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}
