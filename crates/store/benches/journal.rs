//! The store alone, measured: `cargo bench -p rhiz-store --bench journal -- [N] [PEOPLE] [file|jetstream|api]`
//!
//! Accepts and applies N relationships (200,000 unless said) among PEOPLE (a tenth of N) with
//! random keys, durably, as the node does: one source with batches, ten workers, a reader of the
//! changes. Events are made and read before, so that what is measured is the store. Tells events a
//! second, processor time, bytes written; then how long one accept takes on the full store.

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::disallowed_methods, reason = "it measures, and so asks the machine for the time")]

use rhiz_domain::{
    Clock, Did, Event, EventId, EventType, Origin, Priority, Tid,
    clock::SystemClock,
    payload::interpret,
    store::{Cursor, Intake, Journal, Settlement, Store, Verdict},
};
use rhiz_store::SqliteStore;
use serde_json::value::RawValue;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

const WORKERS: usize = 10;
/// As the pipeline's.
const CLAIM: usize = 256;
/// As a file's.
const BATCH: usize = 1024;
/// What may wait in the journal.
const CAPACITY: usize = 8000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn did(id: u64) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = Random(id);
    let text: String =
        (0..24).map(|_| char::from(ALPHABET[(random.next() & 31) as usize])).collect();
    format!("did:plc:{text}")
}

/// Microseconds of 2026-11-01.
const NEWEST: i64 = 1_793_491_200_000_000;

fn event(n: usize, total: usize, people: u64, origin: &str, random: &mut Random) -> Event {
    let (from, to) = (random.below(people), random.below(people));
    let (from, to) = (did(from), did(if to == from { (to + 1) % people } else { to }));
    let micros = NEWEST - (total - n) as i64 * 1_000_000;
    let time = jiff::Timestamp::from_microsecond(micros).expect("a time");
    let (rkey, rev) = (Tid::at(time, (n & 1023) as u16), Tid::at(time, 1023));
    let (at, strength) = (format!("{time:.3}"), random.below(101));
    let payload = format!(
        r#"{{"uri":"at://{from}/net.rhiz.relationship.record/{rkey}","rev":"{rev}","record":{{"$type":"net.rhiz.relationship.record","participants":["{from}","{to}"],"type":"professional","strength":{strength},"context":"Met at work","privacy":{{"visibility":"public","consent":"full"}},"temporal":{{"start":"{at}","lastInteraction":"{at}"}},"createdAt":"{at}"}}}}"#
    );
    let mut noise = [0; 10];
    noise[..8].copy_from_slice(&random.next().to_be_bytes());
    // As a source's decoder and the API name events: the time, then chance.
    let millis = u64::try_from(micros / 1000).expect("after 1970");
    let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &noise);
    let event = Event {
        effect: Default::default(),
        event_id: EventId::parse(&uuid.into_uuid().to_string()).expect("an id"),
        event_type: EventType::RelationshipCreated,
        did: Did::parse(&from).expect("a DID"),
        payload: RawValue::from_string(payload).expect("JSON"),
        priority: Priority::Normal,
        timestamp: time,
        replayed_at: None,
        assigned_rev: None,
        retry_count: 0,
        stages: Vec::new(),
        origin: match origin {
            "file" => Origin::File { digest: "0123456789abcdef".into(), offset: n as u64 * 700 },
            "jetstream" => Origin::Jetstream { time_us: micros },
            _ => Origin::Api,
        },
        verified: false,
    };
    interpret(&event).expect("a valid event");
    event
}

/// Bytes handed to the kernel, and processor seconds of the process and of its writing thread.
fn used() -> (u64, f64, f64) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let io = read("/proc/self/io");
    let bytes = io.lines().find_map(|l| l.strip_prefix("wchar: ")?.parse().ok()).unwrap_or(0);
    let cpu = |stat: &str| {
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let mut ticks =
            rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok());
        (ticks.next().unwrap_or(0.0) + ticks.next().unwrap_or(0.0)) / 100.0
    };
    let mut writer = 0.0;
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let stat = read(&task.path().join("stat").display().to_string());
        if stat.contains("store-writer") {
            writer = cpu(&stat);
        }
    }
    (bytes, cpu(&read("/proc/self/stat")), writer)
}

