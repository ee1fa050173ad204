//! What comes through a connection that goes well, or goes on.

use crate::{
    messages::{Journal, LONG, Running, T0, created, ids_of, many, options, run},
    relay::{Connection, Relay},
};
use rhiz_firehose::Gap;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn our_collections_are_asked_for_and_everything_is_handed_over_with_a_cursor() {
    let messages = many(2000);
    let relay = Relay::start(messages.clone()).await.unwrap();
    let mut running = run(options(&format!("{}?key=1", relay.url())), None);
    let mut journal = Journal::default();
    while journal.events.len() < 2000 {
        let intake = running.next().await;
        assert!(intake.events.len() <= 512);
        let last = intake.events.last().unwrap();
        let source = format!("jetstream:{}", relay.url());
        let cursor = intake.cursor.clone().unwrap();
        assert_eq!(cursor.source, source);
        assert_eq!(last.origin, rhiz_domain::Origin::Jetstream { time_us: cursor.position as i64 });
        journal.append(intake);
    }
    assert_eq!(journal.ids(), ids_of(&messages));
    assert_eq!(journal.duplicates, 0);
    let requests = relay.requests();
    let wanted = requests[0].matches("wantedCollections=net.rhiz.").count();
    assert_eq!((requests.len(), wanted), (1, 6));
    assert!(requests[0].starts_with("/subscribe?key=1&") && !requests[0].contains("cursor="));
    assert!(requests[0].contains("&maxMessageSizeBytes=4194304"));

    let status = running.seen(|s| s.received == 2000).await;
    let newest = T0 + 1999 * 10_000;
    assert_eq!(status.last_time_us, Some(newest));
    assert_eq!(status.lost_at, None);
    assert_eq!((status.connections, status.reconnects(), status.failures), (1, 0, 0));
    assert_eq!((status.passed, status.rejected, status.gaps), (0, 0, 0));
    running.end().await;
}

#[tokio::test]
async fn garbage_is_rejected_with_its_bytes_and_stops_nothing() {
    let relay = Relay::start(many(1)).await.unwrap();
    let huge = format!("{{\"x\":\"{}\"}}", "y".repeat(2_000_000));
    for garbage in ["", "{", "\u{0}\u{1}", "[[[[", &huge] {
        relay.push(garbage);
    }
    relay.push_binary(vec![0x28, 0xb5, 0x2f, 0xfd, 0, 1, 2]);
    let mut foreign = created(T0 + 1);
    foreign["commit"]["collection"] = json!("app.bsky.feed.post");
    relay.push(foreign.to_string());
    relay.push(created(T0 + 2).to_string());

    let mut running = run(options(&relay.url()), None);
    let mut journal = Journal::default();
    running.fill(&mut journal, 2, 6).await;
    let reasons: Vec<_> = journal.rejected.values().collect();
    let of = |part: &str| reasons.iter().filter(|r| r.contains(part)).count();
    assert_eq!((of("not JSON"), of("longer than"), of("not UTF-8")), (4, 1, 1), "{reasons:?}");
    assert_eq!(journal.cursor, Some(T0 as u64 + 2));
    let status = running.seen(|s| s.received == 9).await;
    assert_eq!((status.rejected, status.passed, status.connections), (6, 1, 1));
    running.end().await;
}

/// The law of flow: while the intakes are not taken, the socket is not read, so the relay can
/// send no more; nothing is buffered here without bound, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn while_nobody_takes_intakes_the_socket_is_not_read() {
    const N: usize = 3000;
    let pad = "x".repeat(50_000); // 150 MB together: more than kernel buffers hold
    let messages: Vec<_> = (0..N as i64)
        .map(|i| {
            let mut message = created(T0 + i);
            message["pad"] = json!(pad);
            message.to_string()
        })
        .collect();
    let ids = ids_of(&messages);
    let relay = Relay::start(messages).await.unwrap();
    let mut running = run(options(&relay.url()), None);
    // Time passes only when nothing can move any more.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let stalled = *relay.sent().borrow();
    assert!(stalled > 0 && stalled < N as u64 / 2, "the relay could send {stalled} of {N}");
    assert!(running.status.borrow().connected);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(*relay.sent().borrow(), stalled);

    let mut journal = Journal::default();
    running.fill(&mut journal, N, 0).await;
    assert_eq!(journal.ids(), ids);
    assert_eq!(relay.requests().len(), 1);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_that_answers_pings_is_kept() {
    let relay = Relay::start([]).await.unwrap();
    let mut running = run(options(&relay.url()), None);
    running.seen(|s| s.connected).await;
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(relay.requests().len(), 1);
    relay.push(created(T0).to_string());
    assert_eq!(running.next().await.events.len(), 1);
    running.end().await;
}

