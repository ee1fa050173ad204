//! What SQLite's errors mean to us.

use rhiz_domain::store::StoreError;
use rusqlite::{Error, ErrorCode};

/// Sorts an error: what may pass by itself, and what will not. What may pass is told in a sentence
/// of our own, for callers see it; SQLite's number is for who looks it up.
pub(crate) fn from_sqlite(error: &Error) -> StoreError {
    let why = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full: make room on it",
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed,
        ) => "another program has locked the database: end it, or wait for it",
        Some(ErrorCode::SystemIoFailure) => "the disk fails to read, write or flush",
        Some(ErrorCode::CannotOpen) => "the database's file cannot be opened",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "the database's file or folder may not be written"
        }
        Some(ErrorCode::OutOfMemory) => "there is no memory left",
        _ => return StoreError::Corrupt(error.to_string()),
    };
    let number = error.sqlite_error().map_or(0, |e| e.extended_code);
    StoreError::Unavailable(format!("{why} (SQLite error {number})"))
}

/// Whether nothing was tried, for somebody else holds the lock: trying the parts of a group one by
/// one would only wait for it as often.
pub(crate) fn is_locked(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
