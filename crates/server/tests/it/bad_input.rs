//! Bad input over HTTP: a clear error each, nothing stored, and a server that goes on.

mod events;
mod questions;
mod requests;

use crate::{
    dump,
    http::{Answer, Client},
    server::{KEY, Server},
};
use rhiz_domain::{Clock, Tid, clock::SystemClock};
use serde_json::{Value, json};
use std::cell::RefCell;

const A: &str = "did:plc:ada";
const B: &str = "did:plc:bob";
const C: &str = "did:plc:cleo";
/// Known, and connected to none of them.
const D: &str = "did:plc:dan";
const E: &str = "did:plc:eve";

const EVENTS: &str = "/internal/events";
const BATCH: &str = "/internal/events/batch";
const FIND: &str = "/api/v1/graph/find-path";

/// The `n`-th record of an owner.
fn uri(owner: &str, n: u64) -> String {
    format!("at://{owner}/net.rhiz.relationship.record/{}", Tid::from_u64(n + (1 << 60)).unwrap())
}

/// A relationship in flat form.
fn event(from: &str, to: &str, strength: i64) -> Value {
    json!({
        "event_type": "relationship.created",
        "did": from,
        "payload": {
            "uri": uri(from, 1),
            "participants": [from, to],
            "type": "professional",
            "strength": strength,
            "context": "",
            "created_at": "2026-01-01T00:00:00Z",
        },
    })
}

/// The event with one thing changed; `null` takes it away.
fn but(pointer: &str, to: Value) -> Value {
    let mut event = event(A, B, 80);
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if to.is_null() {
        parent.remove(field);
    } else {
        parent.insert(field.into(), to);
    }
    event
}

/// A revision that many days from now.
fn rev_in_days(days: i64) -> String {
    let now = SystemClock::default().now();
    Tid::at(now + jiff::SignedDuration::from_hours(24 * days), 0).to_string()
}

thread_local! {
    /// What was not as it should be: a table is gone through to its end.
    static WRONG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Every error has the same shape; this one has this status and code, and names the problem.
fn check(name: &str, answer: &Answer, status: u16, code: &str, words: &[&str]) {
    if let Some(wrong) = wrong(answer, status, code, words) {
        WRONG.with_borrow_mut(|all| all.push(format!("{name}: {wrong}: {}", answer.text())));
    }
}

fn wrong(answer: &Answer, status: u16, code: &str, words: &[&str]) -> Option<String> {
    if answer.status != status {
        return Some(format!("{} instead of {status}", answer.status));
    }
    if answer.header("content-type") != Some("application/problem+json") {
        return Some("it is no problem+json".into());
    }
    let text = answer.text();
    let problem = answer.json();
    for (field, expected) in [
        ("code", json!(code)),
        ("status", json!(status)),
        ("type", json!(format!("urn:rhiz:problem:{code}"))),
        ("request_id", json!(answer.header("x-request-id"))),
    ] {
        if problem[field] != expected {
            return Some(format!("{field} is not {expected}"));
        }
    }
    if !problem["title"].is_string() {
        return Some("it has no title".into());
    }
    let Some(detail) = problem["detail"].as_str() else { return Some("it has no detail".into()) };
    if let Some(word) = words.iter().find(|w| !detail.contains(**w)) {
        return Some(format!("{word:?} is not in {detail:?}"));
    }
    let named = |error: &Value| error["field"].is_string() && error["message"].is_string();
    let errors = problem["errors"].as_array();
    if code == "invalid" && !errors.is_some_and(|e| !e.is_empty() && e.iter().all(named)) {
        return Some("its errors name no fields".into());
    }
    let leak =
        ["panicked", "src/", "rusqlite", "SELECT", "stack"].into_iter().find(|l| text.contains(l));
    leak.map(|leak| format!("it leaks {leak:?}"))
}

/// A server with A – B – C and D – E.
fn server() -> Server {
    let server = Server::new();
    let client = server.keyed();
    for (from, to, strength) in [(A, B, 80), (B, C, 60), (D, E, 90)] {
        client.post(EVENTS, &event(from, to, strength)).expect(202);
    }
    server.settled();
    server
}

/// Nothing was stored meanwhile, nothing died, and the server is well.
fn unharmed(server: &Server, before: &[(&'static str, usize, String)]) {
    let wrong = WRONG.take();
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    server.settled();
    assert_eq!(dump::index(&server.data.path()), before);
    let client = server.keyed();
    assert_eq!(client.get("/internal/events/dead-letter").expect(200)["count"], 0);
    assert_eq!(client.get("/health/ready").expect(200)["status"], "ready");
    assert_eq!(client.get("/api/v1/analytics/network-stats").expect(200)["total_relationships"], 3);
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains("\"ERROR\""), "{log}");
}
