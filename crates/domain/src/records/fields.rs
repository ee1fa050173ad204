//! Reads the fields of a JSON object and notes every rule that is broken, with its place.

use crate::{
    Invalid, canonical,
    syntax::{AtUri, Did, parse_datetime},
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation;

/// A whole number, 0 or more; also when it is written with a point, as in `5.0`.
fn whole(value: &Value) -> Option<u64> {
    let Value::Number(number) = value else { return None };
    canonical::integer(number).and_then(|n| u64::try_from(n).ok())
}

/// A reader of one object. Its methods answer `None` both for what is absent and for what is
/// wrong; what is wrong, or required and absent, is noted, and [`Fields::finish`] fails on it.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
    invalid: Invalid,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>, path: &str) -> Self {
        Self { map, path: path.into(), invalid: Invalid::default() }
    }

    fn place(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn error(&mut self, name: &str, message: impl Into<String>) {
        let place = self.place(name);
        self.invalid.add(place, message);
    }

    /// `value` if nothing was wrong.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Invalid> {
        match value {
            Some(value) if self.invalid.errors.is_empty() => Ok(value),
            _ if self.invalid.errors.is_empty() => {
                Err(Invalid::one(self.path, "it is not complete"))
            }
            _ => Err(self.invalid),
        }
    }

    /// The value, if it is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|v| !v.is_null())
    }

    fn required(&mut self, name: &str) -> Option<&'a Value> {
        let value = self.get(name);
        if value.is_none() {
            self.error(name, "it is required");
        }
        value
    }

    fn typed<T>(
        &mut self,
        name: &str,
        what: &str,
        value: Option<&'a Value>,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let out = read(value?);
        if out.is_none() {
            self.error(name, format!("it has to be {what}"));
        }
        out
    }

    fn checked<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text?) {
            Ok(value) => Some(value),
            Err(e) => {
                self.error(name, e.to_string());
                None
            }
        }
    }

    pub(crate) fn text_opt(&mut self, name: &str) -> Option<&'a str> {
        let value = self.get(name);
        self.typed(name, "a text", value, Value::as_str)
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<&'a str> {
        let value = self.required(name);
        self.typed(name, "a text", value, Value::as_str)
    }

    /// Notes a text with more than `max` graphemes.
    fn bounded(&mut self, name: &str, text: Option<&'a str>, max: usize) -> Option<&'a str> {
        // A grapheme has at least one byte; counting is for the few that could be too long.
        if text?.len() > max && text?.graphemes(true).count() > max {
            self.error(name, format!("it has more than {max} characters"));
            return None;
        }
        text
    }

    pub(crate) fn text_max(&mut self, name: &str, max: usize) -> Option<&'a str> {
        let text = self.text(name);
        self.bounded(name, text, max)
    }

    pub(crate) fn text_opt_max(&mut self, name: &str, max: usize) -> Option<&'a str> {
        let text = self.text_opt(name);
        self.bounded(name, text, max)
    }

    fn ranged(&mut self, name: &str, value: Option<&'a Value>) -> Option<u8> {
        self.typed(name, "a whole number from 0 to 100", value, |v| {
            whole(v).filter(|n| *n <= 100).and_then(|n| u8::try_from(n).ok())
        })
    }

    /// A whole number from 0 to 100.
    pub(crate) fn percent(&mut self, name: &str) -> Option<u8> {
        let value = self.required(name);
        self.ranged(name, value)
    }

    pub(crate) fn percent_opt(&mut self, name: &str) -> Option<u8> {
        let value = self.get(name);
        self.ranged(name, value)
    }

    pub(crate) fn count_opt(&mut self, name: &str) -> Option<u64> {
        let value = self.get(name);
        self.typed(name, "a whole number, 0 or more", value, whole)
    }

    pub(crate) fn bool_opt(&mut self, name: &str) -> Option<bool> {
        let value = self.get(name);
        self.typed(name, "true or false", value, Value::as_bool)
    }

    pub(crate) fn did(&mut self, name: &str) -> Option<Did> {
        let text = self.text(name);
        self.checked(name, text, Did::parse)
    }

    pub(crate) fn did_opt(&mut self, name: &str) -> Option<Did> {
        let text = self.text_opt(name);
        self.checked(name, text, Did::parse)
    }

    pub(crate) fn at_uri(&mut self, name: &str) -> Option<AtUri> {
        let text = self.text(name);
        self.checked(name, text, AtUri::parse)
    }

    pub(crate) fn at_uri_opt(&mut self, name: &str) -> Option<AtUri> {
        let text = self.text_opt(name);
        self.checked(name, text, AtUri::parse)
    }

    pub(crate) fn uri_opt(&mut self, name: &str) -> Option<&'a str> {
        let text = self.text_opt(name)?;
        if !crate::syntax::is_uri(text) {
            self.error(name, "it has to be a URI, like https://example.com/a.png");
            return None;
        }
        Some(text)
    }

    pub(crate) fn datetime(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.text(name);
        self.checked(name, text, parse_datetime)
    }

    pub(crate) fn datetime_opt(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.text_opt(name);
        self.checked(name, text, parse_datetime)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = choices.iter().find(|(n, _)| *n == text).map(|(_, v)| *v);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(n, _)| *n).collect();
            self.error(name, format!("{text:?} is not one of {}", names.join(", ")));
        }
        found
    }

    /// Reads an object with `read`; what is wrong in it is noted with its path.
    pub(crate) fn object_opt<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(name);
        let map = self.typed(name, "an object", value, Value::as_object)?;
        let mut inner = Fields::new(map, &self.place(name));
        let out = read(&mut inner);
        self.invalid.errors.append(&mut inner.invalid.errors);
        out
    }

    pub(crate) fn object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'a>) -> Option<T>,
    ) -> Option<T> {
        self.required(name)?;
        self.object_opt(name, read)
    }

    pub(crate) fn array_opt(&mut self, name: &str, max: usize) -> Option<&'a [Value]> {
        let value = self.get(name);
        let items = self.typed(name, "an array", value, |v| v.as_array().map(Vec::as_slice))?;
        if items.len() > max {
            self.error(name, format!("it has more than {max} items"));
            return None;
        }
        Some(items)
    }

    /// Reads each object of an array with `read`.
    pub(crate) fn objects_opt<T>(
        &mut self,
        name: &str,
        max: usize,
        mut read: impl FnMut(&mut Fields<'a>) -> Option<T>,
    ) -> Vec<T> {
        let mut out = Vec::new();
        for (i, item) in self.array_opt(name, max).unwrap_or_default().iter().enumerate() {
            let place = format!("{name}[{i}]");
            let Some(map) = item.as_object() else {
                self.error(&place, "it has to be an object");
                continue;
            };
            let mut inner = Fields::new(map, &self.place(&place));
            out.extend(read(&mut inner));
            self.invalid.errors.append(&mut inner.invalid.errors);
        }
        out
    }

    /// Checks an optional array of texts.
    pub(crate) fn texts_opt(&mut self, name: &str, max: usize) -> Vec<&'a str> {
        let mut out = Vec::new();
        for (i, item) in self.array_opt(name, max).unwrap_or_default().iter().enumerate() {
            match item.as_str() {
                Some(text) => out.push(text),
                None => self.error(&format!("{name}[{i}]"), "it has to be a text"),
            }
        }
        out
    }
}
