//! The table of keys in words: for `config show`, for `--help`, and for the documentation.

use super::{
    Config, Cors, KEYS, SourceKind,
    keys::{Fallback, Key},
    layers::{Setting, Survey},
};
use std::fmt::Write;

/// Every key with its value and where that came from; secrets hidden.
#[must_use]
pub fn shown(survey: &Survey) -> String {
    let lines: Vec<[String; 3]> = survey
        .settings
        .iter()
        .map(|setting| {
            let value = one(setting, survey.config.as_ref());
            [setting.key.name.to_owned(), value, setting.origin.to_string()]
        })
        .collect();
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .filter(|n| *n <= 50)
            .max()
            .unwrap_or(0)
    };
    let (names, values) = (width(0), width(1));
    lines.iter().fold(String::new(), |mut text, [name, value, origin]| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:names$}  {value:values$}  {origin}");
        text
    })
}

fn one(setting: &Setting, config: Option<&Config>) -> String {
    let Some(raw) = &setting.raw else {
        let decided = config.and_then(|config| decided(setting.key, config));
        return decided.unwrap_or_else(|| "(not set)".to_owned());
    };
    match setting.key.kind.show(raw) {
        None => "(hidden)".to_owned(),
        Some(text) => match (setting.key.name, config) {
            ("firehose.kind", Some(config)) if text == "\"auto\"" => match config.firehose.kind {
                SourceKind::Firehose => "auto: firehose".to_owned(),
                SourceKind::Jetstream => "auto: jetstream".to_owned(),
            },
            _ => unquoted(&text),
        },
    }
}

/// What a key without a value has come to mean.
fn decided(key: &Key, config: &Config) -> Option<String> {
    match key.name {
        "rate_limit.enabled" => Some(config.rate_limit.enabled.to_string()),
        "api.cors_origins" => Some(
            match config.api.cors {
                Cors::Loopback => "pages of this machine",
                _ => "none",
            }
            .to_owned(),
        ),
        "keys.internal" => Some("(generated, in internal.key)".to_owned()),
        "pipeline.dead_letter_retention" => Some("for ever".to_owned()),
        _ => None,
    }
}

fn unquoted(text: &str) -> String {
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text).to_owned()
}

fn default_text(key: &Key) -> String {
    match key.default {
        Fallback::Text(text) => format!("`{text}`"),
        Fallback::Unset(words) => words.to_owned(),
    }
}

/// The section for `--help`.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "Configuration (defaults < rhiz.toml < environment < flags; \
         the file is ./rhiz.toml or <data dir>/rhiz.toml):\n",
    );
    for key in KEYS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n  {}  [{}]", key.env, key.name);
        let _ = writeln!(text, "      {}", key.doc.replace('`', ""));
        let allowed = key.kind.allowed().replace('`', "");
        let _ = writeln!(text, "      Allowed: {allowed}");
        let _ = writeln!(text, "      Default: {}", default_text(key).replace('`', ""));
    }
    text
}

/// The whole of `docs/CONFIGURATION.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(HEAD);
    let mut section = "";
    for key in KEYS {
        let this = key.name.split('.').next().unwrap_or_default();
        if this != section {
            section = this;
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n## `[{section}]`\n\n\
                 | `rhiz.toml` | environment | what | allowed | default |\n\
                 |---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {}{} | {} | {} |",
            key.name,
            key.env,
            key.doc,
            if key.is_secret() { " Never shown." } else { "" },
            key.kind.allowed().replace('|', "\\|"),
            default_text(key)
        );
    }
    text
}

const HEAD: &str = "\
# Configuration

<!-- Written by `rhiz config table > docs/CONFIGURATION.md`; a test compares the two. -->

Every key may stand in `rhiz.toml`, in the environment, and some may be given as flags. Later layers
win: defaults, `rhiz.toml`, environment, flags. The file is the one that `--config` names, else
`./rhiz.toml`, else `rhiz.toml` in the data directory. Relative paths are relative to the working
directory; that of a SQLite database, to the data directory. An empty variable counts as not set.

```toml
[api]
host = \"0.0.0.0\"
port = 8000

[database]
url = \"postgresql://rhiz@db.example.org/rhiz\"

[cache]
backend = \"redis\"
default_ttl = \"1h\"
```

`rhiz config show` prints each value and where it came from; `rhiz config check` only says what is
wrong. A value that cannot be used, or a key in `rhiz.toml` that is not one, stops the start with
exit code 78 and a line for each problem: the key, the value's place and what is allowed.

A time is a number in the unit named below, or has its own: `500ms`, `30s`, `5m`, `12h`, `7d`. A
size is in bytes, or has a unit: `64MiB`, `2GB`.
";
