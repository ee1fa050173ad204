//! A processor that never comes back costs its event an attempt, and nobody else anything.

use crate::rig::{Rig, apply};
use rhiz_domain::{Event, EventType, Outcome};
use rhiz_testkit::events::{identity, invalidated};
use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

const A: &str = "did:plc:a";
const LIMIT: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(1);

/// Hangs on the events whose names begin with it, until its other end is dropped.
fn hangs_on(
    prefix: &'static str,
) -> (impl Fn(&Event) -> Outcome + Send + Sync + 'static, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let rule = move |event: &Event| {
        if event.event_id.as_str().starts_with(prefix) {
            // All of them wait behind the first one.
            let _ = held.lock().unwrap().recv();
        }
        apply(event)
    };
    (rule, release)
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_hangs_has_failed_and_its_batch_goes_on() {
    let (rule, release) = hangs_on("x");
    let rig = Rig::new(rule);
    let before = (0..9).map(|n| invalidated(A).id(&format!("before-{n}")));
    let after = (0..9).map(|n| invalidated(A).id(&format!("after-{n}")));
    rig.submit(before.chain([invalidated(A).id("x")]).chain(after)).await;
    rig.pipeline.start();
    for attempt in 1..=4 {
        rig.until(|b| b.asked_so_far().contains(&"x".into())).await;
        rig.clock.advance(LIMIT);
        rig.ticks().await;
        assert_eq!(rig.scheduled(), 0, "not a moment too early");
        rig.clock.advance(TICK);
        if attempt == 1 {
            rig.until(|b| b.pipeline.snapshot().events_processed == 18).await;
        }
        if attempt < 4 {
            rig.until(|b| b.scheduled() == 1).await;
            rig.move_to(rig.due("x").await);
        }
        rig.until(|b| b.pipeline.snapshot().processors_hung == attempt).await;
    }
    rig.idle().await;
    let dead = rig.dead().await;
    assert_eq!(dead[0].last_error, "its processor had not answered after 15 s");
    assert_eq!((dead.len(), rig.merged().await), (1, 18));
    // One that comes back after all changes nothing: nobody waits for it.
    drop(release);
    rig.until(|b| b.pipeline.snapshot().processors_hung == 0).await;
    rig.ticks().await;
    assert_eq!((rig.dead().await.len(), rig.merged().await), (1, 18));
}

/// Threads that are left behind are bounded: the type stands still, and the others go on.
#[tokio::test(start_paused = true)]
async fn a_type_that_keeps_hanging_is_paused() {
    let (rule, release) = hangs_on("x");
    let rig = Rig::new(rule).started();
    // One batch, so that it is one worker that meets them all.
    rig.submit((0..40).map(|n| invalidated(A).id(&format!("x{n}")))).await;
    rig.until(|b| {
        b.clock.advance(LIMIT + TICK);
        !b.pipeline.journal().paused().work.is_empty()
    })
    .await;
    // Each of the other workers may meet one before the type stands still.
    let hung = rig.pipeline.snapshot().processors_hung;
    assert!((16..16 + 10).contains(&hung), "{hung}");
    let paused = rig.pipeline.journal().paused();
    assert_eq!(paused.work.iter().collect::<Vec<_>>(), [EventType::TrustInvalidated]);
    assert!(paused.intake.is_empty(), "nobody is refused");
    rig.submit([invalidated(A).id("x-later")]).await;
    // One after the other: what is worked on while so many hang is not paused for that.
    for n in 1..=3 {
        rig.submit([identity(A, n, None).id(&format!("fine-{n}"))]).await;
        rig.until(|b| b.pipeline.snapshot().events_processed == n as u64).await;
    }
    assert_eq!(rig.pipeline.journal().paused().work, paused.work, "they do not hang");
    rig.clock.advance(Duration::from_secs(60));
    rig.ticks().await;
    rig.until(|b| b.scheduled() == 0).await;
    assert_eq!(rig.pipeline.snapshot().paused, 41, "none is lost");
    let audit = rig.pipeline.journal().audit(None, 9).await.unwrap().rows;
    assert_eq!(
        (audit[0].action.as_str(), audit[0].by.as_str()),
        ("pause", "rhiz: its processors hang")
    );
    drop(release);
}
