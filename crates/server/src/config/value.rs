//! Values on their way from text to a typed field.

use super::settings::{CacheBackend, LogFormat};
use crate::key::SecretKey;
use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

/// A value as it was given: by the environment or a flag always text, by `rhiz.toml` typed.
/// It may be a secret, so neither it nor what holds it has a `Debug`.
pub enum Raw {
    /// Text.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A number, in decimal digits.
    Number(String),
    /// A list of texts.
    List(Vec<String>),
    /// What no key takes, by the name of its type.
    Other(&'static str),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{:?}", text.trim()),
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::Number(text) => f.write_str(text),
            Self::List(list) => write!(f, "{list:?}"),
            Self::Other(name) => write!(f, "({name})"),
        }
    }
}

/// A value that was found to be allowed. No `Debug`, as for [`Raw`].
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A whole number; bytes too.
    Whole(u64),
    /// A number.
    Number(f64),
    /// A length of time.
    Time(Duration),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<String>),
    /// A key.
    Secret(SecretKey),
}

impl Value {
    pub fn of(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What a field of the configuration can be made from.
pub(super) trait FromValue: Sized {
    /// `None` when the table of keys and the field do not agree on the type.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $value:expr;)*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $pattern => $value,
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    bool: Value::Bool(yes) => Some(*yes);
    u8: Value::Whole(number) => (*number).try_into().ok();
    u16: Value::Whole(number) => (*number).try_into().ok();
    u32: Value::Whole(number) => (*number).try_into().ok();
    u64: Value::Whole(number) => Some(*number);
    usize: Value::Whole(number) => (*number).try_into().ok();
    f64: Value::Number(number) => Some(*number);
    Duration: Value::Time(time) => Some(*time);
    String: Value::Text(text) => Some(text.clone());
    PathBuf: Value::Text(text) => Some(text.into());
    IpAddr: Value::Text(text) => text.parse().ok();
    Vec<String>: Value::List(list) => Some(list.clone());
    SecretKey: Value::Secret(key) => Some(key.clone());
    SecretUrl: Value::Text(text) => Some(SecretUrl(text.clone()));
    LogFormat: Value::Text(text) => match text.as_str() {
        "auto" => Some(Self::Auto),
        "human" => Some(Self::Human),
        "json" => Some(Self::Json),
        _ => None,
    };
    CacheBackend: Value::Text(text) => match text.as_str() {
        "memory" => Some(Self::Memory),
        "redis" => Some(Self::Redis),
        _ => None,
    };
}

/// An address that may hold a password: shown without it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The whole address, to connect with. Not for messages.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.0))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address without its password: `user:…@host`, `password=…`. Works on broken addresses too,
/// for which it rather hides too much.
pub(super) fn redacted(url: &str) -> String {
    const HIDDEN: &str = "***";
    let mut text = url.to_owned();
    if text.starts_with("sqlite:") {
        return text;
    }
    if let Some(at) = text.rfind('@') {
        let start = text[..at].find("://").map_or(0, |scheme| scheme + 3);
        let start = text[start..at].find(':').map_or(start, |colon| start + colon + 1);
        text.replace_range(start..at, HIDDEN);
    }
    for name in ["password=", "pass=", "token="] {
        let mut from = 0;
        while let Some(found) = text[from..].to_ascii_lowercase().find(name) {
            let start = from + found + name.len();
            let end = text[start..].find(['&', '#', '"']).map_or(text.len(), |end| start + end);
            text.replace_range(start..end, HIDDEN);
            from = start + HIDDEN.len();
        }
    }
    text
}
