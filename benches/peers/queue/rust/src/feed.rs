//! The feed, and the clock that stands beside it: the same for every queue.

use crate::row::{Message, Work};
use anyhow::{Context, Result};
use std::{
    future::Future,
    io::BufRead,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Events in one enqueue.
pub const BATCH: usize = 1000;
/// Events that may wait while the feed and the workers run together; Rhiz's own bound.
pub const AHEAD: usize = 10_000;
/// The steady feed enqueues this often.
pub const TICK: Duration = Duration::from_millis(10);
/// A queue that is so far behind a steady feed does not keep up.
const GIVE_UP: Duration = Duration::from_secs(5);

/// How the events come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As fast as they are taken, the workers running.
    Together,
    /// All of them, and only then are the workers started.
    Backlog,
    /// So many a second.
    Steady(usize),
}

/// What the handlers tell.
pub struct Progress {
    started: Instant,
    /// When the event was due, by its number.
    due: Mutex<Vec<Duration>>,
    latencies: Mutex<Vec<Duration>>,
    applied: AtomicUsize,
}

impl Progress {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            due: Mutex::default(),
            latencies: Mutex::default(),
            applied: AtomicUsize::new(0),
        })
    }

    /// The effect of event `i` is committed.
    pub fn applied(&self, i: usize) {
        let due = self.due.lock().expect("nobody panicked")[i];
        let took = self.started.elapsed().saturating_sub(due);
        self.latencies.lock().expect("nobody panicked").push(took);
        self.applied.fetch_add(1, Ordering::AcqRel);
    }
}

pub type Later<'a, T = ()> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// One queue under test.
pub trait Queue: Send + Sync {
    /// Enqueues, durably, in one call.
    fn enqueue(&self, work: Vec<Work>) -> Later<'_>;
    /// Starts the workers.
    fn start(&self, progress: Arc<Progress>) -> Later<'_>;
    /// Jobs that are not acknowledged yet.
    fn left(&self) -> Later<'_, i64>;
    /// Rows in the table of effects.
    fn rows(&self) -> Later<'_, i64>;
}

/// The events of a file, one a line.
pub fn events(path: &str, n: usize) -> Result<Vec<Message>> {
    let file = std::fs::File::open(path).with_context(|| path.to_owned())?;
    let lines = std::io::BufReader::new(file).lines().take(n);
    let events: Vec<Message> =
        lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<_>>()?;
    anyhow::ensure!(events.len() == n, "{path} has only {} events", events.len());
    Ok(events)
}

/// Runs one measurement and prints its line.
pub async fn measure(
    name: &str,
    queue: &dyn Queue,
    mode: Mode,
    events: Vec<Message>,
) -> Result<()> {
    let n = events.len();
    let mut work = events.into_iter().enumerate().map(|(i, event)| Work { i, event });
    // Workers come up before the clock starts, unless a backlog is wanted.
    let progress = Progress::new();
    if mode != Mode::Backlog {
        queue.start(Arc::clone(&progress)).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let started = progress.started.elapsed();
    let batch = match mode {
        Mode::Steady(rate) => rate * TICK.as_millis() as usize / 1000,
        _ => BATCH,
    };
    let mut fed = 0;
    for turn in 0.. {
        let some: Vec<Work> = work.by_ref().take(batch).collect();
        if some.is_empty() {
            break;
        }
        match mode {
            Mode::Steady(_) => {
                let due = started + TICK * turn;
                if progress.started.elapsed() > due + GIVE_UP {
                    break;
                }
                tokio::time::sleep(due.saturating_sub(progress.started.elapsed())).await;
                progress.due.lock().expect("nobody panicked").extend(some.iter().map(|_| due));
            }
            _ => {
                while mode == Mode::Together
                    && fed - progress.applied.load(Ordering::Acquire) + batch > AHEAD
                {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let now = progress.started.elapsed();
                progress.due.lock().expect("nobody panicked").extend(some.iter().map(|_| now));
            }
        }
        fed += some.len();
        queue.enqueue(some).await?;
    }
    let enqueued = progress.started.elapsed();
    if mode == Mode::Backlog {
        queue.start(Arc::clone(&progress)).await?;
    }
    let mut kept_up = true;
    loop {
        if progress.applied.load(Ordering::Acquire) >= n && queue.left().await? == 0 {
            break;
        }
        let behind = fed < n || progress.started.elapsed() > enqueued + GIVE_UP;
        if matches!(mode, Mode::Steady(_)) && behind {
            kept_up = false;
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = progress.started.elapsed();
    if kept_up {
        let rows = queue.rows().await?;
        anyhow::ensure!(rows == n as i64, "{name}: {rows} rows for {n} events");
    }
    let mut latencies = std::mem::take(&mut *progress.latencies.lock().expect("nobody panicked"));
    latencies.sort_unstable();
    let done = latencies.len();
    let at = |q: f64| {
        let rank = ((q * done as f64).ceil() as usize).clamp(1, done.max(1)) - 1;
        latencies.get(rank).map_or(f64::NAN, |l| l.as_secs_f64() * 1e3)
    };
    let mean = latencies.iter().map(Duration::as_secs_f64).sum::<f64>() / done as f64 * 1e3;
    let mode = match mode {
        Mode::Together => "together",
        Mode::Backlog => "backlog",
        Mode::Steady(_) => "steady",
    };
    println!(
        "{}",
        serde_json::json!({
            "queue": name, "mode": mode, "events": n, "applied": done, "kept_up": kept_up,
            "per_second": done as f64 / (ended - started).as_secs_f64(),
            "enqueued_per_second": fed as f64 / (enqueued - started).as_secs_f64(),
            "mean_ms": mean, "p50_ms": at(0.5), "p99_ms": at(0.99),
        })
    );
    Ok(())
}
