//! Where a value came from, and what is wrong with one.

use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The table of keys.
    Default,
    /// A line of a file, counted from 1.
    File(PathBuf, usize),
    /// A variable of the environment.
    Environment(&'static str),
    /// A flag, with its dashes.
    Flag(&'static str),
    /// A command that always uses this value.
    Command(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Command(name) => write!(f, "rhiz {name}"),
        }
    }
}

/// One thing that stops the start. Its text is one line, and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A value that cannot be used.
    Value {
        /// The key, such as `api.port`.
        key: &'static str,
        /// The value's place.
        origin: Origin,
        /// The value, quoted; `None` for a secret.
        value: Option<String>,
        /// What is wrong, or what is allowed.
        reason: String,
    },
    /// A file, or a line of one, that cannot be used.
    File {
        /// File, or file and line.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { key, origin, value: Some(value), reason } => {
                write!(f, "{key} = {value} ({origin}) cannot be used: {reason}")
            }
            Self::Value { key, origin, value: None, reason } => {
                write!(f, "{key} ({origin}) cannot be used: {reason}")
            }
            Self::File { place, reason } => write!(f, "{place}: {reason}"),
        }
    }
}
