//! From the firehose into the pipeline: reading stops while there is no room.
//!
//! How far behind its source a node is: the age of what is on its way into the journal, as long as
//! it is; then how old the newest message was when it got there. Without a connection, and while
//! nothing can be journaled, it grows with the time.

use crate::{config::SourceKind, node::Node};
use jiff::Timestamp;
use parking_lot::Mutex;
use rhiz_domain::store::{Intake, StoreError};
use rhiz_firehose::{Jetstream, Options, Source, Status};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Batches read ahead of the journal.
const AHEAD: usize = 2;

/// How long to wait when the journal cannot be written.
const JOURNAL_WAIT: Duration = Duration::from_millis(500);

/// Between two lines of the log about the same trouble.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What is read from the network. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    status: watch::Receiver<Status>,
    reached: Arc<Mutex<Reached>>,
    stop: Arc<watch::Sender<bool>>,
}

/// How far the journal is; times are those that messages carry, microseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    /// Of the newest message of the batch that is on its way into it.
    in_hand: Option<i64>,
    /// Of the newest message in it.
    journaled: Option<i64>,
    /// How old that message was when it got there; nothing before the first of this life.
    late: Option<Duration>,
}

/// The age of a message that carries this time.
fn age(time_us: i64, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(now.as_microsecond() - time_us).unwrap_or(0))
}

impl Reached {
    /// A batch is on its way. One without a position has nothing newer than what came before it.
    fn begin(&mut self, intake: &Intake) {
        let position = intake.cursor.as_ref().and_then(|c| i64::try_from(c.position).ok());
        self.in_hand = position.or(self.journaled);
    }

    /// It is in the journal.
    fn end(&mut self, now: Timestamp) {
        if let Some(time_us) = self.in_hand.take() {
            self.journaled = Some(time_us);
            self.late = Some(age(time_us, now));
        }
    }

    fn lag(&self, status: &Status, now: Timestamp) -> Option<Duration> {
        if let Some(time_us) = self.in_hand {
            return Some(age(time_us, now));
        }
        match (status.connected, self.late, status.lost_at) {
            (true, late, _) => late,
            (false, Some(late), Some(lost)) => Some(late + age(lost.as_microsecond(), now)),
            // Not connected since the start.
            (false, ..) => self.journaled.map(|time_us| age(time_us, now)),
        }
    }
}

impl Feed {
    /// Whether the connection stands.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.status.borrow().connected
    }

    /// How far behind its source this node is; nothing before anything is known of it.
    #[must_use]
    pub fn lag(&self, now: Timestamp) -> Option<Duration> {
        self.reached.lock().lag(&self.status.borrow(), now)
    }

    /// Reads no more. What was read and is not journaled yet comes again with the next start.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Starts reading the firehose, if it is wanted; answers with how it goes.
pub fn start(node: &Node) -> Option<Feed> {
    let firehose = &node.config.firehose;
    if !firehose.enabled {
        tracing::info!("the firehose is switched off (ENABLE_FIREHOSE_INGEST)");
        return None;
    }
    if firehose.kind == SourceKind::Firehose || firehose.verify {
        tracing::warn!(
            "verified sources are not built in yet: records are read from a Jetstream and marked \
             verified_source: false (handles are verified)"
        );
    }
    if firehose.kind == SourceKind::Firehose {
        tracing::error!("ATPROTO_FIREHOSE_URL is no Jetstream: nothing is read from the network");
        return None;
    }
    let options = Options::new(firehose.url.expose());
    let source = match Jetstream::new(options, Arc::clone(&node.clock), Arc::clone(&node.entropy)) {
        Ok(source) => source,
        Err(error) => {
            tracing::error!(%error, "nothing is read from the network");
            return None;
        }
    };
    let (stop, stopping) = watch::channel(false);
    let feed = Feed { status: source.status(), reached: Arc::default(), stop: Arc::new(stop) };
    let (node, reached) = (node.clone(), Arc::clone(&feed.reached));
    tokio::spawn(async move { run(&node, source, &reached, stopping).await });
    Some(feed)
}

/// Says that something fails when it begins to, and then now and again.
#[derive(Default)]
struct Trouble {
    said: Option<Duration>,
}

