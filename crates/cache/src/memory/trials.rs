//! By which law values should stay, found by trying: small caches of hashes alone, each with
//! another law, are asked what a sample of the keys is asked, and the law that would have hit
//! most is taken (Waldspurger, Saemundsson, Ahmad and Park, "Cache Modeling and Optimization
//! using Miniature Simulations", USENIX ATC 2017).
//!
//! A get that hits only notes its hash; the trials are run when something is missed. While nothing
//! is missed there is nothing to choose.

use super::order::{Law, Order};
use hashbrown::HashTable;

/// Tells what is asked for 20 times an hour from what is asked for 10 times, among what is there
/// for long; soon forgets what is not asked for any more.
const fn lively(window: f64) -> Law {
    Law { window, sample: 40, by_use: false }
}
/// For a popularity that stays: remembers four times as long, and counts alone decide.
const STEADY: Law = Law { window: 0.01, sample: 160, by_use: true };
/// The law before the first choice.
pub(super) const FIRST: Law = lively(0.1);
const LAWS: [Law; 6] = [lively(0.01), lively(0.05), FIRST, lively(0.3), lively(0.5), STEADY];
/// About how many values a trial holds.
const TRIAL_KEYS: usize = 256;
/// Requests for each value there is room for between two choices, and at least in all.
const ROUND: (u64, u64) = (10, 2000);
/// A law is left only for one that hits this much more.
const BETTER: f64 = 1.002;
/// Most noted hits; more are left out.
const NOTED: usize = 256;

/// One law on trial.
#[derive(Debug)]
struct Trial {
    order: Order<()>,
    table: HashTable<u32>,
    max_len: usize,
    /// Hits, those of earlier rounds for less.
    hits: f64,
}

impl Trial {
    fn ask(&mut self, hash: u64) {
        if let Some(i) = self.table.find(hash, |i| self.order.nodes[*i as usize].hash == hash) {
            self.order.used(*i);
            self.hits += 1.0;
            return;
        }
        self.order.missed(hash);
        let i = self.order.enter(hash, ());
        self.table.insert_unique(hash, i, |i| self.order.nodes[*i as usize].hash);
        while self.order.len() > self.max_len {
            let Some(victim) = self.order.victim() else { break };
            self.order.leave(victim);
            let hash = self.order.nodes[victim as usize].hash;
            if let Ok(entry) = self.table.find_entry(hash, |i| *i == victim) {
                entry.remove();
            }
        }
        self.order.spread();
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Trials {
    trials: Box<[Trial]>,
    noted: Vec<u64>,
    /// Which bits of a hash must be zero for the key to be in the sample.
    mask: u64,
    round: u64,
    next_choice: u64,
}

impl Trials {
    pub(super) fn new(max_len: usize) -> Self {
        let ratio = 1 << (max_len / TRIAL_KEYS).max(1).ilog2();
        let len = (max_len / ratio).max(1);
        let trial = |law: &Law| Trial {
            order: Order::new(len, *law),
            table: HashTable::new(),
            max_len: len,
            hits: 0.0,
        };
        let round = (max_len as u64 * ROUND.0).max(ROUND.1);
        Self {
            trials: LAWS.iter().map(trial).collect(),
            noted: Vec::with_capacity(NOTED),
            // Bits that neither the table nor the choice of the shard looks at.
            mask: (ratio as u64 - 1) << 48,
            round,
            next_choice: round,
        }
    }

    /// The key was asked for.
    #[inline]
    pub(super) fn note(&mut self, hash: u64) {
        if hash & self.mask == 0 && self.noted.len() < NOTED {
            self.noted.push(hash);
        }
    }

    /// Asks the trials what was noted; from time to time, `asked` requests after the start, gives
    /// the law to go on by.
    pub(super) fn run(&mut self, asked: u64, law: Law) -> Option<Law> {
        for hash in self.noted.drain(..) {
            for trial in &mut self.trials {
                trial.ask(hash);
            }
        }
        if asked < self.next_choice {
            return None;
        }
        self.next_choice = asked + self.round;
        let now = self.trials.iter().find(|t| t.order.law() == law).map_or(0.0, |t| t.hits);
        let best = self.trials.iter().max_by(|a, b| a.hits.total_cmp(&b.hits))?;
        let choice = (best.hits > now * BETTER).then(|| best.order.law());
        for trial in &mut self.trials {
            trial.hits *= 0.75;
        }
        choice
    }
}
