//! `rhiz doctor`: looks at everything a node needs, and says what to do about what is wrong.

use crate::{
    config::{Config, DatabaseUrl, SourceKind},
    exit::{self, Failure},
    load,
    node::{self, Node},
    rebuild,
};
use rhiz_domain::{
    Clock,
    clock::SystemClock,
    fact::day_of,
    store::{DeadFilter, Rebuild, Store},
};
use std::{borrow::Cow, fmt::Write, path::Path, sync::Arc};

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
    findings.push(firehose(&config));
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
            let (message, hint) = match failure {
                Failure::Failed { message, hint } => (message, hint),
                Failure::Config(message) => (message, None),
            };
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

fn firehose(config: &Config) -> Finding {
    let what = "firehose";
    if !config.firehose.enabled {
        return Finding { what, result: Ok("switched off".into()) };
    }
    let result = match config.firehose.kind {
        SourceKind::Jetstream => Ok(format!("a Jetstream at {}", config.firehose.url)),
        SourceKind::Firehose => wrong(
            format!("{} is a firehose, which is not built in yet", config.firehose.url),
            "set ATPROTO_FIREHOSE_URL to a Jetstream (…/subscribe)",
        ),
    };
    Finding { what, result }
}

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
