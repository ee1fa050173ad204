//! Every key through each layer, every kind of bad value, and the words of the messages.

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

#[test]
fn rate_limits_and_cors_close_when_the_address_is_not_a_loopback_one() {
    for (host, open) in [
        ("127.0.0.1", true),
        ("localhost", true),
        ("[::1]", true),
        ("0.0.0.0", false),
        ("::", false),
    ] {
        let config = Place::new().config(&[("API_HOST", host)], &[]);
        assert_eq!(config.rate_limit.enabled, !open, "{host}");
        assert_eq!(config.api.cors == Cors::Loopback, open, "{host}");
    }
    let config =
        Place::new().config(&[("API_HOST", "0.0.0.0"), ("RATE_LIMIT_ENABLED", "off")], &[]);
    assert!(!config.rate_limit.enabled);
}

#[test]
fn the_kind_of_source_is_told_by_its_path() {
    use SourceKind::{Firehose, Jetstream};
    for (url, kind, is) in [
        ("relay1.us-east.bsky.network", "auto", Firehose),
        ("wss://relay.example", "auto", Firehose),
        ("127.0.0.1:2583", "auto", Firehose),
        ("ws://localhost:2583/xrpc/com.atproto.sync.subscribeRepos", "auto", Firehose),
        ("wss://jetstream.example/subscribe", "auto", Jetstream),
        ("wss://jetstream.example/subscribe?wantedDids=x", "auto", Jetstream),
        ("wss://j.example/xrpc/network.bsky.jetstream.subscribeEvents", "auto", Jetstream),
        ("wss://relay.example/other", "firehose", Firehose),
        ("relay.example", "jetstream", Jetstream),
    ] {
        let config =
            Place::new().config(&[("ATPROTO_FIREHOSE_URL", url), ("FIREHOSE_KIND", kind)], &[]);
        assert_eq!(config.firehose.kind, is, "{url}");
        assert!(config.firehose.url.expose().starts_with("ws"), "{url}");
    }
}

#[test]
fn databases_are_read_as_they_are_written_elsewhere() {
    let place = Place::new();
    let url = |text| place.config(&[("DATABASE_URL", text), ("DATA_DIR", "d")], &[]).database.url;
    let inside = DatabaseUrl::Sqlite(place.path("d/x.db"));
    assert_eq!(url("sqlite:x.db"), inside);
    assert_eq!(url("sqlite://x.db"), inside);
    assert_eq!(url("sqlite:///var/x.db"), DatabaseUrl::Sqlite(Path::new("/var/x.db").into()));
    for text in ["postgresql://u:p@a:1,b:2/db?sslmode=require", "postgres://h"] {
        assert!(matches!(url(text), DatabaseUrl::Postgres(u) if u.expose() == text));
    }
    for bad in ["sqlite:", "sqlite::memory:", "sqlite:x.db?mode=ro", "postgresql://", "x.db", "5"] {
        assert_eq!(place.problems(&[("DATABASE_URL", bad)]).len(), 1, "{bad}");
    }
}

