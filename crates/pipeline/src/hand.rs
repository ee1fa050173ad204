//! The thread on which a worker's processors run, and what becomes of one that does not come back.
//!
//! A processor may panic, or never return. Neither takes the worker with it: a panic is caught and
//! is an attempt that failed; a processor that has not answered for a limit is left behind on its
//! thread, its event's attempt has failed, and the worker goes on with the next event on a new
//! thread. What the one left behind answers one day counts for nothing.
//!
//! Threads left behind cannot be ended from outside. So that they do not fill the machine, the
//! work of an event type is paused when too many processors hang ([`HUNG_MOST`]).

use crate::{Enrichment, Shared};
use parking_lot::Mutex;
use rhiz_domain::{Event, EventTypes, Outcome};
use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};
use tokio::sync::oneshot;

/// Processors that may hang at a time, and at most one more a worker; then the work of the type that
/// hung last is paused.
pub(crate) const HUNG_MOST: usize = 16;

/// How often a worker looks whether its processor hangs.
const LOOK: Duration = Duration::from_secs(1);

/// What a processor said of one event.
pub(crate) enum Answer {
    /// What becomes of it.
    Outcome(Outcome),
    /// It needs the network first.
    Enrich(Enrichment),
}

/// An answer, and how long it took.
pub(crate) type Answered = (Answer, Duration);

/// What the thread has done of an order, for both sides to see.
struct Board {
    state: Mutex<State>,
    /// Processors that hang; shared by all workers.
    hung: Arc<AtomicUsize>,
}

struct State {
    answers: Vec<Answered>,
    /// When the event in hand was begun.
    since: Duration,
    /// Nobody waits for it any more.
    abandoned: bool,
}

impl Board {
    /// Notes an answer. `false` when nobody waits for it any more.
    fn note(&self, answered: Answered, now: Duration) -> bool {
        let mut state = self.state.lock();
        if state.abandoned {
            self.hung.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        state.answers.push(answered);
        state.since = now;
        true
    }

    /// Leaves the thread behind if it has been at one event for longer than `limit`.
    fn abandon(&self, now: Duration, limit: Duration) -> bool {
        let mut state = self.state.lock();
        if now.saturating_sub(state.since) <= limit {
            return false;
        }
        state.abandoned = true;
        self.hung.fetch_add(1, Ordering::AcqRel);
        true
    }
}

/// Events for the thread.
struct Order {
    events: Vec<Arc<Event>>,
    board: Arc<Board>,
    done: oneshot::Sender<()>,
}

/// One worker's thread; started when there is work, and again when one was left behind.
#[derive(Default)]
pub(crate) struct Hand {
    orders: Option<mpsc::Sender<Order>>,
}

impl Hand {
    /// Asks the processors about these events: one answer for each, in order; and the types of
    /// those that hung.
    ///
    /// Errors: no thread can be started.
    pub(crate) async fn process(
        &mut self,
        shared: &Arc<Shared>,
        events: &[Arc<Event>],
    ) -> std::io::Result<(Vec<Answered>, EventTypes)> {
        let limit = shared.settings.processor_limit;
        let mut hung = EventTypes::default();
        let mut answers = Vec::with_capacity(events.len());
        while answers.len() < events.len() {
            let rest = &events[answers.len()..];
            let board = Arc::new(Board {
                state: Mutex::new(State {
                    answers: Vec::with_capacity(rest.len()),
                    since: shared.clock.elapsed(),
                    abandoned: false,
                }),
                hung: Arc::clone(&shared.hung),
            });
            let (done, mut over) = oneshot::channel();
            self.order(shared, Order { events: rest.to_vec(), board: Arc::clone(&board), done })?;
            let hangs = loop {
                tokio::select! {
                    biased;
                    _ = &mut over => break false,
                    () = tokio::time::sleep(LOOK) => {}
                }
                if board.abandon(shared.clock.elapsed(), limit) {
                    break true;
                }
            };
            answers.append(&mut board.state.lock().answers);
            if answers.len() < events.len() {
                // Left behind, or (it catches panics, so that should not be) gone.
                self.orders = None;
                let event = &events[answers.len()];
                let reason = if hangs {
                    hung = [event.event_type].into_iter().chain(hung.iter()).collect();
                    format!("its processor had not answered after {} s", limit.as_secs())
                } else {
                    "its processor's thread broke off".to_owned()
                };
                tracing::error!(event_id = %event.event_id, event_type = %event.event_type, "{reason}");
                answers.push((Answer::Outcome(Outcome::Retry { reason }), limit));
                if shared.hung.load(Ordering::Acquire) >= HUNG_MOST {
                    // No more threads for these: their type is about to be paused.
                    let until = shared.clock.now() + LOOK;
                    let later = || (Answer::Outcome(Outcome::Snooze { until }), Duration::ZERO);
                    answers.resize_with(events.len(), later);
                }
            }
        }
        Ok((answers, hung))
    }

    fn order(&mut self, shared: &Arc<Shared>, mut order: Order) -> std::io::Result<()> {
        loop {
            let orders = match &self.orders {
                Some(orders) => orders,
                None => self.orders.insert(start(Arc::clone(shared))?),
            };
            match orders.send(order) {
                Ok(()) => return Ok(()),
                Err(back) => {
                    order = back.0;
                    self.orders = None;
                }
            }
        }
    }
}

fn start(shared: Arc<Shared>) -> std::io::Result<mpsc::Sender<Order>> {
    let (orders, queue) = mpsc::channel::<Order>();
    std::thread::Builder::new().name("processor".into()).spawn(move || {
        while let Ok(Order { events, board, done }) = queue.recv() {
            let mut started = shared.clock.elapsed();
            for event in &events {
                let answer = ask(&shared, event);
                let now = shared.clock.elapsed();
                if !board.note((answer, now.saturating_sub(started)), now) {
                    return;
                }
                started = now;
            }
            // Whoever asked may be gone: the runtime is stopping.
            let _ = done.send(());
        }
    })?;
    Ok(orders)
}

/// Asks the processor that takes the event. A panic is an attempt that failed.
fn ask(shared: &Shared, event: &Event) -> Answer {
    // Asking may panic as well as processing: neither takes the worker with it.
    let mut asked = "first";
    let answer = std::panic::catch_unwind(AssertUnwindSafe(|| {
        for processor in &shared.processors {
            asked = processor.name();
            if processor.can_process(event) {
                return Some(match processor.enrich(event) {
                    Some(work) => Answer::Enrich(work),
                    None => Answer::Outcome(processor.process(event)),
                });
            }
        }
        None
    }));
    match answer {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            let reason = format!("no processor takes {}", event.event_type);
            Answer::Outcome(Outcome::Bury { reason })
        }
        Err(panic) => {
            let reason = format!("the {asked} processor panicked: {}", words(&*panic));
            Answer::Outcome(Outcome::Retry { reason })
        }
    }
}

/// What a panic says.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}
