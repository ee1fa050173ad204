//! What a power cut takes: the undo file of the shim, applied to the data directory.

use rand::{Rng, RngExt};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const SECTOR: u64 = 512;
const NAME: usize = 64;
const PATH: usize = 1024;

/// What becomes of that which was written and not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cut {
    /// All of it stays: the process was killed, the machine runs on.
    Kept,
    /// All of it is gone.
    Lost,
    /// Some sectors of it are gone, at random, and the last few changes of names.
    Torn,
}

impl Cut {
    pub(crate) const ALL: [Self; 3] = [Self::Kept, Self::Lost, Self::Torn];
}

struct Saved {
    name: String,
    /// Where the inode is that has lost its name; empty while it has it.
    saved: String,
    durable: u64,
    /// What each sector held.
    sectors: Vec<(u64, Vec<u8>)>,
}

struct Renamed {
    made: bool,
    name: String,
    saved: String,
}

/// What was not durable at the instant.
#[derive(Default)]
struct Undo {
    folder: bool,
    files: Vec<Saved>,
    names: Vec<Renamed>,
}

impl Undo {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let mut rest = bytes.as_slice();
        let mut undo = Self::default();
        while let Some((kind, mut from)) = rest.split_first() {
            match kind {
                b'D' => undo.folder = true,
                b'F' => {
                    let (name, saved) = (text(&mut from, NAME), text(&mut from, PATH));
                    let (durable, n) = (number(&mut from), number(&mut from));
                    let sector = |_| (number(&mut from), take(&mut from, SECTOR as usize).to_vec());
                    let sectors = (0..n).map(sector).collect();
                    undo.files.push(Saved { name, saved, durable, sectors });
                }
                b'N' => {
                    let made = number(&mut from) == 1;
                    let (name, saved) = (text(&mut from, NAME), text(&mut from, PATH));
                    undo.names.push(Renamed { made, name, saved });
                }
                other => panic!("{other} in the undo file"),
            }
            rest = from;
        }
        undo
    }
}

fn take<'a>(from: &mut &'a [u8], n: usize) -> &'a [u8] {
    from.split_off(..n).expect("a whole undo file")
}

fn number(from: &mut &[u8]) -> u64 {
    u64::from_ne_bytes(take(from, 8).try_into().unwrap())
}

fn text(from: &mut &[u8], n: usize) -> String {
    String::from_utf8_lossy(take(from, n)).trim_end_matches('\0').to_owned()
}

fn copy_of(saved: &str) -> PathBuf {
    format!("{saved}-copy").into()
}

impl Saved {
    /// The file becomes what the disk has of it.
    fn apply(&self, dir: &Path, mut torn: Option<&mut dyn Rng>) {
        let path = match self.saved.as_str() {
            "" => dir.join(&self.name),
            saved => {
                // One undo file may be applied to several copies.
                fs::copy(saved, copy_of(saved)).unwrap();
                copy_of(saved)
            }
        };
        let Ok(file) = File::options().read(true).write(true).open(&path) else {
            // Opened for nothing, or never made.
            assert!(self.sectors.is_empty(), "{} is not there", path.display());
            return;
        };
        let now = file.metadata().unwrap().len();
        let share = [0.1, 0.5, 0.9];
        let share = torn.as_mut().map_or(1.0, |random| share[random.random_range(0..3)]);
        // A size is in one place, and is the old one or the new one.
        let grown = torn.as_mut().is_some_and(|random| random.random_bool(0.5));
        let size = if grown { now } else { self.durable };
        file.set_len(now.max(size)).unwrap();
        for (number, old) in &self.sectors {
            let cut_off = number * SECTOR + SECTOR > now;
            let gone = torn.as_mut().is_none_or(|random| random.random_bool(share));
            if gone || cut_off && now < self.durable {
                file.write_all_at(old, number * SECTOR).unwrap();
            }
        }
        file.set_len(size).unwrap();
    }
}

/// The power cut at the instant that `undo` was written.
pub(crate) fn apply(cut: Cut, undo: &Path, dir: &Path, random: &mut dyn Rng) {
    if cut == Cut::Kept {
        return;
    }
    let torn = cut == Cut::Torn;
    let undo = Undo::read(undo);
    if undo.folder && !(torn && random.random_bool(0.5)) {
        if dir.exists() {
            fs::remove_dir_all(dir).unwrap();
        }
        return;
    }
    // Memory that was mapped: after a power cut it may hold anything.
    for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if entry.to_string_lossy().ends_with("-shm") {
            fs::remove_file(&entry).unwrap();
            if torn {
                let mut anything = vec![0; 32 * 1024];
                random.fill_bytes(&mut anything);
                fs::write(&entry, anything).unwrap();
            }
        }
    }
    for file in &undo.files {
        file.apply(dir, if torn { Some(&mut *random) } else { None });
    }
    let undone = if torn { random.random_range(0..=undo.names.len()) } else { undo.names.len() };
    for change in undo.names.iter().rev().take(undone) {
        let path = dir.join(&change.name);
        if change.made {
            fs::remove_file(path).unwrap();
        } else {
            fs::rename(copy_of(&change.saved), path).unwrap();
        }
    }
}
