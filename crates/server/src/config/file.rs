//! `rhiz.toml`: which one, and what stands in it, with line numbers.

use super::{
    keys::{KEYS, Key},
    layers::Layer,
    problem::{Origin, Problem},
    value::Raw,
};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The name that is looked for.
const NAME: &str = "rhiz.toml";

/// The file that counts: the one that was named, else the one here, else the one beside the data.
pub(super) fn find(named: Option<PathBuf>, directory: &Path, data_dir: &Path) -> Option<PathBuf> {
    named.or_else(|| [directory.join(NAME), data_dir.join(NAME)].into_iter().find(|p| p.exists()))
}

/// What the file gives. Problems with the file itself are added to `problems`.
pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut refuse = |reason: String| {
        problems.push(Problem::File { place: path.display().to_string(), reason });
    };
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => parse(path, &text, problems),
        Ok(Err(_)) => {
            refuse("this is not UTF-8 text".into());
            Vec::new()
        }
        Err(error) => {
            refuse(match error.kind() {
                ErrorKind::NotFound => "there is no such file".into(),
                _ => format!("cannot be read: {error}"),
            });
            Vec::new()
        }
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    layers: Vec<Layer>,
    problems: &'a mut Vec<Problem>,
}

fn parse(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { path, text, layers: Vec::new(), problems };
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.refuse(at, format!("this is not TOML: {}", error.message().trim_end()));
    }
    // What could be read is checked all the same, so that everything is reported at once.
    reader.table("", table.get_ref());
    reader.layers
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
    }

    fn refuse(&mut self, at: usize, reason: String) {
        let place = format!("{}:{}", self.path.display(), self.line(at));
        self.problems.push(Problem::File { place, reason });
    }

    fn table(&mut self, section: &str, table: &DeTable<'_>) {
        // In the order of the file, which the map does not keep.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let at = name.span().start;
            let full = match section {
                "" => name.get_ref().to_string(),
                _ => format!("{section}.{}", name.get_ref()),
            };
            let is_section = KEYS.iter().any(|key| section_of(key) == full);
            match (KEYS.iter().find(|key| key.name == full), value.get_ref()) {
                (Some(key), value) => {
                    let origin = Origin::File(self.path.to_owned(), self.line(at));
                    self.layers.push(Layer { key, raw: raw(value), origin });
                }
                (None, DeValue::Table(inner)) if is_section => self.table(&full, inner),
                (None, _) if is_section => {
                    self.refuse(at, format!("`{full}` is a section: write `[{full}]`"));
                }
                (None, DeValue::Table(inner)) if section.is_empty() && !inner.is_empty() => {
                    self.unknown_section(&full, inner);
                }
                (None, _) => self.unknown(at, &full),
            }
        }
    }

    /// Each key of an unknown section is compared as a whole, which finds `[databse] url`.
    fn unknown_section(&mut self, section: &str, table: &DeTable<'_>) {
        for name in table.keys() {
            let full = format!("{section}.{}", name.get_ref());
            self.unknown(Spanned::span(name).start, &full);
        }
    }

    fn unknown(&mut self, at: usize, name: &str) {
        let nearest = nearest(name);
        self.refuse(at, format!("`{name}` is not a key; the nearest is `{nearest}`"));
    }
}

fn section_of(key: &Key) -> &'static str {
    key.name.split_once('.').map_or("", |(section, _)| section)
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(yes) => Raw::Bool(*yes),
        DeValue::Integer(number) => {
            Raw::Number(match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(decimal) => decimal.to_string(),
                Err(_) => number.as_str().to_owned(),
            })
        }
        DeValue::Float(number) => Raw::Number(number.as_str().to_owned()),
        DeValue::Array(list) => list
            .iter()
            .map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map_or(Raw::Other("array of other things than strings"), Raw::List),
        other => Raw::Other(other.type_str()),
    }
}

/// The known key that is nearest by edits; one that ends alike wins a tie.
pub(super) fn nearest(name: &str) -> &'static str {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    KEYS.iter()
        .map(|key| key.name)
        .min_by_key(|known| {
            let whole = edits(name, known);
            // A key without its section, or in the wrong one, is a slip as common as a typing error.
            whole.min(edits(&last(name), &last(known)) * 2 + 1)
        })
        .unwrap_or_default()
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let change = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
