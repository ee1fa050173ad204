//! Query parameters, as strict as the lexicons: each known, given once unless it is a list, and
//! within its range.

use super::error::Error;
use axum::{extract::Query, http::Uri};
use rhiz_domain::Did;
use std::ops::RangeInclusive;

/// The parameters of one call.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads those of a call, if all of them are known.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Error> {
        let Ok(Query(given)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Err(Error::invalid("the query parameters cannot be read"));
        };
        match given.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(Self(given)),
            Some((name, _)) => Err(Error::invalid(format!(
                "{name:?} is not a parameter of this method; it knows {}",
                known.join(", ")
            ))),
        }
    }

    /// A parameter that may be given once.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.all(name);
        let value = values.next();
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Error::invalid(format!("{name}: it is given more than once"))),
        }
    }

    /// A parameter that has to be given, once.
    pub(super) fn required(&self, name: &str) -> Result<&str, Error> {
        self.optional(name)?.ok_or_else(|| Error::invalid(format!("{name}: it is required")))
    }

    /// A DID that has to be given.
    pub(super) fn did(&self, name: &str) -> Result<Did, Error> {
        did(name, self.required(name)?)
    }

    /// A whole number within a range.
    pub(super) fn integer(
        &self,
        name: &str,
        range: RangeInclusive<u16>,
        default: u16,
    ) -> Result<u16, Error> {
        let Some(text) = self.optional(name)? else { return Ok(default) };
        // Rust reads "+5" and lexicons do not.
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|n| digits && range.contains(n));
        number.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            let text = short(text);
            Error::invalid(format!("{name}: {text:?} is not a whole number from {least} to {most}"))
        })
    }

    /// True or false; false when it is not given.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Error> {
        Ok(self.word(name, &[("true", true), ("false", false)])?.unwrap_or(false))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.optional(name)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let (text, allowed) = (short(text), allowed.join(", "));
                Err(Error::invalid(format!("{name}: {text:?} is not one of {allowed}")))
            }
        }
    }

    /// Types of relationships; `None` when none is given.
    pub(super) fn types(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        const LONGEST: usize = 1000;
        let types = self.list(name)?;
        if types.iter().any(|t| t.is_empty() || t.len() > LONGEST) {
            return Err(Error::invalid(format!("{name}: a type has 1 to {LONGEST} bytes")));
        }
        Ok((!types.is_empty()).then(|| types.into_iter().map(str::to_owned).collect()))
    }

    /// DIDs.
    pub(super) fn dids(&self, name: &str) -> Result<Vec<String>, Error> {
        self.list(name)?.into_iter().map(|text| Ok(did(name, text)?.to_string())).collect()
    }

    /// A parameter that is given once for each of its items.
    fn list(&self, name: &str) -> Result<Vec<&str>, Error> {
        const MOST: usize = 100;
        let items: Vec<&str> = self.all(name).collect();
        if items.len() > MOST {
            return Err(Error::invalid(format!("{name}: more than {MOST} are not allowed")));
        }
        Ok(items)
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

fn did(name: &str, text: &str) -> Result<Did, Error> {
    Did::parse(text).map_err(|e| Error::invalid(format!("{name}: {e}")))
}

/// So much of what was given as helps to find it.
fn short(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}
