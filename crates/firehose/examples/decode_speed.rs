//! How many messages a second one core decodes, with the allocator of the server. Run with
//! `--release`.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use rhiz_domain::{Clock, Tid, clock::SystemClock};
use rhiz_firehose::{Decoded, Place, decode};
use serde_json::{Value, json};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let clock = SystemClock::default();
    let now = clock.now();
    let (alice, bob) = ("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb");
    let commit = |i: i64, collection: &str, operation: &str, record: Value| {
        let time_us = now.as_microsecond() - i;
        let tid = Tid::at(now - Duration::from_micros(i as u64), 0);
        json!({"did": alice, "time_us": time_us, "kind": "commit", "commit": {
            "rev": tid, "operation": operation, "collection": collection, "rkey": tid,
            "record": record,
            "cid": "bafyreiftot7eltsc3f6g4qktykmbv6jcmdmhcx5osscan6jpdxkpqcmcza"}})
        .to_string()
    };
    let relationship = json!({
        "$type": "net.rhiz.relationship.record", "participants": [alice, bob],
        "type": "professional", "strength": 70, "context": "they built a bridge together",
        "privacy": {"visibility": "public", "consent": "full"},
        "temporal": {"start": "2025-01-01T00:00:00Z", "lastInteraction": "2025-12-01T00:00:00Z"},
        "createdAt": "2025-12-31T00:00:00Z"});
    let attestation = json!({
        "$type": "net.rhiz.relationship.attestation", "attester": alice,
        "targetRelationship": format!("at://{bob}/net.rhiz.relationship.record/3mptbypluud2a"),
        "attestationType": "verify", "confidence": 90, "evidence": "I was there",
        "createdAt": "2025-12-31T00:00:00Z"});
    let like = json!({
        "$type": "app.bsky.feed.like", "createdAt": "2026-07-04T14:38:08.999Z",
        "subject": {"cid": "bafyreiftot7eltsc3f6g4qktykmbv6jcmdmhcx5osscan6jpdxkpqcmcza",
                    "uri": format!("at://{bob}/app.bsky.feed.post/3mptbypluud2a")}});
    let record = "net.rhiz.relationship.record";
    let kinds: [(&str, Vec<String>); 5] = [
        (
            "relationship",
            (0..1000).map(|i| commit(i, record, "create", relationship.clone())).collect(),
        ),
        (
            "attestation",
            (0..1000)
                .map(|i| {
                    commit(i, "net.rhiz.relationship.attestation", "create", attestation.clone())
                })
                .collect(),
        ),
        ("delete", (0..1000).map(|i| commit(i, record, "delete", Value::Null)).collect()),
        (
            "identity",
            (0..1000)
                .map(|i| {
                    json!({"did": alice, "time_us": now.as_microsecond() - i, "kind": "identity",
                    "identity": {"did": alice, "seq": i, "time": "2025-12-31T00:00:00Z",
                                 "handle": "alice.example.com"}})
                    .to_string()
                })
                .collect(),
        ),
        (
            "passed over",
            (0..1000).map(|i| commit(i, "app.bsky.feed.like", "create", like.clone())).collect(),
        ),
    ];
    println!("{:14} {:>12} {:>8} {:>8}", "message", "messages/s", "MB/s", "events");
    for (name, messages) in kinds {
        let bytes: usize = messages.iter().map(String::len).sum();
        let (start, mut n, mut events) = (clock.elapsed(), 0, 0);
        while clock.elapsed() - start < Duration::from_secs(2) {
            for message in &messages {
                let decoded = decode(message.as_bytes(), Place::Jetstream, now).decoded;
                events += usize::from(matches!(std::hint::black_box(decoded), Decoded::Event(_)));
            }
            n += messages.len();
        }
        let seconds = (clock.elapsed() - start).as_secs_f64();
        let rate = n as f64 / seconds;
        let mb = rate * bytes as f64 / messages.len() as f64 / 1e6;
        println!("{name:14} {rate:12.0} {mb:8.0} {:7.0}%", 100.0 * events as f64 / n as f64);
    }
}
