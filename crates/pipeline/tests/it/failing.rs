//! What becomes of an event that cannot be processed, and of those beside it.

use crate::rig::{FOR_EVER, Rig, apply, panic_quietly, submission};
use rhiz_domain::{
    Clock, Outcome, StageName,
    store::{StoreError, Verdict, Whereabouts},
};
use rhiz_pipeline::Ended;
use rhiz_testkit::{
    events::{at, invalidated, relationship},
    faults::Point,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const A: &str = "did:plc:a";

fn is(event: &rhiz_domain::Event, id: &str) -> bool {
    event.event_id.as_str() == id
}

/// Follows `x` through `n` failed attempts: each wait is at most `2, 4, 8` s, none is cut short,
/// and nothing but `x` is asked for.
async fn fail(rig: &Rig, n: u32) {
    for attempt in 1..=n {
        assert_eq!(rig.asked().await, "x");
        rig.until(|b| b.scheduled() == 1).await;
        let due = rig.due("x").await;
        let wait = due.duration_since(rig.clock.now());
        let most = jiff::SignedDuration::from_secs(1 << attempt);
        assert!(wait.is_positive() && wait <= most, "{wait} before retry {attempt}");
        rig.move_to(due - jiff::SignedDuration::from_micros(1));
        rig.ticks().await;
        assert_eq!(rig.asked_so_far(), Vec::<String>::new(), "too early");
        rig.until(|b| b.pipeline.snapshot().worker_utilization == 0.0).await;
        rig.clock.advance(Duration::from_micros(1));
    }
    assert_eq!(rig.asked().await, "x");
}

#[tokio::test(start_paused = true)]
async fn three_retries_after_2_4_and_8_seconds_then_a_dead_letter() {
    let rig = Rig::new(|_| Outcome::Retry { reason: "the lock is held".into() }).started();
    rig.submit([relationship(A, "did:plc:b").id("x")]).await;
    fail(&rig, 3).await;
    rig.idle().await;
    let dead = rig.dead().await;
    let [letter] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!((letter.retry_count, letter.last_error.as_str()), (3, "the lock is held"));
    let errors: Vec<_> =
        letter.stages.iter().map(|s| (s.stage, s.success, s.error.as_deref())).collect();
    assert_eq!(errors, [(StageName::Validation, false, Some("the lock is held")); 4]);
    assert_eq!((rig.scheduled(), rig.waiting()), (0, 0));
    let told = rig.pipeline.snapshot();
    // Events, not attempts.
    assert_eq!((told.events_failed, told.events_processed, told.events_retried), (1, 0, 3));
    assert_eq!(told.events_in_queue, 0);
    // And never again.
    rig.clock.advance(Duration::from_secs(3600));
    rig.ticks().await;
    assert!(rig.asked_so_far().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_fails_three_times_may_work_the_fourth_time() {
    let attempts = AtomicUsize::new(0);
    let rig = Rig::new(move |event| {
        assert_eq!(event.retry_count as usize, event.stages.len());
        match attempts.fetch_add(1, Ordering::SeqCst) {
            0..3 => Outcome::Retry { reason: "not yet".into() },
            _ => apply(event),
        }
    })
    .started();
    rig.submit([invalidated(A).id("x")]).await;
    fail(&rig, 3).await;
    rig.until(|b| b.pipeline.snapshot().events_processed == 1).await;
    assert!(rig.dead().await.is_empty());
    assert_eq!(rig.merged().await, 1);
    assert!(matches!(rig.find("x").await, Some(Whereabouts::Done { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_panics_has_failed_and_the_workers_live_on() {
    let rig = Rig::new(|event| {
        if is(event, "x") {
            panic_quietly("no way");
        }
        apply(event)
    })
    .started();
    rig.submit([invalidated(A).id("x"), invalidated(A).id("y")]).await;
    let mut asked = [rig.asked().await, rig.asked().await];
    asked.sort();
    assert_eq!(asked, ["x", "y"]);
    for _ in 0..3 {
        rig.until(|b| b.scheduled() == 1).await;
        rig.move_to(rig.due("x").await);
        assert_eq!(rig.asked().await, "x");
    }
    rig.idle().await;
    let dead = rig.dead().await;
    assert_eq!(dead[0].last_error, "the scripted processor panicked: no way");
    assert_eq!(rig.merged().await, 1);

    // More panics than there are workers, in the question as well as in the answer.
    rig.submit((0..40).map(|n| invalidated(A).id(&format!("unaskable-{n}")))).await;
    for _ in 0..4 {
        rig.idle().await;
        rig.clock.advance(Duration::from_secs(8));
        rig.ticks().await;
    }
    rig.idle().await;
    let dead = rig.dead().await;
    assert_eq!(dead.len(), 41);
    assert_eq!(dead[0].last_error, "the scripted processor panicked: do not ask");
    rig.submit([invalidated(A).id("z")]).await;
    assert_eq!(rig.asked().await, "z");
}

#[tokio::test(start_paused = true)]
async fn what_no_processor_takes_or_what_is_invalid_is_dead_at_once() {
    let rig = Rig::new(|event| match event.event_id.as_str() {
        "bad" => Outcome::Bury { reason: "never".into() },
        _ => apply(event),
    })
    .started();
    rig.submit(["nobody", "bad", "fine"].map(|id| invalidated(A).id(id))).await;
    rig.idle().await;
    let dead: Vec<_> =
        rig.dead().await.into_iter().map(|l| (l.event_id.to_string(), l.last_error)).collect();
    let nobody = "no processor takes trust.invalidated".to_owned();
    assert_eq!(dead, [("bad".into(), "never".into()), ("nobody".into(), nobody)]);
    assert_eq!((rig.merged().await, rig.scheduled()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_snooze_is_no_attempt_and_forgets_nothing() {
    let asked = AtomicUsize::new(0);
    let rig = Rig::new(move |event| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Outcome::Retry { reason: "once".into() },
        1..20 => {
            assert_eq!((event.retry_count, event.stages.len()), (1, 1));
            Outcome::Snooze { until: event.timestamp + jiff::SignedDuration::from_hours(24) }
        }
        _ => {
            assert_eq!((event.retry_count, event.stages.len()), (1, 1));
            apply(event)
        }
    })
    .started();
    rig.submit([invalidated(A).id("x")]).await;
    rig.asked().await;
    rig.until(|b| b.scheduled() == 1).await;
    rig.move_to(rig.due("x").await);
    rig.asked().await;
    rig.until(|b| b.scheduled() == 1).await;
    let due = rig.due("x").await;
    assert_eq!(due, at(1_000_000) + jiff::SignedDuration::from_hours(24));
    rig.move_to(due);
    rig.until(|b| b.pipeline.snapshot().events_processed == 1).await;
    assert!(rig.dead().await.is_empty());
}

/// The database refuses the effect of one event of a batch: the others are applied, and it is
/// tried again like any other.
#[tokio::test(start_paused = true)]
async fn a_failing_event_leaves_the_rest_of_its_batch_applied() {
    let rig = Rig::new(apply);
    rig.store.fail(|point| match point {
        Point::Settle(event, Verdict::Apply(_)) if is(event, "x") => {
            Some(StoreError::Corrupt("constraint failed".into()))
        }
        _ => None,
    });
    let all = (0..20).map(|n| invalidated(A).id(&format!("fine-{n}")));
    rig.submit(all.chain([invalidated(A).id("x")])).await;
    rig.pipeline.start();
    rig.until(|b| b.pipeline.snapshot().events_processed == 20).await;
    rig.until(|b| b.scheduled() == 1).await;
    assert_eq!(rig.merged().await, 20);
    rig.asked_so_far();
    for _ in 0..3 {
        rig.until(|b| b.scheduled() == 1).await;
        rig.move_to(rig.due("x").await);
        assert_eq!(rig.asked().await, "x");
    }
    rig.idle().await;
    let dead = rig.dead().await;
    let [letter] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!(letter.last_error, "the database would not take its effect");
    assert_eq!((letter.retry_count, letter.stages.len()), (3, 4));
    assert!(letter.stages.iter().all(|s| s.stage == StageName::DatabaseWrite && !s.success));
    assert_eq!(rig.merged().await, 20);
}

/// It is not the event's fault: nothing is counted against it, and it is applied once.
#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_costs_nobody_an_attempt() {
    let rig = Rig::new(apply).started();
    let away = |_: Point<'_>| Some(StoreError::Unavailable("disk full".into()));
    rig.submit([invalidated(A).id("before")]).await;
    rig.idle().await;
    rig.store.fail(away);
    let refused = rig.pipeline.submit(vec![submission(&invalidated(A).id("refused"))]).await;
    assert!(refused.unwrap_err().to_string().contains("disk full"));
    assert!(rig.find("refused").await.is_none());

    // Accepted, but neither claimed nor settled while it lasts.
    rig.store.fail(move |point| if matches!(point, Point::Append(_)) { None } else { away(point) });
    rig.submit([invalidated(A).id("claimed-later")]).await;
    rig.ticks().await;
    rig.store
        .fail(move |point| if matches!(point, Point::Settle(..)) { away(point) } else { None });
    rig.until(|b| b.asked_so_far().contains(&"claimed-later".into())).await;
    for _ in 0..10 {
        rig.ticks().await;
    }
    assert_eq!((rig.merged().await, rig.scheduled()), (1, 0));
    assert_eq!(rig.pipeline.snapshot().events_in_queue, 1);
    rig.store.heal();
    rig.until(|b| b.pipeline.snapshot().events_processed == 2).await;
    assert_eq!(rig.merged().await, 2);
    assert!(rig.dead().await.is_empty());
    assert_eq!(rig.pipeline.snapshot().events_retried, 0);
}

/// A retry that cannot even be written down is not lost.
#[tokio::test(start_paused = true)]
async fn a_retry_that_cannot_be_noted_is_made_anyway() {
    let rig = Rig::new(apply);
    rig.store.fail(|point| match point {
        Point::Settle(event, _) if is(event, "x") => Some(StoreError::Corrupt("no".into())),
        _ => None,
    });
    rig.submit([invalidated(A).id("x"), invalidated(A).id("y")]).await;
    rig.pipeline.start();
    rig.until(|b| b.pipeline.snapshot().events_processed == 1).await;
    rig.ticks().await;
    rig.store.heal();
    rig.until(|b| b.pipeline.snapshot().events_processed == 2).await;
    assert_eq!(rig.merged().await, 2);
}

#[tokio::test(start_paused = true)]
async fn waiting_retries_occupy_no_worker() {
    let rig = Rig::new(|event| match event.event_id.as_str() {
        id if id.starts_with("sick") => Outcome::Retry { reason: "no".into() },
        _ => apply(event),
    })
    .started();
    rig.submit((0..10).map(|n| invalidated(A).id(&format!("sick-{n}")))).await;
    rig.until(|b| b.scheduled() == 10).await;
    rig.until(|b| b.pipeline.snapshot().worker_utilization == 0.0).await;
    let urgent = submission(&invalidated(A).id("urgent"));
    let (_, ended) = rig.pipeline.submit_and_wait(urgent, FOR_EVER).await.unwrap();
    assert_eq!(ended, Some(Ended::Applied));
    // Without the clock having moved at all.
    assert_eq!(rig.clock.now(), at(1_000_000));
    assert_eq!((rig.scheduled(), rig.waiting()), (10, 0));
}

/// What panics outside of any processor ends neither a worker nor a retry for ever.
#[tokio::test(start_paused = true)]
async fn a_worker_that_breaks_off_is_begun_again() {
    let rig = Rig::new(apply);
    let broken = Arc::new(AtomicUsize::new(0));
    let count = broken.clone();
    rig.store.fail(move |point| {
        // More often than there are workers.
        if matches!(point, Point::Claim) && count.fetch_add(1, Ordering::SeqCst) < 25 {
            panic_quietly("no claim");
        }
        None
    });
    rig.pipeline.start();
    rig.submit((0..100).map(|n| invalidated("did:plc:a").id(&n.to_string()))).await;
    rig.until(|b| b.pipeline.snapshot().events_processed == 100).await;
    assert_eq!((rig.merged().await, rig.pipeline.snapshot().tasks_broken_off), (100, 25));
}
