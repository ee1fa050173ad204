//! A file of JSON lines, each shaped like a message of Jetstream v1; plain, or compressed with
//! zstd (told by its first bytes, any number of frames).
//!
//! Promises: memory does not grow with the file or a line; a position is behind a whole line, so
//! that reading on from it gives the same lines with the same offsets and names; whatever can be
//! read before damage is delivered before the error.

use crate::{
    FileDigest, FirehoseError, Intake, Place, Source,
    decode::{self, MAX_MESSAGE},
    source::stopped,
    spool,
};
use async_trait::async_trait;
use rhiz_domain::{Clock, store::Cursor};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::{mpsc, watch};

/// Lines handed over together at most.
const BATCH_LINES: usize = 1024;
/// Bytes of lines handed over together at most, but for the last line.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of text in memory.
const BUFFER: usize = 256 * 1024;

/// A file to be read as a source of events.
#[derive(Clone)]
pub struct FileSource {
    path: PathBuf,
    digest: String,
    name: String,
    clock: Arc<dyn Clock>,
    progress: Progress,
}

impl FileSource {
    /// The file at `path`, whose digest is known ([`crate::digest()`], [`crate::spool()`]).
    #[must_use]
    pub fn new(path: &Path, digest: &FileDigest, clock: Arc<dyn Clock>) -> Self {
        Self {
            path: path.into(),
            digest: digest.short().into(),
            name: format!("file:{}", digest.short()),
            clock,
            progress: Progress::default(),
        }
    }

    /// How far it has been read; follows whoever reads it.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Reads it here and now, from behind `from`. For what needs no runtime.
    pub fn replay(&self, from: Option<u64>) -> Result<Replay, FirehoseError> {
        Replay::open(self.clone(), from.unwrap_or(0))
    }
}

#[async_trait]
impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(
        self: Box<Self>,
        from: Option<u64>,
        out: mpsc::Sender<Intake>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), FirehoseError> {
        let read = async {
            let mut replay = blocking(move || self.replay(from)).await?;
            loop {
                let next;
                (replay, next) = blocking(move || {
                    let next = replay.next();
                    (replay, next)
                })
                .await;
                let Some(intake) = next.transpose()? else { return Ok(()) };
                if out.send(intake).await.is_err() {
                    return Ok(()); // nobody takes any more
                }
            }
        };
        tokio::select! {
            biased;
            () = stopped(stop) => Ok(()),
            read = read => read,
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        // Only a runtime that is being shut down cancels it, and with it the task that waits here.
        Err(_) => std::future::pending().await,
    }
}

/// How much of a file has been read. Cheap to clone and to ask.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<[AtomicU64; 2]>);

impl Progress {
    /// Bytes read of the file as it lies on the disk (ahead of what is delivered by a buffer).
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0[0].load(Relaxed)
    }

    /// Its length; 0 before it is opened.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0[1].load(Relaxed)
    }
}

/// Counts what is read of a file.
struct Counted {
    file: File,
    progress: Progress,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.progress.0[0].fetch_add(n as u64, Relaxed);
        Ok(n)
    }
}

/// The batches of a file, in order. After an error there are no more.
pub struct Replay {
    source: FileSource,
    text: BufReader<Box<dyn Read + Send>>,
    compressed: bool,
    /// Where the next line begins, bytes of uncompressed text.
    offset: u64,
    line: Vec<u8>,
    state: State,
}

enum State {
    Reading,
    /// To be told after what was read before it.
    Failed(FirehoseError),
    Done,
}

impl Replay {
    fn open(source: FileSource, from: u64) -> Result<Self, FirehoseError> {
        let path = &source.path;
        let unreadable = |error| FirehoseError::Unreadable { path: path.clone(), error };
        let (mut file, length) = spool::open(path)?;
        source.progress.0[0].store(0, Relaxed);
        source.progress.0[1].store(length, Relaxed);

        let mut magic = [0; 8];
        let known = read_full(&mut file, &mut magic).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let compressed = match packing(&magic[..known]) {
            Packing::Plain => false,
            Packing::Zstd => true,
            Packing::Other(what) => {
                return Err(FirehoseError::Binary { path: path.clone(), what });
            }
        };
        let text: Box<dyn Read + Send> = if compressed {
            let counted = Counted { file, progress: source.progress() };
            Box::new(zstd::Decoder::new(counted).map_err(unreadable)?)
        } else {
            if from > length {
                return Err(FirehoseError::Position { path: path.clone(), position: from, length });
            }
            file.seek(SeekFrom::Start(from)).map_err(unreadable)?;
            source.progress.0[0].store(from, Relaxed);
            Box::new(Counted { file, progress: source.progress() })
        };
        let text = BufReader::with_capacity(BUFFER, text);
        let mut replay = Self {
            source,
            text,
            compressed,
            offset: from,
            line: Vec::new(),
            state: State::Reading,
        };
        if compressed && from > 0 {
            replay.pass_over(from)?;
        } else if from == 0 {
            replay.refuse_binary()?;
        }
        Ok(replay)
    }

