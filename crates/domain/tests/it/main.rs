//! The domain against the protocol's own fixtures, and its validation case by case.

mod data_model;
mod payloads;
mod random;
mod syntax;

use std::path::PathBuf;

/// A file of the protocol's interop fixtures, if they are here.
#[expect(clippy::print_stderr, reason = "says what was not checked")]
fn interop(file: &str) -> Option<String> {
    let shared = std::env::var_os("RHIZ_SHARED_DATA").map_or_else(
        || [env!("CARGO_MANIFEST_DIR"), "..", "..", "..", "shared", "data"].iter().collect(),
        PathBuf::from,
    );
    let path = shared.join("interop").join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("NOT CHECKED: {} is not here (set RHIZ_SHARED_DATA)", path.display());
    }
    text
}
