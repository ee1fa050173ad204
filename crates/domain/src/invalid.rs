//! What is wrong with an input, field by field.

use std::fmt;

/// One field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldError {
    /// Dotted path, as in `record.strength` or `payload.participants[1]`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// An input that breaks rules: permanent, retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invalid {
    /// Every rule broken, at least one.
    pub errors: Vec<FieldError>,
}

impl Invalid {
    /// A single broken rule.
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { errors: vec![FieldError { field: field.into(), message: message.into() }] }
    }

    /// Notes a broken rule.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError { field: field.into(), message: message.into() });
    }

    /// `Err(self)` if anything was noted.
    pub fn into_result(self) -> Result<(), Self> {
        if self.errors.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, e) in self.errors.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", e.field, e.message)?;
        }
        Ok(())
    }
}
impl std::error::Error for Invalid {}
