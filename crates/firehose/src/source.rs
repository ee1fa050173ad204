//! What all sources have in common: how they are run, and what can be seen of them.

use crate::{FirehoseError, Intake};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

/// Somewhere events come from.
///
/// **The cursor law.** The position of an [`Intake`] never passes an event that is not in this
/// intake or an earlier one. So whoever commits each intake with its cursor, in order, and after a
/// crash runs the source again from the last committed position, has every event; some twice, with
/// the same `event_id` each time.
///
/// Example: messages A, B, C come; A and B are handed over with the position of B. Whatever happens
/// to C then, a reader that starts behind B receives it.
#[async_trait]
pub trait Source: Send + 'static {
    /// Its name in [`Cursor`](rhiz_domain::store::Cursor).
    fn name(&self) -> &str;

    /// Reads from behind the position `from` until there is no more, until `stop` turns true (or
    /// its sender is gone), or until nobody takes what comes. While `out` is full nothing is read.
    async fn run(
        self: Box<Self>,
        from: Option<u64>,
        out: mpsc::Sender<Intake>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), FirehoseError>;
}

/// Resolves when a source has to stop.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone: nobody could ever stop us otherwise.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What can be seen of a stream. Taken from a `watch` channel: reading it costs next to nothing,
/// and it can be waited for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// The connection stands.
    pub connected: bool,
    /// The greatest time a message carried, microseconds since 1970.
    pub last_time_us: Option<i64>,
    /// When the last connection ended; nothing while one stands, or before the first.
    pub lost_at: Option<Timestamp>,
    /// Connections made since the start, the first one too.
    pub connections: u64,
    /// Attempts and connections that failed since something new came.
    pub failures: u32,
    /// What ended the last connection or attempt.
    pub last_error: Option<Trouble>,
    /// The last gap suspected.
    pub gap: Option<Gap>,
    /// Gaps suspected since the start.
    pub gaps: u64,
    /// Messages received, duplicates after a reconnection included.
    pub received: u64,
    /// Those that were of no concern.
    pub passed: u64,
    /// Those that could not become an event.
    pub rejected: u64,
}

impl Status {
    /// Connections made after the first one.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.connections.saturating_sub(1)
    }
}

/// Why a connection ended or did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// For machines: `unreachable`, `timeout`, `tls`, `refused`, `protocol`, `too_large`, `idle`,
    /// `closed`, `cut`.
    pub code: &'static str,
    /// For operators.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A stretch of time of which the server sent nothing although it was asked for. A server that
/// keeps less than that answers so without a word. Nothing happened in it, or events are missing
/// and the repos in scope have to be fetched anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The position that was reached before, microseconds since 1970.
    pub after_us: i64,
    /// The time of the first message after it.
    pub until_us: i64,
}
