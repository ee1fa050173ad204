//! Lays the layers over each other, and finds every problem there is.

use super::{
    Config, file,
    keys::{Fallback, KEYS, Key},
    problem::{Origin, Problem},
    settings,
    value::{FromValue, Raw, Value},
};
use crate::exit::Failure;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// A value given on the command line.
pub struct Flag {
    /// The key, such as `api.port`.
    pub key: &'static str,
    /// The flag with its dashes.
    pub flag: &'static str,
    /// The value.
    pub text: String,
}

/// Where values may come from.
#[derive(Default)]
pub struct Sources {
    /// The working directory; empty for that of the process.
    pub directory: PathBuf,
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags.
    pub flags: Vec<Flag>,
    /// What a command (its name) always uses, whatever the layers say.
    pub fixed: Vec<(&'static str, &'static str, &'static str)>,
}

/// One value of one layer.
pub(super) struct Layer {
    pub key: &'static Key,
    pub raw: Raw,
    pub origin: Origin,
}

/// One key with what holds for it.
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// Where its value came from.
    pub origin: Origin,
    /// The value as given; `None` when nothing is given and nothing is the default.
    pub raw: Option<Raw>,
    /// The value, when it can be used.
    pub value: Option<Value>,
}

/// What the layers say, all in all.
pub struct Survey {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// One for each of [`KEYS`], in that order.
    pub settings: Vec<Setting>,
    /// All that is wrong.
    pub problems: Vec<Problem>,
    /// The configuration, when nothing is wrong.
    pub config: Option<Config>,
}

impl Survey {
    /// The configuration, or one message with all problems.
    pub fn into_config(self) -> Result<Config, Failure> {
        match self.config {
            Some(config) if self.problems.is_empty() => Ok(config),
            _ => Err(failure(&self.problems)),
        }
    }
}

/// The message with all problems, one a line.
pub fn failure(problems: &[Problem]) -> Failure {
    Failure::Config(match problems {
        [one] => one.to_string(),
        _ => {
            let lines: String = problems.iter().map(|p| format!("\n  {p}")).collect();
            format!("the configuration has {} problems{lines}", problems.len())
        }
    })
}

/// Reads everything and never fails: what is wrong is in the answer.
pub fn survey(sources: Sources) -> Survey {
    let mut problems = Vec::new();
    let environment = environment(&sources.environment, &mut problems);
    let command = flags(&sources);

    // The data directory decides where a file may be, so it is looked for first.
    let data_dir = command.iter().chain(&environment).find_map(|layer| match &layer.raw {
        Raw::Text(text) if layer.key.name == "data.dir" => Some(text.trim()),
        _ => None,
    });
    let data_dir = sources.directory.join(data_dir.unwrap_or(default_data_dir()));
    let path = file::find(sources.file, &sources.directory, &data_dir);
    let file = path.as_deref().map_or_else(Vec::new, |path| file::read(path, &mut problems));

    let mut winners: Vec<Option<Layer>> = KEYS.iter().map(|_| None).collect();
    for layer in file.into_iter().chain(environment).chain(command.into_iter().rev()) {
        if let Some(at) = KEYS.iter().position(|key| key.name == layer.key.name) {
            winners[at] = Some(layer);
        }
    }
    let settings: Vec<Setting> =
        KEYS.iter().zip(winners).map(|(key, winner)| setting(key, winner, &mut problems)).collect();

    let reader = Reader { settings: &settings, directory: &sources.directory };
    problems.extend(settings::contradictions(&reader));
    let config = match settings::build(&reader, path.clone()) {
        Ok(config) => Some(config),
        Err(problem) if problems.is_empty() => {
            problems.push(problem);
            None
        }
        Err(_) => None,
    };
    Survey { file: path, settings, problems, config }
}

fn default_data_dir() -> &'static str {
    KEYS.iter()
        .find_map(|key| match key.default {
            Fallback::Text(text) if key.name == "data.dir" => Some(text),
            _ => None,
        })
        .unwrap_or_default()
}

/// An empty variable counts as not set: compose files write `REDIS_URL=` for that.
fn environment(given: &[(OsString, OsString)], problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut layers = Vec::new();
    for key in KEYS {
        let Some((_, value)) = given.iter().find(|(name, _)| name == key.env) else { continue };
        let origin = Origin::Environment(key.env);
        match value.to_str() {
            Some(text) if text.trim().is_empty() => {}
            Some(text) => layers.push(Layer { key, raw: Raw::Text(text.to_owned()), origin }),
            None => problems.push(Problem::Value {
                key: key.name,
                origin,
                value: None,
                reason: "it is not UTF-8 text".into(),
            }),
        }
    }
    layers
}

/// What the command fixes, then its flags: the first one wins.
fn flags(sources: &Sources) -> Vec<Layer> {
    let fixed = sources
        .fixed
        .iter()
        .map(|(key, command, text)| (*key, Origin::Command(command), (*text).to_owned()));
    let flags = sources.flags.iter().map(|f| (f.key, Origin::Flag(f.flag), f.text.clone()));
    fixed
        .chain(flags)
        .filter_map(|(name, origin, text)| {
            let key = KEYS.iter().find(|key| key.name == name)?;
            Some(Layer { key, raw: Raw::Text(text), origin })
        })
        .collect()
}

fn setting(key: &'static Key, winner: Option<Layer>, problems: &mut Vec<Problem>) -> Setting {
    let (raw, origin) = match (winner, key.default) {
        (Some(layer), _) => (Some(layer.raw), layer.origin),
        (None, Fallback::Text(text)) => (Some(Raw::Text(text.to_owned())), Origin::Default),
        (None, Fallback::Unset(_)) => (None, Origin::Default),
    };
    let value = raw.as_ref().and_then(|raw| key.kind.check(raw));
    if let (Some(raw), None) = (&raw, &value) {
        let reason = format!("allowed is {}", key.kind.allowed());
        let value = key.kind.show(raw);
        problems.push(Problem::Value { key: key.name, origin: origin.clone(), value, reason });
    }
    Setting { key, origin, raw, value }
}

/// Typed values by the names of their keys.
pub(super) struct Reader<'a> {
    settings: &'a [Setting],
    /// What relative paths are relative to.
    pub directory: &'a Path,
}

impl Reader<'_> {
    fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key.name == name)
    }

    /// The value, when one is given and can be used.
    pub(super) fn optional<T: FromValue>(&self, name: &'static str) -> Option<T> {
        T::from_value(self.setting(name)?.value.as_ref()?)
    }

    /// The value of a key that always has one. Fails for a value that cannot be used, and where
    /// the table of keys and the field do not agree, which a test shows never to happen.
    pub(super) fn required<T: FromValue>(&self, name: &'static str) -> Result<T, Problem> {
        self.optional(name).ok_or_else(|| self.problem(name, "its type does not fit".into()))
    }

    /// A problem with the value of this key.
    pub(super) fn problem(&self, name: &'static str, reason: String) -> Problem {
        let setting = self.setting(name);
        Problem::Value {
            key: name,
            origin: setting.map_or(Origin::Default, |s| s.origin.clone()),
            value: setting.and_then(|s| s.key.kind.show(s.raw.as_ref()?)),
            reason,
        }
    }
}
