//! A Jetstream, version 1: reads, decodes, hands over, reconnects for ever.
//!
//! What it says is not proven: its events have `verified: false`. Messages come uncompressed
//! (`compress` is not asked for: it needs a dictionary, and filtered to our collections the stream
//! is small).

use crate::{
    FirehoseError, Intake, Message, Place, Source, Status,
    decode::decode,
    socket::{Fault, Limits, Socket},
    source::{Gap, Trouble, stopped},
};
use async_trait::async_trait;
use bytes::Bytes;
use rhiz_domain::{Clock, Collection, Entropy, retry::RetryPolicy, store::Cursor, syntax::is_nsid};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::http::Uri;

/// Messages handed over together at most.
const BATCH_MESSAGES: usize = 512;
/// Bytes of messages handed over together at most, but for the last one.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a message that the server may send. More than is decoded, so that what is a little too
/// long is rejected visibly; what is longer yet the server leaves out, as it was asked to.
const MAX_RECEIVED: usize = 4 * 1024 * 1024;
/// A position that moved without an event is handed over when it moved this far, microseconds:
/// each costs the journal a transaction.
const BARE_CURSOR_US: u64 = 1_000_000;
/// Collections that a server takes.
const MAX_COLLECTIONS: usize = 100;
/// What this source writes into the query itself.
const OWN_QUERY: [&str; 5] =
    ["wantedCollections", "cursor", "maxMessageSizeBytes", "compress", "requireHello"];

/// How a Jetstream is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// `wss://host/subscribe`; the path may be left out. A query is kept, but not what this source
    /// sets itself.
    pub url: String,
    /// Collections asked for, `prefix.*` allowed; ours, unless told otherwise.
    pub collections: Vec<String>,
    /// How far before the cursor to read on. The times of a Jetstream are not in order among
    /// neighbours: what was overtaken lies a little before the greatest time seen.
    pub rewind: Duration,
    /// Waits between attempts: exponential with full jitter. The number of retries in it is not
    /// looked at: there is no limit.
    pub backoff: RetryPolicy,
    /// For name, TCP, TLS and handshake together.
    pub connect_timeout: Duration,
    /// A ping goes out after so long a silence.
    pub ping_interval: Duration,
    /// A connection is given up after so long a silence, pongs included.
    pub idle_timeout: Duration,
    /// When the first message comes so long after the cursor, a gap is suspected.
    pub gap_tolerance: Duration,
}

impl Options {
    /// The usual ones.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            collections: Collection::ALL.iter().map(|c| c.nsid().to_owned()).collect(),
            rewind: Duration::from_secs(5),
            backoff: RetryPolicy {
                retries: u32::MAX,
                base: Duration::from_secs(1),
                cap: Duration::from_secs(60),
            },
            connect_timeout: Duration::from_secs(15),
            ping_interval: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            gap_tolerance: Duration::from_secs(5 * 60),
        }
    }
}

/// A Jetstream, version 1.
pub struct Jetstream {
    name: String,
    /// With everything but the cursor.
    request: String,
    options: Options,
    limits: Limits,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    status: watch::Sender<Status>,
}

/// How far a stream was received and handed over.
///
/// The law ([`Source`]): a position is handed over in the intake of the message it is of, or a
/// later one, never an earlier one. Since times run backwards among neighbours, the greatest time
/// alone would pass what it overtook; so a reader asks for everything from [`Options::rewind`]
/// before it, and the journal knows by `event_id` what it had.
///
/// Example: B (time 7) comes before A (time 5), and the connection is cut between them. The
/// position is 7; asked from 7 − rewind, the server sends A, and B again.
#[derive(Debug, Default, Clone, Copy)]
struct Position {
    /// The greatest time received, or where we were told to start.
    received: Option<u64>,
    /// The last one handed over.
    handed: Option<u64>,
}

impl Position {
    fn receive(&mut self, time_us: i64) {
        self.received = self.received.max(u64::try_from(time_us).ok());
    }

    /// The position to hand over with events, or without any.
    fn hand_over(&mut self, bare: bool) -> Option<u64> {
        let moved = match (self.received, self.handed) {
            (Some(received), Some(handed)) => received - handed,
            (Some(_), None) => u64::MAX,
            (None, _) => 0,
        };
        let due = moved >= if bare { BARE_CURSOR_US } else { 1 };
        due.then(|| self.handed = self.received).and(self.handed)
    }
}