#[test]
fn lists_may_be_toml_commas_or_json() {
    let both = Cors::Origins(vec!["https://a.example".into(), "http://localhost:3000".into()]);
    let cors = |text| Place::new().config(&[("API_CORS_ORIGINS", text)], &[]).api.cors;
    assert_eq!(cors("https://a.example, http://localhost:3000"), both);
    assert_eq!(cors(r#"["https://A.example/","http://localhost:3000"]"#), both);
    assert_eq!(cors("*"), Cors::Any);
    assert_eq!(cors("none"), Cors::Closed);
    let place = Place::with(
        "[api]\ncors_origins = [\"https://a.example:443\", \"http://localhost:3000\"]\n",
    );
    assert_eq!(place.config(&[], &[]).api.cors, both);
    for bad in ["https://a.example/path", "*,https://a.example", "file:///x", "[1]", ","] {
        assert_eq!(Place::new().problems(&[("API_CORS_ORIGINS", bad)]).len(), 1, "{bad}");
    }
}

#[test]
fn times_and_sizes_may_have_a_unit() {
    let c = Place::new().config(
        &[
            ("PATHFINDING_TIMEOUT", "1500"),
            ("CACHE_DEFAULT_TTL", "1.5h"),
            ("PIPELINE_RETRY_BASE", "250ms"),
            ("PIPELINE_DEAD_LETTER_RETENTION", "30"),
            ("PIPELINE_MAX_QUEUE_BYTES", "2GB"),
            ("CACHE_MAX_MEMORY_BYTES", "64 mib"),
        ],
        &[],
    );
    assert_eq!(c.graph.time_limit, Duration::from_millis(1500));
    assert_eq!(c.cache.default_ttl, Duration::from_secs(5400));
    assert_eq!(c.pipeline.retry.base, Duration::from_millis(250));
    assert_eq!(c.pipeline.dead_letter_retention, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!((c.pipeline.max_queue_bytes, c.cache.max_bytes), (2_000_000_000, 64 << 20));
    for bad in ["0", "-1", "1e3", "5 parsecs", ".", "s", "99999999999999999999999"] {
        assert_eq!(Place::new().problems(&[("CACHE_DEFAULT_TTL", bad)]).len(), 1, "{bad}");
    }
}

#[test]
fn numbers_in_a_file_may_be_written_in_every_way_of_toml() {
    let place = Place::with(
        "api.port = 0x1f90\ncache = { max_keys = 20_000 }\n[graph]\nmin_strength = 1\nmax_hops = \"3\"\n",
    );
    let c = place.config(&[], &[]);
    assert_eq!((c.api.port, c.cache.max_keys, c.graph.max_hops), (8080, 20_000, 3));
    assert_eq!(c.graph.min_strength, 1.0);
}

#[test]
fn levels_are_taken_by_their_usual_names() {
    let level = |text| Place::new().config(&[("LOG_LEVEL", text)], &[]).log.level;
    assert_eq!(level("INFO"), "info");
    assert_eq!(level("Warning"), "warn");
    assert_eq!(level("CRITICAL"), "error");
    assert_eq!(level("info,rhiz=debug"), "info,rhiz=debug");
    for bad in ["verbose", "info,rhiz=loud", "info,rhiz", "=", "5"] {
        assert_eq!(Place::new().problems(&[("LOG_LEVEL", bad)]).len(), 1, "{bad}");
    }
}

#[test]
fn empty_and_unknown_variables_are_ignored_and_blanks_trimmed() {
    let given = [("API_PORT", ""), ("REDIS_URL", "  "), ("API_PROT", "x"), ("API_HOST", " ::1\n")];
    let config = Place::new().config(&given, &[]);
    assert_eq!((config.api.port, config.api.host), (8000, Ipv6Addr::LOCALHOST.into()));
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let place = Place::new();
    let survey = survey(Sources {
        directory: place.0.path().to_owned(),
        environment: vec![("API_ENV".into(), OsString::from_vec(vec![0xff]))],
        ..Sources::default()
    });
    assert_eq!(
        survey.problems[0].to_string(),
        "api.env (environment API_ENV) cannot be used: it is not UTF-8 text"
    );
}

#[test]
fn no_secret_is_shown_anywhere() {
    const SECRET: &str = "s3cr3t-wOrd/&x";
    let urls = [
        ("DATABASE_URL", "postgresql://user:s3cr3t-wOrd@host/db"),
        ("REDIS_URL", "unix:///run/redis.sock?user=u&pass=s3cr3t-wOrd"),
        ("ATPROTO_FIREHOSE_URL", "wss://user:s3cr3t-wOrd@relay.example"),
        ("ATPROTO_PDS_URL", "https://user:s3cr3t-wOrd@pds.example"),
        ("INTERNAL_API_KEY", "s3cr3t-wOrd-of-the-operator"),
        ("VIEWER_API_KEY", "s3cr3t-wOrd-of-the-viewer"),
    ];
    let survey = Place::new().survey(&urls, &[]);
    assert_eq!(survey.problems, []);
    let text = shown(&survey);
    assert!(!text.contains("s3cr3t"), "{text}");
    assert!(!format!("{:?}", survey.config).contains("s3cr3t"));
    assert!(text.contains("postgresql://user:***@host/db"), "{text}");
    let bad = [
        ("DATABASE_URL", "postgres:/user:s3cr3t-wOrd@host"),
        ("DATABASE_URL", "user:s3cr3t-wOrd@host/db"),
        ("DATABASE_URL", "mysql://host/db?user=x&password=s3cr3t-wOrd"),
        ("REDIS_URL", "redis:// u:s3cr3t@-wOrd@host"),
        ("INTERNAL_API_KEY", "s3cr3t"),
    ];
    for given in bad {
        let problems = Place::new().problems(&[given]).join("\n");
        assert!(!problems.is_empty());
        assert!(!problems.contains("s3cr3t") && !problems.contains(SECRET), "{problems}");
        assert!(!shown(&Place::new().survey(&[given], &[])).contains("s3cr3t"));
    }
}

#[test]
fn redis_is_reached_in_all_the_usual_ways() {
    let good = [
        "redis://h",
        "redis://h:1",
        "redis://h:1/2",
        "redis://:pass@h",
        "redis://user:pa%2Fss@[::1]:1/0",
        "rediss://user:pass@h:1/15",
        "unix:///run/redis.sock",
        "unix:///run/redis.sock?db=3&user=u&pass=p",
    ];
    for url in good {
        let survey = Place::new().survey(&[("REDIS_URL", url), ("CACHE_BACKEND", "redis")], &[]);
        assert_eq!(survey.problems, [], "{url}");
        assert_eq!(survey.config.unwrap().cache.redis_url.expose(), url);
    }
    let bad = [
        "redis:///0",
        "redis://h/name",
        "redis://h/-1",
        "rediss://h#insecure",
        "redis://h?db=1",
        "unix://",
        "unix://host/path",
        "unix:///run/redis.sock?db=x",
        "http://h",
        "h:6379",
    ];
    for url in bad {
        assert!(!Place::new().problems(&[("REDIS_URL", url)]).is_empty(), "{url}");
    }
}

#[test]
fn show_tells_values_and_origins() {
    let place = Place::with("[api]\nport = 9000\n");
    let survey = place.survey(&[("GRAPH", "x"), ("MAX_GRAPH_HOPS", "4")], &[("api.host", "::")]);
    let text = shown(&survey);
    let line = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("api.port"), format!("9000 {}:2", place.path("rhiz.toml").display()));
    assert_eq!(line("api.host"), ":: flag --x");
    assert_eq!(line("graph.max_hops"), "4 environment MAX_GRAPH_HOPS");
    assert_eq!(line("graph.min_strength"), "0.5 default");
    assert_eq!(line("rate_limit.enabled"), "true default");
    assert_eq!(line("firehose.kind"), "auto: jetstream default");
    assert_eq!(text.lines().count(), KEYS.len());
}

#[test]
fn the_table_names_each_key_once_and_all_that_the_specification_lists() {
    let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
    let envs: BTreeSet<_> = KEYS.iter().map(|key| key.env).collect();
    assert_eq!((names.len(), envs.len()), (KEYS.len(), KEYS.len()));
    let listed = "API_HOST API_PORT API_ENV API_CORS_ORIGINS LOG_LEVEL DATABASE_URL \
        DATABASE_POOL_SIZE REDIS_URL CACHE_BACKEND CACHE_DEFAULT_TTL CACHE_MAX_MEMORY_SIZE \
        INTERNAL_API_KEY VIEWER_API_KEY ATPROTO_FIREHOSE_URL FIREHOSE_KIND FIREHOSE_VERIFY \
        ALLOW_PRIVATE_ADDRESSES ATPROTO_PLC_URL ATPROTO_PDS_URL ENABLE_FIREHOSE_INGEST \
        MAX_GRAPH_HOPS MIN_TRUST_STRENGTH PATHFINDING_TIMEOUT RATE_LIMIT_ENABLED \
        RATE_LIMIT_REQUESTS RATE_LIMIT_WINDOW";
    for name in listed.split_whitespace() {
        assert!(envs.contains(name), "{name}");
    }
    for key in KEYS {
        assert!(key.name.matches('.').count() == 1, "{}: section and key", key.name);
        assert!(key.doc.ends_with('.'), "{}: a sentence", key.name);
        assert!(!(key.is_secret() && matches!(key.default, Fallback::Text(_))), "{}", key.name);
    }
}

#[test]
fn the_documentation_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIGURATION.md");
    let written = fs::read_to_string(path).unwrap();
    assert!(written == reference(), "run: rhiz config table > docs/CONFIGURATION.md");
}
