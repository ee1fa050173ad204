//! In which order, and when an event is said to be done.

use crate::rig::{FOR_EVER, Rig, apply, submission};
use rhiz_domain::{EventId, Priority, StageName, store::Depths};
use rhiz_pipeline::Settings;
use rhiz_testkit::events::invalidated;
use std::num::NonZeroUsize;

const A: &str = "did:plc:a";

fn one_worker() -> Settings {
    Settings { workers: NonZeroUsize::MIN, ..Settings::default() }
}

#[tokio::test(start_paused = true)]
async fn critical_overtakes_and_low_does_not_starve() {
    let rig = Rig::with(apply, one_worker());
    let many = |p: Priority, n: usize| {
        (0..n).map(move |i| invalidated(A).priority(p).id(&format!("{}-{i}", p.name())))
    };
    rig.submit(many(Priority::Low, 600)).await;
    rig.submit(many(Priority::Normal, 600)).await;
    rig.submit(many(Priority::Critical, 600)).await;
    rig.pipeline.start();
    rig.idle().await;
    let order = rig.asked_so_far();
    assert_eq!(order.len(), 1800);
    let place = |id: &str| order.iter().position(|o| o == id).unwrap();
    assert_eq!(place("critical-0"), 0);
    // In a batch of 256, 8 of 11 go to the critical ones; the oldest low one is in the first batch.
    let first: Vec<_> = order[..256].iter().filter(|id| id.starts_with("critical")).collect();
    assert!(first.len() >= 180, "{}", first.len());
    assert!(place("low-0") < 256);
    assert!(place("critical-599") < place("normal-599"));
    // Within one priority, the order of accepting.
    for name in ["low", "normal", "critical"] {
        let own = order.iter().filter(|o| o.starts_with(name));
        let numbers: Vec<usize> =
            own.map(|o| o.rsplit_once('-').unwrap().1.parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_critical_event_that_comes_late_goes_first() {
    let rig = Rig::with(apply, one_worker());
    rig.submit((0..1000).map(|n| invalidated(A).id(&format!("low-{n}")))).await;
    rig.submit([invalidated(A).priority(Priority::Critical).id("critical")]).await;
    rig.pipeline.start();
    assert_eq!(rig.asked().await, "critical");
}

/// Not before the graph and the caches have it.
#[tokio::test(start_paused = true)]
async fn an_event_is_done_when_it_is_in_every_answer() {
    let rig = Rig::new(apply).started();
    rig.downstream.0.send_replace(false);
    let pipeline = rig.pipeline.clone();
    let waiting = tokio::spawn(async move {
        pipeline.submit_and_wait(submission(&invalidated(A).id("x")), FOR_EVER).await
    });
    // It has left the journal, and is not done.
    rig.until(|b| b.asked_so_far() == ["x"]).await;
    rig.until(|b| b.waiting() == 0).await;
    rig.ticks().await;
    assert_eq!(rig.merged().await, 1);
    assert!(!waiting.is_finished());
    let told = rig.pipeline.snapshot();
    assert_eq!((told.events_in_queue, told.events_processed), (1, 0));
    assert!(rig.pipeline.recently_done(&EventId::parse("x").unwrap()).is_none());
    rig.downstream.0.send_replace(true);
    waiting.await.unwrap().unwrap();
    let told = rig.pipeline.snapshot();
    assert_eq!((told.events_in_queue, told.events_processed), (0, 1));
    let done = rig.pipeline.recently_done(&EventId::parse("x").unwrap()).unwrap();
    let stages: Vec<_> = done.stages.iter().map(|s| s.stage).collect();
    let expected = [
        StageName::Validation,
        StageName::DatabaseWrite,
        StageName::GraphUpdate,
        StageName::CacheInvalidation,
        StageName::Metrics,
    ];
    assert_eq!(stages, expected);
    let told = rig.pipeline.snapshot();
    for by_type in [&told.accept_to_applied, &told.wait, &told.work] {
        assert_eq!(by_type["trust.invalidated"].count, 1);
    }
    let stages: Vec<_> = told.stages_by_type["trust.invalidated"].keys().copied().collect();
    let named: Vec<_> = expected.iter().map(|s| s.as_str()).collect();
    assert_eq!(stages.len(), named.len());
    assert!(named.iter().all(|s| stages.contains(s) && told.stages[s].count == 1));
}

/// What an earlier run left is worked on without anybody asking.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_left_is_worked_on() {
    let rig = Rig::new(apply);
    rig.submit((0..500).map(|n| invalidated(A).id(&n.to_string()))).await;
    let rig = rig.reopen().await;
    assert_eq!(rig.pipeline.snapshot().events_in_queue, 500);
    let rig = rig.started();
    rig.until(|b| b.pipeline.snapshot().events_processed == 500).await;
    assert_eq!(rig.merged().await, 500);
    let depths = rig.pipeline.journal().depths();
    assert_eq!(depths, Depths::default());
}
