//! Whether there is room.
//!
//! Law: what waits, plus what is on its way into the journal, never exceeds the capacity; and a
//! priority that is refused stays refused until a tenth of the capacity is free below its limit,
//! so that callers do not flap. A priority at its limit refuses only itself: at 85 % a normal
//! event is refused while a critical one is still accepted. A batch that does not fit into what is
//! left is refused, and closes nothing while there is room for one more. What a source waits to
//! bring in counts for low and normal events, and for high ones too once as many as a tenth of the
//! capacity have passed it, or callers could keep it out for ever.

use parking_lot::Mutex;
use rhiz_domain::{Priority, store::Depths};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::Notify;

/// What may wait in the journal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// Events.
    pub events: usize,
    /// Bytes of their payloads.
    pub bytes: usize,
    /// The part of it, 0–1, from which low and normal events are refused; high ones are refused
    /// halfway between it and all of it, critical ones at all of it.
    pub threshold: f64,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { events: 10_000, bytes: 256 << 20, threshold: 0.8 }
    }
}

/// Ten points: how much lower accepting resumes.
const HYSTERESIS: f64 = 0.1;

impl Capacity {
    /// The part of the capacity at which a priority is refused.
    fn limit(&self, priority: Priority) -> f64 {
        match priority {
            Priority::Low | Priority::Normal => self.threshold,
            Priority::High => f64::midpoint(self.threshold, 1.0),
            Priority::Critical => 1.0,
        }
    }

    /// Whether `events` and `bytes` are more than `part` of the capacity.
    fn exceeded(&self, part: f64, events: usize, bytes: usize) -> bool {
        events as f64 > part * self.events as f64 || bytes as f64 > part * self.bytes as f64
    }
}

/// Events and bytes that were let in and are not yet counted by the journal.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    events: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    entering: Load,
    /// What is never refused and waits for its turn, in the order in which it came.
    line: VecDeque<Place>,
    /// All of it together.
    queued: Load,
    /// High events that entered since somebody stands in line.
    passed: usize,
    closed: [bool; 4],
}

/// A place in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(u64);

/// Keeps the law above.
pub(crate) struct Gate {
    capacity: Capacity,
    state: Mutex<State>,
    room: Notify,
}

/// Leave to enter; given back when it is dropped, for then the journal counts (or it failed).
pub(crate) struct Entering {
    gate: Arc<Gate>,
    load: Load,
}

impl Drop for Entering {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.entering.events -= self.load.events;
        state.entering.bytes -= self.load.bytes;
        drop(state);
        // If it failed, nothing will leave the journal for it, and this is the only notice.
        self.gate.room.notify_waiters();
    }
}

/// Stands in line while it lives.
struct Queued {
    gate: Arc<Gate>,
    place: Place,
    load: Load,
}

impl Queued {
    fn new(gate: &Arc<Gate>, state: &mut State, load: Load) -> Self {
        let place = Place(state.line.back().map_or(0, |last| last.0 + 1));
        state.line.push_back(place);
        state.queued.events += load.events;
        state.queued.bytes += load.bytes;
        Self { gate: Arc::clone(gate), place, load }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.queued.events -= self.load.events;
        state.queued.bytes -= self.load.bytes;
        state.line.retain(|place| *place != self.place);
        state.passed = 0;
        drop(state);
        self.gate.room.notify_waiters();
    }
}

/// Why there is no leave to enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not now.
    Full,
    /// Never: it is more than this priority may ever take.
    TooMuch,
}

impl Gate {
    pub(crate) fn new(capacity: Capacity) -> Arc<Self> {
        Arc::new(Self { capacity, state: Mutex::default(), room: Notify::new() })
    }

