//! Every key through each layer, every kind of bad value, and the words of the messages.

mod shown;
mod values;

use super::{keys::Fallback, kind::Kind, *};
use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// A folder of its own, so that no `rhiz.toml` of this machine is found.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(file: &str) -> Self {
        let place = Self::new();
        fs::write(place.path("rhiz.toml"), file).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn survey(&self, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Survey {
        let flags = flags.iter().map(|(key, text)| Flag { key, flag: "--x", text: (*text).into() });
        survey(Sources {
            directory: self.0.path().to_owned(),
            environment: env(environment),
            flags: flags.collect(),
            ..Sources::default()
        })
    }

    fn config(&self, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Config {
        self.survey(environment, flags).into_config().unwrap()
    }

    /// All problems, without the folder's name.
    fn problems(&self, environment: &[(&str, &str)]) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let survey = self.survey(environment, &[]);
        assert!(survey.into_config().is_err() || environment.is_empty());
        let survey = self.survey(environment, &[]);
        survey.problems.iter().map(|p| p.to_string().replace(&folder, "")).collect()
    }
}

/// Two different values that the key takes and that are not its default, and one that it refuses.
fn samples(key: &Key) -> [&'static str; 3] {
    match (key.name, &key.kind) {
        ("pipeline.retry_base", _) => ["1", "3", "2 days"],
        ("pipeline.retry_cap", _) => ["90", "120", "-1"],
        ("keys.viewer", _) => ["a-viewers-own-key", "another-viewers-key", "short"],
        (_, Kind::Switch) => ["false", "true", "maybe"],
        ("pipeline.dead_letter_retention", _) => ["30", "12h", "5s"],
        ("pipeline.max_queue_size", _) => ["70", "80", "9"],
        (_, Kind::Whole { .. }) => ["7", "8", "1.5"],
        (_, Kind::Number { .. }) => ["0.3", "0.4", "2"],
        (_, Kind::Time { .. }) => ["5s", "6s", "soon"],
        (_, Kind::Size { .. }) => ["2MiB", "3MiB", "big"],
        ("firehose.kind", _) => ["firehose", "jetstream", "neither"],
        (_, Kind::Choice(words)) => [words[0], words[1], "neither"],
        (_, Kind::Path) => ["./here", "./there", "no\0path"],
        (_, Kind::Address) => ["10.0.0.1", "10.0.0.2", "example.org"],
        (_, Kind::Word) => ["staging", "production", "two words"],
        (_, Kind::Redis) => ["redis://u:p@a:1/2", "rediss://b:2/3", "http://a"],
        (_, Kind::Url { .. }) => ["https://a.example", "http://b.example:8", "ftp://a"],
        (_, Kind::Stream) => ["wss://a.example/subscribe", "b.example", "https://a.example"],
        (_, Kind::Database) => ["sqlite:other.db", "postgresql://h/db", "mysql://h/db"],
        (_, Kind::Origins) => ["https://a.example", "http://b.example:8", "a.example"],
        (_, Kind::Secret) => ["the-operators-key", "another-operators-key", "short"],
        (_, Kind::LogFilter) => ["warn", "info,rhiz=debug", "verbose"],
    }
}

fn toml(key: &Key, text: &str) -> String {
    let (section, name) = key.name.split_once('.').unwrap();
    let bare = match key.kind {
        Kind::Switch | Kind::Whole { .. } | Kind::Number { .. } => text.to_owned(),
        _ => format!("{text:?}"),
    };
    format!("# comment\n[{section}]\n{name} = {bare}\n")
}

fn setting<'a>(survey: &'a Survey, key: &Key) -> (String, &'a Origin) {
    let setting = survey.settings.iter().find(|s| s.key.name == key.name).unwrap();
    let raw = setting.raw.as_ref().unwrap().to_string();
    (raw.trim_matches('"').to_owned(), &setting.origin)
}

