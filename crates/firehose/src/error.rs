//! What can be wrong with a source. What is wrong with a message is not an error: it is rejected.

use std::{io, path::PathBuf};

/// Why a source cannot be used, or ends early. A connection that breaks is neither: it is made
/// again, and [`crate::Status`] tells of it.
#[derive(Debug, thiserror::Error)]
pub enum FirehoseError {
    /// The address of a stream.
    #[error("{url:?} is no address of a Jetstream: {why}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong and what is allowed.
        why: String,
    },
    /// A setting of a stream.
    #[error("{name}: {why}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What is wrong and what is allowed.
        why: String,
    },
    /// It is a directory, a pipe or a device.
    #[error("{path} is {what}; a file of JSON lines is needed, plain or compressed with zstd")]
    NotAFile {
        /// Which file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Missing, forbidden, or the disk failed.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// It could not be written.
    #[error("{path} cannot be written: {error}")]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// What comes in through a pipe could not be read.
    #[error("the input cannot be read: {0}")]
    Input(#[source] io::Error),
    /// It holds no text.
    #[error("{path} is {what}; JSON lines are needed, plain or compressed with zstd")]
    Binary {
        /// Which file.
        path: PathBuf,
        /// What it seems to be.
        what: &'static str,
    },
    /// The compressed data end in the middle. Everything before `offset` was delivered.
    #[error(
        "{path} is cut off: its zstd data end in the middle, after {offset} bytes of whole lines"
    )]
    Truncated {
        /// Which file.
        path: PathBuf,
        /// Where the first line begins that could not be read, bytes of uncompressed text.
        offset: u64,
    },
    /// The compressed data are damaged. Everything before `offset` was delivered.
    #[error("{path} is damaged after {offset} bytes of whole lines: {why}")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where the first line begins that could not be read, bytes of uncompressed text.
        offset: u64,
        /// What the decoder says.
        why: String,
    },
    /// A stored position lies behind the end.
    #[error("{path} has {length} bytes of text, but is to be read on from {position}")]
    Position {
        /// Which file.
        path: PathBuf,
        /// Where to read on.
        position: u64,
        /// Bytes of uncompressed text.
        length: u64,
    },
}
