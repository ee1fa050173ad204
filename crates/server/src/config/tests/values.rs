//! What may be given, and what is made of it.

use super::*;

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
