//! Power cuts and kills at named instants: before and after every write and flush of the files,
//! every answer, and every step of a source's cursor.
//!
//! The server runs on a disk that keeps a book of what was flushed (`tests/powercut/powercut.c`).
//! A first, whole life counts how often each instant comes; then lives are cut short there. The
//! files are tried in three ways: as a kill leaves them, without anything that was not flushed,
//! and with some of its sectors. Each has to hold every event that was answered, once, and the
//! stream exactly as far as its cursor; and the next life has to come to the very index of the
//! whole one.
//!
//! `RHIZ_LONG=1 cargo test -p rhiz --test it powercut` makes it at least 200 cuts, in all three
//! ways each.

#![expect(clippy::print_stderr, reason = "what was cut where is what the run is for")]

mod life;
pub(crate) mod shim;
pub(crate) mod undo;

use life::{Origin, Outcome};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rhiz_domain::{Clock, clock::SystemClock};
use shim::{Count, Instant, PHASES, When};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::runtime::Runtime;
use undo::Cut;

/// Lives at once: the machines of CI have two processors.
const AT_ONCE: usize = 2;
/// Cuts of a long run, at least.
const LONG: usize = 200;
/// Of the instants that were chosen, so many come: threads do not always run alike.
const SHARE: f64 = 0.8;

/// In whichever phase: a checkpoint runs beside the load, and may end after it.
const ANY: &str = "any phase";

/// Points that the two kinds of life have to pass, or they prove nothing.
const HAVE_TO_BE_PASSED: [(&str, &str, &str); 19] = [
    ("new", "start", "file-create"),
    ("new", "start", "dir-sync"),
    ("new", "start", "journal-write"),
    ("new", "start", "journal-sync"),
    ("new", "start", "journal-unlink"),
    ("new", "start", "db-write"),
    ("new", "start", "db-sync"),
    ("new", "start", "wal-write"),
    ("new", "start", "wal-sync"),
    ("new", "load", "wal-sync"),
    ("new", "stop", "db-write"),
    ("new", "stop", "db-sync"),
    ("old", "load", "wal-write"),
    ("old", "load", "wal-sync"),
    ("old", ANY, "db-write"),
    ("old", ANY, "db-sync"),
    ("old", "load", "cursor-write"),
    ("old", "load", "cursor-sync"),
    ("old", "load", "answer"),
];

/// What all choices follow from: `RHIZ_SEED`, or the clock; told, so that a failure can be repeated.
fn seed() -> u64 {
    let told = std::env::var_os("RHIZ_SEED");
    let told = told.map(|seed| seed.to_str().and_then(|s| s.parse().ok()).expect("a number"));
    let seed = told.unwrap_or_else(|| SystemClock::default().now().as_microsecond() as u64);
    eprintln!("RHIZ_SEED={seed}");
    seed
}

/// A kind of life, with what its whole one was like.
struct Kind {
    origin: Origin,
    counts: Vec<Count>,
    whole: Outcome,
}

impl Kind {
    fn of(origin: Origin, runtime: &Runtime) -> Self {
        let (counts, whole) = origin.begin(runtime).whole();
        let kind = Self { origin, counts, whole };
        for (name, phase, point) in HAVE_TO_BE_PASSED {
            let asked = (0..PHASES.len()).filter(|i| phase == ANY || PHASES[*i] == phase);
            let passed: u32 = asked.map(|i| kind.passed(point, i)).sum();
            assert!(name != kind.origin.name || passed > 0, "{name} {phase} {point} never came");
        }
        kind
    }

    fn passed(&self, point: &str, phase: usize) -> u32 {
        self.counts.iter().find(|c| c.point == point).map_or(0, |c| c.passed[phase])
    }

    /// Every instant that has a name, each with how often it came.
    fn instants(&self) -> Vec<(Instant, u32)> {
        let mut found = Vec::new();
        for count in &self.counts {
            for (phase, passed) in count.passed.into_iter().enumerate() {
                // Under load, the number of commits is never quite the same.
                let passed = if phase == 1 { passed.div_ceil(2) } else { passed };
                for when in [When::Before, When::After] {
                    let at = Instant { phase, point: count.point.clone(), when, nth: passed };
                    found.extend((passed > 0).then_some((at, passed)));
                }
            }
        }
        found
    }
}

/// A cut to be made.
struct Plan<'a> {
    kind: &'a Kind,
    at: Instant,
    cuts: Vec<Cut>,
}

/// What came of all cuts at a point.
#[derive(Debug, Default)]
struct Row {
    kills: usize,
    restarts: usize,
    lost: usize,
    doubled: usize,
    /// Instants that did not come.
    missed: usize,
}

/// By phase, point, and whether it was before or after it.
type Table = BTreeMap<(usize, String, When), Row>;

