//! `rhiz doctor`: looks at everything a node needs, and says what to do about what is wrong.
//!
//! A server that runs holds its data directory for itself: then it is asked how it is, and what only
//! can be seen from within its files is left out, and told.

use crate::{
    config::{CacheBackend, Config, DatabaseUrl, SourceKind},
    exit::{self, Failure},
    load,
    node::{self, Node, Owner},
    rebuild,
    remote::Remote,
};
use rhiz_cache::CacheStatus;
use rhiz_domain::{
    Clock, Entropy,
    clock::{SystemClock, SystemEntropy},
    fact::day_of,
    store::{DeadFilter, Rebuild, Store},
};
use rhiz_firehose::{Jetstream, Options};
use serde_json::Value;
use std::{
    borrow::Cow,
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// One thing looked at.
struct Finding {
    what: &'static str,
    /// `Err` with what is wrong and what to do.
    result: Result<String, (String, Cow<'static, str>)>,
}

/// What to do about data that nothing here can mend.
const DAMAGE: &str = "restore a backup, or import again into a new directory";

/// `problem` is wrong; `to_do` is what to do about it.
fn wrong<T>(
    problem: impl Into<String>,
    to_do: impl Into<Cow<'static, str>>,
) -> Result<T, (String, Cow<'static, str>)> {
    Err((problem.into(), to_do.into()))
}

/// Runs the command. Fails when something is wrong.
pub async fn run(config: Config) -> Result<(), Failure> {
    let mut findings = vec![Finding {
        what: "configuration",
        result: Ok(match &config.file {
            Some(file) => format!("{} and the environment can be used", file.display()),
            None => "the environment and the defaults can be used".into(),
        }),
    }];
    match node::owner(&config.data.dir) {
        Some(Owner::Server(address)) => {
            running(&config, address, &mut findings).await;
            return report(&findings);
        }
        // The database cannot be opened, and is told so below.
        Some(Owner::Other) | None => {}
    }
    let (firehose, redis) = tokio::join!(firehose(&config), redis(&config));
    findings.extend([firehose, redis]);
    if let DatabaseUrl::Sqlite(path) = &config.database.url
        && !path.exists()
    {
        findings.push(Finding {
            what: "database",
            result: can_be_made(path)
                .map(|()| format!("{} is not there yet; the first start makes it", path.display())),
        });
        return report(&findings);
    }
    match below_the_graph(&config).await {
        Ok(found) => findings.extend(found),
        // The same keeps the node from being opened, and is told there.
        Err(Failure::Failed { .. } | Failure::Config(_)) => {}
    }
    match Node::open(config).await {
        Err(failure) => {
            let (message, hint) = failure.parts();
            let to_do = hint.map_or("mend what is named".into(), Cow::Owned);
            findings.push(Finding { what: "database", result: wrong(message, to_do) });
        }
        Ok(node) => {
            data(&node, &mut findings).await;
            node.stop().await;
        }
    }
    report(&findings)
}

/// Whether a file can be made there, and the folders that it is in. Leaves nothing behind.
fn can_be_made(path: &Path) -> Result<(), (String, Cow<'static, str>)> {
    // An empty path is this folder.
    let folder = path.ancestors().skip(1).find(|p| p.exists()).filter(|p| *p != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    let probe = folder.join(format!(".rhiz-doctor-{}", std::process::id()));
    let made = std::fs::File::create_new(&probe);
    if made.is_ok() {
        // It was made just now, and is empty.
        let _ = std::fs::remove_file(&probe);
    }
    made.map(|_| ()).or_else(|e| {
        let what = format!(
            "{} cannot be made: {} cannot be written: {e}",
            path.display(),
            folder.display()
        );
        wrong(what, "give a directory that can be written, with --data-dir or DATA_DIR")
    })
}

/// How long the network is waited for.
const NETWORK_LIMIT: Duration = Duration::from_secs(5);

async fn firehose(config: &Config) -> Finding {
    let what = "firehose";
    if !config.firehose.enabled {
        return Finding { what, result: Ok("switched off".into()) };
    }
    let url = &config.firehose.url;
    let result = match config.firehose.kind {
        SourceKind::Jetstream => match reached(config).await {
            Ok(()) => Ok(format!("a Jetstream answers at {url}")),
            Err(why) => wrong(
                format!("the Jetstream at {url}: {why}"),
                "look at ATPROTO_FIREHOSE_URL and at the network; the node serves without it, and \
                 goes on where it was when it is there again",
            ),
        },
        SourceKind::Firehose => wrong(
            format!("{} is a firehose, which is not built in yet", config.firehose.url),
            "set ATPROTO_FIREHOSE_URL to a Jetstream (…/subscribe)",
        ),
    };
    Finding { what, result }
}

/// Whether the Jetstream takes a connection.
async fn reached(config: &Config) -> Result<(), String> {
    let options =
        Options { connect_timeout: NETWORK_LIMIT, ..Options::new(config.firehose.url.expose()) };
    let (clock, entropy) = (Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    let source = Jetstream::new(options, clock, entropy).map_err(|e| e.to_string())?;
    source.probe().await.map_err(|trouble| trouble.message)
}

async fn redis(config: &Config) -> Finding {
    let what = "cache";
    if config.cache.backend == CacheBackend::Memory {
        return Finding { what, result: Ok("in memory; no Redis is configured".into()) };
    }
    let url = &config.cache.redis_url;
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
        (Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    let cache = match node::cache(config, &clock, &entropy) {
        Ok(cache) => cache,
        Err(failure) => {
            return Finding { what, result: wrong(failure.to_string(), "mend REDIS_URL") };
        }
    };
    // It connects in the background.
    let health = loop {
        let health = cache.health_check().await;
        if health.status == CacheStatus::Healthy || clock.elapsed() >= NETWORK_LIMIT {
            break health;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    cache.close().await;
    let result = match health.status {
        CacheStatus::Healthy => Ok(format!("Redis answers at {url}")),
        CacheStatus::Degraded | CacheStatus::Unhealthy => wrong(
            format!("Redis at {url}: {}", health.reason.as_deref().unwrap_or("no answer")),
            "is it running? look at REDIS_URL; until then each node has its memory alone",
        ),
    };
    Finding { what, result }
}

/// What a server that runs says of itself.
async fn running(config: &Config, address: SocketAddr, findings: &mut Vec<Finding>) {
    // Who listens everywhere can be asked here.
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let url = format!("http://{}", SocketAddr::new(host, address.port()));
    let told = async {
        let remote = Remote::new(&url, None, config)?;
        remote.look("/health/detailed").await
    };
    let what = "server";
    let health = match told.await {
        Err(failure) => {
            let (message, hint) = failure.parts();
            let to_do = hint.map_or("mend what is named".into(), Cow::Owned);
            findings.push(Finding { what, result: wrong(message, to_do) });
            return;
        }
        Ok((status, health)) if !health["dependencies"].is_object() => {
            let message = format!("{url} answers {status}, and not as a rhiz does");
            let to_do = "is another program at its port?";
            findings.push(Finding { what, result: wrong(message, to_do) });
            return;
        }
        Ok((_, health)) => health,
    };
    let word = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let result = match (health["version"].as_str(), health["uptime_seconds"].as_u64()) {
        (Some(version), Some(uptime)) => Ok(format!(
            "version {version} runs at {url} on this data directory, for {uptime} s; the following \
             is what it says of itself"
        )),
        _ => wrong(
            format!("{url} does not take this key: it tells words only"),
            "give its key with INTERNAL_API_KEY, or run this with its --data-dir",
        ),
    };
    findings.push(Finding { what, result });
    for (what, to_do) in DEPENDENCIES {
        let told = &health["dependencies"][what];
        // Anybody is told a word, who has a key an object.
        let status = word(if told.is_object() { &told["status"] } else { told });
        let result = match (status.as_str(), told["error"].as_str()) {
            ("healthy", _) => Ok("healthy".into()),
            (_, None) => wrong(status, to_do),
            (_, Some(error)) => wrong(format!("{status}: {error}"), to_do),
        };
        findings.push(Finding { what, result });
    }
    let left_out = "not looked at while the server runs; stop it and run this again for that";
    findings.push(Finding { what: "pages, derived", result: Ok(left_out.into()) });
}

/// What a server looks at, and what to do about each.
const DEPENDENCIES: [(&str, &str); 5] = [
    (
        "database",
        "is the disk full, read-only or slow, or another program at the file? see its log",
    ),
    ("cache", "is Redis running? look at REDIS_URL; until then its memory serves alone"),
    (
        "event_pipeline",
        "paused: POST /internal/pipeline/resume; backpressure: wait, or see what is slow in \
         /internal/events/metrics; processor_hangs: see its log, then restart it",
    ),
    ("firehose", "look at ATPROTO_FIREHOSE_URL and at the network; it goes on where it was"),
    ("graph", "restart it: the graph is loaded from the database"),
];

/// Looked at before the graph is loaded: it may be what keeps it from being loaded.
async fn below_the_graph(config: &Config) -> Result<[Finding; 2], Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (_lock, store) = node::open_store(config, &clock)?;
    let findings = [pages(&*store).await, derived(&*store).await];
    store.close().await;
    Ok(findings)
}

/// Whether the stored data hold together.
async fn pages(store: &dyn Store) -> Finding {
    /// Findings told: the first says most, the rest follows from the same damage.
    const TOLD: usize = 3;
    let result = match store.check().await {
        Ok(found) if found.is_empty() => Ok("every page holds together".into()),
        Ok(found) => {
            let more = match found.len().saturating_sub(TOLD) {
                0 => String::new(),
                more => format!("; and {more} more like these"),
            };
            let told: Vec<_> = found.into_iter().take(TOLD).collect();
            wrong(
                format!("the file is damaged: {}{more}", told.join("; ")),
                "look after the disk; keep a copy of the damaged files, then restore a backup, or \
                 import again into a new directory",
            )
        }
        Err(e) => wrong(e.to_string(), DAMAGE),
    };
    Finding { what: "pages", result }
}

/// Whether what is derived from the records is what follows from them.
async fn derived(store: &dyn Store) -> Finding {
    let result = match rebuild::with_bar(store, Rebuild::Look).await {
        Ok(found) if found.unreadable > 0 => wrong(
            format!("{} records cannot be read", found.unreadable),
            "restore a backup, or import these records again",
        ),
        Ok(found) if found.wrong() > 0 => {
            wrong(rebuild::in_words(&found, "missing, wrong, surplus"), "run `rhiz rebuild`")
        }
        Ok(found) => Ok(format!("what follows from {} records is as it should be", found.records)),
        Err(e) => wrong(e.to_string(), DAMAGE),
    };
    Finding { what: "derived", result }
}

async fn data(node: &Node, findings: &mut Vec<Finding>) {
    findings.push(Finding {
        what: "database",
        result: match node.store.counts().await {
            Ok(c) => Ok(format!(
                "{} records ({} live relationships, {} attestations, {} profiles), {} waiting",
                c.records, c.relationships, c.attestations, c.profiles, c.journal
            )),
            Err(e) => wrong(e.to_string(), DAMAGE),
        },
    });
    findings.push(Finding {
        what: "graph",
        result: match load::graph(&*node.store, day_of(node.clock.now())).await {
            Ok(fresh) if fresh.digest() == node.graph.digest() => {
                Ok(format!("agrees with the database (version {})", node.graph.version()))
            }
            Ok(_) => wrong("it differs from the database", "restart, and report a bug"),
            Err(e) => wrong(e.to_string(), DAMAGE),
        },
    });
    let filter = DeadFilter { limit: 1, ..DeadFilter::default() };
    findings.push(Finding {
        what: "dead letters",
        result: match node.store.dead_letters(filter).await {
            Ok(page) if page.count == 0 => Ok("none".into()),
            Ok(page) => Ok(format!("{} (see `rhiz dlq list`)", page.count)),
            Err(e) => wrong(e.to_string(), DAMAGE),
        },
    });
}

fn report(findings: &[Finding]) -> Result<(), Failure> {
    let mut text = String::new();
    let mut count = 0;
    for finding in findings {
        // Writing to a String cannot fail.
        let _ = match &finding.result {
            Ok(fine) => writeln!(text, "ok     {:14} {fine}", finding.what),
            Err((problem, to_do)) => {
                count += 1;
                writeln!(text, "WRONG  {:14} {problem}\n       {:14} → {to_do}", finding.what, "")
            }
        };
    }
    exit::print(&text)?;
    if count == 0 { Ok(()) } else { Err(Failure::failed(format!("{count} finding(s)"))) }
}
