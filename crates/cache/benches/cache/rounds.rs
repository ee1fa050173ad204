//! Measuring on a machine that does other things too: many short rounds in turn, so that what
//! disturbs falls on all alike; medians of times, and medians of the ratios within a round.

use std::sync::Barrier;

/// What is measured: its name, and one round of it, which answers with its time.
pub(crate) type Round<'a> = (&'a str, &'a (dyn Fn() -> f64 + Sync));

/// Times: by what was measured, by round.
pub(crate) struct Times(Vec<Vec<f64>>);

/// So many rounds of each in turn, each run by so many threads at once.
pub(crate) fn in_turn(rounds: usize, threads: usize, runs: &[Round<'_>]) -> Times {
    let mut times = vec![Vec::new(); runs.len()];
    for _ in 0..rounds {
        for ((_, round), times) in runs.iter().zip(&mut times) {
            let start = Barrier::new(threads);
            let each: f64 = std::thread::scope(|scope| {
                // Once unmeasured: the run before it has filled the processor's cache with its own.
                let run = || {
                    round();
                    start.wait();
                    round()
                };
                let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                all.into_iter().map(|thread| thread.join().expect("no panic")).sum()
            });
            times.push(each / threads as f64);
        }
    }
    Times(times)
}

impl Times {
    /// Of what was measured as the n-th.
    pub(crate) fn median(&self, n: usize) -> f64 {
        median(self.0[n].clone())
    }

    /// How many times as long it took as another, in the same rounds.
    pub(crate) fn ratio(&self, n: usize, other: usize) -> f64 {
        median(self.0[n].iter().zip(&self.0[other]).map(|(a, b)| a / b).collect())
    }
}

pub(crate) fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
