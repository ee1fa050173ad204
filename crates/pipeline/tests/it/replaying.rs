//! Replaying dead letters: each once, whatever becomes of it, and of whoever asked.

use crate::rig::{Rig, apply};
use futures_util::FutureExt;
use parking_lot::Mutex;
use rhiz_domain::{
    EventId, EventType, Outcome,
    store::{
        AuditRow, DeadFilter, DeadSelection, Index, Journal, Moved, Settlement, StoreError, Verdict,
    },
};
use rhiz_pipeline::{Broken, Submission};
use rhiz_testkit::{
    events::{did, invalidated},
    faults::Point,
};
use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

const A: &str = "did:plc:a";
const LETTERS: usize = 150;
const A_THOUSAND: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// Every event ends as a dead letter, and so it does again.
async fn all_dead() -> Rig {
    let rig = Rig::new(|_| Outcome::Bury { reason: "never".into() }).started();
    rig.submit((0..LETTERS).map(|n| invalidated(A).id(&format!("d{n}")))).await;
    rig.until(|b| b.pipeline.snapshot().events_failed == LETTERS as u64).await;
    rig
}

/// What dies again is not taken for one more of them. In real time: they have to die while the
/// replay goes on.
#[tokio::test]
async fn a_replay_takes_each_letter_once_and_ends() {
    let rig = all_dead().await;
    let names = (0..LETTERS).map(|n| EventId::parse(&format!("d{n}")).unwrap()).collect();
    for (n, which) in [DeadSelection::Filter(DeadFilter::default()), DeadSelection::Events(names)]
        .into_iter()
        .enumerate()
    {
        let replay = rig.pipeline.replay(&which, A_THOUSAND, "me");
        let moved = tokio::time::timeout(Duration::from_secs(30), replay).await;
        let moved = moved.expect("it ends").unwrap();
        assert_eq!((moved.done, moved.impossible, moved.more), (LETTERS as u64, 0, false));
        let failed = ((n + 2) * LETTERS) as u64;
        rig.until(|b| b.pipeline.snapshot().events_failed >= failed).await;
        rig.idle().await;
        assert_eq!(rig.pipeline.snapshot().events_failed, failed, "each once more");
        assert_eq!(rig.dead().await.len(), LETTERS);
    }
    assert_eq!(rig.pipeline.snapshot().events_in_queue, 0);
}

/// Who goes away stops the replay, but what was on its way is counted.
#[tokio::test]
async fn a_replay_that_is_given_up_leaves_no_hole_in_the_count() {
    let rig = all_dead().await;
    let which = DeadSelection::Events(vec![EventId::parse("d0").unwrap()]);
    assert!(rig.pipeline.replay(&which, A_THOUSAND, "me").now_or_never().is_none());
    rig.until(|b| b.pipeline.snapshot().events_failed == LETTERS as u64 + 1).await;
    rig.downstream.0.send_replace(false);
    rig.submit([invalidated(A).id("one")]).await;
    assert_eq!(rig.pipeline.snapshot().events_in_queue, 1);
    rig.downstream.0.send_replace(true);
}

/// All that is dead.
fn all() -> DeadSelection {
    DeadSelection::Filter(DeadFilter::default())
}

/// So many dead letters, `d0` the oldest, in a pipeline that is not started: nothing but a replay
/// lets virtual time pass.
async fn lying_dead(letters: usize) -> Rig {
    let rig = Rig::new(apply);
    rig.submit((0..letters).map(|n| invalidated(A).id(&format!("d{n}")))).await;
    let mut claim = rig.store.claim([usize::MAX; 4]).await.unwrap().unwrap();
    let bury = || Verdict::Bury { reason: "never".into() };
    let settlement = |index| Settlement { index, verdict: bury(), stages: Vec::new() };
    claim.settle((0..letters).map(settlement).collect()).await.unwrap();
    drop(claim);
    rig
}

async fn audit(rig: &Rig) -> Vec<AuditRow> {
    rig.store.audit(None, 99).await.unwrap().rows
}