    /// Leave for events of these counts by priority and bytes, all of it or none.
    pub(crate) fn enter(
        self: &Arc<Self>,
        counts: [usize; 4],
        bytes: usize,
        depths: impl Fn() -> Depths,
    ) -> Result<Entering, Refused> {
        let load = Load { events: counts.iter().sum(), bytes };
        let mut state = self.state.lock();
        // Read under the lock: what entered before is counted either here or there, or, for an
        // instant, twice; never not at all.
        let depths = depths();
        let events = depths.waiting() + state.entering.events;
        let bytes = depths.bytes + state.entering.bytes;
        self.refresh(&mut state, events, bytes);
        for priority in Priority::ALL {
            if counts[priority as usize] == 0 {
                continue;
            }
            let limit = self.capacity.limit(priority);
            if self.capacity.exceeded(limit, load.events, load.bytes) {
                return Err(Refused::TooMuch);
            }
            let full = |events, bytes| self.capacity.exceeded(limit, events, bytes);
            if full(events + load.events, bytes + load.bytes) {
                // What one event alone finds full is full for all of its priority.
                state.closed[priority as usize] |= load.events == 1 || full(events + 1, bytes);
                return Err(Refused::Full);
            }
            // Whoever stands in line comes first: before low and normal events, and, when many high
            // ones have passed, before those; they may then take no more than normal ones.
            let late = state.passed as f64 >= HYSTERESIS * self.capacity.events as f64;
            let (first, limit) = match priority {
                Priority::Low | Priority::Normal => (state.queued, limit),
                Priority::High if late => (state.queued, self.capacity.threshold),
                Priority::High | Priority::Critical => (Load::default(), limit),
            };
            let after = (events + load.events + first.events, bytes + load.bytes + first.bytes);
            if state.closed[priority as usize] || self.capacity.exceeded(limit, after.0, after.1) {
                return Err(Refused::Full);
            }
        }
        if !state.line.is_empty() {
            state.passed += counts[Priority::High as usize];
        }
        state.entering.events += load.events;
        state.entering.bytes += load.bytes;
        Ok(Entering { gate: Arc::clone(self), load })
    }

    /// Opens again what may be opened.
    fn refresh(&self, state: &mut State, events: usize, bytes: usize) {
        for priority in Priority::ALL {
            let resume = (self.capacity.limit(priority) - HYSTERESIS).max(0.0);
            if !self.capacity.exceeded(resume, events, bytes) {
                state.closed[priority as usize] = false;
            }
        }
    }

    /// Leave to enter once there is room and nothing stands `still`: for what is never refused. In
    /// the order in which they came, so that a large one is not passed by small ones for ever.
    pub(crate) async fn enter_in_turn(
        self: &Arc<Self>,
        events: usize,
        bytes: usize,
        depths: impl Fn() -> Depths,
        still: impl Fn() -> bool,
    ) -> Entering {
        let load = Load { events, bytes };
        // Let go after the state's lock, which it takes.
        let mut queued: Option<Queued> = None;
        loop {
            let mut left = None;
            let notified = self.room.notified();
            tokio::pin!(notified);
            // Listen before looking, or a notice between the two would be missed.
            notified.as_mut().enable();
            {
                // Looked at and entered under one lock, or two sources would enter at once.
                let mut state = self.state.lock();
                let depths = depths();
                let waiting = depths.waiting() + state.entering.events;
                let held = depths.bytes + state.entering.bytes;
                let most = self.capacity.threshold;
                // An empty journal takes anything, or a large batch would wait for ever.
                let room =
                    waiting == 0 || !self.capacity.exceeded(most, waiting + events, held + bytes);
                let first = state.line.front().copied();
                let turn = first.is_none() || first == queued.as_ref().map(|queued| queued.place);
                if still() {
                    // Who stands still holds up nobody.
                    left = queued.take();
                } else if room && turn {
                    state.entering.events += events;
                    state.entering.bytes += bytes;
                    return Entering { gate: Arc::clone(self), load };
                } else if queued.is_none() {
                    queued = Some(Queued::new(self, &mut state, load));
                }
            }
            drop(left);
            notified.await;
        }
    }

    /// Tells whoever waits to look again.
    pub(crate) fn look_again(&self) {
        self.room.notify_waiters();
    }

    /// Tells that something left the journal.
    pub(crate) fn left(&self, depths: Depths) {
        let mut state = self.state.lock();
        let events = depths.waiting() + state.entering.events;
        let bytes = depths.bytes + state.entering.bytes;
        self.refresh(&mut state, events, bytes);
        drop(state);
        self.room.notify_waiters();
    }

