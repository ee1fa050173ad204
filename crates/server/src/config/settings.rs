//! The configuration as the rest of the program sees it: typed, checked, complete.

use super::{layers::Reader, problem::Problem, value::SecretUrl};
use crate::key::SecretKey;
use rhiz_domain::retry::RetryPolicy;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Everything that can be set. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `rhiz.toml` that was read.
    pub file: Option<PathBuf>,
    /// Where data is kept.
    pub data: Data,
    /// The database.
    pub database: Database,
    /// The HTTP server.
    pub api: Api,
    /// Who may do what.
    pub keys: Keys,
    /// Logging.
    pub log: Logging,
    /// The cache.
    pub cache: Cache,
    /// The event pipeline.
    pub pipeline: Pipeline,
    /// Where records come from.
    pub firehose: Firehose,
    /// Other servers of the network.
    pub network: Network,
    /// Searches in the graph.
    pub graph: Graph,
    /// Limits for callers without a key.
    pub rate_limit: RateLimit,
}

/// Where data is kept.
#[derive(Debug, Clone)]
pub struct Data {
    /// The data directory; it may not exist yet.
    pub dir: PathBuf,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Database {
    /// Which one.
    pub url: DatabaseUrl,
    /// Most connections at a time.
    pub pool_size: u32,
}

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// SQLite in this file; a relative path was put into the data directory.
    Sqlite(PathBuf),
    /// PostgreSQL at this address.
    Postgres(SecretUrl),
}

/// The HTTP server.
#[derive(Debug, Clone)]
pub struct Api {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 is any free one.
    pub port: u16,
    /// Name of this installation.
    pub environment: String,
    /// Whose pages may call the API.
    pub cors: Cors,
}

/// Whose pages may call the API from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Only those that this server sends itself.
    Closed,
    /// Those of this machine, on any port: the default on a loopback address.
    Loopback,
    /// Anybody's.
    Any,
    /// Those of these origins, as browsers send them.
    Origins(Vec<String>),
}

/// Who may do what.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The operator's key; when there is none, [`crate::key::internal_key`] makes one.
    pub internal: Option<SecretKey>,
    /// The viewer's key.
    pub viewer: Option<SecretKey>,
}

/// Logging.
#[derive(Debug, Clone)]
pub struct Logging {
    /// A level or directives; known to parse.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, else JSON.
    Auto,
    /// For people.
    Human,
    /// For machines.
    Json,
}

/// The cache.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Where cached answers are kept.
    pub backend: CacheBackend,
    /// The Redis server, used when the backend is Redis.
    pub redis_url: SecretUrl,
    /// Time to live where none is given.
    pub default_ttl: Duration,
    /// Most values in memory.
    pub max_keys: usize,
    /// Most bytes in memory.
    pub max_bytes: u64,
}

/// Where cached answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheBackend {
    /// In this process.
    Memory,
    /// In Redis, with memory in front.
    Redis,
}

/// The event pipeline.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Most events waiting in the journal.
    pub max_queue_size: usize,
    /// Most bytes of events waiting in the journal.
    pub max_queue_bytes: u64,
    /// Share of the queue, 0.2–1, from which low and normal events are refused over HTTP.
    pub backpressure_threshold: f64,
    /// Workers.
    pub num_workers: usize,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How long dead letters are kept; `None` is for ever.
    pub dead_letter_retention: Option<Duration>,
}

/// Where records come from.
#[derive(Debug, Clone)]
pub struct Firehose {
    /// Whether they are read at all.
    pub enabled: bool,
    /// `wss://` or `ws://`, as it was given; a bare host has got its scheme.
    pub url: SecretUrl,
    /// What answers there.
    pub kind: SourceKind,
    /// Whether records must be proven.
    pub verify: bool,
}

/// What answers at the firehose's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A Jetstream, version 1 or 2.
    Jetstream,
    /// `com.atproto.sync.subscribeRepos` of a relay or PDS.
    Firehose,
}

/// Other servers of the network.
#[derive(Debug, Clone)]
pub struct Network {
    /// The PLC directory.
    pub plc_url: SecretUrl,
    /// The server that records are fetched from, instead of the one that a DID document names.
    pub pds_url: Option<SecretUrl>,
    /// Whether requests may go to private addresses.
    pub allow_private_addresses: bool,
}

/// Searches in the graph.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Most hops, 1–10, when a request does not say.
    pub max_hops: u8,
    /// Least strength of a hop, 0–1, when a request does not say.
    pub min_strength: f64,
    /// Longest time for a search.
    pub time_limit: Duration,
}

/// Limits for callers without a key.
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// Whether there are any.
    pub enabled: bool,
    /// Requests of one client in a window.
    pub requests: u32,
    /// Length of a window.
    pub window: Duration,
}