#[test]
fn every_key_passes_through_each_layer_and_the_later_one_wins() {
    for key in KEYS {
        let [one, other, _] = samples(key);
        let place = Place::with(&toml(key, one));
        let survey = place.survey(&[], &[]);
        let origin = Origin::File(place.path("rhiz.toml"), 3);
        assert_eq!(survey.problems, [], "{}", key.name);
        assert_eq!(setting(&survey, key), (one.to_owned(), &origin));
        let survey = place.survey(&[(key.env, other)], &[]);
        assert_eq!(survey.problems, [], "{}", key.name);
        assert_eq!(setting(&survey, key), (other.to_owned(), &Origin::Environment(key.env)));
        let survey = place.survey(&[(key.env, other)], &[(key.name, one)]);
        assert_eq!(survey.problems, [], "{}", key.name);
        assert_eq!(setting(&survey, key), (one.to_owned(), &Origin::Flag("--x")));
        assert!(survey.config.is_some());
    }
}

#[test]
fn every_key_arrives_in_the_configuration() {
    let place = Place::new();
    let configured = |given: &[(&str, &str)]| format!("{:?}", place.config(given, &[]));
    let unset = configured(&[]);
    for key in KEYS {
        let [one, other, _] = samples(key);
        let (one, other) = (configured(&[(key.env, one)]), configured(&[(key.env, other)]));
        // Two secrets look alike, but one and none do not.
        let differs = if key.is_secret() { one != unset } else { one != other };
        assert!(differs, "{} changes nothing", key.name);
    }
}

#[test]
fn a_value_that_cannot_be_used_stops_the_start_in_each_layer() {
    for key in KEYS {
        let [_, _, bad] = samples(key);
        let problems = Place::new().problems(&[(key.env, bad)]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        let place = format!("{}{} (environment {})", key.name, shown_value(key, bad), key.env);
        assert!(problems[0].starts_with(&place), "{problems:?}");
        assert!(problems[0].ends_with(&key.kind.allowed()), "{problems:?}");
        if !bad.contains('\0') {
            let (section, name) = key.name.split_once('.').unwrap();
            let place = Place::with(&format!("[{section}]\n{name} = {bad:?}\n"));
            let problems = place.problems(&[]);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains("(rhiz.toml:2) cannot be used"), "{problems:?}");
        }
    }
}

fn shown_value(key: &Key, value: &str) -> String {
    if key.is_secret() { String::new() } else { format!(" = {value:?}") }
}

#[test]
fn the_messages_say_key_value_place_and_what_is_allowed() {
    let place = Place::with(
        "[api]\nport = 70000\nprot = 8000\n\n[databse]\nurl = \"sqlite:x.db\"\n\n[log]\nlevel = true\n",
    );
    assert_eq!(
        place.problems(&[
            ("RATE_LIMIT_ENABLED", "perhaps"),
            ("PATHFINDING_TIMEOUT", "2m"),
            ("FIREHOSE_KIND", "carrier pigeon"),
            ("CACHE_MAX_MEMORY_BYTES", "1KB"),
            ("MIN_TRUST_STRENGTH", "NaN"),
            ("VIEWER_API_KEY", "hunter2"),
        ]),
        [
            "rhiz.toml:3: `api.prot` is not a key; the nearest is `api.port`",
            "rhiz.toml:6: `databse.url` is not a key; the nearest is `database.url`",
            "api.port = 70000 (rhiz.toml:2) cannot be used: allowed is a whole number from 0 to 65535",
            "keys.viewer (environment VIEWER_API_KEY) cannot be used: \
             allowed is 16 to 256 visible ASCII characters without spaces, not all alike",
            "log.level = true (rhiz.toml:9) cannot be used: allowed is \
             off, error, warn, info, debug, trace, or directives such as `info,rhiz=debug`",
            "cache.max_bytes = \"1KB\" (environment CACHE_MAX_MEMORY_BYTES) cannot be used: \
             allowed is a size from 1MiB to 1TiB, in bytes or with a unit (`64MiB`)",
            "firehose.kind = \"carrier pigeon\" (environment FIREHOSE_KIND) cannot be used: \
             allowed is auto, jetstream or firehose",
            "graph.min_strength = \"NaN\" (environment MIN_TRUST_STRENGTH) cannot be used: \
             allowed is a number from 0.0 to 1.0",
            "graph.time_limit = \"2m\" (environment PATHFINDING_TIMEOUT) cannot be used: \
             allowed is a time from 1ms to 1m, in milliseconds or with a unit (`2s`)",
            "rate_limit.enabled = \"perhaps\" (environment RATE_LIMIT_ENABLED) cannot be used: \
             allowed is true or false",
        ]
    );
}

