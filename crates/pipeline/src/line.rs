//! Those who found no room on the network, in line: when each asks again.
//!
//! Law: however many stand in line, they ask about as often as there is room, or ten times a second.
//! Each is told a time
//! behind those before it, as far behind as one takes the network (the mean of those that ended
//! lately, shared by as many as may wait at a time). Nobody is told to wait longer than [`LONGEST`]:
//! a peer that was silent may answer again. Behind that the line begins anew at its front, so that
//! a backlog of any size asks at most once in that time.

use std::time::Duration;

/// Nobody asks again sooner.
const SHORTEST: Duration = Duration::from_millis(100);

/// Nobody asks again later.
const LONGEST: Duration = Duration::from_secs(60);

/// The last so many that ended make the mean, about.
const LATELY: u32 = 16;

/// See the module. Times are of the monotonic clock.
#[derive(Debug)]
pub(crate) struct Line {
    /// As many as may wait on the network at a time.
    room: u32,
    /// How long the network takes for one.
    mean: Duration,
    /// When the last in line asks again.
    last: Duration,
}

impl Line {
    /// Nobody in it yet, and a tenth of a second taken for granted.
    pub(crate) fn new(room: u32) -> Self {
        Self { room, mean: Duration::from_millis(100), last: Duration::ZERO }
    }

    /// One came back from the network after this long.
    pub(crate) fn ended(&mut self, took: Duration) {
        self.mean = (self.mean * (LATELY - 1) + took) / LATELY;
    }

    /// One more gets in line; answers with how long it waits.
    pub(crate) fn join(&mut self, now: Duration) -> Duration {
        let next = self.last + self.mean / self.room;
        self.last = if next > now + LONGEST { now + SHORTEST } else { next.max(now + SHORTEST) };
        self.last - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{cmp::Reverse, collections::BinaryHeap};

    const ROOM: u32 = 64;

    /// A network with room for [`ROOM`] that takes `each` for one, and `events` that come at once.
    /// Answers with when all were served, and how often all of them asked.
    fn serve(events: usize, each: Duration) -> (Duration, usize) {
        let mut line = Line::new(ROOM);
        let mut asking: BinaryHeap<_> = vec![Reverse(Duration::ZERO); events].into();
        let mut busy: Vec<Duration> = Vec::new();
        let (mut asked, mut now) = (0, Duration::ZERO);
        while let Some(Reverse(next)) = asking.pop() {
            now = next;
            asked += 1;
            for _ in busy.extract_if(.., |until| *until <= now) {
                line.ended(each);
            }
            if busy.len() < ROOM as usize {
                busy.push(now + each);
            } else {
                asking.push(Reverse(now + line.join(now)));
            }
        }
        (now + each, asked)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// All are served in about the time the network needs, and do not ask without end.
        #[test]
        fn a_backlog_asks_about_as_often_as_there_is_room(
            events in 1usize..3000,
            each in 5u64..30_000,
        ) {
            let each = Duration::from_millis(each);
            let (over, asked) = serve(events, each);
            let needed = each * (events as u32).div_ceil(ROOM);
            // Until the first ones have ended, nothing is known of the network.
            let unknown = each.as_secs_f64() * 10.0 * (events as f64).min(f64::from(ROOM));
            let rounds = 3 + over.as_secs() / LONGEST.as_secs();
            let most = events * rounds as usize + unknown as usize + 11 * (over.as_secs() as usize + 1);
            prop_assert!(over <= needed * 2 + Duration::from_secs(5), "{over:?} for {needed:?}");
            prop_assert!(asked <= most, "{asked} for {events}, {needed:?}, not {most}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_a_minute_for_a_peer_that_was_silent() {
        let mut line = Line::new(ROOM);
        for _ in 0..100 {
            line.ended(Duration::from_secs(30));
        }
        let waits: Vec<_> = (0..10_000).map(|_| line.join(Duration::ZERO)).collect();
        assert!(waits.iter().all(|wait| (SHORTEST..=LONGEST).contains(wait)));
        // They stand side by side, not all at one time.
        let first = waits.iter().filter(|wait| **wait < Duration::from_secs(1)).count();
        assert!((100..300).contains(&first), "{first} in the first second");
    }
}