    /// Passes over what was delivered before: as fast as it can be decompressed.
    fn pass_over(&mut self, from: u64) -> Result<(), FirehoseError> {
        let skipped = io::copy(&mut (&mut self.text).take(from), &mut io::sink());
        match skipped {
            Ok(n) if n == from => Ok(()),
            Ok(length) => Err(FirehoseError::Position {
                path: self.source.path.clone(),
                position: from,
                length,
            }),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Lines that are no JSON are rejected one by one; a file that is no text at all is refused.
    fn refuse_binary(&mut self) -> Result<(), FirehoseError> {
        let start = match self.text.fill_buf() {
            Ok(start) => &start[..start.len().min(8192)],
            Err(error) => {
                self.state = State::Failed(self.broken(error));
                return Ok(());
            }
        };
        // A character cut in two at the end of the buffer has no error length.
        let utf8 = str::from_utf8(start).map_or_else(|e| e.error_len().is_none(), |_| true);
        if start.contains(&0) || !(utf8 || start.trim_ascii_start().starts_with(b"{")) {
            let what = "not text";
            return Err(FirehoseError::Binary { path: self.source.path.clone(), what });
        }
        Ok(())
    }

    fn broken(&self, error: io::Error) -> FirehoseError {
        let path = self.source.path.clone();
        let offset = self.offset;
        match error.kind() {
            io::ErrorKind::UnexpectedEof if self.compressed => {
                FirehoseError::Truncated { path, offset }
            }
            // The decoder's own errors; those of the disk have a number.
            _ if self.compressed && error.raw_os_error().is_none() => {
                FirehoseError::Corrupt { path, offset, why: error.to_string() }
            }
            _ => FirehoseError::Unreadable { path, error },
        }
    }

    /// Reads one line into `self.line`, of a long one only a little more than is allowed. Answers
    /// with its length including its end; 0 at the end of the file.
    fn read_line(&mut self) -> io::Result<u64> {
        // Two more: room for CR LF, and enough to see that it is too long.
        const LIMIT: u64 = MAX_MESSAGE as u64 + 2;
        self.line.clear();
        let mut n = (&mut self.text).take(LIMIT).read_until(b'\n', &mut self.line)? as u64;
        if n == LIMIT && !self.line.ends_with(b"\n") {
            n += self.text.skip_until(b'\n')? as u64;
        }
        Ok(n)
    }
}

impl Iterator for Replay {
    type Item = Result<Intake, FirehoseError>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Reading => self.state = State::Reading,
            State::Failed(error) => return Some(Err(error)),
            State::Done => return None,
        }
        let start = self.offset;
        let now = self.source.clock.now();
        let mut intake = Intake::default();
        for _ in 0..BATCH_LINES {
            match self.read_line() {
                Ok(0) => {
                    self.state = State::Done;
                    break;
                }
                Ok(length) => {
                    let place = Place::File { digest: &self.source.digest, offset: self.offset };
                    let line = content(&self.line, self.offset);
                    if !line.is_empty() {
                        decode::decode(line, place, now).decoded.put_into(&mut intake);
                    }
                    self.offset += length;
                }
                Err(error) => {
                    self.state = State::Failed(self.broken(error));
                    break;
                }
            }
            if self.offset - start >= BATCH_BYTES {
                break;
            }
        }
        if self.offset == start {
            return match std::mem::replace(&mut self.state, State::Done) {
                State::Failed(error) => Some(Err(error)),
                _ => None,
            };
        }
        intake.cursor = Some(Cursor { source: self.source.name.clone(), position: self.offset });
        Some(Ok(intake))
    }
}

/// A line without its end, without blanks around it, and without a byte order mark.
fn content(line: &[u8], offset: u64) -> &[u8] {
    let line = if offset == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    line.trim_ascii()
}

enum Packing {
    Plain,
    Zstd,
    Other(&'static str),
}

/// By the first bytes of a file.
fn packing(magic: &[u8]) -> Packing {
    match magic {
        // RFC 8878: a frame, or one to be skipped (parallel and seekable writers begin with it).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
        [0x1f, 0x8b, ..] => Packing::Other("compressed with gzip"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Other("compressed with xz"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Other("compressed with bzip2"),
        [b'P', b'K', 3, 4, ..] => Packing::Other("a zip archive"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Packing::Other("text in UTF-16"),
        _ => Packing::Plain,
    }
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match file.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}
