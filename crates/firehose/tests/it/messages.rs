//! Messages to send, and what collects the answers.

use jiff::Timestamp;
use rhiz_domain::{
    Event, Tid,
    clock::{ManualClock, SeededEntropy},
    store::Intake,
};
use rhiz_firehose::{Decoded, Jetstream, Options, Place, Source, Status, decode};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// 2026-01-01T00:00:00Z, microseconds: the time of message 0.
pub(crate) const T0: i64 = 1_767_225_600_000_000;

/// An hour later: our clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_microsecond(T0 + 3_600_000_000).unwrap()
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(now()))
}

pub(crate) fn rev(time_us: i64) -> Tid {
    Tid::at(Timestamp::from_microsecond(time_us).unwrap(), 0)
}

pub(crate) const ALICE: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const BOB: &str = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb";

pub(crate) fn relationship_record() -> Value {
    json!({
        "$type": "net.rhiz.relationship.record",
        "participants": [ALICE, BOB],
        "type": "professional",
        "strength": 70,
        "context": "they built a bridge",
        "privacy": {"visibility": "public", "consent": "full"},
        "temporal": {"start": "2025-01-01T00:00:00Z", "lastInteraction": "2025-12-01T00:00:00Z"},
        "createdAt": "2025-12-31T00:00:00Z",
    })
}

/// A relationship of Alice's, created at `time_us`.
pub(crate) fn created(time_us: i64) -> Value {
    json!({
        "did": ALICE, "time_us": time_us, "kind": "commit",
        "commit": {
            "rev": rev(time_us), "operation": "create",
            "collection": "net.rhiz.relationship.record", "rkey": rev(time_us),
            "record": relationship_record(),
            "cid": "bafyreiftot7eltsc3f6g4qktykmbv6jcmdmhcx5osscan6jpdxkpqcmcza",
        }
    })
}

/// `n` of them, 10 ms apart.
pub(crate) fn many(n: i64) -> Vec<String> {
    (0..n).map(|i| created(T0 + i * 10_000).to_string()).collect()
}

/// `n` of them, and among neighbours the times run backwards.
pub(crate) fn out_of_order(n: i64) -> Vec<String> {
    (0..n).map(|i| created(T0 + (i / 8 * 8 + (i * 5) % 8) * 10_000).to_string()).collect()
}

pub(crate) fn event(message: &Value) -> Event {
    match decode(message.to_string().as_bytes(), Place::Jetstream, now()).decoded {
        Decoded::Event(event) => event,
        other => panic!("{message} became {other:?}"),
    }
}

/// Event ids that messages of a Jetstream must get.
pub(crate) fn ids_of(messages: &[String]) -> Vec<String> {
    let mut ids: Vec<_> = messages
        .iter()
        .map(|m| event(&serde_json::from_str(m).unwrap()).event_id.to_string())
        .collect();
    ids.sort();
    ids
}

/// Everything that was handed over, as a journal keeps it: once for each id.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) events: BTreeMap<String, Event>,
    pub(crate) rejected: BTreeMap<String, String>,
    pub(crate) duplicates: usize,
    pub(crate) cursor: Option<u64>,
}

impl Journal {
    pub(crate) fn append(&mut self, intake: Intake) {
        for event in intake.events {
            let id = event.event_id.to_string();
            if let Some(had) = self.events.get(&id) {
                assert_eq!(had.fingerprint(), event.fingerprint(), "one id, two events");
                self.duplicates += 1;
            }
            self.events.insert(id, event);
        }
        for rejected in intake.rejected {
            self.rejected.insert(rejected.event_id.to_string(), rejected.reason);
        }
        if let Some(cursor) = intake.cursor {
            assert!(Some(cursor.position) > self.cursor, "a cursor went back or stood still");
            self.cursor = Some(cursor.position);
        }
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.events.keys().cloned().collect()
    }
}

/// A Jetstream that runs.
pub(crate) struct Running {
    pub(crate) intakes: mpsc::Receiver<Intake>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<Result<(), rhiz_firehose::FirehoseError>>,
}

/// Waits are short, so that tests on real time are.
pub(crate) fn options(url: &str) -> Options {
    let mut options = Options::new(url);
    options.backoff.base = Duration::from_millis(1);
    options.backoff.cap = Duration::from_millis(4);
    options
}

pub(crate) fn run(options: Options, from: Option<u64>) -> Running {
    let jetstream = Jetstream::new(options, clock(), Arc::new(SeededEntropy::new(7))).unwrap();
    let status = jetstream.status();
    let (out, intakes) = mpsc::channel(2);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Box::new(jetstream).run(from, out, stopped));
    Running { intakes, status, stop, task }
}

/// Longer than anything takes here, also in paused time: what waits in vain fails instead of
/// hanging.
pub(crate) const LONG: Duration = Duration::from_secs(100);

impl Running {
    pub(crate) async fn next(&mut self) -> Intake {
        tokio::time::timeout(LONG, self.intakes.recv()).await.expect("nothing came").expect("ended")
    }

    /// Appends until `journal` has `events` events and `rejected` rejected inputs.
    pub(crate) async fn fill(&mut self, journal: &mut Journal, events: usize, rejected: usize) {
        while journal.events.len() < events || journal.rejected.len() < rejected {
            journal.append(self.next().await);
        }
    }

    pub(crate) async fn seen(&mut self, wanted: impl FnMut(&Status) -> bool) -> Status {
        let seen = tokio::time::timeout(LONG, self.status.wait_for(wanted)).await;
        seen.expect("never seen").expect("ended").clone()
    }

    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(LONG, self.task).await;
        ended.expect("does not stop").unwrap().unwrap();
        assert!(!self.status.borrow().connected);
    }
}
