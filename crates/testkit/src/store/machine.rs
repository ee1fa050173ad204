//! Anything in any order, against a reference in plain memory.
//!
//! Random sequences of everything a journal can be asked for, with what may happen to it between:
//! the process dies (also in the middle of an append or a settlement), the store is closed in order
//! and opened again, callers give up, the wall clock jumps, time passes until leases run out. After
//! every step the store and the reference say the same; in between and at the end everything
//! is worked off and the index is compared, too.
//!
//! | file | what |
//! |---|---|
//! | `op` | what can be done |
//! | `reference` | the journal in its shortest form, and the laws in detail |
//! | `play` | does it to both, and compares: `calls`, `ends` that cut them off, `compare` |
//!
//! It was tried whether it can fail. Each of these faults, put into the SQLite store by hand, was
//! found within the operations of a usual run: an applied or a buried event stays in the journal;
//! an effect is merged twice; a failed attempt is not counted; a due time is not on disk; an
//! event due this very microsecond is not woken; a lease that has run out can still be settled; a
//! leased event takes part of the capacity; what is put back or resumed loses its place; a pause is
//! only on disk; a replayed letter stays a dead letter; a cursor goes back; the names of some
//! events are not remembered; what waits is forgotten by a prune; another body under a used name
//! is called a duplicate; a crash is not counted; what is given back counts as a crash; a claim that
//! is given up takes its event along; the statements of a commit are not one transaction.
//!
//! A usual run is short. `RHIZ_MODEL_OPERATIONS=100000` makes it as long as one likes,
//! `RHIZ_MODEL_SEED` lets it take another way. A sequence that fails is made shorter before it is
//! shown.

mod op;
mod play;
mod reference;

use super::Factory;
use op::Op;
use play::{Play, Tally};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::time::Duration;

/// Operations of a usual run: those that have something to work on.
const OPERATIONS: u64 = 6_000;
/// Operations of one sequence: many are short, for each begins from nothing; some are long, for
/// some faults need a past.
const SHORT: usize = 80;
const LONG: usize = 2_500;
/// One sequence of so many is a long one.
const LONG_EVERY: u64 = 60;
/// Runs spent on making a failure shorter.
const TRIES: usize = 600;
/// No single step may take longer.
const HANGS: Duration = Duration::from_secs(60);

type Tree = Box<dyn ValueTree<Value = Op>>;

fn number(name: &str, usual: u64) -> u64 {
    let text = std::env::var_os(name);
    let number = text.as_ref().map(|text| text.to_str().and_then(|text| text.parse().ok()));
    number.unwrap_or(Some(usual)).unwrap_or_else(|| panic!("{name} has to be a number: {text:?}"))
}

/// A sequence, by its seed.
fn sequence(seed: u64, length: usize) -> Vec<Tree> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let op = op::op();
    let tree = |_| op.new_tree(&mut runner).unwrap_or_else(|e| panic!("no operation: {e}"));
    (0..length).map(tree).collect()
}

/// Where and why it failed.
struct Failure {
    step: usize,
    why: String,
}

async fn play(factory: impl Factory, ops: Vec<Op>) -> Result<Tally, Failure> {
    let mut play = Play::new(factory).await;
    for (step, op) in ops.iter().enumerate() {
        match tokio::time::timeout(HANGS, play.step(op)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(Failure { step, why }),
            Err(_) => return Err(Failure { step, why: "it hangs".into() }),
        }
    }
    let end = tokio::time::timeout(HANGS, play.end()).await;
    let end = end.unwrap_or_else(|_| Err("it hangs".into()));
    end.map_err(|why| Failure { step: ops.len(), why })
}

/// Plays a sequence; a panic on the way is a failure like any other.
fn run<F: Factory>(
    runtime: &tokio::runtime::Runtime,
    factory: F,
    ops: Vec<Op>,
) -> Result<Tally, Failure> {
    let step = ops.len();
    let local = tokio::task::LocalSet::new();
    let playing = local.block_on(runtime, local.spawn_local(play(factory, ops)));
    playing.unwrap_or_else(|panic| Err(Failure { step, why: panic.to_string() }))
}

/// Takes away what is not needed for the failure: stretches first, then single operations; then
/// makes simpler what is left.
fn shorten(
    mut trees: Vec<Tree>,
    mut failure: Failure,
    fails: impl Fn(Vec<Op>) -> Option<Failure>,
) -> (Vec<Op>, Failure) {
    let ops = |trees: &[Tree]| trees.iter().map(|tree| tree.current()).collect::<Vec<_>>();
    trees.truncate(failure.step + 1);
    let mut tries = 0;
    let mut stretch = trees.len() / 2;
    while stretch > 0 && tries < TRIES {
        let mut from = 0;
        let mut shorter = false;
        while from < trees.len() && tries < TRIES {
            tries += 1;
            let until = (from + stretch).min(trees.len());
            let taken: Vec<Tree> = trees.drain(from..until).collect();
            match fails(ops(&trees)) {
                Some(sooner) => {
                    trees.truncate(sooner.step + 1);
                    (failure, shorter) = (sooner, true);
                }
                None => {
                    trees.splice(from..from, taken);
                    from = until;
                }
            }
        }
        if stretch > 1 || !shorter {
            stretch /= 2;
        }
    }
    for at in 0..trees.len() {
        while tries < 2 * TRIES && trees[at].simplify() {
            tries += 1;
            match fails(ops(&trees)) {
                Some(same) => failure = same,
                None if trees[at].complicate() => {}
                None => break,
            }
        }
    }
    // The last attempt to simplify may have been one too many.
    (ops(&trees), failure)
}

/// Whatever is done to a store, in whatever order: it does what the reference does.
#[expect(clippy::print_stderr, reason = "how much was done, and how to do it again")]
pub fn it_does_what_the_reference_does<F: Factory>(factory: impl Fn() -> F) {
    let operations = number("RHIZ_MODEL_OPERATIONS", OPERATIONS);
    let first = number("RHIZ_MODEL_SEED", 2026);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut sum = Tally::new();
    let mut seed = first;
    while sum.get("operations").is_none_or(|done| *done < operations) {
        // By the seed, so that a seed stands for a sequence.
        let length = if seed % LONG_EVERY == LONG_EVERY / 2 { LONG } else { SHORT };
        match run(&runtime, factory(), sequence(seed, length).iter().map(|t| t.current()).collect())
        {
            Ok(tally) => {
                tally.into_iter().for_each(|(what, n)| *sum.entry(what).or_default() += n);
            }
            Err(failure) => {
                eprintln!("seed {seed}, {length} operations: {}", failure.why);
                let fails = |ops| run(&runtime, factory(), ops).err();
                let (ops, failure) = shorten(sequence(seed, length), failure, fails);
                let ops: Vec<_> = ops.iter().map(|op| format!("    {op:?}")).collect();
                panic!(
                    "seed {seed}, {length} operations, shortened to\n{}\n{}",
                    ops.join("\n"),
                    failure.why
                );
            }
        }
        seed = seed.wrapping_add(1);
    }
    eprintln!("seeds {first}..{seed}: {sum:?}");
    // Or it found too little to do.
    assert!(sum["operations"] > sum["steps"] / 2, "{sum:?}");
    for what in ["applied", "buried", "replayed", "crashes", "restarts", "leases that ran out"] {
        assert!(operations < OPERATIONS || sum[what] > 0, "{what}: {sum:?}");
    }
}
