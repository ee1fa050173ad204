//! What may stand in a value: the check, and the words for it.

use super::value::{Raw, Value, redacted};
use crate::key::SecretKey;
use reqwest::Url;
use std::{net::IpAddr, time::Duration};

/// What may stand in a value.
#[derive(Debug)]
pub enum Kind {
    /// Yes or no.
    Switch,
    /// A whole number, both ends included.
    Whole { min: u64, max: u64 },
    /// A number, both ends included.
    Number { min: f64, max: f64 },
    /// A length of time; a bare number is in `unit`.
    Time { unit: Unit, min: Duration, max: Duration },
    /// Bytes; a bare number is bytes.
    Size { min: u64, max: u64 },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A file or folder.
    Path,
    /// An address of this machine.
    Address,
    /// A short name.
    Word,
    /// An address with one of these schemes and a host.
    Url { schemes: &'static [&'static str] },
    /// A Redis: over TCP, TLS or a socket of this machine.
    Redis,
    /// A WebSocket address, or a bare host.
    Stream,
    /// The database.
    Database,
    /// Web origins, `*` or `none`.
    Origins,
    /// A key that opens something; never shown.
    Secret,
    /// A level, or directives of tracing's `EnvFilter`.
    LogFilter,
}

/// The unit of a bare number.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// 1/1000 s.
    Milliseconds,
    /// 1 s.
    Seconds,
    /// 86,400 s.
    Days,
}

/// Units of time by their suffix, largest first, in milliseconds.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of size by their suffix, largest first, in bytes.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Kind {
    /// What is allowed, to stand after "allowed is".
    pub fn allowed(&self) -> String {
        match self {
            Self::Switch => "true or false".into(),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max } => format!("a number from {min:?} to {max:?}"),
            Self::Time { unit, min, max } => {
                let (bare, example) = match unit {
                    Unit::Milliseconds => ("milliseconds", "2s"),
                    Unit::Seconds => ("seconds", "5m"),
                    Unit::Days => ("days", "12h"),
                };
                let (min, max) = (time_text(*min), time_text(*max));
                format!("a time from {min} to {max}, in {bare} or with a unit (`{example}`)")
            }
            Self::Size { min, max } => format!(
                "a size from {} to {}, in bytes or with a unit (`64MiB`)",
                size_text(*min),
                size_text(*max)
            ),
            Self::Choice(words) => words_text(words),
            Self::Path => "a path".into(),
            Self::Address => "an IP address, or localhost".into(),
            Self::Word => "1 to 32 letters, digits, `-` and `_`".into(),
            Self::Url { schemes } => {
                let schemes: Vec<_> = schemes.iter().map(|s| format!("{s}://HOST[:PORT]")).collect();
                words_text(&schemes.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Self::Redis => "redis://[USER[:PASSWORD]@]HOST[:PORT][/DB], the same with rediss:// \
                            (TLS), or unix:///PATH[?db=DB]"
                .into(),
            Self::Stream => "wss://HOST[/PATH], ws://HOST[/PATH] or a bare HOST[:PORT]".into(),
            Self::Database => "sqlite:PATH or postgresql://[USER[:PASSWORD]@]HOST/NAME".into(),
            Self::Origins => {
                "origins such as https://example.org (a list, or separated by commas), `*` or `none`"
                    .into()
            }
            Self::Secret => format!(
                "{} to {} visible ASCII characters without spaces, not all alike",
                SecretKey::SHORTEST,
                SecretKey::LONGEST
            ),
            Self::LogFilter => {
                "off, error, warn, info, debug, trace, or directives such as `info,rhiz=debug`".into()
            }
        }
    }

    /// The value, when it is allowed.
    pub fn check(&self, raw: &Raw) -> Option<Value> {
        let text = match (self, raw) {
            (_, Raw::Text(text)) => text.trim(),
            (Self::Switch, Raw::Bool(yes)) => return Some(Value::Bool(*yes)),
            (
                Self::Whole { .. } | Self::Number { .. } | Self::Time { .. } | Self::Size { .. },
                Raw::Number(text),
            ) => text,
            (Self::Origins, Raw::List(list)) => return origins(list.iter().map(String::as_str)),
            _ => return None,
        };
        match self {
            Self::Switch => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(Value::Bool(true)),
                "false" | "no" | "off" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Whole { min, max } => {
                let number = digits(text)?;
                (*min..=*max).contains(&number).then_some(Value::Whole(number))
            }
            Self::Number { min, max } => {
                let number: f64 = text.parse().ok()?;
                (*min..=*max).contains(&number).then_some(Value::Number(number))
            }
            Self::Time { unit, min, max } => {
                let time = time(text, *unit)?;
                (*min..=*max).contains(&time).then_some(Value::Time(time))
            }
            Self::Size { min, max } => {
                let (number, unit) = suffixed(text, &SIZES).unwrap_or((text, 1));
                let size = digits(number)?.checked_mul(unit)?;
                (*min..=*max).contains(&size).then_some(Value::Whole(size))
            }
            Self::Choice(words) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(text))?;
                Some(Value::Text((*word).to_owned()))
            }
            Self::Path => (!text.is_empty() && !text.contains('\0')).then(|| Value::of(text)),
            Self::Address if text.eq_ignore_ascii_case("localhost") => Some(Value::of("127.0.0.1")),
            Self::Address => {
                let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
                bare.parse::<IpAddr>().ok().map(|address| Value::Text(address.to_string()))
            }
            Self::Word => {
                let fits = (1..=32).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
                fits.then(|| Value::of(text))
            }
            Self::Url { schemes } => {
                let url = url(text)?;
                let fits = schemes.contains(&url.scheme()) && url.has_host();
                fits.then(|| Value::Text(text.trim_end_matches('/').to_owned()))
            }
            Self::Redis => redis(text).then(|| Value::of(text)),
            Self::Stream => stream(text),
            Self::Database => database(text).then(|| Value::of(text)),
            Self::Origins => list(text),
            Self::Secret => SecretKey::new(text).map(Value::Secret),
            Self::LogFilter => log_filter(text).map(Value::Text),
        }
    }

    /// The value as it may be shown in a message or a table; `None` when it is a secret.
    pub fn show(&self, raw: &Raw) -> Option<String> {
        match self {
            Self::Secret => None,
            Self::Database | Self::Redis | Self::Url { .. } | Self::Stream => match raw {
                Raw::Text(text) => Some(format!("{:?}", redacted(text.trim()))),
                _ => Some(raw.to_string()),
            },
            _ => Some(raw.to_string()),
        }
    }
}

