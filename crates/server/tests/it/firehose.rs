//! From a Jetstream to the answers: through a stream that is cut, and a server that is killed.

use super::{
    server::{Data, Server, wait_until},
    statement::relationship,
};
use rhiz_domain::{Clock, Tid, clock::SystemClock};
use rhiz_testkit::relay::{Connection, Relay};
use serde_json::json;

/// People whom the statements are about.
pub(crate) const OTHERS: usize = 7;

/// When a message was sent: a second after the one before.
pub(crate) fn time_us(n: u16) -> i64 {
    1_767_225_600_000_000 + i64::from(n) * 1_000_000
}

/// One statement: of a person of its own, about one of few.
pub(crate) fn message(n: u16) -> String {
    let micros = time_us(n);
    let time = jiff::Timestamp::from_microsecond(micros).unwrap();
    let (owner, other) =
        (format!("did:plc:from{n}"), format!("did:plc:to{}", usize::from(n) % OTHERS));
    let at = format!("{time:.3}");
    json!({
        "did": owner, "time_us": micros, "kind": "commit",
        "commit": {
            "rev": Tid::at(time, 1).to_string(), "operation": "create",
            "collection": "net.rhiz.relationship.record", "rkey": Tid::at(time, 0).to_string(),
            "record": relationship(&owner, &other, "social", 80, &at),
        },
    })
    .to_string()
}

fn relationships(server: &Server) -> u64 {
    let stats = server.anybody().get("/api/v1/analytics/network-stats").expect(200);
    stats["total_relationships"].as_u64().unwrap()
}

#[test]
fn what_the_stream_sends_is_in_the_answers_through_cuts_and_kills() {
    const FIRST: u16 = 300;
    const ALL: u16 = 600;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let relay = runtime.block_on(Relay::start((0..FIRST).map(message))).unwrap();
    relay.script([Connection::CutAfter(120), Connection::Well]);
    let url = relay.url();
    let environment = [
        ("ENABLE_FIREHOSE_INGEST", "true"),
        ("ATPROTO_FIREHOSE_URL", url.as_str()),
        ("FIREHOSE_VERIFY", "false"),
    ];

    let server = Data::new().serve_with(&environment);
    wait_until("the stream goes on after the cut", || relationships(&server) >= 200);
    for n in FIRST..ALL {
        relay.push(message(n));
    }
    let data = server.kill();

    let server = data.serve_with(&environment);
    wait_until("all are there", || relationships(&server) == u64::from(ALL));
    wait_until("the firehose is healthy", || {
        let ready = server.anybody().get("/health/ready").expect(200);
        ready["checks"]["firehose"] == "healthy"
    });
    server.settled();
    assert_eq!(relationships(&server), u64::from(ALL), "none twice");
    let dead = server.keyed().get("/internal/events/dead-letter").expect(200);
    assert_eq!(dead["count"], 0, "{dead}");
    let entity = server.anybody().get("/api/v1/entities/did:plc:to3").expect(200);
    assert_eq!(entity["did"], "did:plc:to3");

    // What cannot be an event is kept with its reason, and what comes after it arrives.
    relay.push(message(ALL).replace("\"strength\":80", "\"strength\":101"));
    relay.push(message(ALL + 1));
    wait_until("the one behind a bad one is there", || {
        relationships(&server) == u64::from(ALL) + 1
    });
    let dead = server.keyed().get("/internal/events/dead-letter").expect(200);
    assert_eq!(dead["count"], 1, "{dead}");
    let reason = dead["events"][0]["last_error"].as_str().unwrap();
    assert!(reason.contains("strength") && reason.contains("0 to 100"), "{reason}");
}

#[test]
fn the_lag_grows_while_nothing_is_taken_in_and_while_nobody_is_connected() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let relay = runtime.block_on(Relay::start((0..3).map(message))).unwrap();
    let url = relay.url();
    let server = Data::new().serve_with(&[
        ("ENABLE_FIREHOSE_INGEST", "true"),
        ("ATPROTO_FIREHOSE_URL", url.as_str()),
        ("FIREHOSE_VERIFY", "false"),
    ]);
    let client = server.keyed();
    let lag = || client.get("/internal/events/metrics").expect(200)["source_lag_seconds"].as_f64();
    let grows = |why: &str| {
        let before = lag().unwrap();
        wait_until(why, || lag().unwrap() > before + 0.5);
    };
    wait_until("all is there", || relationships(&server) == 3);
    // How old the last one was when it came, and no older: it is quiet.
    let quiet = lag().unwrap();
    let since = jiff::Timestamp::from_microsecond(time_us(2)).unwrap();
    assert!(SystemClock::default().now().duration_since(since).as_secs_f64() - quiet < 60.0);
    assert_eq!(lag(), Some(quiet));

    client.post("/internal/pipeline/pause", &json!({"parts": ["intake"]})).expect(200);
    relay.push(message(3));
    grows("it grows while nothing is taken in");
    client.post("/internal/pipeline/resume", &json!({})).expect(200);
    wait_until("the next is there", || relationships(&server) == 4);
    wait_until("it is journaled", || lag() == lag());
    drop(relay);
    grows("it grows while nobody is connected");
}
