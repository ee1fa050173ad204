//! Connections that end, do not come about, or only look alive.

use crate::{
    messages::{Journal, T0, clock, ids_of, many, options, out_of_order, run},
    relay::{Connection, Relay},
};
use rhiz_domain::{Clock, clock::SeededEntropy, retry::RetryPolicy};
use rhiz_firehose::{Jetstream, Options, Source};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    sync::{mpsc, watch},
};

#[tokio::test]
async fn cut_closed_refused_and_fed_garbage_it_goes_on_without_loss() {
    let messages = out_of_order(3000);
    let relay = Relay::start(messages.clone()).await.unwrap();
    relay.script([
        Connection::CutAfter(0),
        Connection::CutAfter(700),
        Connection::Refused(503, "too many".into()),
        Connection::CloseAfter(900),
        Connection::GarbageAfter(1100),
        Connection::CutAfter(1),
        Connection::CutAfter(1203),
    ]);
    let mut running = run(options(&relay.url()), None);
    let mut journal = Journal::default();
    running.fill(&mut journal, 3000, 0).await;
    assert_eq!(journal.ids(), ids_of(&messages));
    assert!(journal.duplicates > 0, "what was rewound came twice");

    let requests = relay.requests();
    assert_eq!(requests.len(), 8);
    let cursors: Vec<_> = requests
        .iter()
        .map(|r| r.split("&cursor=").nth(1).map(|c| c.parse::<i64>().unwrap()))
        .collect();
    // Nothing had come at first. Then 700 messages had: the greatest time of them (that of the
    // 704th in order), less 5 s.
    assert_eq!(cursors[..2], [None, None]);
    assert_eq!(cursors[2], Some(T0 + 703 * 10_000 - 5_000_000));
    assert_eq!(cursors[2], cursors[3], "a refusal moves nothing");
    let status = running.seen(|s| s.connected && s.connections == 7).await;
    assert_eq!((status.reconnects(), status.failures), (6, 0));
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_silent_is_given_up_and_made_again() {
    let messages = many(10);
    let relay = Relay::start(messages.clone()).await.unwrap();
    relay.script([Connection::SilentAfter(4)]);
    let mut running = run(options(&relay.url()), None);
    let mut journal = Journal::default();
    running.fill(&mut journal, 4, 0).await;
    running.fill(&mut journal, 10, 0).await;
    assert_eq!(journal.ids(), ids_of(&messages));
    let status = running.seen(|s| s.connections == 2).await;
    let trouble = status.last_error.unwrap();
    assert_eq!(trouble.code, "idle");
    assert!(trouble.message.contains("60s"), "{}", trouble.message);
    running.end().await;
}

#[tokio::test]
async fn each_trouble_has_its_code() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut running = run(options(&format!("ws://{free}")), None);
    let status = running.seen(|s| s.failures > 2).await;
    assert_eq!(status.last_error.unwrap().code, "unreachable");
    assert!(!status.connected);
    running.end().await;

    for (plan, code, part) in [
        (Connection::CutAfter(0), "cut", ""),
        (Connection::CloseAfter(0), "closed", ""),
        (Connection::GarbageAfter(0), "protocol", ""),
        (Connection::Refused(429, "slow down".into()), "refused", "429: \"slow down\""),
    ] {
        let relay = Relay::start([]).await.unwrap();
        relay.script([plan]);
        let mut running = run(options(&relay.url()), None);
        let trouble = running.seen(|s| s.last_error.is_some()).await.last_error.unwrap();
        assert_eq!(trouble.code, code, "{trouble:?}");
        assert!(trouble.message.contains(part), "{trouble:?}");
        assert_eq!(trouble.at, clock().now());
        running.end().await;
    }

    let relay = Relay::start(["x".repeat(5_000_000)]).await.unwrap();
    let mut running = run(options(&relay.url()), None);
    assert_eq!(running.seen(|s| s.failures > 0).await.last_error.unwrap().code, "too_large");
    running.end().await;

    // TLS is spoken to a server that speaks none: an error, and no panic for want of a provider.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}", listener.local_addr().unwrap());
    let mut running = run(options(&url), None);
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    assert_eq!(running.seen(|s| s.failures > 0).await.last_error.unwrap().code, "tls");
    running.end().await;
}

/// Waits as the policy has them, with full jitter, for ever; and from the start again after
/// something new came.
#[tokio::test(start_paused = true)]
async fn it_waits_longer_and_longer_up_to_a_minute_and_never_gives_up() {
    const REFUSED: usize = 200;
    let relay = Relay::start(many(1)).await.unwrap();
    relay.script(vec![Connection::Refused(500, String::new()); REFUSED]);
    let clock = Arc::new(RuntimeClock(clock().now(), runtime_now()));
    let jetstream =
        Jetstream::new(Options::new(relay.url()), clock.clone(), Arc::new(SeededEntropy::new(42)))
            .unwrap();
    let mut status = jetstream.status();
    let (out, mut intakes) = mpsc::channel(2);
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(Box::new(jetstream).run(None, out, stopped));

    assert_eq!(intakes.recv().await.unwrap().events.len(), 1);
    let policy = RetryPolicy {
        retries: u32::MAX,
        base: Duration::from_secs(1),
        cap: Duration::from_secs(60),
    };
    let entropy = SeededEntropy::new(42);
    let waits: Duration = (1..=REFUSED as u32).map(|n| policy.wait(n, &entropy).unwrap()).sum();
    assert_eq!(relay.requests().len(), REFUSED + 1);
    // Timers of the runtime have a grain of a millisecond.
    let (least, most) = (waits, waits + Duration::from_millis(2 * REFUSED as u64));
    let took = clock.elapsed();
    assert!((least..=most).contains(&took), "{took:?} is not about {waits:?}");
    assert!(waits > Duration::from_secs(REFUSED as u64 * 20), "full jitter has half the cap");
    assert_eq!(status.wait_for(|s| s.failures == 0).await.unwrap().connections, 1);
}

/// Follows the paused time of the runtime.
struct RuntimeClock(jiff::Timestamp, tokio::time::Instant);

#[expect(clippy::disallowed_methods, reason = "the time of the runtime is held by the test")]
fn runtime_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Clock for RuntimeClock {
    fn now(&self) -> jiff::Timestamp {
        self.0 + self.elapsed()
    }
    fn elapsed(&self) -> Duration {
        runtime_now() - self.1
    }
}
