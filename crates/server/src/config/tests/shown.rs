//! What is told of a configuration, and what is not.

use super::*;

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
