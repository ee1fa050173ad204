//! Handles: host names that people are known by.

use super::SyntaxError;
use std::{fmt, sync::Arc};

/// A syntactically valid handle, in lower case. Says nothing of whose it is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(Arc<str>);

impl Handle {
    /// Shown where no handle is verified.
    pub const INVALID: &'static str = "handle.invalid";

    /// Checks the syntax: two or more labels of 1–63 letters, digits and inner hyphens, the last
    /// one not starting with a digit; 253 characters at most.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let no = |why| Err(SyntaxError::new("a handle", text, why));
        if text.len() > 253 {
            return no("it is longer than 253 characters");
        }
        let mut labels = 0;
        let mut last = "";
        for label in text.split('.') {
            if label.is_empty() || label.len() > 63 {
                return no("each part between dots has 1 to 63 characters");
            }
            if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return no("only letters, digits, hyphens and dots are allowed");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return no("a part may not start or end with a hyphen");
            }
            labels += 1;
            last = label;
        }
        if labels < 2 {
            return no("it needs a dot, as in alice.example.com");
        }
        if last.starts_with(|c: char| c.is_ascii_digit()) {
            return no("the last part may not start with a digit");
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The text, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl serde::Serialize for Handle {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}
