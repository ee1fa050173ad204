//! The keys that open what is guarded.
//!
//! There is no default key: without one in the configuration, 32 random bytes are made at the first
//! start and kept in `internal.key` in the data directory.
//!
//! Law: **at no instant is there a key that others can read, or half of one.** The bytes are written
//! to a new file that only its owner may open from its creation on, flushed, and only then given
//! their name; the folder is flushed before the key is used. A crash before that leaves no
//! `internal.key`, so the next start makes another; a crash after it leaves a whole one.
//! Two first starts at once agree on the key that got the name first.
//!
//! Called by `serve` and `demo` (make or read), and by the commands that call a server (read).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rhiz_domain::Entropy;
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use subtle::ConstantTimeEq;

/// The name of the key's file in the data directory.
pub const NAME: &str = "internal.key";

/// A key that is never shown and is compared in constant time. Cheap to clone; has no default.
#[derive(Clone)]
pub struct SecretKey(Arc<str>);

impl SecretKey {
    /// Fewest characters.
    pub const SHORTEST: usize = 16;
    /// Most characters: it has to fit into a header.
    pub const LONGEST: usize = 256;

    /// A key that can be sent in a header and is not easily guessed; `None` for any other text.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        // `aaaaaaaaaaaaaaaa` is long; 128 random bits in hexadecimal have 13 of 16 digits or so.
        const DIFFERENT: usize = 5;
        let mut bytes = text.as_bytes().to_vec();
        bytes.sort_unstable();
        bytes.dedup();
        let fits = (Self::SHORTEST..=Self::LONGEST).contains(&text.len())
            && bytes.iter().all(u8::is_ascii_graphic)
            && bytes.len() >= DIFFERENT;
        fits.then(|| Self(text.into()))
    }

    /// 32 random bytes, in base64url.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let bytes: Vec<u8> = (0..4).flat_map(|_| entropy.next_u64().to_le_bytes()).collect();
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// Whether this is the key. The time it takes does not depend on where the two differ.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// The key itself, to send or to store. Never for logs or messages.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Why there is no key. None of these texts holds one.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or its folder cannot be used.
    #[error("the internal key cannot be {doing} at {path}: {source}", path = .path.display())]
    Io {
        /// `read` or `stored`.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("{path} can be read by others (mode {mode:04o}); make it yours alone: chmod 600 {path}", path = .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds no key.
    #[error(
        "{path} does not hold a key ({shortest} to {longest} visible ASCII characters); \
         delete it, and the next start makes a new one",
        path = .path.display(),
        shortest = SecretKey::SHORTEST,
        longest = SecretKey::LONGEST
    )]
    Broken {
        /// The file.
        path: PathBuf,
    },
}

impl From<KeyError> for crate::exit::Failure {
    fn from(error: KeyError) -> Self {
        Self::failed(error).hint("or set INTERNAL_API_KEY")
    }
}

/// The operator's key: the configured one, else the stored one, else a new one that is stored.
/// Makes the data directory when it is missing. Logs the place, never the key.
pub fn internal_key(
    configured: Option<&SecretKey>,
    data_dir: &Path,
    entropy: &dyn Entropy,
) -> Result<SecretKey, KeyError> {
    if let Some(key) = configured {
        return Ok(key.clone());
    }
    let path = data_dir.join(NAME);
    if let Some(key) = read(&path)? {
        tracing::info!(path = %path.display(), "the internal key is read from its file");
        return Ok(key);
    }
    let stored = |source| KeyError::Io { doing: "stored", path: path.clone(), source };
    make_folder(data_dir).map_err(stored)?;
    let key = SecretKey::generate(entropy);
    let temporary = data_dir.join(format!("{NAME}.{:016x}.tmp", entropy.next_u64()));
    let named = store(&temporary, &path, &key);
    // Gone already when its name was moved; after a failure nothing may stay behind.
    let _ = fs::remove_file(&temporary);
    match named {
        Ok(()) => {
            remove_leftovers(data_dir);
            tracing::info!(path = %path.display(), "a new internal key was made");
            Ok(key)
        }
        // Another process was first: its key counts.
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
            read(&path)?.ok_or_else(|| stored(error))
        }
        Err(error) => Err(stored(error)),
    }
}

/// The key in a file; `None` when there is no such file.
pub fn read(path: &Path) -> Result<Option<SecretKey>, KeyError> {
    let failed = |source| KeyError::Io { doing: "read", path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    refuse_open(&file, path)?;
    let mut text = String::new();
    match io::Read::read_to_string(&mut file, &mut text) {
        Err(error) if error.kind() != ErrorKind::InvalidData => return Err(failed(error)),
        _ => {}
    }
    let key = SecretKey::new(text.trim());
    key.map(Some).ok_or_else(|| KeyError::Broken { path: path.to_owned() })
}

#[cfg(unix)]
fn refuse_open(file: &File, path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| KeyError::Io { doing: "read", path: path.to_owned(), source };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyError::Open { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_open(_: &File, _: &Path) -> Result<(), KeyError> {
    Ok(())
}

/// Makes a data directory: a new one is its owner's alone, for private relationships are in it as
/// well as the key; one that exists keeps its mode.
///
/// Law: when this answers, the name is on the disk. A power cut would else take the directory with
/// everything in it, however well that was flushed.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists());
    let missing: Vec<&Path> = missing.collect();
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)?;
    for made in &missing {
        flush_name(made)?;
    }
    if missing.is_empty() {
        // An earlier start may have died before it came to this; who may not read the folder above
        // did not make this one.
        let _ = flush_name(path);
    }
    Ok(())
}

/// Flushes the folder that a name is in.
fn flush_name(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let here = Path::new(".");
        File::open(if folder.as_os_str().is_empty() { here } else { folder })?.sync_all()?;
    }
    Ok(())
}