    /// Whether normal events are refused at the moment, or a source waits for room.
    pub(crate) fn backpressure(&self, depths: Depths) -> bool {
        let mut state = self.state.lock();
        let events = depths.waiting() + state.entering.events;
        let bytes = depths.bytes + state.entering.bytes;
        self.refresh(&mut state, events, bytes);
        let full = self.capacity.exceeded(self.capacity.threshold, events + 1, bytes);
        full || state.closed[Priority::Normal as usize] || !state.line.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn full(events: usize) -> impl Fn() -> Depths {
        move || Depths { in_hand: events, ..Depths::default() }
    }

    fn one(priority: Priority) -> [usize; 4] {
        let mut counts = [0; 4];
        counts[priority as usize] = 1;
        counts
    }

    #[test]
    fn a_priority_at_its_limit_refuses_only_itself() {
        let gate = Gate::new(Capacity { events: 100, ..Capacity::default() });
        for (events, refused) in [
            (79, vec![]),
            (80, vec![Priority::Low, Priority::Normal]),
            (90, vec![Priority::Low, Priority::Normal, Priority::High]),
            (100, Priority::ALL.to_vec()),
        ] {
            for priority in Priority::ALL {
                let answer = gate.enter(one(priority), 0, full(events));
                assert_eq!(answer.is_err(), refused.contains(&priority), "{events} {priority:?}");
            }
        }
    }

    #[test]
    fn accepting_resumes_ten_points_lower() {
        let gate = Gate::new(Capacity { events: 100, ..Capacity::default() });
        assert!(gate.enter(one(Priority::Normal), 0, full(80)).is_err());
        assert!(gate.backpressure(full(75)()));
        assert!(gate.enter(one(Priority::Normal), 0, full(75)).is_err());
        assert!(gate.enter(one(Priority::Normal), 0, full(70)).is_ok());
        assert!(!gate.backpressure(full(70)()));
    }

    #[test]
    fn what_is_on_its_way_counts() {
        let gate = Gate::new(Capacity { events: 100, ..Capacity::default() });
        let entering: Vec<_> =
            (0..80).map(|_| gate.enter(one(Priority::Normal), 10, full(0)).unwrap()).collect();
        assert_eq!(gate.enter(one(Priority::Normal), 10, full(0)).err(), Some(Refused::Full));
        drop(entering);
        assert!(gate.enter(one(Priority::Normal), 10, full(0)).is_ok());
    }

    #[tokio::test]
    async fn two_sources_do_not_enter_into_the_same_room() {
        let gate = Gate::new(Capacity { events: 100, bytes: 1000, threshold: 0.8 });
        let enter = |events, bytes| gate.enter_in_turn(events, bytes, full(40), || false);
        let first = enter(40, 10).await;
        for (events, bytes) in [(1, 0), (0, 791)] {
            let second = enter(events, bytes);
            tokio::pin!(second);
            let refused = second.as_mut().now_or_never();
            assert!(refused.is_none(), "{events} events, {bytes} bytes");
        }
        let second = enter(40, 10);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        second.await;
    }

    #[test]
    fn a_batch_that_does_not_fit_closes_nothing_while_there_is_room_for_one() {
        let gate = Gate::new(Capacity { events: 100, ..Capacity::default() });
        let mut ten = [0; 4];
        ten[Priority::Normal as usize] = 10;
        assert_eq!(gate.enter(ten, 0, full(75)).err(), Some(Refused::Full));
        assert!(gate.enter(one(Priority::Normal), 0, full(75)).is_ok());
        assert!(!gate.backpressure(full(75)()));
        assert_eq!(gate.enter(ten, 0, full(80)).err(), Some(Refused::Full));
        assert!(gate.backpressure(full(75)()));
    }

    /// Callers that take each place as it becomes free do not keep a source out.
    #[tokio::test]
    async fn a_source_that_waits_gets_its_turn() {
        let gate = Gate::new(Capacity { events: 100, ..Capacity::default() });
        let depth = AtomicUsize::new(80);
        let depths = || Depths { in_hand: depth.load(Ordering::SeqCst), ..Depths::default() };
        let mut source = Box::pin(gate.enter_in_turn(10, 0, depths, || false));
        assert!(source.as_mut().now_or_never().is_none());
        for _ in 0..1000 {
            // One leaves, and at once a caller asks for its place; a critical one gets it.
            depth.fetch_sub(1, Ordering::SeqCst);
            let caller = gate.enter(one(Priority::Normal), 0, depths).map(|_| ());
            depth.fetch_add(usize::from(caller.is_ok()), Ordering::SeqCst);
            assert!(gate.enter(one(Priority::Critical), 0, depths).is_ok());
            if source.as_mut().now_or_never().is_some() {
                assert_eq!(depth.load(Ordering::SeqCst), 70);
                // Who waited has entered: what it had claimed is free.
                drop(source);
                assert!(gate.enter(one(Priority::Normal), 0, depths).is_ok());
                return;
            }
        }
        panic!("it waits for ever");
    }

    /// High events may take what is above a source's limit; not for ever.
    #[tokio::test]
    async fn high_events_do_not_keep_a_source_out() {
        let gate = Gate::new(Capacity { events: 100, ..Capacity::default() });
        let depth = AtomicUsize::new(85);
        let depths = || Depths { in_hand: depth.load(Ordering::SeqCst), ..Depths::default() };
        let mut source = Box::pin(gate.enter_in_turn(10, 0, depths, || false));
        assert!(source.as_mut().now_or_never().is_none());
        assert!(gate.backpressure(depths()), "a source waits");
        let mut passed = 0;
        for _ in 0..100 {
            depth.fetch_sub(1, Ordering::SeqCst);
            gate.left(depths());
            if gate.enter(one(Priority::High), 0, depths).is_ok() {
                passed += 1;
                depth.fetch_add(1, Ordering::SeqCst);
            }
            if source.as_mut().now_or_never().is_some() {
                assert_eq!(passed, 10);
                drop(source);
                assert!(gate.enter(one(Priority::High), 0, depths).is_ok());
                return;
            }
        }
        panic!("it waits for ever");
    }

    /// Small ones do not pass a large one that came before them.
    #[tokio::test]
    async fn sources_enter_in_the_order_in_which_they_came() {
        let gate = Gate::new(Capacity { events: 100, ..Capacity::default() });
        let depth = AtomicUsize::new(79);
        let depths = || Depths { in_hand: depth.load(Ordering::SeqCst), ..Depths::default() };
        let mut large = Box::pin(gate.enter_in_turn(30, 0, depths, || false));
        assert!(large.as_mut().now_or_never().is_none());
        let mut small = Box::pin(gate.enter_in_turn(1, 0, depths, || false));
        assert!(small.as_mut().now_or_never().is_none());
        depth.store(50, Ordering::SeqCst);
        gate.left(depths());
        assert!(small.as_mut().now_or_never().is_none(), "not before its turn");
        let entered = large.as_mut().now_or_never();
        assert!(entered.is_some());
        assert!(small.as_mut().now_or_never().is_none(), "no room");
        drop((entered, large));
        assert!(small.as_mut().now_or_never().is_some());
    }

    /// One who gives up, or stands still, leaves the line.
    #[tokio::test]
    async fn who_leaves_holds_up_nobody() {
        let gate = Gate::new(Capacity { events: 100, ..Capacity::default() });
        let (still, depth) = (AtomicUsize::new(0), AtomicUsize::new(79));
        let depths = || Depths { in_hand: depth.load(Ordering::SeqCst), ..Depths::default() };
        let stands = || still.load(Ordering::SeqCst) == 1;
        let mut gives_up = Box::pin(gate.enter_in_turn(30, 0, depths, || false));
        let mut paused = Box::pin(gate.enter_in_turn(30, 0, depths, stands));
        let mut last = Box::pin(gate.enter_in_turn(1, 0, depths, || false));
        for waits in [gives_up.as_mut().now_or_never(), paused.as_mut().now_or_never()] {
            assert!(waits.is_none());
        }
        assert!(last.as_mut().now_or_never().is_none());
        drop(gives_up);
        still.store(1, Ordering::SeqCst);
        gate.look_again();
        assert!(paused.as_mut().now_or_never().is_none());
        assert!(last.as_mut().now_or_never().is_some());
    }

    #[test]
    fn bytes_are_a_limit_too_and_more_than_all_of_it_is_refused_for_good() {
        let gate = Gate::new(Capacity { events: 100, bytes: 1000, threshold: 0.8 });
        assert_eq!(gate.enter(one(Priority::Normal), 801, full(0)).err(), Some(Refused::TooMuch));
        assert!(gate.enter(one(Priority::Normal), 800, full(0)).is_ok());
        assert!(gate.enter(one(Priority::Critical), 1000, full(0)).is_ok());
    }
}