/// Values that are allowed each, and not together.
pub(super) fn contradictions(reader: &Reader<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let base = reader.optional::<Duration>("pipeline.retry_base");
    let cap = reader.optional::<Duration>("pipeline.retry_cap");
    if let (Some(base), Some(cap)) = (base, cap)
        && base > cap
    {
        let reason = format!("it is longer than pipeline.retry_cap, which is {cap:?}");
        problems.push(reader.problem("pipeline.retry_base", reason));
    }
    let internal = reader.optional::<SecretKey>("keys.internal");
    let viewer = reader.optional::<SecretKey>("keys.viewer");
    if let (Some(internal), Some(viewer)) = (internal, viewer)
        && internal.matches(viewer.expose())
    {
        let reason = "it is the same as keys.internal, so that viewers could write".into();
        problems.push(reader.problem("keys.viewer", reason));
    }
    let url = reader.optional::<String>("firehose.url");
    let kind = reader.optional::<String>("firehose.kind");
    if let (Some(url), Some(kind)) = (url, kind)
        && source_kind(&url, &kind).is_none()
    {
        let reason = "its path tells neither a firehose (none, or …subscribeRepos) nor a Jetstream \
                      (/subscribe, …subscribeEvents); set firehose.kind (FIREHOSE_KIND)";
        problems.push(reader.problem("firehose.url", reason.into()));
    }
    problems
}

/// The whole, from values found to be allowed.
pub(super) fn build(reader: &Reader<'_>, file: Option<PathBuf>) -> Result<Config, Problem> {
    let dir = reader.directory.join(reader.required::<PathBuf>("data.dir")?);
    let host: IpAddr = reader.required("api.host")?;
    let stream: SecretUrl = reader.required("firehose.url")?;
    let kind = source_kind(stream.expose(), &reader.required::<String>("firehose.kind")?)
        .ok_or_else(|| reader.problem("firehose.kind", "it cannot be told".into()))?;
    Ok(Config {
        file,
        database: Database {
            url: database(&reader.required::<String>("database.url")?, &dir),
            pool_size: reader.required("database.pool_size")?,
        },
        data: Data { dir },
        api: Api {
            host,
            port: reader.required("api.port")?,
            environment: reader.required("api.env")?,
            cors: cors(reader.optional("api.cors_origins"), host),
        },
        keys: Keys {
            internal: reader.optional("keys.internal"),
            viewer: reader.optional("keys.viewer"),
        },
        log: Logging {
            level: reader.required("log.level")?,
            format: reader.required("log.format")?,
        },
        cache: Cache {
            backend: reader.required("cache.backend")?,
            redis_url: reader.required("cache.redis_url")?,
            default_ttl: reader.required("cache.default_ttl")?,
            max_keys: reader.required("cache.max_keys")?,
            max_bytes: reader.required("cache.max_bytes")?,
        },
        pipeline: Pipeline {
            max_queue_size: reader.required("pipeline.max_queue_size")?,
            max_queue_bytes: reader.required("pipeline.max_queue_bytes")?,
            backpressure_threshold: reader.required("pipeline.backpressure_threshold")?,
            num_workers: reader.required("pipeline.num_workers")?,
            retry: RetryPolicy {
                base: reader.required("pipeline.retry_base")?,
                cap: reader.required("pipeline.retry_cap")?,
                retries: reader.required("pipeline.retry_count")?,
            },
            dead_letter_retention: reader.optional("pipeline.dead_letter_retention"),
        },
        firehose: Firehose {
            enabled: reader.required("firehose.enabled")?,
            url: stream,
            kind,
            verify: reader.required("firehose.verify")?,
        },
        network: Network {
            plc_url: reader.required("network.plc_url")?,
            pds_url: reader.optional("network.pds_url"),
            allow_private_addresses: reader.required("network.allow_private_addresses")?,
        },
        graph: Graph {
            max_hops: reader.required("graph.max_hops")?,
            min_strength: reader.required("graph.min_strength")?,
            time_limit: reader.required("graph.time_limit")?,
        },
        rate_limit: RateLimit {
            enabled: reader.optional("rate_limit.enabled").unwrap_or(!host.is_loopback()),
            requests: reader.required("rate_limit.requests")?,
            window: reader.required("rate_limit.window")?,
        },
    })
}

fn database(url: &str, data_dir: &Path) -> DatabaseUrl {
    match url.strip_prefix("sqlite:") {
        Some(path) => DatabaseUrl::Sqlite(data_dir.join(path.strip_prefix("//").unwrap_or(path))),
        None => DatabaseUrl::Postgres(SecretUrl::new(url)),
    }
}

fn cors(given: Option<Vec<String>>, host: IpAddr) -> Cors {
    match given {
        None if host.is_loopback() => Cors::Loopback,
        None => Cors::Closed,
        Some(list) => match list.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] | ["none"] => Cors::Closed,
            ["*"] => Cors::Any,
            _ => Cors::Origins(list),
        },
    }
}

/// What answers at `url`; `None` when `kind` leaves it open and the path does not tell.
fn source_kind(url: &str, kind: &str) -> Option<SourceKind> {
    match kind {
        "jetstream" => return Some(SourceKind::Jetstream),
        "firehose" => return Some(SourceKind::Firehose),
        _ => {}
    }
    let url = reqwest::Url::parse(url).ok()?;
    let path = url.path().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    if path.is_empty() || last.ends_with("subscribeRepos") {
        Some(SourceKind::Firehose)
    } else if last == "subscribe" || last.ends_with("subscribeEvents") {
        Some(SourceKind::Jetstream)
    } else {
        None
    }
}