impl Trouble {
    /// Whether it is to be said, at `now` of the clock that never stands still.
    fn fails(&mut self, now: Duration) -> bool {
        let due = self.said.is_none_or(|said| now.saturating_sub(said) >= SAY_AGAIN);
        if due {
            self.said = Some(now);
        }
        due
    }

    /// Whether it is to be said that it works again.
    fn works(&mut self) -> bool {
        self.said.take().is_some()
    }
}

async fn run(
    node: &Node,
    source: Jetstream,
    reached: &Mutex<Reached>,
    stop: watch::Receiver<bool>,
) {
    let mut trouble = Trouble::default();
    let from = loop {
        match node.store.cursor(source.name()).await {
            Ok(from) => break from,
            Err(StoreError::Closed) => return,
            Err(error) => {
                if trouble.fails(node.clock.elapsed()) {
                    tracing::warn!(%error, "cannot read the cursor; trying again");
                }
                tokio::time::sleep(JOURNAL_WAIT).await;
            }
        }
    };
    reached.lock().journaled = from.and_then(|position| i64::try_from(position).ok());
    let (out, mut intakes) = mpsc::channel(AHEAD);
    let reader = tokio::spawn(Box::new(source).run(from, out, stop));
    while let Some(intake) = intakes.recv().await {
        reached.lock().begin(&intake);
        loop {
            match node.pipeline.take_in(intake.clone()).await {
                Ok(_) => break,
                Err(StoreError::Closed) => return,
                Err(error) => {
                    // Not skipped: what cannot be journaled now is journaled later.
                    if trouble.fails(node.clock.elapsed()) {
                        tracing::warn!(%error, "cannot journal what the firehose sent; trying again");
                    }
                    tokio::time::sleep(JOURNAL_WAIT).await;
                }
            }
        }
        reached.lock().end(node.clock.now());
        if trouble.works() {
            tracing::info!("what the firehose sends is journaled again");
        }
    }
    match reader.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the firehose's reader stopped"),
        Err(error) => tracing::error!(%error, "the firehose's reader broke off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhiz_domain::store::Cursor;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn intake(second: u64) -> Intake {
        let cursor = Some(Cursor { source: "s".into(), position: second * 1_000_000 });
        Intake { cursor, ..Intake::default() }
    }

    #[test]
    fn the_lag_grows_while_nothing_is_journaled_and_while_nobody_is_connected() {
        let connected = Status { connected: true, ..Status::default() };
        let lost = Status { lost_at: Some(at(1_100)), ..Status::default() };
        let lag = |reached: &Reached, status: &Status, now| {
            reached.lag(status, at(now)).map(|lag| lag.as_secs())
        };
        // Nothing is known; then it is known where it stopped.
        let mut reached = Reached::default();
        assert_eq!(lag(&reached, &Status::default(), 1_000), None);
        reached.journaled = Some(900_000_000);
        assert_eq!(lag(&reached, &Status::default(), 1_000), Some(100));
        assert_eq!(lag(&reached, &connected, 1_000), None);
        // On its way into a journal that cannot be written.
        reached.begin(&intake(999));
        assert_eq!(lag(&reached, &connected, 1_000), Some(1));
        assert_eq!(lag(&reached, &connected, 1_060), Some(61));
        reached.end(at(1_060));
        // Caught up: quiet is not late.
        assert_eq!(lag(&reached, &connected, 1_090), Some(61));
        reached.begin(&intake(1_098));
        reached.end(at(1_099));
        assert_eq!(lag(&reached, &connected, 1_100), Some(1));
        assert_eq!(lag(&reached, &lost, 1_100), Some(1));
        assert_eq!(lag(&reached, &lost, 4_700), Some(3_601));
    }

    #[test]
    fn trouble_is_said_when_it_begins_then_each_minute_and_when_it_ends() {
        let mut trouble = Trouble::default();
        assert!(!trouble.works());
        let said = |trouble: &mut Trouble, from: u64| -> Vec<u64> {
            let seconds = from..from + 150;
            seconds.filter(|s| trouble.fails(Duration::from_secs(*s))).collect()
        };
        assert_eq!(said(&mut trouble, 0), [0, 60, 120]);
        assert!(trouble.works() && !trouble.works());
        assert_eq!(said(&mut trouble, 150), [150, 210, 270]);
    }
}
