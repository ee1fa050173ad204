//! `rhiz import`: JSON lines into the pipeline, with a progress bar, resumable.
//!
//! Law: a line is accepted once. Where a file is by its digest is a cursor in the same transaction
//! as the lines before it, so an import that was stopped or killed goes on where it was, and one
//! that was finished does nothing when it is run again.

use crate::{
    cli::ImportArgs,
    config::Config,
    exit::{self, Failure},
    node::{Node, store_failure},
    remote::Remote,
    serve::stop_signal,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rhiz_domain::{
    Clock,
    clock::SystemClock,
    store::{Intake, StoreError},
};
use rhiz_firehose::{FileDigest, FileSource, FirehoseError, digest, spool};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// What became of the lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// New, and in the journal.
    pub accepted: u64,
    /// Accepted before; nothing was done.
    pub duplicate: u64,
    /// New, and could not become an event: among the dead letters.
    pub rejected: u64,
}

/// A file as it is imported: opened, known by its digest.
pub struct Opened {
    /// Its name, for messages.
    pub name: String,
    /// Reads its lines.
    pub source: FileSource,
    /// What it is known by.
    pub digest: FileDigest,
    /// A copy of the standard input; removed with this.
    spooled: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(config: Config, args: &ImportArgs) -> Result<(), Failure> {
    if let Some(url) = &args.server {
        let remote = Remote::new(url, args.key_file.as_deref(), &config)?;
        return unless_stopped(crate::import_remote::run(&remote, args)).await;
    }
    let node = Node::open(config).await?;
    remove_spools(&node.config.data.dir);
    node.start();
    let result = unless_stopped(node.while_whole(import_files(&node, &args.files))).await;
    node.stop().await;
    exit::print(&result?)
}

/// Breaks off when the user, or the system, says so.
async fn unless_stopped<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let stop = stop_signal();
    tokio::select! {
        result = work => result,
        _ = stop => Err(Failure::failed("stopped").hint(
            "what was accepted is safe; run the same command again to go on",
        )),
    }
}

/// Copies of the standard input that a killed import left behind. Nobody else works on the
/// directory while its lock is held.
fn remove_spools(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("import-") && name.ends_with(".spool") {
            // One that stays only takes room.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

async fn import_files(node: &Node, files: &[PathBuf]) -> Result<String, Failure> {
    let before = node.pipeline.snapshot();
    let mut totals = Totals::default();
    for path in files {
        let file = open(path, &node.config.data.dir, &node.clock).await?;
        import(node, &file, &mut totals).await?;
    }
    applied(node, totals.accepted + before.events_in_queue).await;
    let after = node.pipeline.snapshot();
    Ok(summary(
        totals,
        after.events_processed - before.events_processed,
        after.events_failed - before.events_failed,
    ))
}

/// What is said at the end.
pub fn summary(totals: Totals, applied: u64, failed: u64) -> String {
    format!(
        "accepted {}  applied {}  duplicate {}  dead {}\n",
        totals.accepted,
        applied,
        totals.duplicate,
        totals.rejected + failed,
    )
}

async fn import(node: &Node, file: &Opened, totals: &mut Totals) -> Result<(), Failure> {
    let cursor = format!("file:{}", file.digest.short());
    let done = node.store.cursor(&cursor).await.map_err(|e| store_failure(&e))?.unwrap_or(0);
    let bar = bar(&format!("importing {}", file.name));
    let progress = file.source.progress();
    let (give, mut take) = tokio::sync::mpsc::channel::<Result<Intake, FirehoseError>>(4);
    let source = file.source.clone();
    // Decoding takes a processor for itself; a slow disk may block it.
    let reader = tokio::task::spawn_blocking(move || {
        let mut failed = None;
        match source.replay(None) {
            Ok(replay) => {
                for intake in replay {
                    if give.blocking_send(intake).is_err() {
                        break;
                    }
                }
            }
            Err(error) => failed = Some(error),
        }
        failed
    });
    while let Some(intake) = take.recv().await {
        let intake = intake.map_err(|e| source_failure(&e))?;
        bar.set_length(progress.total());
        bar.set_position(progress.read().min(progress.total()));
        let (events, rejected) = (intake.events.len() as u64, intake.rejected.len() as u64);
        if intake.cursor.as_ref().is_some_and(|c| c.position <= done) {
            totals.duplicate += events + rejected;
            continue;
        }
        let new = node.pipeline.take_in(intake).await.map_err(|e| cut_short(&e))? as u64;
        totals.accepted += new;
        totals.duplicate += events - new;
        totals.rejected += rejected;
    }
    bar.finish_and_clear();
    match reader.await {
        Ok(None) => Ok(()),
        Ok(Some(error)) => Err(source_failure(&error)),
        Err(error) => Err(Failure::failed(format!("reading broke off: {error}"))),
    }
}

/// What is accepted cannot be written down.
fn cut_short(error: &StoreError) -> Failure {
    let (message, hint) = store_failure(error).parts();
    let hint = hint.map_or(String::new(), |hint| hint + " ");
    Failure::failed(message).hint(format!(
        "{hint}What was accepted is safe: when the cause is gone, run the same command again to go on"
    ))
}

/// Waits until everything accepted is in every answer.
async fn applied(node: &Node, all: u64) {
    let bar = bar("applying");
    bar.set_length(all);
    loop {
        let waiting = node.pipeline.snapshot().events_in_queue;
        bar.set_position(all.saturating_sub(waiting));
        if waiting == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bar.finish_and_clear();
}

/// A bar on standard error, when that is a terminal.
pub fn bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} {bar:30} {percent}% {eta} left");
    bar.set_style(style.unwrap_or(ProgressStyle::default_bar()));
    bar.set_message(what.to_owned());
    bar
}

/// Opens a file and reads it once for its digest; the standard input becomes a file first.
pub async fn open(
    path: &Path,
    spool_dir: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, Failure> {
    let path = path.to_owned();
    let spool_dir = spool_dir.to_owned();
    let clock = Arc::clone(clock);
    let opened = tokio::task::spawn_blocking(move || {
        if path.as_os_str() == "-" {
            let spool_to = spool_dir.join(format!("import-{}.spool", std::process::id()));
            // Left behind by a process of the same number that was killed.
            let _ = std::fs::remove_file(&spool_to);
            let spooled = spool(&mut std::io::stdin().lock(), &spool_to)?;
            let source = FileSource::new(&spool_to, &spooled.digest, clock);
            let name = "standard input".to_owned();
            return Ok(Opened { name, source, digest: spooled.digest, spooled: Some(spool_to) });
        }
        let bar = bar(&format!("reading {}", path.display()));
        let digest = digest(&path, |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        })?;
        bar.finish_and_clear();
        let source = FileSource::new(&path, &digest, clock);
        Ok(Opened { name: path.display().to_string(), source, digest, spooled: None })
    });
    match opened.await {
        Ok(result) => result.map_err(|e: FirehoseError| source_failure(&e)),
        Err(error) => Err(Failure::failed(format!("reading broke off: {error}"))),
    }
}

impl Opened {
    /// Where its bytes are: `given`, unless that was the standard input.
    pub fn path<'a>(&'a self, given: &'a Path) -> &'a Path {
        self.spooled.as_deref().unwrap_or(given)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(path) = &self.spooled {
            // What was read of it is in the journal: a copy that stays only takes room.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A file that cannot be read.
pub fn source_failure(error: &FirehoseError) -> Failure {
    Failure::failed(error).hint("what was read before it is imported; mend the file and run again")
}

/// The system's clock, for what runs without a node.
pub fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}
