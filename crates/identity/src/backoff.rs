//! Hosts that fail are left alone for a while.
//!
//! The law: a host that keeps failing is asked once per wait, however many want to know. Three
//! failures in a row open a wait of one second, which doubles up to a minute; a 429 opens it at
//! once, for as long as it says. When the wait is over one request goes first, as a probe. Any
//! answer ends it.

use parking_lot::Mutex;
use rhiz_domain::Clock;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Failures in a row before a host is left alone.
const PATIENCE: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What a host itself may ask for.
pub(crate) const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// Hosts that are remembered; beyond it those that are not waited for are forgotten.
const REMEMBERED: usize = 10_000;

#[derive(Clone, Copy, Default)]
struct Failing {
    /// In a row.
    count: u32,
    /// On the clock's [`Clock::elapsed`]; zero while its failures are still forgiven.
    until: Duration,
}

/// What is known of failing hosts.
pub(crate) struct Backoff {
    clock: Arc<dyn Clock>,
    /// How long a probe has before the next one goes.
    probe: Duration,
    hosts: Mutex<HashMap<String, Failing>>,
}

impl Backoff {
    pub(crate) fn new(clock: Arc<dyn Clock>, probe: Duration) -> Self {
        Self { clock, probe, hosts: Mutex::default() }
    }

    /// Leave to ask the host now, or how much longer it is left alone. Who gets leave at the end of
    /// a wait is the probe: the others go on waiting.
    pub(crate) fn enter(&self, host: &str) -> Result<Leave, Duration> {
        let now = self.clock.elapsed();
        let mut hosts = self.hosts.lock();
        let Some(failing) = hosts.get_mut(host) else { return Ok(Leave { probe: false }) };
        if now < failing.until {
            return Err(failing.until - now);
        }
        let probe = failing.until > Duration::ZERO;
        if probe {
            failing.until = now + self.probe;
        }
        Ok(Leave { probe })
    }

    /// It answered.
    pub(crate) fn answered(&self, host: &str) {
        self.hosts.lock().remove(host);
    }

    /// It failed.
    pub(crate) fn failed(&self, host: &str, leave: Leave, how: Failure) {
        let now = self.clock.elapsed();
        let mut hosts = self.hosts.lock();
        if hosts.len() >= REMEMBERED && !hosts.contains_key(host) {
            hosts.retain(|_, failing| now < failing.until);
            if hosts.len() >= REMEMBERED {
                return;
            }
        }
        let failing = hosts.entry(host.to_owned()).or_default();
        let asked = match how {
            Failure::Trouble => Duration::ZERO,
            Failure::TooMany(asked) => {
                failing.count = failing.count.max(PATIENCE - 1);
                asked.unwrap_or_default()
            }
        };
        // Requests that were under way together fail together: that is one failure.
        let known = now < failing.until && !leave.probe;
        if !known {
            failing.count = failing.count.saturating_add(1);
        }
        if failing.count >= PATIENCE {
            let doublings = (failing.count - PATIENCE).min(16);
            let wait = (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT).max(asked);
            // Of two waits that were set, the longer one; but a probe's own is over.
            let before = if leave.probe { Duration::ZERO } else { failing.until };
            failing.until = before.max(if known && asked.is_zero() { before } else { now + wait });
        }
    }
}

/// Leave to ask a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leave {
    probe: bool,
}

/// How a host failed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure {
    /// No answer, or a 5xx.
    Trouble,
    /// A 429, with what it says of when to come back.
    TooMany(Option<Duration>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhiz_domain::clock::ManualClock;

    const PROBE: Duration = Duration::from_secs(5);
    const SECOND: Duration = Duration::from_secs(1);

    fn rig() -> (Arc<ManualClock>, Backoff) {
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        (clock.clone(), Backoff::new(clock, PROBE))
    }

    fn fail(backoff: &Backoff) {
        let leave = backoff.enter("h").expect("leave");
        backoff.failed("h", leave, Failure::Trouble);
    }

    #[test]
    fn three_failures_then_waits_that_double_up_to_a_minute() {
        let (clock, backoff) = rig();
        (0..3).for_each(|_| fail(&backoff));
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = SECOND * wait;
            assert_eq!(backoff.enter("h"), Err(wait));
            clock.advance(wait);
            fail(&backoff);
        }
        assert_eq!(backoff.enter("another"), Ok(Leave { probe: false }));
    }

    #[test]
    fn one_probe_goes_first_and_its_answer_ends_the_wait() {
        let (clock, backoff) = rig();
        (0..3).for_each(|_| fail(&backoff));
        clock.advance(SECOND);
        let probe = backoff.enter("h").unwrap();
        assert!(probe.probe);
        assert_eq!(backoff.enter("h"), Err(PROBE), "only one");
        // A probe that never came back does not close the host for ever.
        clock.advance(PROBE);
        assert!(backoff.enter("h").is_ok());
        backoff.answered("h");
        assert_eq!(backoff.enter("h"), Ok(Leave { probe: false }));
    }

    #[test]
    fn a_crowd_that_fails_together_has_failed_once() {
        let (_, backoff) = rig();
        let crowd: Vec<_> = (0..50).map(|_| backoff.enter("h").unwrap()).collect();
        crowd.into_iter().for_each(|leave| backoff.failed("h", leave, Failure::Trouble));
        assert_eq!(backoff.enter("h"), Err(SECOND));
    }

    #[test]
    fn too_many_requests_closes_at_once_for_as_long_as_it_says() {
        let (clock, backoff) = rig();
        let ask = |backoff: &Backoff| backoff.enter("h").unwrap();
        backoff.failed("h", ask(&backoff), Failure::TooMany(None));
        assert_eq!(backoff.enter("h"), Err(SECOND));
        clock.advance(SECOND);
        backoff.failed("h", ask(&backoff), Failure::TooMany(Some(SECOND * 90)));
        assert_eq!(backoff.enter("h"), Err(SECOND * 90));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_waits_are_kept() {
        let (_, backoff) = rig();
        (0..3).for_each(|_| fail(&backoff));
        for n in 0..REMEMBERED * 2 {
            backoff.failed(&n.to_string(), Leave { probe: false }, Failure::Trouble);
        }
        assert!(backoff.hosts.lock().len() <= REMEMBERED);
        assert!(backoff.enter("h").is_err());
    }
}
