//! The library that owns the server's disk: compiled, loaded, and told what to do.
//!
//! `tests/powercut/powercut.c` says what it does. What they share is a mapped file of counts, read
//! and written here as a file.

use crate::server::Data;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// `struct control`: five numbers, then the points.
const HEAD: usize = 20;
/// One point: its name, and how often it was passed, before and after, in each phase.
const POINT: usize = NAME + PHASES.len() * 8;
const NAME: usize = 24;
const POINTS: usize = 15;

/// Before or after what a point is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum When {
    Before,
    After,
}

impl When {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// A server's life: until it tells its address, until it is told to stop, until it has ended.
pub(crate) const PHASES: [&str; 3] = ["start", "load", "stop"];

/// An instant: the n-th time (from 1) that a point is passed in a phase.
#[derive(Debug, Clone)]
pub(crate) struct Instant {
    pub(crate) phase: usize,
    pub(crate) point: String,
    pub(crate) when: When,
    pub(crate) nth: u32,
}

/// A fault that the disk makes from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    None,
    /// No file grows: `ENOSPC`.
    NoSpace,
    /// Flushing fails with `EIO`, and what was not flushed then is gone for good, as on Linux.
    SyncFails,
    /// The power is cut at the next call that has a name.
    Cut,
}

/// How often a point was passed in each phase.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    pub(crate) point: String,
    pub(crate) passed: [u32; PHASES.len()],
}

/// The disk under one data directory, for one life of a server.
pub(crate) struct Shim {
    control: File,
    control_path: PathBuf,
    /// What a power cut would take.
    pub(crate) undo: PathBuf,
    dir: PathBuf,
}

impl Shim {
    /// A disk for the next server on this data.
    pub(crate) fn new(data: &Data) -> Self {
        let (control_path, undo) = (data.beside("control"), data.beside("undo"));
        let control =
            File::options().create(true).truncate(true).read(true).write(true).open(&control_path);
        let control = control.unwrap();
        control.set_len((HEAD + POINTS * POINT) as u64).unwrap();
        // What an earlier life left.
        for entry in fs::read_dir(undo.parent().unwrap()).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("undo") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        Self { control, control_path, undo, dir: data.path() }
    }

    /// Puts the disk under a command.
    pub(crate) fn load(&self, command: &mut Command, at: Option<&Instant>, mark: &str) {
        command
            .env("LD_PRELOAD", library())
            .env("POWERCUT_DIR", &self.dir)
            .env("POWERCUT_CONTROL", &self.control_path)
            .env("POWERCUT_UNDO", &self.undo)
            .env("POWERCUT_MARK", mark);
        if let Some(at) = at {
            let at = format!("{} {} {} {}", at.phase, at.point, at.when.word(), at.nth);
            command.env("POWERCUT_AT", at);
        }
    }

    /// Makes flushes lie.
    pub(crate) fn lie(command: &mut Command) {
        command.env("POWERCUT_LIE", "1");
    }

    /// From now on, so many times (0: until it is said otherwise).
    pub(crate) fn fault(&self, fault: Fault, times: u32) {
        let fault: u32 = match fault {
            Fault::None => 0,
            Fault::NoSpace => 1,
            Fault::SyncFails => 2,
            Fault::Cut => 3,
        };
        self.control.write_all_at(&times.to_ne_bytes(), 4).unwrap();
        self.control.write_all_at(&fault.to_ne_bytes(), 0).unwrap();
    }

    fn number(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        self.control.read_exact_at(&mut bytes, at as u64).unwrap();
        u32::from_ne_bytes(bytes)
    }

    /// Calls that were made to fail.
    pub(crate) fn refused(&self) -> u32 {
        self.number(8)
    }

    /// Whether the instant came.
    pub(crate) fn fired(&self) -> bool {
        self.number(12) == 1
    }

    /// Another phase of the server's life begins.
    pub(crate) fn phase(&self, phase: usize) {
        self.control.write_all_at(&(phase as u32).to_ne_bytes(), 16).unwrap();
    }

    pub(crate) fn counts(&self) -> Vec<Count> {
        let count = |i| {
            let at = HEAD + i * POINT;
            let mut name = [0; NAME];
            self.control.read_exact_at(&mut name, at as u64).unwrap();
            let point = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
            let passed = |phase: usize| self.number(at + NAME + phase * 8);
            Count { point, passed: [passed(0), passed(1), passed(2)] }
        };
        (0..POINTS).map(count).collect()
    }
}

/// Compiles the library once for each run of the tests.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/powercut/powercut.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("powercut.so");
        // Under a name of its own first: another run may have the library loaded.
        let made = library.with_extension(format!("{}.so", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&made, &source])
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("cc, the C compiler that SQLite is built with too");
        assert!(compiled.success(), "cc could not compile {}", source.display());
        fs::rename(&made, &library).unwrap();
        library
    })
}