/// Each step begins exactly when what was replayed before it had its time: never earlier, whatever
/// the pace, and later by no more than the runtime's timer is coarse.
#[tokio::test(start_paused = true)]
async fn a_replay_keeps_its_pace() {
    let now = || tokio::time::sleep(Duration::ZERO).deadline();
    let names = |from, to| {
        let names = (from..to).map(|n| EventId::parse(&format!("d{n}")).unwrap());
        DeadSelection::Events(names.collect())
    };
    let twice = |names| match names {
        DeadSelection::Events(ids) => DeadSelection::Events([&ids[..], &ids[..]].concat()),
        other => other,
    };
    for (per_second, letters, which, steps) in [
        (1000, 350, all(), 4),
        (250, 60, all(), 3),
        (30, 10, all(), 4),
        (7, 5, all(), 5),
        (1, 3, all(), 3),
        (1_000_000, 250, all(), 3),
        (30, 10, names(0, 10), 4),
        // What is named twice is there once, and takes its time once.
        (30, 10, twice(names(0, 5)), 2),
        // What is not there takes no time.
        (30, 10, names(1000, 1090), 30),
    ] {
        let rig = lying_dead(letters).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let (tell, began) = (told.clone(), now());
        rig.store.fail(move |point| {
            if matches!(point, Point::Act) {
                tell.lock().push(now() - began);
            }
            None
        });
        let pace = NonZeroU32::new(per_second).unwrap();
        let moved = rig.pipeline.replay(&which, pace, "me").await.unwrap();
        let told = told.lock().clone();
        assert_eq!(told.len(), steps, "{per_second} a second: {told:?}");
        let most = u64::from(per_second / 10).clamp(1, 100);
        for (n, at) in told.iter().enumerate() {
            let before = if moved.done == 0 { 0 } else { n as u64 * most };
            let due = Duration::from_secs(before) / per_second;
            let late = Duration::from_millis(n as u64);
            assert!((due..=due + late).contains(at), "{per_second} a second: {before} by {at:?}");
        }
    }
}

/// Gives up everything until it is mended.
fn given_up_until_mended() -> (Rig, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let works = mended.clone();
    let rig = Rig::new(move |event| match works.load(Ordering::SeqCst) {
        true => apply(event),
        false => Outcome::Bury { reason: "not yet".into() },
    })
    .started();
    (rig, mended)
}

/// What waited for years is no slow event, nor is it the oldest that waits.
#[tokio::test(start_paused = true)]
async fn a_replayed_letter_counts_from_its_replay() {
    let (rig, mended) = given_up_until_mended();
    rig.submit([invalidated(A).id("old")]).await;
    rig.until(|b| b.pipeline.snapshot().events_failed == 1).await;
    mended.store(true, Ordering::SeqCst);
    rig.clock.advance(Duration::from_secs(1000 * 86_400));
    assert_eq!(rig.pipeline.replay(&all(), A_THOUSAND, "me").await.unwrap().done, 1);
    rig.until(|b| b.pipeline.snapshot().events_processed == 1).await;
    rig.clock.advance(Duration::from_secs(1));
    let told = rig.pipeline.snapshot();
    assert_eq!(told.avg_processing_time_ms, 0.0);
    let kind = EventType::TrustInvalidated.as_str();
    for of_type in [&told.accept_to_applied, &told.wait] {
        assert_eq!((of_type[kind].count, of_type[kind].p99_ms), (1, of_type[kind].p50_ms));
        assert!(of_type[kind].p99_ms < 1.0, "{:?}", of_type[kind]);
    }

    let rig = lying_dead(1).await;
    rig.clock.advance(Duration::from_secs(86_400));
    rig.pipeline.replay(&all(), A_THOUSAND, "me").await.unwrap();
    rig.clock.advance(Duration::from_secs(2));
    assert_eq!(rig.pipeline.snapshot().oldest_waiting_seconds, 2.0);
}

