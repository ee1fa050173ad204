//! This node as a queue among queues (`benches/peers/queue`), a line of JSON for each measurement:
//!
//! `… --bench node -- peer-events FILE N` writes N messages that every queue reads;
//! `… --bench node -- peer FILE N together|RATE` does the work.
//!
//! `together` is `rhiz import`, from the start of the process to its end; RATE is events a second
//! over HTTP, one a request. What an event costs here is more than one upsert of 15 columns: it is
//! decoded and validated on the clock, remembered for 7 days, merged by version, and counts as
//! applied when the graph has it and no cache answers from before it.

use crate::{events, node, quantile, steady};
use std::time::Instant;

/// People in made-up events.
const PEOPLE: usize = 20_000;

/// Writes the events.
pub(crate) fn write(file: &str, n: &str) {
    let lines = events::power_law(n.parse().expect("N is a number"), PEOPLE, 1);
    std::fs::write(file, lines.join("\n") + "\n").expect("the file can be written");
}

/// One measurement.
pub(crate) fn measure(file: &str, n: &str, mode: &str) {
    let n: usize = n.parse().expect("N is a number");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let line = if mode == "together" {
        let text = std::fs::read_to_string(file).expect("the events");
        let lines: Vec<&str> = text.lines().take(n).collect();
        assert_eq!(lines.len(), n, "{file} has not so many events");
        let part = dir.path().join("events.jsonl");
        std::fs::write(&part, lines.join("\n")).expect("the events");
        let started = Instant::now();
        let out = node::run(dir.path(), &["import", &part.display().to_string()]);
        let took = started.elapsed();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.contains(&format!("applied {n} ")), "{said}");
        serde_json::json!({
            "queue": "rhiz", "mode": mode, "events": n, "applied": n, "kept_up": true,
            "per_second": n as f64 / took.as_secs_f64(),
        })
    } else {
        let rate = mode.parse().expect("together, or events a second");
        let fed = steady::feed(dir.path(), &events::posts(n, PEOPLE, 1), rate);
        let done = fed.latencies.len();
        serde_json::json!({
            "queue": "rhiz", "mode": "steady", "events": n, "applied": done, "kept_up": done == n,
            "per_second": done as f64 / fed.took.as_secs_f64(), "mean_ms": fed.mean(),
            "p50_ms": quantile(&fed.latencies, 0.5), "p99_ms": quantile(&fed.latencies, 0.99),
        })
    };
    println!("{line}");
}
