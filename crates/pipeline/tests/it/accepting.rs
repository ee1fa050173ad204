//! Who is let in, and what they are told.

use crate::rig::{FOR_EVER, Rig, apply, settings, submission};
use futures_util::FutureExt;
use rhiz_domain::{
    Clock, EventType, Outcome, Priority,
    store::{Cursor, Intake, Receipt, StoreError},
};
use rhiz_pipeline::{Ended, Submission, SubmitError};
use rhiz_testkit::{
    events::{Draft, did, invalidated, relationship},
    faults::Point,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

const A: &str = "did:plc:a";
const B: &str = "did:plc:b";

async fn try_in(rig: &Rig, n: usize, priority: Priority, name: &str) -> Result<(), SubmitError> {
    let drafts = (0..n).map(|i| invalidated(A).priority(priority).id(&format!("{name}-{i}")));
    let submissions = drafts.map(|d| submission(&d)).collect();
    rig.pipeline.submit(submissions).await.map(|_| ())
}

#[tokio::test(start_paused = true)]
async fn each_priority_has_its_limit_and_refuses_only_itself() {
    let rig = Rig::with(apply, settings(100));
    try_in(&rig, 80, Priority::Normal, "fill").await.unwrap();
    for (n, priority) in
        [(1, Priority::Low), (1, Priority::Normal), (11, Priority::High), (21, Priority::Critical)]
    {
        let refused = try_in(&rig, n, priority, "refused").await;
        assert!(matches!(refused, Err(SubmitError::Backpressure)), "{priority:?}: {refused:?}");
    }
    assert!(rig.pipeline.snapshot().backpressure_active);
    assert_eq!(rig.waiting(), 80);
    assert!(rig.find("refused-0").await.is_none());
    let more = try_in(&rig, 101, Priority::Critical, "never").await;
    assert!(matches!(more, Err(SubmitError::TooMuch)), "{more:?}");

    // Drained, everybody is let in again.
    rig.pipeline.start();
    rig.idle().await;
    try_in(&rig, 10, Priority::High, "high").await.unwrap();
    try_in(&rig, 10, Priority::Low, "low").await.unwrap();
    rig.idle().await;
    assert!(!rig.pipeline.snapshot().backpressure_active);
    assert_eq!(rig.merged().await, 100);
}

#[tokio::test(start_paused = true)]
async fn retries_take_no_room() {
    let rig = Rig::with(|_| Outcome::Retry { reason: "no".into() }, settings(100)).started();
    for round in 0..5 {
        try_in(&rig, 80, Priority::Normal, &format!("r{round}")).await.unwrap();
        rig.idle().await;
    }
    assert_eq!((rig.scheduled(), rig.waiting()), (400, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_invalid_is_refused_with_all_of_its_batch() {
    let rig = Rig::new(apply);
    let bad = submission(&relationship(A, B).strength(101).id("bad"));
    let fine = submission(&relationship(A, B).id("fine"));
    match rig.pipeline.submit(vec![fine.clone(), bad]).await {
        Err(SubmitError::Invalid { index: 1, invalid }) => {
            assert_eq!(invalid.errors[0].field, "payload.record.strength");
        }
        other => panic!("{other:?}"),
    }
    let list = Submission {
        event_type: EventType::TrustInvalidated,
        did: did(A),
        payload: serde_json::value::to_raw_value(&[1]).unwrap(),
        priority: None,
        event_id: None,
    };
    assert!(matches!(
        rig.pipeline.submit(vec![list]).await,
        Err(SubmitError::Invalid { index: 0, .. })
    ));
    assert_eq!(rig.waiting(), 0);
    rig.pipeline.submit(vec![fine]).await.unwrap();
    assert_eq!(rig.waiting(), 1);
    rig.pipeline.submit(Vec::new()).await.unwrap();
}

/// With or without what the server makes at accept: a date, a revision, a name.
#[tokio::test(start_paused = true)]
async fn the_same_submission_twice_is_a_duplicate_and_another_one_a_conflict() {
    let rig = Rig::new(apply).started();
    let flat = |strength: u8| {
        let payload = serde_json::json!({
            "uri": format!("at://{A}/net.rhiz.relationship.record/3mbcvv5yzzk2a"),
            "participants": [A, B], "type": "social", "strength": strength,
        });
        Submission {
            event_type: EventType::RelationshipCreated,
            did: did(A),
            payload: serde_json::value::to_raw_value(&payload).unwrap(),
            priority: None,
            event_id: rhiz_domain::EventId::parse("mine").ok(),
        }
    };
    for n in 0..4 {
        let receipts = rig.pipeline.submit(vec![flat(7)]).await.unwrap();
        let expected = if n == 0 { Receipt::Accepted } else { Receipt::Duplicate };
        assert_eq!(receipts[0].receipt, expected);
        rig.idle().await;
        rig.clock.advance(std::time::Duration::from_secs(5));
    }
    let conflict = rig.pipeline.submit(vec![flat(8)]).await;
    assert!(matches!(conflict, Err(SubmitError::Conflict { index: 0 })), "{conflict:?}");
    assert_eq!(rig.pipeline.snapshot().events_processed, 1);
    // Named by the server, each is its own.
    for _ in 0..2 {
        let unnamed = Submission { event_id: None, ..flat(9) };
        assert_eq!(rig.pipeline.submit(vec![unnamed]).await.unwrap()[0].receipt, Receipt::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_how_it_ended() {
    let rig = Rig::new(|event| match event.event_id.as_str() {
        "dead" => Outcome::Bury { reason: "no".into() },
        _ => apply(event),
    })
    .started();
    let wait = |id: &str| {
        let pipeline = rig.pipeline.clone();
        let submission = submission(&invalidated(A).id(id));
        async move { pipeline.submit_and_wait(submission, FOR_EVER).await.unwrap() }
    };
    assert_eq!(wait("fine").await.1, Some(Ended::Applied));
    assert_eq!(wait("dead").await.1, Some(Ended::Dead { reason: "no".into() }));
    let (accepted, ended) = wait("fine").await;
    assert_eq!((accepted.receipt, ended), (Receipt::Duplicate, None));
    let bad = submission(&relationship(A, B).strength(200));
    assert!(rig.pipeline.submit_and_wait(bad, FOR_EVER).await.is_err());
}

/// However long the disk takes, nothing is answered before it has the event; only then the patience
/// begins.
#[tokio::test(start_paused = true)]
async fn patience_begins_when_the_event_is_on_disk() {
    let rig = Rig::new(apply);
    rig.store.hold(true);
    let pipeline = rig.pipeline.clone();
    let waiting = tokio::spawn(async move {
        let event = submission(&invalidated(A).id("x"));
        pipeline.submit_and_wait(event, Duration::from_secs(10)).await.unwrap()
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!waiting.is_finished(), "answered, and not on disk");
    rig.store.hold(false);
    // Nobody works on it, so the patience ends.
    let (accepted, ended) = waiting.await.unwrap();
    assert_eq!((accepted.receipt, ended), (Receipt::Accepted, None));
    assert_eq!(rig.waiting(), 1);
}

/// A second submission of the same id, or one that is given up, takes nobody's answer away.
#[tokio::test(start_paused = true)]
async fn who_waits_is_not_forgotten_for_another() {
    let rig = Rig::new(apply);
    let wait = |draft: Draft| {
        let pipeline = rig.pipeline.clone();
        tokio::spawn(async move { pipeline.submit_and_wait(submission(&draft), FOR_EVER).await })
    };
    let first = wait(invalidated(A).id("x"));
    rig.until(|b| b.waiting() == 1).await;
    let second = wait(invalidated(A).id("x"));
    assert_eq!(second.await.unwrap().unwrap().1, None);
    let other_body = wait(invalidated(B).id("x"));
    assert!(matches!(other_body.await.unwrap(), Err(SubmitError::Conflict { .. })));
    let given_up = wait(invalidated(A).id("y"));
    rig.until(|b| b.waiting() == 2).await;
    given_up.abort();
    rig.pipeline.start();
    assert_eq!(first.await.unwrap().unwrap().1, Some(Ended::Applied));
    rig.idle().await;
    assert_eq!(rig.merged().await, 2);
}

/// A caller that hangs up after it has sent: what it sent is accepted, counted, and takes its room.
#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_no_hole_in_the_count() {
    let rig = Rig::with(apply, settings(100));
    for n in 0..100 {
        let gone = rig.pipeline.submit(vec![submission(&invalidated(A).id(&n.to_string()))]);
        let answer = gone.now_or_never();
        assert!(!matches!(answer, Some(Ok(_))), "it has to be flushed first");
        // A few of them may be on their way at once; all together are no more than may wait.
        let refused = matches!(answer, Some(Err(SubmitError::Backpressure)));
        assert_eq!(refused, n >= 80, "{n}");
    }
    rig.until(|b| b.waiting() == 80).await;
    rig.until(|b| b.pipeline.snapshot().events_in_queue == 80).await;
    rig.pipeline.start();
    rig.until(|b| b.pipeline.snapshot().events_processed == 80).await;
    assert_eq!(rig.pipeline.snapshot().events_in_queue, 0);
}

fn batch(n: usize, name: &str) -> Intake {
    let events = (0..n).map(|i| {
        let origin = rhiz_domain::Origin::Jetstream { time_us: 1 };
        invalidated(A).from(origin).id(&format!("{name}-{i}")).build()
    });
    let cursor = Cursor { source: "jetstream:x".into(), position: n as u64 };
    Intake { events: events.collect(), rejected: Vec::new(), cursor: Some(cursor) }
}

/// A source is never refused; it waits until there is room.
#[tokio::test(start_paused = true)]
async fn a_source_waits_for_room() {
    let rig = Rig::with(apply, settings(100));
    assert_eq!(rig.pipeline.take_in(batch(70, "a")).await.unwrap(), 70);
    let pipeline = rig.pipeline.clone();
    let appends = rig.count_appends();
    let second = tokio::spawn(async move { pipeline.take_in(batch(30, "b")).await });
    rig.ticks().await;
    assert!(!second.is_finished());
    assert_eq!((rig.waiting(), appends.load(Ordering::SeqCst)), (70, 0));
    rig.pipeline.start();
    assert_eq!(second.await.unwrap().unwrap(), 30);
    rig.idle().await;
    // An empty journal takes anything, and what is known is not new.
    assert_eq!(rig.pipeline.take_in(batch(500, "c")).await.unwrap(), 500);
    assert_eq!(rig.pipeline.take_in(batch(500, "c")).await.unwrap(), 0);
    rig.idle().await;
    assert_eq!(rig.merged().await, 600);
    assert_eq!(rig.pipeline.journal().cursor("jetstream:x").await.unwrap(), Some(500));
}

/// Room that was promised to somebody whose accept failed is room again.
#[tokio::test(start_paused = true)]
async fn a_source_hears_of_room_that_a_failure_left() {
    let rig = Arc::new(Rig::with(apply, settings(100)));
    let (entered, mut inside) = tokio::sync::mpsc::unbounded_channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let left = parking_lot::Mutex::new(left);
    rig.store.fail(move |point| {
        let Point::Append(intake) = point else { return None };
        intake.cursor.is_none().then(|| {
            entered.send(()).unwrap();
            left.lock().recv().unwrap();
            StoreError::Unavailable("disk full".into())
        })
    });
    let api = Arc::clone(&rig);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let submitting =
        std::thread::spawn(move || runtime.block_on(try_in(&api, 80, Priority::Normal, "fails")));
    inside.recv().await.unwrap();
    let pipeline = rig.pipeline.clone();
    let source = tokio::spawn(async move { pipeline.take_in(batch(50, "s")).await });
    rig.ticks().await;
    assert!(!source.is_finished());
    leave.send(()).unwrap();
    assert_eq!(source.await.unwrap().unwrap(), 50);
    assert!(submitting.join().unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn revisions_made_here_only_grow() {
    let rig = Rig::new(apply);
    let one =
        |n: u64| Submission { event_id: None, ..submission(&relationship(A, B).served(0).key(n)) };
    for n in 0..50 {
        rig.pipeline.submit(vec![one(2 * n), one(2 * n + 1)]).await.unwrap();
    }
    let claim = rig.pipeline.journal().claim([usize::MAX; 4]).await.unwrap().unwrap();
    let revs: Vec<_> = claim.events().iter().map(|e| e.assigned_rev.unwrap()).collect();
    assert_eq!(revs.len(), 100);
    assert!(revs.windows(2).all(|w| w[0] < w[1]), "the clock stood still, revisions did not");
    assert!(claim.events().iter().all(|e| e.timestamp == rig.clock.now()));
}

/// Hundreds at once share the flushes; each is answered, each is applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_concurrent_submissions_are_each_accepted_once() {
    let rig = Rig::new(apply).started();
    let tasks: Vec<_> = (0..600)
        .map(|n| {
            let pipeline = rig.pipeline.clone();
            let draft = invalidated(A).id(&format!("e{}", n / 2));
            tokio::spawn(async move {
                pipeline.submit(vec![submission(&draft)]).await.unwrap()[0].receipt
            })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        accepted += usize::from(task.await.unwrap() == Receipt::Accepted);
    }
    assert_eq!(accepted, 300);
    rig.until(|b| b.pipeline.snapshot().events_processed == 300).await;
    assert_eq!(rig.merged().await, 300);
    let told = rig.pipeline.snapshot();
    assert_eq!((told.events_in_queue, told.events_failed), (0, 0));
    assert_eq!(told.accept_to_applied["trust.invalidated"].count, 300);
}