/// An event that says no time happened when it was accepted: replayed, it is as old as before, and
/// what came after it stands.
#[tokio::test(start_paused = true)]
async fn a_replay_makes_nothing_newer() {
    let (rig, mended) = given_up_until_mended();
    let called = |handle: &str| Submission {
        event_type: EventType::IdentityUpdated,
        did: did(A),
        payload: serde_json::value::to_raw_value(&serde_json::json!({"handle": handle})).unwrap(),
        priority: None,
        event_id: None,
    };
    rig.pipeline.submit(vec![called("old.example.com")]).await.unwrap();
    rig.until(|b| b.pipeline.snapshot().events_failed == 1).await;
    mended.store(true, Ordering::SeqCst);
    rig.clock.advance(Duration::from_secs(10));
    rig.pipeline.submit(vec![called("new.example.com")]).await.unwrap();
    rig.until(|b| b.pipeline.snapshot().events_processed == 1).await;
    rig.clock.advance(Duration::from_secs(10));
    rig.pipeline.replay(&all(), A_THOUSAND, "me").await.unwrap();
    rig.until(|b| b.pipeline.snapshot().events_processed == 2).await;
    let entity = rig.store.entity(A).await.unwrap().unwrap();
    assert_eq!(entity.handle.as_deref(), Some("new.example.com"));
}

/// What was done is told, is written down, and stays done; the rest is done when it is asked again.
#[tokio::test(start_paused = true)]
async fn an_act_that_breaks_off_says_how_far_it_came() {
    for replay in [true, false] {
        let rig = lying_dead(250).await;
        let act = async || {
            if replay {
                rig.pipeline.replay(&all(), A_THOUSAND, "me").await
            } else {
                rig.pipeline.discard(&all(), "me").await
            }
        };
        let steps = AtomicUsize::new(0);
        rig.store.fail(move |point| {
            let third = matches!(point, Point::Act) && steps.fetch_add(1, Ordering::SeqCst) == 2;
            third.then(|| StoreError::Unavailable("the disk is full".into()))
        });
        let broken = act().await.unwrap_err();
        assert_eq!(broken.moved, Moved { done: 200, impossible: 0, more: true });
        assert!(matches!(broken.why, Broken::Store(StoreError::Unavailable(_))), "{broken}");
        assert_eq!(rig.dead().await.len(), 50);
        let told = |rows: Vec<AuditRow>| rows.iter().map(|r| r.count).collect::<Vec<_>>();
        assert_eq!(told(audit(&rig).await), [200]);
        rig.store.heal();
        assert_eq!(act().await.unwrap(), Moved { done: 50, impossible: 0, more: false });
        assert_eq!(told(audit(&rig).await), [50, 200]);
        assert_eq!(rig.waiting(), if replay { 250 } else { 0 });
    }
}

/// Whoever stops the server does not wait for a replay of hours.
#[tokio::test(start_paused = true)]
async fn a_replay_ends_when_the_pipeline_stops() {
    let rig = lying_dead(100).await;
    let pipeline = rig.pipeline.clone();
    rig.store.fail(move |point| {
        if matches!(point, Point::Act) {
            pipeline.drain();
        }
        None
    });
    let broken = rig.pipeline.replay(&all(), NonZeroU32::MIN, "me").await.unwrap_err();
    assert!(matches!(broken.why, Broken::Draining), "{broken}");
    assert_eq!((broken.moved.done, rig.dead().await.len()), (1, 99));
}

/// What dies while letters are discarded was not meant.
#[tokio::test(start_paused = true)]
async fn a_discard_leaves_what_dies_meanwhile() {
    let rig = lying_dead(150).await;
    rig.submit([invalidated(A).id("late")]).await;
    let mut claim = rig.store.claim([usize::MAX; 4]).await.unwrap();
    let (tell, dies) = std::sync::mpsc::channel();
    let handle = tokio::runtime::Handle::current();
    let dying = std::thread::spawn(move || {
        dies.recv().unwrap();
        let reason = "never".into();
        let verdict = Verdict::Bury { reason };
        let late = Settlement { index: 0, verdict, stages: Vec::new() };
        let settled = handle.block_on(claim.as_mut().unwrap().settle(vec![late]));
        settled.map_err(|e| e.error).unwrap();
    });
    let dying = Mutex::new(Some(dying));
    rig.store.fail(move |point| {
        // Between the first step and the second.
        if matches!(point, Point::Act)
            && let Some(dying) = dying.lock().take()
        {
            tell.send(()).unwrap();
            dying.join().unwrap();
        }
        None
    });
    assert_eq!(rig.pipeline.discard(&all(), "me").await.unwrap().done, 150);
    assert_eq!(rig.dead().await[0].event_id.as_str(), "late");
}