async fn work(store: Arc<SqliteStore>, done: Arc<AtomicUsize>, room: Arc<tokio::sync::Notify>) {
    loop {
        store.ready().await;
        let Some(mut claim) = store.claim([CLAIM; 4]).await.expect("a claim") else { continue };
        let settlements = claim.events().iter().enumerate().map(|(index, event)| {
            let effect = interpret(event).expect("it was valid before");
            Settlement { index, verdict: Verdict::Apply(effect), stages: Vec::new() }
        });
        let settlements: Vec<_> = settlements.collect();
        let n = settlements.len();
        claim.settle(settlements).await.expect("a settlement");
        done.fetch_add(n, Ordering::AcqRel);
        room.notify_waiters();
    }
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let n: usize = args.next().and_then(|a| a.parse().ok()).unwrap_or(200_000);
    let people = args.next().and_then(|a| a.parse().ok()).unwrap_or(n as u64 / 10).max(2);
    let origin = args.next().unwrap_or_else(|| "file".into());
    let mut random = Random(1);
    let events: Vec<Event> = (0..n).map(|i| event(i, n, people, &origin, &mut random)).collect();
    let single = event(n, n, people, "api", &mut random);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let path = dir.path().join("rhiz.db");
        let store = Arc::new(SqliteStore::open(&path, clock).expect("a store"));
        let changes = store.changes().expect("nobody took them");
        std::thread::spawn(move || changes.into_iter().for_each(drop));
        let (done, room) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
        for _ in 0..WORKERS {
            tokio::spawn(work(Arc::clone(&store), Arc::clone(&done), Arc::clone(&room)));
        }
        let (bytes, cpu, writer) = used();
        let started = Instant::now();
        let mut events = events.into_iter();
        let mut position = 0;
        let mut last = (started, 0);
        loop {
            let batch: Vec<Event> = events.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            position += batch.len();
            loop {
                let free = room.notified();
                if store.depths().waiting() + batch.len() <= CAPACITY {
                    break;
                }
                free.await;
            }
            let source = if origin == "file" { "file:0123456789abcdef" } else { "jetstream:bench" };
            let cursor = Cursor { source: source.into(), position: position as u64 * 700 };
            let intake = Intake { events: batch, cursor: Some(cursor), ..Intake::default() };
            store.append(intake).await.expect("it is accepted");
            if position * 10 / n > last.1 * 10 / n {
                let rate = (position - last.1) as f64 / last.0.elapsed().as_secs_f64();
                println!("  … {position}: {rate:.0} events/s");
                last = (Instant::now(), position);
            }
        }
        while done.load(Ordering::Acquire) < n {
            let free = room.notified();
            if done.load(Ordering::Acquire) < n {
                free.await;
            }
        }
        let took = started.elapsed().as_secs_f64();
        let after = used();
        let per = |total: f64| total / n as f64;
        println!(
            "{n} events of {people} people, {origin}: {:.0} events/s; processor {:.1} µs an event, of the writer {:.1}; {:.0} bytes written an event; file {} MB",
            n as f64 / took,
            per((after.1 - cpu) * 1e6),
            per((after.2 - writer) * 1e6),
            per((after.0 - bytes) as f64),
            path.metadata().map_or(0, |m| m.len()) >> 20,
        );
        let mut waits = Vec::new();
        for i in 0..500u32 {
            let mut event = single.clone();
            event.event_id = EventId::parse(&format!("single-{i}")).expect("an id");
            let sent = Instant::now();
            let intake = Intake { events: vec![event], ..Intake::default() };
            store.append(intake).await.expect("it is accepted");
            waits.push(sent.elapsed());
        }
        waits.sort_unstable();
        println!("one accept, nobody else: p50 {:?}, p99 {:?}", waits[250], waits[495]);
        store.close().await;
    });
}