/// Why a session ended.
enum End {
    Fault(Fault),
    /// Nobody takes intakes any more.
    Unwanted,
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Jetstream {
    /// Checks the options; connects to nothing yet.
    pub fn new(
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, FirehoseError> {
        let (address, query) = read_url(&options.url)?;
        if options.collections.is_empty() || options.collections.len() > MAX_COLLECTIONS {
            let why = format!(
                "a Jetstream takes 1 to {MAX_COLLECTIONS}, not {}",
                options.collections.len()
            );
            return Err(FirehoseError::Setting { name: "collections", why });
        }
        let is_wanted = |c: &str| is_nsid(c) || c.strip_suffix(".*").is_some_and(is_prefix);
        if let Some(wrong) = options.collections.iter().find(|c| !is_wanted(c)) {
            let why = format!("{wrong:?} is neither an NSID nor a prefix like net.rhiz.*");
            return Err(FirehoseError::Setting { name: "collections", why });
        }
        for (name, duration) in
            [("ping_interval", options.ping_interval), ("idle_timeout", options.idle_timeout)]
        {
            if duration.is_zero() {
                let why = "it has to be longer than 0".into();
                return Err(FirehoseError::Setting { name, why });
            }
        }
        let mut request = format!("{address}?");
        if !query.is_empty() {
            request += &format!("{query}&");
        }
        for collection in &options.collections {
            request += &format!("wantedCollections={collection}&");
        }
        request += &format!("maxMessageSizeBytes={MAX_RECEIVED}");
        let limits = Limits {
            connect: options.connect_timeout,
            ping: options.ping_interval,
            idle: options.idle_timeout,
            message: MAX_RECEIVED,
        };
        let name = format!("jetstream:{address}");
        let status = watch::Sender::default();
        Ok(Self { name, request, options, limits, clock, entropy, status })
    }

    /// What can be seen of it; stays readable when it has ended.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Whether it can be reached: connects, and hangs up.
    pub async fn probe(&self) -> Result<(), Trouble> {
        let connected = Socket::connect(&self.request, &self.limits).await;
        connected.map(drop).map_err(|fault| self.trouble(&fault))
    }

    fn trouble(&self, fault: &Fault) -> Trouble {
        Trouble { code: fault.code(), message: fault.to_string(), at: self.clock.now() }
    }

    async fn read_for_ever(&self, from: Option<u64>, out: &mpsc::Sender<Intake>) {
        let mut position = Position { received: from, handed: from };
        let policy = RetryPolicy { retries: u32::MAX, ..self.options.backoff };
        loop {
            let Err(End::Fault(fault)) = self.session(&mut position, out).await else { return };
            let trouble = self.trouble(&fault);
            let mut failures = 0;
            self.status.send_modify(|s| {
                if std::mem::take(&mut s.connected) {
                    s.lost_at = Some(trouble.at);
                }
                s.failures = s.failures.saturating_add(1);
                failures = s.failures;
                s.last_error = Some(trouble);
            });
            let wait = policy.wait(failures, &*self.entropy).unwrap_or(policy.cap);
            tracing::warn!(
                source = %self.name,
                code = fault.code(),
                failures,
                wait_ms = wait.as_millis() as u64,
                "stream interrupted, trying again: {fault}"
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection, from the request to its end.
    async fn session(
        &self,
        position: &mut Position,
        out: &mpsc::Sender<Intake>,
    ) -> Result<std::convert::Infallible, End> {
        let rewind = u64::try_from(self.options.rewind.as_micros()).unwrap_or(u64::MAX);
        let mut request = self.request.clone();
        if let Some(reached) = position.received {
            request += &format!("&cursor={}", reached.saturating_sub(rewind));
        }
        let mut socket = Socket::connect(&request, &self.limits).await?;
        tracing::info!(source = %self.name, position = position.received, "stream connected");
        self.status.send_modify(|s| {
            s.connected = true;
            s.lost_at = None;
            s.connections += 1;
        });
        let mut asked = position.received;
        loop {
            let (messages, fault) = receive(&mut socket).await?;
            if let Some(intake) = self.take_in(&messages, position, &mut asked) {
                out.send(intake).await.map_err(|_| End::Unwanted)?;
            }
            if let Some(fault) = fault {
                return Err(fault.into());
            }
        }
    }

    /// Decodes what was received. `None` when there is nothing worth a transaction.
    fn take_in(
        &self,
        messages: &[Bytes],
        position: &mut Position,
        asked: &mut Option<u64>,
    ) -> Option<Intake> {
        let now = self.clock.now();
        let before = position.received;
        let mut intake = Intake::default();
        let mut newest = None;
        let mut gap = None;
        for message in messages {
            let Message { time_us, decoded } = decode(message, Place::Jetstream, now);
            if let Some(time_us) = time_us {
                newest = newest.max(Some(time_us));
                gap = gap.or(asked.take().and_then(|asked| self.gap(asked, time_us)));
                position.receive(time_us);
            }
            decoded.put_into(&mut intake);
        }
        if let Some(Gap { after_us, until_us }) = gap {
            tracing::warn!(
                source = %self.name,
                after_us,
                until_us,
                "the stream went on much later than it was asked to: events may be missing"
            );
        }
        let kept = intake.events.len() + intake.rejected.len();
        self.status.send_modify(|s| {
            s.last_time_us = s.last_time_us.max(newest);
            if gap.is_some() {
                s.gap = gap;
                s.gaps += 1;
            }
            // Only what is new counts as success: a server that sends the same and hangs up again
            // is not to be asked at full speed.
            if position.received > before {
                s.failures = 0;
            }
            s.received += messages.len() as u64;
            s.passed += (messages.len() - kept) as u64;
            s.rejected += intake.rejected.len() as u64;
        });
        let cursor = position.hand_over(kept == 0);
        intake.cursor = cursor.map(|position| Cursor { source: self.name.clone(), position });
        (kept > 0 || intake.cursor.is_some()).then_some(intake)
    }

    /// Whether the first message after connecting comes too late for a server that had everything.
    fn gap(&self, asked: u64, first_us: i64) -> Option<Gap> {
        let after_us = i64::try_from(asked).unwrap_or(i64::MAX);
        let tolerance = i64::try_from(self.options.gap_tolerance.as_micros()).unwrap_or(i64::MAX);
        (first_us > after_us.saturating_add(tolerance))
            .then_some(Gap { after_us, until_us: first_us })
    }
}

/// Waits for a message, and takes what else is here already. What came before a fault is not lost.
async fn receive(socket: &mut Socket) -> Result<(Vec<Bytes>, Option<Fault>), Fault> {
    let first = socket.next().await?;
    let mut bytes = first.len();
    let mut messages = vec![first];
    while messages.len() < BATCH_MESSAGES && bytes < BATCH_BYTES {
        match socket.ready() {
            Some(Ok(message)) => {
                bytes += message.len();
                messages.push(message);
            }
            Some(Err(fault)) => return Ok((messages, Some(fault))),
            None => break,
        }
    }
    Ok((messages, None))
}

#[async_trait]
impl Source for Jetstream {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(
        self: Box<Self>,
        from: Option<u64>,
        out: mpsc::Sender<Intake>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), FirehoseError> {
        // Everything read_for_ever waits for can be dropped: what is not handed over is not behind
        // the cursor either.
        tokio::select! {
            biased;
            () = stopped(stop) => {}
            () = self.read_for_ever(from, &out) => {}
        }
        self.status.send_modify(|s| s.connected = false);
        Ok(())
    }
}

/// The address without its query, and the query.
fn read_url(url: &str) -> Result<(String, String), FirehoseError> {
    let no = |why: &str| FirehoseError::Url { url: url.into(), why: why.into() };
    let uri: Uri =
        url.trim().parse().map_err(|e| no(&format!("{e}; like wss://host/subscribe")))?;
    let scheme = match uri.scheme_str() {
        Some(scheme @ ("ws" | "wss")) => scheme,
        _ => return Err(no("it has to start with wss:// (or ws:// for a plain connection)")),
    };
    let authority = uri.authority().map_or("", |a| a.as_str());
    if uri.host().is_none_or(str::is_empty) {
        return Err(no("a host has to follow, like wss://host/subscribe"));
    }
    if authority.contains('@') {
        // It would be told in logs and in the names of cursors.
        return Err(no("a name and password may not stand in it"));
    }
    let path = if matches!(uri.path(), "" | "/") { "/subscribe" } else { uri.path() };
    let query = uri.query().unwrap_or_default();
    let own = query.split('&').find_map(|pair| {
        let name = pair.split('=').next()?;
        OWN_QUERY.into_iter().find(|own| *own == name)
    });
    match own {
        Some(own) => Err(no(&format!("{own} is set by this program and may not stand in it"))),
        None => Ok((format!("{scheme}://{authority}{path}"), query.into())),
    }
}

/// Whether `net.rhiz` may stand before `.*`.
fn is_prefix(text: &str) -> bool {
    is_nsid(&format!("{text}.any"))
}
