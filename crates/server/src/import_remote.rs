//! `rhiz import --server`: the same lines through a server that runs.
//!
//! The server decodes and keeps the cursor, so it is resumable in the same way: chunks that it has
//! are duplicates. What it has no room for is sent again after the time it names.

use crate::{
    cli::ImportArgs,
    exit::{self, Failure},
    import::{self, Opened, Totals, bar, open, source_failure, summary},
    remote::Remote,
};
use rhiz_firehose::FirehoseError;
use std::{
    io::{BufRead, BufReader, Read, Seek},
    path::Path,
    time::Duration,
};

/// Text sent at once; a longer single line is sent alone.
const CHUNK: usize = 512 * 1024;

/// No line is longer, or it is no line.
const LONGEST: usize = 4 << 20;

/// Runs the command.
pub async fn run(remote: &Remote, args: &ImportArgs) -> Result<(), Failure> {
    let before = metrics(remote).await?;
    let mut totals = Totals::default();
    for path in &args.files {
        let spool_dir = std::env::temp_dir();
        let file = open(path, &spool_dir, &import::system_clock()).await?;
        send(remote, path, &file, &mut totals).await?;
    }
    let after = loop {
        let now = metrics(remote).await?;
        if now.in_queue == 0 {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // Others may send events too: what the server applied meanwhile may be more than ours.
    let applied = (after.processed - before.processed).min(totals.accepted);
    let failed = totals.accepted - applied;
    exit::print(&summary(totals, applied, failed))
}

struct Metrics {
    processed: u64,
    in_queue: u64,
}

async fn metrics(remote: &Remote) -> Result<Metrics, Failure> {
    let value = remote.get("/internal/events/metrics").await?.map_err(|r| r.failure())?;
    let number = |name: &str| {
        value[name].as_u64().ok_or_else(|| {
            Failure::failed(format!(
                "the server at {} is no rhiz: it has no {name}",
                remote.address()
            ))
        })
    };
    Ok(Metrics { processed: number("events_processed")?, in_queue: number("events_in_queue")? })
}

async fn send(
    remote: &Remote,
    path: &Path,
    file: &Opened,
    totals: &mut Totals,
) -> Result<(), Failure> {
    let bar = bar(&format!("sending {}", file.name));
    let mut lines = Lines::open(file.path(path)).map_err(|e| source_failure(&e))?;
    bar.set_length(lines.length);
    while let Some((offset, chunk)) = lines.chunk().map_err(|e| source_failure(&e))? {
        let path = format!("/internal/import?digest={}&offset={offset}", file.digest.short());
        let answer = loop {
            match remote.post(&path, "application/x-ndjson", chunk.clone()).await? {
                Ok(answer) => break answer,
                Err(refusal) if refusal.status == 503 => {
                    let wait = Duration::from_secs(refusal.retry_after.unwrap_or(1));
                    tokio::time::sleep(wait).await;
                }
                Err(refusal) => return Err(refusal.failure()),
            }
        };
        for (name, total) in [
            ("accepted", &mut totals.accepted),
            ("duplicate", &mut totals.duplicate),
            ("rejected", &mut totals.rejected),
        ] {
            *total += answer[name].as_u64().unwrap_or(0);
        }
        bar.set_position(lines.offset.min(lines.length));
    }
    bar.finish_and_clear();
    Ok(())
}

/// Whole lines of a file, plain or zstd, a chunk at a time.
struct Lines {
    path: std::path::PathBuf,
    text: BufReader<Box<dyn Read + Send>>,
    /// Of what is delivered, in bytes of uncompressed text.
    offset: u64,
    /// Of the file as it lies on the disk.
    length: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, FirehoseError> {
        let unreadable = |error| FirehoseError::Unreadable { path: path.into(), error };
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut magic = [0; 4];
        let n = file.read(&mut magic).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let text: Box<dyn Read + Send> = if magic[..n] == [0x28, 0xb5, 0x2f, 0xfd] {
            Box::new(zstd::Decoder::new(file).map_err(unreadable)?)
        } else {
            Box::new(file)
        };
        Ok(Self { path: path.into(), text: BufReader::new(text), offset: 0, length })
    }

    fn chunk(&mut self) -> Result<Option<(u64, Vec<u8>)>, FirehoseError> {
        let start = self.offset;
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK {
            let n = (&mut self.text)
                .take(LONGEST as u64)
                .read_until(b'\n', &mut chunk)
                .map_err(|error| FirehoseError::Unreadable { path: self.path.clone(), error })?;
            if n == 0 {
                break;
            }
            if n == LONGEST && chunk.last() != Some(&b'\n') {
                let what = "a line of more than 4 MB";
                return Err(FirehoseError::Binary { path: self.path.clone(), what });
            }
        }
        self.offset += chunk.len() as u64;
        Ok((!chunk.is_empty()).then_some((start, chunk)))
    }
}
