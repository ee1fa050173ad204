//! `did:method:identifier`, as restricted by the AT Protocol.

use super::SyntaxError;
use std::{fmt, sync::Arc};

/// A syntactically valid DID. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Did(Arc<str>);

const WHAT: &str = "a DID";

impl Did {
    /// Checks the syntax: `did:`, a lower-case method, and an identifier of `A-Za-z0-9._:%-`
    /// that ends in neither `:` nor `%`; 2 KB at most.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let no = |why| Err(SyntaxError::new(WHAT, text, why));
        if text.len() > 2048 {
            return no("it is longer than 2,048 characters");
        }
        let Some(rest) = text.strip_prefix("did:") else {
            return no("it has to start with `did:`, like did:plc:… or did:web:…");
        };
        let Some((method, id)) = rest.split_once(':') else {
            return no("an identifier has to follow the method, as in did:plc:…");
        };
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_lowercase()) {
            return no("the method has to be lower-case letters, as in did:plc:…");
        }
        if id.is_empty() {
            return no("an identifier has to follow the method, as in did:plc:…");
        }
        if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:%-".contains(&b)) {
            return no("only letters, digits and . _ : % - are allowed");
        }
        if id.ends_with([':', '%']) {
            return no("it may not end in `:` or `%`");
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::str::FromStr for Did {
    type Err = SyntaxError;
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        Self::parse(text)
    }
}
impl AsRef<str> for Did {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
impl std::borrow::Borrow<str> for Did {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl serde::Serialize for Did {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}
impl<'de> serde::Deserialize<'de> for Did {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
