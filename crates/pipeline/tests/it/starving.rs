//! Under endless load of everything else, a low event starts within the stated bound.

use crate::rig::{Rig, apply};
use rhiz_domain::Priority;
use rhiz_pipeline::{
    Settings,
    schedule::{DEADLINE, ROUND},
};
use rhiz_testkit::events::invalidated;
use std::{num::NonZeroUsize, time::Duration};

const A: &str = "did:plc:a";

/// The load never ends while the low event waits: each applied critical one is followed by more.
/// One worker, so that the order of asking is the order of starting.
#[tokio::test(start_paused = true)]
async fn endless_critical_load_does_not_starve_a_low_event() {
    const BEFORE: usize = 40;
    let rig = Rig::with(apply, Settings { workers: NonZeroUsize::MIN, ..Settings::default() });
    let critical = |from: usize, n: usize| {
        (from..from + n)
            .map(|i| invalidated(A).priority(Priority::Critical).id(&format!("critical-{i}")))
    };
    rig.submit(
        (0..=BEFORE).map(|n| invalidated(A).priority(Priority::Low).id(&format!("low-{n}"))),
    )
    .await;
    rig.submit(critical(0, 3000)).await;
    rig.pipeline.start();
    let last = format!("low-{BEFORE}");
    let (mut others, mut next, mut found) = (0, 3000, false);
    while !found {
        // More than a batch comes in for each batch that is begun.
        rig.submit(critical(next, 300)).await;
        next += 300;
        for _ in 0..256 {
            let id = rig.asked().await;
            found |= id == last;
            others += usize::from(!found && !id.starts_with("low"));
        }
        assert!(others <= (BEFORE + 1) * ROUND, "{others} went before it");
    }
    assert!(others > 0, "the load was there");
}

/// Whoever has waited too long at the front of its lane is in the next claim.
#[tokio::test(start_paused = true)]
async fn whoever_waited_too_long_is_in_the_next_claim() {
    let rig = Rig::with(apply, Settings { workers: NonZeroUsize::MIN, ..Settings::default() });
    rig.submit([invalidated(A).priority(Priority::Low).id("low")]).await;
    rig.clock.advance(DEADLINE + Duration::from_millis(1));
    rig.submit(
        (0..2000).map(|n| invalidated(A).priority(Priority::Critical).id(&format!("critical-{n}"))),
    )
    .await;
    rig.pipeline.start();
    rig.until(|b| b.waiting() == 0).await;
    let order = rig.asked_so_far();
    let place = order.iter().position(|id| id == "low").unwrap();
    assert!(place < 256, "{place}");
}