#[test]
fn one_problem_is_one_line_and_several_are_counted() {
    let message = |environment: &[(&str, &str)]| {
        Place::new().survey(environment, &[]).into_config().unwrap_err()
    };
    let one = message(&[("API_PORT", "x")]);
    assert_eq!(one.code(), 78);
    assert!(one.to_string().starts_with("error: api.port = \"x\" (environment API_PORT) cannot"));
    let two = message(&[("API_PORT", "x"), ("API_HOST", "y")]);
    assert!(two.to_string().starts_with("error: the configuration has 2 problems\n  api.host = "));
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    let problems = Place::new().problems(&[
        ("PIPELINE_RETRY_BASE", "2m"),
        ("INTERNAL_API_KEY", "the-operators-key"),
        ("VIEWER_API_KEY", "the-operators-key"),
        ("ATPROTO_FIREHOSE_URL", "wss://relay.example/stream"),
    ]);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(
        problems[0],
        "pipeline.retry_base = \"2m\" (environment PIPELINE_RETRY_BASE) cannot be used: \
         it is longer than pipeline.retry_cap, which is 60s"
    );
    assert_eq!(
        problems[1],
        "keys.viewer (environment VIEWER_API_KEY) cannot be used: \
         it is the same as keys.internal, so that viewers could write"
    );
    assert!(problems[2].contains("set firehose.kind (FIREHOSE_KIND)"), "{}", problems[2]);
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_line() {
    for (file, says) in [
        ("[api]\nport = \n", "rhiz.toml:2: this is not TOML: "),
        ("[api]\nport = 1\nport = 2\n", "rhiz.toml:3: this is not TOML: duplicate key"),
        ("api = 5\n", "rhiz.toml:1: `api` is a section: write `[api]`"),
        ("port = 8000\n", "rhiz.toml:1: `port` is not a key; the nearest is `api.port`"),
        ("[cache]\nmin_strength = 1\n", "nearest is `graph.min_strength`"),
        ("[graph.x]\ny = 1\n", "rhiz.toml:1: `graph.x` is not a key"),
        ("[api]\nport = [1]\n", "api.port = (array of other things than strings) (rhiz.toml:2)"),
        ("[api]\nport = 2026-11-01\n", "api.port = (datetime) (rhiz.toml:2)"),
        ("[api.port]\n", "api.port = (table) (rhiz.toml:1)"),
    ] {
        let problems = Place::with(file).problems(&[]);
        assert!(problems.iter().any(|p| p.contains(says)), "{file:?}: {problems:?}");
    }
    let place = Place::new();
    fs::write(place.path("rhiz.toml"), b"[api]\nenv = \"\xff\"\n").unwrap();
    assert_eq!(place.problems(&[]), ["rhiz.toml: this is not UTF-8 text"]);
}

#[test]
fn a_named_file_must_exist_and_is_the_only_one_read() {
    let place = Place::with("[api]\nport = 1\n");
    fs::write(place.path("named.toml"), "[api]\nhost = \"::1\"\n").unwrap();
    let read = |name: &str| {
        survey(Sources {
            directory: place.0.path().to_owned(),
            file: Some(place.path(name)),
            ..Sources::default()
        })
    };
    let config = read("named.toml").into_config().unwrap();
    assert_eq!((config.api.host, config.api.port), (Ipv6Addr::LOCALHOST.into(), 8000));
    assert_eq!(config.file, Some(place.path("named.toml")));
    let problem = read("missing.toml").problems[0].to_string();
    assert!(problem.ends_with("missing.toml: there is no such file"), "{problem}");
}

#[test]
fn the_file_beside_the_data_is_found_when_there_is_none_here() {
    let place = Place::new();
    for folder in ["rhiz-data", "from-env", "from-flag"] {
        fs::create_dir(place.path(folder)).unwrap();
        let text = format!("[api]\nenv = \"{folder}\"\n");
        fs::write(place.path(folder).join("rhiz.toml"), text).unwrap();
    }
    let found = |environment: &[(&str, &str)], flags: &[(&'static str, &str)]| {
        place.config(environment, flags).api.environment
    };
    assert_eq!(found(&[], &[]), "rhiz-data");
    assert_eq!(found(&[("DATA_DIR", "from-env")], &[]), "from-env");
    assert_eq!(found(&[("DATA_DIR", "from-env")], &[("data.dir", "from-flag")]), "from-flag");
    fs::write(place.path("rhiz.toml"), "[api]\nenv = \"here\"\n").unwrap();
    assert_eq!(found(&[("DATA_DIR", "from-env")], &[]), "here");
}

#[test]
fn what_a_command_fixes_wins_over_everything() {
    let place = Place::with("[database]\nurl = \"postgresql://real/db\"\n");
    let survey = survey(Sources {
        directory: place.0.path().to_owned(),
        environment: env(&[("DATABASE_URL", "postgresql://real/db")]),
        fixed: vec![("database.url", "demo", "sqlite:rhiz.db"), ("data.dir", "demo", "d")],
        ..Sources::default()
    });
    assert!(shown(&survey).contains("rhiz demo"));
    let config = survey.into_config().unwrap();
    assert_eq!(config.database.url, DatabaseUrl::Sqlite(place.path("d").join("rhiz.db")));
}

#[test]
fn without_anything_the_defaults_hold() {
    let place = Place::new();
    let c = place.config(&[], &[]);
    assert_eq!(c.file, None);
    assert_eq!(c.data.dir, place.path("./rhiz-data"));
    assert_eq!(c.database.url, DatabaseUrl::Sqlite(place.path("./rhiz-data/rhiz.db")));
    assert_eq!((c.api.host, c.api.port), (Ipv4Addr::LOCALHOST.into(), 8000));
    assert_eq!(c.api.cors, Cors::Loopback);
    assert!(c.keys.internal.is_none() && c.keys.viewer.is_none(), "there is no default key");
    assert_eq!((c.log.level.as_str(), c.log.format), ("info", LogFormat::Auto));
    assert_eq!(c.cache.backend, CacheBackend::Memory);
    assert_eq!((c.cache.default_ttl, c.cache.max_keys), (Duration::from_secs(3600), 10_000));
    assert_eq!((c.pipeline.max_queue_size, c.pipeline.num_workers), (10_000, 10));
    assert_eq!(c.pipeline.backpressure_threshold, 0.8);
    assert_eq!(c.pipeline.retry, rhiz_domain::retry::RetryPolicy::default());
    assert_eq!(c.pipeline.dead_letter_retention, None, "nothing is deleted unasked");
    assert!(c.firehose.enabled && c.firehose.verify);
    assert_eq!(c.firehose.kind, SourceKind::Jetstream);
    assert!(!c.network.allow_private_addresses);
    assert_eq!((c.graph.max_hops, c.graph.min_strength), (6, 0.5));
    assert_eq!(c.graph.time_limit, Duration::from_secs(1));
    assert!(!c.rate_limit.enabled, "the address is a loopback one");
    assert_eq!((c.rate_limit.requests, c.rate_limit.window), (100, Duration::from_secs(60)));
}
