//! A steady feed over HTTP, and the live stream beside it, which tells when each event is applied.

use crate::{
    client::{Client, Listener},
    node::Node,
};
use std::{
    collections::HashMap,
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The feed comes this often, so many at once as are due.
const TICK: Duration = Duration::from_millis(10);
/// Connections that post.
const CONNECTIONS: usize = 16;
/// How long after the feed's end an event may still be applied.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a feed.
pub(crate) struct Steady {
    /// From the start of the feed until the last event was applied.
    pub(crate) took: Duration,
    /// From when an event was due until it was known to be applied, in order of size.
    pub(crate) latencies: Vec<Duration>,
    /// The same as the server counts it, from accept to applied: mean and p99 (19 % too high at
    /// most), milliseconds.
    pub(crate) server: (f64, f64),
}

impl Steady {
    /// Of the latencies, milliseconds.
    pub(crate) fn mean(&self) -> f64 {
        let sum: f64 = self.latencies.iter().map(Duration::as_secs_f64).sum();
        sum / self.latencies.len() as f64 * 1e3
    }
}

/// Posts the events one a request, `rate` a second.
pub(crate) fn feed(dir: &Path, posts: &[String], rate: usize) -> Steady {
    let node = Node::serve(dir);
    let each = (rate * TICK.as_millis() as usize / 1000).max(1);
    let ids: Vec<String> = (0..posts.len()).map(|i| format!("steady-{i}")).collect();
    let due = |i: usize| TICK * u32::try_from(i / each).expect("few ticks");
    let mut listener = Listener::new(&node.address, "/internal/events/stream?step=applied");
    // Everybody is connected before the clock starts.
    let started = Instant::now() + Duration::from_millis(300);
    let ended = started + due(posts.len()) + PATIENCE;
    let heard = Mutex::new(HashMap::with_capacity(posts.len()));
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (ids, address) = (&ids, &node.address);
            scope.spawn(move || {
                let mut client = Client::new(address);
                for i in (connection..posts.len()).step_by(CONNECTIONS) {
                    // The id is the first field: `{"event_id":…,` + the rest of the event.
                    let body = format!(r#"{{"event_id":"{}",{}"#, ids[i], &posts[i][1..]);
                    let wait = (started + due(i)).saturating_duration_since(Instant::now());
                    std::thread::sleep(wait);
                    assert_eq!(client.post("/internal/events", &body), 202);
                }
            });
        }
        let heard = &heard;
        scope.spawn(move || {
            while heard.lock().expect("nobody panicked").len() < posts.len() {
                let left = ended.saturating_duration_since(Instant::now());
                let Some(notice) = listener.next(left) else { break };
                let at = Instant::now();
                if let Some(id) = notice["event_id"].as_str() {
                    heard.lock().expect("nobody panicked").insert(id.to_owned(), at);
                }
            }
        });
    });
    let heard = heard.into_inner().expect("nobody panicked");
    let mut client = Client::new(&node.address);
    let metrics = client.json("/internal/events/metrics");
    let total = &metrics["accept_to_applied"]["relationship.created"];
    let number = |name: &str| total[name].as_f64().expect("a number");
    let mut latencies: Vec<Duration> = ids
        .iter()
        .enumerate()
        .filter_map(|(i, id)| Some(heard.get(id)?.saturating_duration_since(started + due(i))))
        .collect();
    latencies.sort_unstable();
    let last = heard.values().max().copied().unwrap_or(started);
    Steady {
        took: last.saturating_duration_since(started),
        latencies,
        server: (number("mean_ms"), number("p99_ms")),
    }
}
