//! What a file is known by, and how a pipe becomes a file.

use crate::FirehoseError;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// The SHA-256 of a file as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest(String);

impl FileDigest {
    /// The first 16 hexadecimal digits: what names a file in origins and cursors.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..16]
    }

    fn of(hash: Sha256) -> Self {
        use fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in hash.finalize() {
            let _ = write!(hex, "{byte:02x}"); // a String takes everything
        }
        Self(hex)
    }
}

impl fmt::Display for FileDigest {
    /// All 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Opens a regular file; answers with its length in bytes.
pub(crate) fn open(path: &Path) -> Result<(File, u64), FirehoseError> {
    let unreadable = |error| FirehoseError::Unreadable { path: path.into(), error };
    // Asked before opening: opening a pipe would wait for its writer.
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() { "a directory" } else { "a pipe or a device" };
        return Err(FirehoseError::NotAFile { path: path.into(), what });
    }
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    Ok((file, length))
}

/// Reads a whole file for its digest. `progress` is told (bytes read, bytes in all) now and then.
pub fn digest(
    path: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<FileDigest, FirehoseError> {
    let (mut file, length) = open(path)?;
    let mut hash = Sha256::new();
    let mut done = 0;
    let copied = copy(&mut file, |chunk| {
        hash.update(chunk);
        done += chunk.len() as u64;
        progress(done, length);
        Ok(())
    });
    match copied {
        Ok(()) => Ok(FileDigest::of(hash)),
        Err(CopyError::Read(error) | CopyError::Write(error)) => {
            Err(FirehoseError::Unreadable { path: path.into(), error })
        }
    }
}

/// A pipe that became a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spooled {
    /// Its digest, made on the way.
    pub digest: FileDigest,
    /// Its length, bytes.
    pub bytes: u64,
}

/// Writes all of `reader` to a new file at `path`, flushed to disk: what cannot be read twice (the
/// standard input) becomes a file that can, so that a crash can read on. Nothing is left behind
/// when it fails; a file that is there already is not touched.
pub fn spool(reader: &mut dyn Read, path: &Path) -> Result<Spooled, FirehoseError> {
    let unwritable = |error| FirehoseError::Unwritable { path: path.into(), error };
    let mut file = File::create_new(path).map_err(unwritable)?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let copied = copy(reader, |chunk| {
        hash.update(chunk);
        bytes += chunk.len() as u64;
        file.write_all(chunk)
    })
    .and_then(|()| file.sync_all().map_err(CopyError::Write));
    match copied {
        Ok(()) => Ok(Spooled { digest: FileDigest::of(hash), bytes }),
        Err(error) => {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(path);
            Err(match error {
                CopyError::Read(error) => FirehoseError::Input(error),
                CopyError::Write(error) => unwritable(error),
            })
        }
    }
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

fn copy(
    reader: &mut dyn Read,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), CopyError> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(n) => write(&chunk[..n]).map_err(CopyError::Write)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(CopyError::Read(e)),
        }
    }
}
