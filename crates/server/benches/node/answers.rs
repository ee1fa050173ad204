//! Answers from the cache beside the same ones worked out, over HTTP on one connection.

use crate::{client::Client, events, load, median, node::Node, quantile, row};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Requests of one kind in a round; rounds of both kinds take turns, so that what else the machine
/// does meets both.
const REQUESTS: usize = 500;
const ROUNDS: usize = 9;
/// Attestations on the relationship whose conviction is asked for.
const ATTESTATIONS: usize = 100;

/// Each kind of answer, about the best known traders of Bitcoin OTC.
pub(crate) fn answers() {
    let Some(lines) = events::otc() else {
        println!("| answers on Bitcoin OTC | the data is not there |");
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    load(dir.path(), &lines);
    let node = Node::serve(dir.path());
    let mut client = Client::new(&node.address);
    let (who, uri) = best_known(&mut client);
    attest(&mut client, &uri);
    let uri = uri.replace('/', "%2F");
    for (name, path) in [
        ("entity", format!("/api/v1/entities/{who}?")),
        ("neighbours, 50", format!("/api/v1/graph/neighbors/{who}?")),
        ("trust metrics", format!("/api/v1/analytics/trust-metrics/{who}?")),
        (
            "conviction of 100 attestations",
            format!("/xrpc/net.rhiz.conviction.getScore?uri={uri}&"),
        ),
    ] {
        let mut medians: [Vec<f64>; 2] = Default::default();
        let mut p99s: [Vec<f64>; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (kind, refresh) in [false, true].into_iter().enumerate() {
                let path = format!("{path}refresh={refresh}");
                let took = times(&mut client, &path);
                medians[kind].push(quantile(&took, 0.5) * 1e3);
                p99s[kind].push(quantile(&took, 0.99) * 1e3);
            }
        }
        let [kept, computed] = medians.map(median);
        let [kept_99, computed_99] = p99s.map(median);
        row(
            &format!("{name}, OTC, over HTTP, one connection, p50 (p99)"),
            &format!(
                "kept {kept:.0} µs ({kept_99:.0}), computed {computed:.0} µs ({computed_99:.0})"
            ),
        );
    }
}

fn times(client: &mut Client, path: &str) -> Vec<Duration> {
    let mut took: Vec<Duration> = (0..REQUESTS)
        .map(|_| {
            let sent = Instant::now();
            client.get(path);
            sent.elapsed()
        })
        .collect();
    took.sort_unstable();
    took
}

fn json(client: &mut Client, path: &str) -> Value {
    serde_json::from_slice(client.get(path)).expect("JSON")
}

/// Who has most neighbours among some, and the record that is the first edge.
fn best_known(client: &mut Client) -> (String, String) {
    let people = events::otc_people();
    let pages = people.iter().take(300).map(|who| {
        let metrics = json(client, &format!("/api/v1/analytics/trust-metrics/{who}"));
        (metrics["relationship_count"].as_u64().unwrap_or(0), who.clone())
    });
    let (_, who) = pages.max().expect("somebody");
    let page = json(client, &format!("/api/v1/graph/neighbors/{who}"));
    let uri = page["neighbors"][0]["relationship_id"].as_str().expect("a record").to_owned();
    (who, uri)
}

fn attest(client: &mut Client, uri: &str) {
    let events = (0..ATTESTATIONS).map(|n| {
        let by = events::did(1_000_000_000 + n as u64);
        let rev = rhiz_domain::Tid::from_u64((n as u64 + 1) << 20).expect("a TID");
        let event = json!({
            "event_type": "attestation.created",
            "did": by,
            "payload": {
                "uri": rhiz_domain::Collection::Attestation.uri(&by, rev),
                "rev": rev.to_string(),
                "attester_did": by,
                "target_uri": uri,
                "attestation_type": "verify",
                "confidence": 90,
            },
        });
        event.to_string()
    });
    let body = events.collect::<Vec<_>>().join("\n");
    assert_eq!(client.post("/internal/events/batch", &body), 202);
    while client.number("/internal/events/metrics", "events_in_queue") > 0 {
        std::thread::yield_now();
    }
}