/// Makes the cuts, several at once.
fn run(plans: &[Plan<'_>], runtime: &Runtime) -> Table {
    let next = AtomicUsize::new(0);
    let rows: Mutex<Table> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Plan { kind, at, cuts } = plan;
                    let life = kind.origin.begin(runtime);
                    let came = life.cut_short(at, false, cuts, &kind.whole);
                    let mut rows = rows.lock().unwrap();
                    let row = rows.entry((at.phase, at.point.clone(), at.when)).or_default();
                    let Some(found) = came else {
                        row.missed += 1;
                        continue;
                    };
                    row.kills += 1;
                    row.restarts += found.len();
                    for (cut, harm) in found {
                        row.lost += harm.lost.len();
                        row.doubled += harm.doubled.len();
                        if !harm.lost.is_empty() || !harm.doubled.is_empty() {
                            eprintln!("{} {at:?} {cut:?}: {harm:#?}", kind.origin.name);
                        }
                    }
                }
            });
        }
    });
    rows.into_inner().unwrap()
}

fn show(table: &Table) {
    eprintln!("{:30} {:>6} {:>9} {:>6} {:>8}", "point", "kills", "restarts", "lost", "doubled");
    for ((phase, point, when), row) in table {
        let name = format!("{} {} {point}", PHASES[*phase], when.word());
        let Row { kills, restarts, lost, doubled, missed } = row;
        let missed = match missed {
            0 => String::new(),
            n => format!("  ({n} did not come)"),
        };
        eprintln!("{name:30} {kills:>6} {restarts:>9} {lost:>6} {doubled:>8}{missed}");
    }
}

#[test]
fn a_cut_at_any_named_instant_loses_nothing_and_doubles_nothing() {
    let long = std::env::var_os("RHIZ_LONG").is_some();
    let runtime = Runtime::new().unwrap();
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let kinds = [Origin::nothing(seed), Origin::a_long_wal(seed)].map(|o| Kind::of(o, &runtime));
    let mut plans = Vec::new();
    for kind in &kinds {
        for (i, (at, passed)) in kind.instants().into_iter().enumerate() {
            if long {
                // The first, one between, and one late.
                let mut nths = vec![1, random.random_range(1..=passed), passed];
                nths.sort_unstable();
                nths.dedup();
                for nth in nths {
                    plans.push(Plan {
                        kind,
                        at: Instant { nth, ..at.clone() },
                        cuts: Cut::ALL.into(),
                    });
                }
            } else if i % 2 == (i / 2 + seed as usize) % 2 {
                // Either before or after it, and the cut whose turn it is.
                let nth = random.random_range(1..=passed);
                let cuts = vec![Cut::ALL[plans.len() % Cut::ALL.len()]];
                plans.push(Plan { kind, at: Instant { nth, ..at }, cuts });
            }
        }
    }
    while long && plans.len() < LONG + LONG / 4 {
        let kind = &kinds[1];
        let instants = kind.instants();
        let (at, passed) = &instants[random.random_range(0..instants.len())];
        let at = Instant { nth: random.random_range(1..=*passed), ..at.clone() };
        plans.push(Plan { kind, at, cuts: Cut::ALL.into() });
    }
    let table = run(&plans, &runtime);
    show(&table);
    let sum = |of: fn(&Row) -> usize| table.values().map(of).sum::<usize>();
    let (kills, restarts) = (sum(|r| r.kills), sum(|r| r.restarts));
    eprintln!("{kills} kills, {restarts} restarts, {} instants did not come", sum(|r| r.missed));
    assert_eq!((sum(|r| r.lost), sum(|r| r.doubled)), (0, 0), "lost and doubled");
    assert!(kills as f64 >= SHARE * plans.len() as f64, "{kills} of {}", plans.len());
    assert!(!long || kills >= LONG, "{kills}");
}

/// The check itself is checked: a disk that says "flushed" and has not flushed is found out.
#[test]
fn a_disk_that_lies_about_flushing_is_found_out() {
    let runtime = Runtime::new().unwrap();
    let kind = Kind::of(Origin::a_long_wal(seed()), &runtime);
    // Half-way through the answers.
    let nth = kind.passed("answer", 1) / 2;
    let at = Instant { phase: 1, point: "answer".into(), when: When::After, nth };
    let life = kind.origin.begin(&runtime);
    let found = life.cut_short(&at, true, &[Cut::Kept, Cut::Lost], &kind.whole).unwrap();
    let [(_, kept), (_, lost)] = &found[..] else { panic!("two cuts") };
    assert!(kept.lost.is_empty(), "a kill alone takes nothing, whatever the disk says: {kept:#?}");
    // The other connection's last answer may have been on its way.
    assert!(lost.lost.len() as u32 >= nth - 1, "{nth} answers, and gone are {:#?}", lost.lost);
}