#[tokio::test]
async fn a_position_that_moves_without_events_is_handed_over_now_and_then() {
    let relay = Relay::start([]).await.unwrap();
    let mut running = run(options(&relay.url()), Some(T0 as u64));
    let foreign = |at: i64| {
        let mut message = created(T0 + at);
        message["commit"]["collection"] = json!("app.bsky.feed.post");
        message.to_string()
    };
    for at in [10, 999_999] {
        relay.push(foreign(at));
    }
    running.seen(|s| s.received == 2).await;
    relay.push(foreign(1_000_000));
    let intake = running.next().await;
    assert!(intake.events.is_empty() && intake.rejected.is_empty());
    assert_eq!(intake.cursor.unwrap().position, T0 as u64 + 1_000_000);
    // With an event it is exact again.
    relay.push(created(T0 + 1_000_001).to_string());
    assert_eq!(running.next().await.cursor.unwrap().position, T0 as u64 + 1_000_001);
    running.end().await;
}

#[tokio::test]
async fn a_server_that_kept_less_than_it_is_asked_for_leaves_a_gap_in_the_status() {
    let relay = Relay::start(many(100_000).into_iter().step_by(1000)).await.unwrap();
    let clamp = T0 as u64 + 600_000_000;
    relay.script([Connection::ClampedTo(clamp)]);
    let asked = T0 as u64 + 20_000_000;
    let mut running = run(options(&relay.url()), Some(asked));
    running.next().await;
    let status = running.seen(|s| s.gaps > 0).await;
    assert_eq!(status.gap, Some(Gap { after_us: asked as i64, until_us: clamp as i64 }));
    running.end().await;

    // Within the tolerance it is only a quiet stream.
    let mut running = run(options(&relay.url()), Some(T0 as u64 + 20_000_000));
    running.next().await;
    assert_eq!(running.seen(|s| s.received > 0).await.gaps, 0);
    running.end().await;
}

async fn stops(running: Running) {
    running.stop.send_replace(true);
    tokio::time::timeout(LONG, running.task).await.expect("does not stop").unwrap().unwrap();
    assert!(!running.status.borrow().connected);
}

#[tokio::test(start_paused = true)]
async fn it_stops_whatever_it_is_doing() {
    // Waiting for a message.
    let relay = Relay::start([]).await.unwrap();
    let mut running = run(options(&relay.url()), None);
    running.seen(|s| s.connected).await;
    stops(running).await;

    // Waiting for somebody to take intakes.
    let relay = Relay::start(many(5000)).await.unwrap();
    let running = run(options(&relay.url()), None);
    tokio::time::sleep(Duration::from_secs(1)).await; // passes when nothing can move any more
    assert!(running.status.borrow().connected && running.intakes.len() == 2);
    stops(running).await;

    // Waiting to try again.
    let relay = Relay::start([]).await.unwrap();
    relay.script(vec![Connection::Refused(503, String::new()); 3]);
    let mut patient = options(&relay.url());
    patient.backoff.base = Duration::from_secs(3600);
    patient.backoff.cap = Duration::from_secs(3600);
    let mut running = run(patient, None);
    running.seen(|s| s.failures == 1).await;
    stops(running).await;

    // When nobody will ever take an intake again.
    let relay = Relay::start(many(1)).await.unwrap();
    let running = run(options(&relay.url()), None);
    drop(running.intakes);
    tokio::time::timeout(LONG, running.task).await.expect("does not stop").unwrap().unwrap();
}