fn words_text(words: &[&str]) -> String {
    match words {
        [rest @ .., before, last] if !rest.is_empty() => {
            format!("{}, {before} or {last}", rest.join(", "))
        }
        _ => words.join(" or "),
    }
}

/// Digits only: `parse` alone would take a `+`.
fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A number and the size of the unit behind it.
fn suffixed<'a>(text: &'a str, units: &[(&str, u64)]) -> Option<(&'a str, u64)> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, suffix) = text.split_at(at);
    let (_, size) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(suffix))?;
    Some((number.trim_end(), *size))
}

fn time(text: &str, bare: Unit) -> Option<Duration> {
    let (number, milliseconds) = suffixed(text, &TIMES).unwrap_or((
        text,
        match bare {
            Unit::Milliseconds => 1,
            Unit::Seconds => 1000,
            Unit::Days => 86_400_000,
        },
    ));
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let seconds = number.parse::<f64>().ok()? * milliseconds as f64 / 1000.0;
    Duration::try_from_secs_f64(seconds).ok()
}

fn time_text(time: Duration) -> String {
    let milliseconds = time.as_millis();
    let (name, size) = TIMES
        .into_iter()
        .find(|(_, size)| milliseconds.is_multiple_of(u128::from(*size)))
        .unwrap_or(("ms", 1));
    format!("{}{name}", milliseconds / u128::from(size))
}

fn size_text(size: u64) -> String {
    let (name, unit) =
        SIZES.into_iter().find(|(_, unit)| size.is_multiple_of(*unit)).unwrap_or(("B", 1));
    format!("{}{name}", size / unit)
}

/// Blanks, which the parser would drop or encode, are a slip here.
fn url(text: &str) -> Option<Url> {
    (!text.contains(char::is_whitespace)).then(|| Url::parse(text).ok())?
}

fn redis(text: &str) -> bool {
    let Some(url) = url(text).filter(|url| url.fragment().is_none()) else { return false };
    match url.scheme() {
        "redis" | "rediss" => {
            let db = url.path().trim_matches('/');
            url.has_host() && url.query().is_none() && (db.is_empty() || digits(db).is_some())
        }
        "unix" => {
            let known = ["db", "user", "pass"];
            let names = url.query_pairs().all(|(name, value)| {
                known.contains(&&*name) && (name != "db" || digits(&value).is_some())
            });
            !url.has_host() && url.path().len() > 1 && names
        }
        _ => false,
    }
}

fn stream(text: &str) -> Option<Value> {
    let full = if text.contains("://") { text.to_owned() } else { format!("wss://{text}") };
    let url = url(&full)?;
    let fits = matches!(url.scheme(), "ws" | "wss") && url.has_host();
    fits.then_some(Value::Text(full))
}

/// The store reads the rest; here only what kind of database it is.
fn database(text: &str) -> bool {
    let remote =
        ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    if let Some(rest) = remote {
        return !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace);
    }
    text.strip_prefix("sqlite:").is_some_and(|path| {
        // An in-memory database could not keep the promise that an accepted event is on disk.
        let path = path.strip_prefix("//").unwrap_or(path);
        !path.is_empty() && !path.contains([':', '?', '\0'])
    })
}

/// A list in one text: separated by commas, or as JSON.
fn list(text: &str) -> Option<Value> {
    if text.starts_with('[') {
        let list: Vec<String> = serde_json::from_str(text).ok()?;
        return origins(list.iter().map(String::as_str));
    }
    origins(text.split(',').map(str::trim))
}

fn origins<'a>(list: impl Iterator<Item = &'a str>) -> Option<Value> {
    let list: Vec<&str> = list.collect();
    if matches!(list[..], [] | ["none"] | ["*"]) {
        return Some(Value::List(list.into_iter().map(str::to_owned).collect()));
    }
    let origin = |text: &str| {
        let url = url(text)?;
        let web = matches!(url.scheme(), "http" | "https");
        // What a browser sends: without path, and without the port that goes without saying.
        let origin = url.origin().ascii_serialization();
        (web && text.trim_end_matches('/').matches('/').count() == 2).then_some(origin)
    };
    list.into_iter().map(origin).collect::<Option<_>>().map(Value::List)
}

/// One word must be a level: `EnvFilter` would take any other for a target and log nothing else.
fn log_filter(text: &str) -> Option<String> {
    let text = match text.to_ascii_lowercase().as_str() {
        // Names that other programs use.
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        level if LEVELS.contains(&level) => level.to_owned(),
        _ => text.to_owned(),
    };
    let directive = |part: &str| {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        LEVELS.contains(&level.trim().to_ascii_lowercase().as_str())
    };
    let fits = text.split(',').all(directive)
        && tracing_subscriber::EnvFilter::builder().parse(&text).is_ok();
    fits.then_some(text)
}
