//! The table of keys.

use super::kind::{Kind, Unit};
use std::time::Duration;

/// What is known of one key.
#[derive(Debug)]
pub struct Key {
    /// Its name in `rhiz.toml`: section and key, such as `api.port`.
    pub name: &'static str,
    /// Its name in the environment.
    pub env: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds when nothing is given.
    pub default: Fallback,
    /// One sentence.
    pub doc: &'static str,
}

/// What holds when nothing is given.
#[derive(Debug, Clone, Copy)]
pub enum Fallback {
    /// This text, read like any other value.
    Text(&'static str),
    /// No value; the words say what that means.
    Unset(&'static str),
}

impl Key {
    /// Whether its value must never be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret)
    }
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = secs(86_400);
const WEB: Kind = Kind::Url { schemes: &["https", "http"] };

use Fallback::{Text, Unset};
use Kind::{Number, Size, Switch, Time, Whole};

/// Every key, in the order in which they are shown.
pub static KEYS: &[Key] = &[
    Key {
        name: "data.dir",
        env: "DATA_DIR",
        kind: Kind::Path,
        default: Text("./rhiz-data"),
        doc: "Folder for the database, the generated key and, when there is one, `rhiz.toml`; \
              made when it is missing.",
    },
    Key {
        name: "database.url",
        env: "DATABASE_URL",
        kind: Kind::Database,
        default: Text("sqlite:rhiz.db"),
        doc: "The database; a relative SQLite path is inside the data directory.",
    },
    Key {
        name: "database.pool_size",
        env: "DATABASE_POOL_SIZE",
        kind: Whole { min: 1, max: 1000 },
        default: Text("10"),
        doc: "Most connections to the database at a time.",
    },
    Key {
        name: "api.host",
        env: "API_HOST",
        kind: Kind::Address,
        default: Text("127.0.0.1"),
        doc: "Address to listen on; `0.0.0.0` or `::` is every one of this machine.",
    },
    Key {
        name: "api.port",
        env: "API_PORT",
        kind: Whole { min: 0, max: 65_535 },
        default: Text("8000"),
        doc: "Port to listen on; 0 takes any free one and logs it.",
    },
    Key {
        name: "api.env",
        env: "API_ENV",
        kind: Kind::Word,
        default: Text("development"),
        doc: "Name of this installation, shown on the dashboard and in the details of health.",
    },
    Key {
        name: "api.cors_origins",
        env: "API_CORS_ORIGINS",
        kind: Kind::Origins,
        default: Unset("`none`; on a loopback address the pages of this machine"),
        doc: "Web origins whose pages may call the API from a browser.",
    },
    Key {
        name: "keys.internal",
        env: "INTERNAL_API_KEY",
        kind: Kind::Secret,
        default: Unset(
            "generated at the first start, kept in `internal.key` in the data directory",
        ),
        doc: "The operator's key: for `/internal`, every write, and the details of health.",
    },
    Key {
        name: "keys.viewer",
        env: "VIEWER_API_KEY",
        kind: Kind::Secret,
        default: Unset("none: there is no viewer"),
        doc: "A second key, which opens `/ops` and the reads under `/internal`, and no write.",
    },
    Key {
        name: "log.level",
        env: "LOG_LEVEL",
        kind: Kind::LogFilter,
        default: Text("info"),
        doc: "What is logged.",
    },
    Key {
        name: "log.format",
        env: "LOG_FORMAT",
        kind: Kind::Choice(&["auto", "human", "json"]),
        default: Text("auto"),
        doc: "How it is logged, to standard error; auto is human on a terminal, else json.",
    },
    Key {
        name: "cache.backend",
        env: "CACHE_BACKEND",
        kind: Kind::Choice(&["memory", "redis"]),
        default: Text("memory"),
        doc: "Where cached answers are kept; with redis, memory stands in front of it.",
    },
    Key {
        name: "cache.redis_url",
        env: "REDIS_URL",
        kind: Kind::Redis,
        default: Text("redis://127.0.0.1:6379"),
        doc: "The Redis server; used only with `CACHE_BACKEND=redis`. A password is never shown; special characters in it are percent-encoded. With rediss, the certificate must be one the system trusts, or one in the file `SSL_CERT_FILE` names.",
    },
    Key {
        name: "cache.default_ttl",
        env: "CACHE_DEFAULT_TTL",
        kind: Time { unit: Unit::Seconds, min: secs(1), max: secs(365 * 86_400) },
        default: Text("3600"),
        doc: "Time to live of a cached value for which none is given.",
    },
    Key {
        name: "cache.max_keys",
        env: "CACHE_MAX_MEMORY_SIZE",
        kind: Whole { min: 1, max: 100_000_000 },
        default: Text("10000"),
        doc: "Most values cached in memory.",
    },
    Key {
        name: "cache.max_bytes",
        env: "CACHE_MAX_MEMORY_BYTES",
        kind: Size { min: 1 << 20, max: 1 << 40 },
        default: Text("256MiB"),
        doc: "Most memory for cached values.",
    },
    Key {
        name: "pipeline.max_queue_size",
        env: "PIPELINE_MAX_QUEUE_SIZE",
        kind: Whole { min: 10, max: 100_000_000 },
        default: Text("10000"),
        doc: "Most events waiting in the journal.",
    },
    Key {
        name: "pipeline.max_queue_bytes",
        env: "PIPELINE_MAX_QUEUE_BYTES",
        kind: Size { min: 1 << 20, max: 1 << 40 },
        default: Text("256MiB"),
        doc: "Most bytes of events waiting in the journal.",
    },
    Key {
        name: "pipeline.backpressure_threshold",
        env: "PIPELINE_BACKPRESSURE_THRESHOLD",
        kind: Number { min: 0.2, max: 1.0 },
        default: Text("0.8"),
        doc: "Share of the queue from which low and normal events are refused over HTTP.",
    },
    Key {
        name: "pipeline.num_workers",
        env: "PIPELINE_NUM_WORKERS",
        kind: Whole { min: 1, max: 1024 },
        default: Text("10"),
        doc: "Workers that process events.",
    },
    Key {
        name: "pipeline.retry_base",
        env: "PIPELINE_RETRY_BASE",
        kind: Time { unit: Unit::Seconds, min: MILLISECOND, max: secs(3600) },
        default: Text("2"),
        doc: "Longest wait before the first retry; it doubles with each further one.",
    },
    Key {
        name: "pipeline.retry_cap",
        env: "PIPELINE_RETRY_CAP",
        kind: Time { unit: Unit::Seconds, min: MILLISECOND, max: DAY },
        default: Text("60"),
        doc: "No wait before a retry is longer.",
    },
    Key {
        name: "pipeline.retry_count",
        env: "PIPELINE_RETRY_COUNT",
        kind: Whole { min: 0, max: 100 },
        default: Text("3"),
        doc: "Retries after the first attempt, before an event becomes a dead letter.",
    },
    Key {
        name: "pipeline.dead_letter_retention",
        env: "PIPELINE_DEAD_LETTER_RETENTION",
        kind: Time { unit: Unit::Days, min: secs(3600), max: secs(3650 * 86_400) },
        default: Unset("for ever"),
        doc: "How long dead letters are kept; what is older is discarded, with an audit row. Unless it is set nothing is deleted, and nothing but the disk bounds how many events that were given up are kept: watch `dead_letters` and `oldest_dead_letter_seconds` in `/internal/events/metrics`.",
    },
    Key {
        name: "firehose.enabled",
        env: "ENABLE_FIREHOSE_INGEST",
        kind: Switch,
        default: Text("true"),
        doc: "Whether records are read from the network.",
    },
    Key {
        name: "firehose.url",
        env: "ATPROTO_FIREHOSE_URL",
        kind: Kind::Stream,
        default: Text("wss://jetstream2.us-east.bsky.network/subscribe"),
        doc: "Where they are read from: a Jetstream, a relay or a PDS.",
    },
    Key {
        name: "firehose.kind",
        env: "FIREHOSE_KIND",
        kind: Kind::Choice(&["auto", "jetstream", "firehose"]),
        default: Text("auto"),
        doc: "What answers there; auto tells by the path: none or `subscribeRepos` is a firehose, \
              `/subscribe` or `subscribeEvents` a Jetstream.",
    },
    Key {
        name: "firehose.verify",
        env: "FIREHOSE_VERIFY",
        kind: Switch,
        default: Text("true"),
        doc: "Whether what the stream says must be proven: handles are looked up, both ways, before \
              they are believed. Records are not proven yet: each is marked \
              `verified_source: false`.",
    },
    Key {
        name: "network.plc_url",
        env: "ATPROTO_PLC_URL",
        kind: WEB,
        default: Text("https://plc.directory"),
        doc: "The directory that resolves did:plc.",
    },
    Key {
        name: "network.pds_url",
        env: "ATPROTO_PDS_URL",
        kind: WEB,
        default: Unset("the one that each DID document names"),
        doc: "The server that records and repos are fetched from.",
    },
    Key {
        name: "network.allow_private_addresses",
        env: "ALLOW_PRIVATE_ADDRESSES",
        kind: Switch,
        default: Text("false"),
        doc: "Whether requests may go to private and loopback addresses that others name; \
              for tests and closed networks.",
    },
    Key {
        name: "graph.max_hops",
        env: "MAX_GRAPH_HOPS",
        kind: Whole { min: 1, max: 10 },
        default: Text("6"),
        doc: "Most hops of a path when a request does not say.",
    },
    Key {
        name: "graph.min_strength",
        env: "MIN_TRUST_STRENGTH",
        kind: Number { min: 0.0, max: 1.0 },
        default: Text("0.5"),
        doc: "Least strength of each hop when a request does not say.",
    },
    Key {
        name: "graph.time_limit",
        env: "PATHFINDING_TIMEOUT",
        kind: Time { unit: Unit::Milliseconds, min: MILLISECOND, max: secs(60) },
        default: Text("1000"),
        doc: "Time after which a search (paths, introductions, rankings) gives up (504).",
    },
    Key {
        name: "rate_limit.enabled",
        env: "RATE_LIMIT_ENABLED",
        kind: Switch,
        default: Unset("true, on a loopback address false"),
        doc: "Whether calls without a key are limited.",
    },
    Key {
        name: "rate_limit.requests",
        env: "RATE_LIMIT_REQUESTS",
        kind: Whole { min: 1, max: 1_000_000_000 },
        default: Text("100"),
        doc: "Requests that one client may make in a window.",
    },
    Key {
        name: "rate_limit.window",
        env: "RATE_LIMIT_WINDOW",
        kind: Time { unit: Unit::Seconds, min: secs(1), max: DAY },
        default: Text("60"),
        doc: "Length of that window.",
    },
];
