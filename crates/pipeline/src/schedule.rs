//! Which priority is next: deficit round-robin (Shreedhar and Varghese, SIGCOMM 1995).
//!
//! Law: critical goes first, but nothing waits for ever. In a round each priority that has events
//! waiting is served at most its weight (8, 4, 2, 1 from critical to low), and a round serves
//! every priority that has any. An event with `n` events of its own priority before it therefore
//! starts after at most `(n + 1) · 15` others, whatever else keeps coming. And whoever has waited
//! at the front of its lane for [`DEADLINE`] is in the next claim, whatever its priority.

use jiff::Timestamp;
use rhiz_domain::{
    Priority,
    store::{Depths, Quota},
};
use std::time::Duration;

/// Events served a round, by priority.
const WEIGHTS: [usize; 4] = [1, 2, 4, 8];

/// Events a round serves at most.
pub const ROUND: usize = 15;

/// Longer than this nobody waits at the front of a lane while others are served.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Which lanes have somebody at their front who has waited too long.
pub(crate) fn overdue(depths: &Depths, now: Timestamp) -> [bool; 4] {
    let late = |front: Timestamp| {
        Duration::try_from(now.duration_since(front)).is_ok_and(|waits| waits > DEADLINE)
    };
    depths.fronts.map(|front| front.is_some_and(|front| front < now && late(front)))
}

/// Where the round is.
#[derive(Debug)]
pub struct Scheduler {
    /// The priority being served.
    turn: usize,
    /// What it may still be served in this round.
    left: usize,
}

impl Default for Scheduler {
    fn default() -> Self {
        let turn = Priority::Critical as usize;
        Self { turn, left: WEIGHTS[turn] }
    }
}

impl Scheduler {
    /// Shares `batch` places among what waits, one for each that is overdue before all else.
    pub fn share(&mut self, waiting: [usize; 4], overdue: [bool; 4], batch: usize) -> Quota {
        let mut rest = waiting;
        let mut quota = Quota::default();
        let mut places = batch.min(waiting.iter().sum());
        for lane in 0..WEIGHTS.len() {
            if overdue[lane] && rest[lane] > 0 && places > 0 {
                quota[lane] = 1;
                rest[lane] -= 1;
                places -= 1;
            }
        }
        while places > 0 {
            let lane = self.turn;
            let take = self.left.min(rest[lane]).min(places);
            quota[lane] += take;
            rest[lane] -= take;
            self.left -= take;
            places -= take;
            if self.left == 0 || rest[lane] == 0 {
                // What an empty lane did not use is not saved up: it had its chance.
                self.turn = (lane + WEIGHTS.len() - 1) % WEIGHTS.len();
                self.left = WEIGHTS[self.turn];
            }
        }
        quota
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn critical_first_and_a_share_for_each() {
        let mut s = Scheduler::default();
        assert_eq!(s.share([100; 4], [false; 4], 8), [0, 0, 0, 8]);
        assert_eq!(s.share([100; 4], [false; 4], 7), [1, 2, 4, 0]);
        assert_eq!(s.share([100; 4], [false; 4], 15), [1, 2, 4, 8]);
        assert_eq!(s.share([0, 0, 0, 3], [false; 4], 15), [0, 0, 0, 3]);
        assert_eq!(s.share([0; 4], [false; 4], 15), [0; 4]);
    }

    /// Even where a claim takes one event only.
    #[test]
    fn whoever_waited_too_long_is_next() {
        let mut s = Scheduler::default();
        assert_eq!(s.share([5, 5, 5, 5], [true, false, false, false], 1), [1, 0, 0, 0]);
        assert_eq!(s.share([5, 5, 5, 5], [true, true, false, false], 4), [1, 1, 0, 2]);
        assert_eq!(s.share([0, 5, 0, 0], [true, false, false, false], 1), [0, 1, 0, 0]);

        let now = Timestamp::from_second(1_000).unwrap();
        let ago = |s: i64| Some(now - jiff::SignedDuration::from_secs(s));
        // The last one's clock is ahead: it has not waited at all.
        let depths = Depths { fronts: [ago(6), ago(5), None, ago(-60)], ..Depths::default() };
        assert_eq!(overdue(&depths, now), [true, false, false, false]);
    }

    proptest! {
        /// A low event starts within the stated bound under endless load of everything else.
        #[test]
        fn nothing_starves(
            before in 0usize..200,
            batches in prop::collection::vec(1usize..64, 1..64),
            lane in 0usize..4,
        ) {
            let mut s = Scheduler::default();
            let mut own = before + 1;
            let mut others = 0;
            for batch in batches.into_iter().cycle() {
                let mut waiting = [1_000_000; 4];
                waiting[lane] = own;
                let quota = s.share(waiting, [false; 4], batch);
                prop_assert_eq!(quota.iter().sum::<usize>(), batch);
                others += batch - quota[lane];
                own -= quota[lane];
                if own == 0 {
                    break;
                }
                prop_assert!(others <= (before + 1) * ROUND);
            }
        }
    }
}
