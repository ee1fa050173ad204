//! The whole node, measured from outside:
//! `cargo bench -p rhiz --bench node -- [import|steady|post|paths|answers|start]`
//!
//! Starts the built binary in temporary directories; sends only to loopback; stops by itself.
//! Needs the Bitcoin OTC ratings (`RHIZ_SHARED_DATA`, or `../shared/data` beside the workspace) for
//! the parts that use them, and says so when they are not there.

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::disallowed_methods, reason = "it measures, and so asks the machine for the time")]

mod answers;
mod client;
mod events;
mod node;
mod peer;
mod steady;

use client::Client;
use node::Node;
use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Runs of which the median is told.
const RUNS: usize = 3;

fn main() {
    let only: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    match only.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["peer-events", file, n] => return peer::write(file, n),
        ["peer", file, n, mode] => return peer::measure(file, n, mode),
        _ => {}
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|o| o == name);
    println!("| what | result |\n|---|---|");
    if wanted("import") {
        import();
    }
    if wanted("steady") {
        steady_feed();
    }
    if wanted("post") {
        post();
    }
    if wanted("paths") {
        paths();
    }
    if wanted("answers") {
        answers::answers();
    }
    if wanted("start") {
        start();
    }
}

fn row(what: &str, result: &str) {
    println!("| {what} | {result} |");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn quantile(sorted: &[Duration], q: f64) -> f64 {
    let rank = ((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
    sorted[rank - 1].as_secs_f64() * 1e3
}

/// `rhiz import`, from the start of the process to its end: everything applied, the graph too.
fn import() {
    let mut files: Vec<(String, Vec<String>)> =
        vec![("200,000 made-up relationships".into(), events::power_law(200_000, 20_000, 1))];
    match events::otc() {
        Some(lines) => files.push(("Bitcoin OTC (35,592)".into(), lines)),
        None => println!("| import of Bitcoin OTC | the data is not there |"),
    }
    for (name, lines) in files {
        let rates = (0..RUNS).map(|_| {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let file = dir.path().join("events.jsonl");
            std::fs::write(&file, lines.join("\n")).expect("the events");
            let started = Instant::now();
            let out = node::run(dir.path(), &["import", &file.display().to_string()]);
            let took = started.elapsed();
            let said = String::from_utf8_lossy(&out.stdout).into_owned();
            let all = format!("applied {}", lines.len());
            assert!(said.contains(&all), "{said} {}", String::from_utf8_lossy(&out.stderr));
            lines.len() as f64 / took.as_secs_f64()
        });
        let rate = median(rates.collect());
        row(
            &format!("`rhiz import`, {name}: accepted and applied"),
            &format!("{rate:.0} events/s"),
        );
    }
}

/// 1,000 events a second over HTTP, for ten seconds.
fn steady_feed() {
    const RATE: usize = 1000;
    const EVENTS: usize = 10 * RATE;
    let runs: Vec<steady::Steady> = (0..RUNS)
        .map(|run| {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let posts = events::posts(EVENTS, 20_000, run as u64 + 1);
            steady::feed(dir.path(), &posts, RATE)
        })
        .collect();
    let of = |value: &dyn Fn(&steady::Steady) -> f64| median(runs.iter().map(value).collect());
    let lost = runs.iter().map(|run| EVENTS - run.latencies.len()).max().unwrap_or(0);
    row(
        "a steady 1,000 events/s by `POST /internal/events`, for 10 s: from accept to applied, as \
         the server counts it",
        &format!("mean {:.1} ms, p99 {:.1} ms", of(&|r| r.server.0), of(&|r| r.server.1)),
    );
    row(
        "the same, from when the event was due to when a listener knows that it is applied",
        &format!(
            "mean {:.1} ms, p50 {:.1} ms, p99 {:.1} ms; applied {:.0} events/s; not heard of: {lost}",
            of(&|r| r.mean()),
            of(&|r| quantile(&r.latencies, 0.5)),
            of(&|r| quantile(&r.latencies, 0.99)),
            of(&|r| r.latencies.len() as f64 / r.took.as_secs_f64()),
        ),
    );
}

/// `POST /internal/events` and `/batch`.
fn post() {
    const CONNECTIONS: usize = 64;
    const TIME: Duration = Duration::from_secs(8);
    for (name, path, per_request) in [
        ("one event a request", "/internal/events", 1),
        ("100 a batch", "/internal/events/batch", 100),
    ] {
        let mut rates = Vec::new();
        let mut p50s = Vec::new();
        let mut p99s = Vec::new();
        let mut refused = 0;
        for run in 0..RUNS {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let node = Node::serve(dir.path());
            let posts = Arc::new(events::posts(400_000, 20_000, run as u64 + 1));
            let next = Arc::new(AtomicUsize::new(0));
            let stop = Arc::new(AtomicBool::new(false));
            let latencies = Arc::new(Mutex::new(Vec::new()));
            let refusals = Arc::new(AtomicUsize::new(0));
            let started = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..CONNECTIONS {
                    let (posts, next, stop) = (&posts, &next, &stop);
                    let (latencies, refusals, address) =
                        (&latencies, &refusals, node.address.clone());
                    scope.spawn(move || {
                        let mut client = Client::new(&address);
                        let mut own = Vec::new();
                        while !stop.load(Ordering::Relaxed) && started.elapsed() < TIME {
                            let i = next.fetch_add(per_request, Ordering::Relaxed);
                            if i + per_request > posts.len() {
                                break;
                            }
                            let body = posts[i..i + per_request].join("\n");
                            let sent = Instant::now();
                            match client.post(path, &body) {
                                202 => own.push(sent.elapsed()),
                                503 => {
                                    refusals.fetch_add(1, Ordering::Relaxed);
                                }
                                other => panic!("{path} answered {other}"),
                            }
                        }
                        latencies.lock().expect("nobody panicked").append(&mut own);
                    });
                }
            });
            let mut client = Client::new(&node.address);
            while client.number("/internal/events/metrics", "events_in_queue") > 0 {
                std::thread::yield_now();
            }
            let took = started.elapsed();
            let mut latencies = latencies.lock().expect("nobody panicked");
            latencies.sort_unstable();
            let answered = latencies.len() * per_request;
            assert_eq!(
                client.number("/internal/events/metrics", "events_processed"),
                answered as u64
            );
            rates.push(answered as f64 / took.as_secs_f64());
            p50s.push(quantile(&latencies, 0.5));
            p99s.push(quantile(&latencies, 0.99));
            refused += refusals.load(Ordering::Relaxed);
        }
        row(
            &format!("`POST {path}`, {CONNECTIONS} connections, {name}: accepted and applied"),
            &format!(
                "{:.0} events/s; answered in p50 {:.1} ms, p99 {:.1} ms; {refused} refused for backpressure",
                median(rates),
                median(p50s),
                median(p99s)
            ),
        );
    }
}

/// find-path through HTTP, on Bitcoin OTC.
fn paths() {
    let Some(lines) = events::otc() else {
        println!("| find-path on Bitcoin OTC | the data is not there |");
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    load(dir.path(), &lines);
    let node = Node::serve(dir.path());
    let people = events::otc_people();
    let mut random = events::Random(7);
    let pairs: Vec<(String, String)> = (0..1000)
        .map(|_| {
            let mut one = || people[random.below(people.len())].clone();
            (one(), one())
        })
        .filter(|(a, b)| a != b)
        .collect();
    for (name, refresh) in
        [("computed", true), ("first time, then cached", false), ("cached", false)]
    {
        let mut client = Client::new(&node.address);
        let mut latencies = Vec::new();
        let mut found = 0;
        for (from, to) in &pairs {
            let body = format!(r#"{{"from":"{from}","to":"{to}","refresh":{refresh}}}"#);
            let sent = Instant::now();
            found += usize::from(client.post("/api/v1/graph/find-path", &body) == 200);
            latencies.push(sent.elapsed());
        }
        latencies.sort_unstable();
        row(
            &format!("find-path over HTTP, OTC, ≤ 6 hops, one connection, {name}"),
            &format!(
                "p50 {:.3} ms, p99 {:.3} ms ({found} of {} pairs have a path)",
                quantile(&latencies, 0.5),
                quantile(&latencies, 0.99),
                pairs.len()
            ),
        );
    }
}

/// From the start of the process to the open port.
fn start() {
    const RELATIONSHIPS: usize = 1_000_000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    load(dir.path(), &events::power_law(RELATIONSHIPS, 100_000, 3));
    let times = (0..RUNS).map(|_| {
        let started = Instant::now();
        let node = Node::serve(dir.path());
        let took = started.elapsed().as_secs_f64();
        drop(node);
        took
    });
    row(
        "start with 1,000,000 relationships, to the open port",
        &format!("{:.2} s", median(times.collect())),
    );
}

fn load(dir: &Path, lines: &[String]) {
    let file = dir.join("events.jsonl");
    std::fs::write(&file, lines.join("\n")).expect("the events");
    let out = node::run(dir, &["import", &file.display().to_string()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