/// Writes the key under a temporary name and gives it its own, unless that is taken.
fn store(temporary: &Path, path: &Path, key: &SecretKey) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(temporary)?;
    writeln!(file, "{}", key.expose())?;
    file.sync_all()?;
    // Unlike a rename, a link never replaces what is there.
    match fs::hard_link(temporary, path) {
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
            return Err(error);
        }
        // A file system without links; two first starts at once are then not told apart.
        Err(_) => fs::rename(temporary, path)?,
        Ok(()) => {}
    }
    flush_name(path)
}

/// Removes what a crash between writing and naming left behind: keys that nobody ever used.
fn remove_leftovers(data_dir: &Path) {
    let Ok(entries) = fs::read_dir(data_dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("internal.key.") && name.ends_with(".tmp") {
            // It stays when it cannot be removed, and does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhiz_domain::clock::SeededEntropy;

    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = SecretKey::new("correct-horse-battery").unwrap();
        assert_eq!(format!("{key} {key:?} {:?}", Some(&key)), "(hidden) (hidden) Some((hidden))");
    }

    #[test]
    fn only_the_whole_key_matches() {
        let key = SecretKey::new("correct-horse-battery").unwrap();
        assert!(key.matches("correct-horse-battery"));
        for other in ["", "correct-horse-batter", "correct-horse-battery2", "Correct-horse-battery"]
        {
            assert!(!key.matches(other), "{other}");
        }
    }

    #[test]
    fn weak_keys_and_keys_that_no_header_holds_are_refused() {
        let long = "abcdef".repeat(50);
        for weak in [
            "",
            "secret",
            "fifteen-letters",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "with a blank in it",
            "with-a-\nline-break",
            "schlüsselschlüssel",
            &long,
        ] {
            assert!(SecretKey::new(weak).is_none(), "{weak}");
        }
        assert!(SecretKey::new("sixteen-letters!").is_some());
    }

    #[test]
    fn the_first_start_makes_a_key_of_its_owner_alone_and_the_next_one_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = internal_key(None, &data, &SeededEntropy::new(1)).unwrap();
        assert_eq!(first.expose().len(), 43, "32 bytes in base64url");
        assert_eq!(mode(&data.join(NAME)), 0o600);
        assert_eq!(mode(&data), 0o700);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "no temporary file is left");
        let second = internal_key(None, &data, &SeededEntropy::new(2)).unwrap();
        assert!(second.matches(first.expose()));
        let other = folder.path().join("other");
        let third = internal_key(None, &other, &SeededEntropy::new(3)).unwrap();
        assert!(!third.matches(first.expose()));
    }

    #[test]
    fn the_temporary_file_is_its_owners_alone_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().join("internal.key.0.tmp");
        let key = SecretKey::generate(&SeededEntropy::new(1));
        store(&temporary, &folder.path().join(NAME), &key).unwrap();
        assert_eq!(mode(&temporary), 0o600);
    }

    #[test]
    fn a_configured_key_wins_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let given = SecretKey::new("correct-horse-battery").unwrap();
        let key = internal_key(Some(&given), &data, &SeededEntropy::new(1)).unwrap();
        assert!(key.matches("correct-horse-battery"));
        assert!(!data.exists());
    }

    #[test]
    fn a_crash_before_the_name_was_given_leaves_nothing_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("internal.key.00000000deadbeef.tmp"), "half").unwrap();
        let key = internal_key(None, folder.path(), &SeededEntropy::new(1)).unwrap();
        assert_eq!(key.expose().len(), 43);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn whoever_comes_second_takes_the_key_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<String> = std::thread::scope(|scope| {
            let start = |seed| {
                let folder = folder.path();
                scope.spawn(move || {
                    internal_key(None, folder, &SeededEntropy::new(seed))
                        .unwrap()
                        .expose()
                        .to_owned()
                })
            };
            let threads: Vec<_> = (0..16).map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "all agree");
    }

    #[test]
    fn a_file_that_others_can_read_or_that_holds_no_key_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for (text, bits, says) in [
            ("a-good-key-in-an-open-file\n", 0o644, "chmod 600"),
            ("", 0o600, "does not hold a key"),
            ("short\n", 0o600, "delete it"),
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            let error = internal_key(None, folder.path(), &SeededEntropy::new(1)).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert!(!error.to_string().contains("a-good-key"), "{error}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = internal_key(None, &file.join("data"), &SeededEntropy::new(1)).unwrap_err();
        assert!(error.to_string().contains("internal.key"), "{error}");
    }
}
