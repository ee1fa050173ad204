//! The resolver against real name servers, real TLS, the official PLC directory and PDS, and the
//! protocol's own fixtures.

mod directory;
mod documents;
mod handles;
mod internet;
mod keys;
mod peer;
mod private;
mod web;

use std::path::PathBuf;

/// A file of the shared data, if it is here.
#[expect(clippy::print_stderr, reason = "says what was not checked")]
fn shared(file: &str) -> Option<Vec<u8>> {
    let shared = std::env::var_os("RHIZ_SHARED_DATA").map_or_else(
        || [env!("CARGO_MANIFEST_DIR"), "..", "..", "..", "shared", "data"].iter().collect(),
        PathBuf::from,
    );
    let path = shared.join(file);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("NOT CHECKED: {} is not here (set RHIZ_SHARED_DATA)", path.display());
    }
    bytes
}
