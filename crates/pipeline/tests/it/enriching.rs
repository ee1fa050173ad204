//! Work that waits on the network: under a lease, in nobody's way, and with a limit.

use crate::rig::{Rig, apply, panic_quietly};
use futures_util::FutureExt;
use rhiz_domain::{
    EventId, Outcome, StageName,
    store::{LEASE_BEAT, LEASE_STALE, StoreError},
};
use rhiz_testkit::{
    events::{at, invalidated},
    faults::Point,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, watch};

const A: &str = "did:plc:a";

/// An event named `net…` waits for the gate, and then is what the rule makes of it.
fn behind(rig: &Rig, gate: &watch::Sender<bool>) {
    let gate = gate.clone();
    rig.enrich(move |event| {
        let (gate, outcome) = (gate.clone(), apply(event));
        event.event_id.as_str().starts_with("net").then(|| {
            async move {
                let _ = gate.subscribe().wait_for(|open| *open).await;
                outcome
            }
            .boxed()
        })
    });
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_holds_no_worker_and_no_place() {
    let rig = Rig::new(apply);
    let gate = watch::Sender::new(false);
    behind(&rig, &gate);
    rig.pipeline.start();
    rig.submit((0..40).map(|n| invalidated(A).id(&format!("net-{n}")))).await;
    rig.until(|b| b.leased() == 40).await;
    assert_eq!(rig.waiting(), 0);
    // Ten workers; forty events that wait; and all the others go by.
    rig.submit((0..500).map(|n| invalidated(A).id(&format!("here-{n}")))).await;
    rig.until(|b| b.pipeline.snapshot().events_processed == 500).await;
    assert_eq!(rig.leased(), 40);
    gate.send_replace(true);
    rig.until(|b| b.pipeline.snapshot().events_processed == 540).await;
    assert_eq!((rig.merged().await, rig.leased()), (540, 0));
    let done = rig.pipeline.recently_done(&EventId::parse("net-0").unwrap()).unwrap();
    assert_eq!(done.stages[1].stage, StageName::Enrichment);
}

/// More than may wait at a time ask again later, one behind the other, without an attempt against
/// them.
#[tokio::test(start_paused = true)]
async fn so_many_wait_on_the_network_and_no_more() {
    let rig = Rig::new(apply);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (asked, turns) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let counts = (now.clone(), most.clone(), turns.clone());
    let count = asked.clone();
    rig.enrich(move |event| {
        count.fetch_add(1, Ordering::SeqCst);
        let ((now, most, turns), outcome) = (counts.clone(), apply(event));
        Some(
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                turns.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                outcome
            }
            .boxed(),
        )
    });
    rig.pipeline.start();
    rig.submit((0..200).map(|n| invalidated(A).id(&n.to_string()))).await;
    rig.until(|b| b.leased() == 64 && b.scheduled() == 136).await;
    // A lease is taken before its work begins.
    rig.until(|_| now.load(Ordering::SeqCst) == 64).await;
    turns.add_permits(200);
    rig.until(|b| b.pipeline.snapshot().events_processed == 64).await;
    // The others stand in line after a tenth of a second, one and a half milliseconds apart.
    for milliseconds in (100..=320).step_by(20) {
        rig.move_to(at(1_000_000) + Duration::from_millis(milliseconds));
        let due = 136.min((milliseconds as usize - 100) * 640 / 1000);
        rig.until(|b| b.pipeline.snapshot().events_processed >= 64 + due as u64).await;
    }
    assert_eq!((most.load(Ordering::SeqCst), rig.merged().await), (64, 200));
    assert_eq!(asked.load(Ordering::SeqCst), 200 + 136);
    assert_eq!(rig.pipeline.snapshot().events_retried, 0);
}

/// No answer within the limit, and a panic, are attempts that failed.
#[tokio::test(start_paused = true)]
async fn what_does_not_answer_or_panics_has_failed() {
    for (id, reason) in
        [("silent", "no answer within 30 s"), ("panics", "its enrichment panicked: no way")]
    {
        let rig = Rig::new(apply);
        rig.enrich(|event| {
            let silent = event.event_id.as_str() == "silent";
            Some(
                async move {
                    match silent {
                        true => std::future::pending().await,
                        false => panic_quietly("no way"),
                    }
                }
                .boxed(),
            )
        });
        rig.pipeline.start();
        rig.submit([invalidated(A).id(id)]).await;
        for attempt in 1..=4 {
            rig.asked().await;
            if id == "silent" {
                rig.until(|b| b.leased() == 1).await;
                // In steps, for nobody must lose a lease in this.
                for _ in 0..6 {
                    rig.clock.advance(LEASE_BEAT);
                    rig.ticks().await;
                    rig.ticks().await;
                }
                assert_eq!(rig.leased(), 1, "not a moment too early");
                rig.clock.advance(Duration::from_millis(1));
            }
            if attempt < 4 {
                rig.until(|b| b.scheduled() == 1).await;
                rig.move_to(rig.due(id).await);
            }
        }
        rig.until(|b| b.pipeline.snapshot().events_failed == 1).await;
        let dead = rig.dead().await;
        assert_eq!((dead[0].last_error.as_str(), dead[0].retry_count), (reason, 3));
        let stages: Vec<_> = dead[0].stages.iter().map(|s| (s.stage, s.success)).collect();
        assert_eq!(stages, [(StageName::Enrichment, false); 4]);
        assert_eq!(rig.leased(), 0);
    }
}

/// A holder whose beats do not arrive loses the event to another, and its own answer, which comes
/// later, counts for nothing.
#[tokio::test(start_paused = true)]
async fn whoever_lost_its_lease_changes_nothing() {
    let rig = Rig::new(apply);
    let asked = Arc::new(AtomicUsize::new(0));
    let gates = [watch::Sender::new(false), watch::Sender::new(false)];
    let (count, doors) = (asked.clone(), gates.clone());
    rig.enrich(move |event| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let (gate, outcome) = (doors[n].clone(), apply(event));
        Some(
            async move {
                let _ = gate.subscribe().wait_for(|open| *open).await;
                match n {
                    0 => Outcome::Bury { reason: "too late".into() },
                    _ => outcome,
                }
            }
            .boxed(),
        )
    });
    rig.store.fail(|point| match point {
        Point::Beat(_) => Some(StoreError::Unavailable("no beat arrives".into())),
        _ => None,
    });
    rig.pipeline.start();
    rig.submit([invalidated(A).id("x")]).await;
    rig.asked().await;
    rig.until(|b| b.leased() == 1).await;
    rig.clock.advance(LEASE_STALE + Duration::from_millis(1));
    assert_eq!(rig.asked().await, "x", "another has it");
    rig.until(|b| b.leased() == 1).await;
    rig.store.heal();
    gates[0].send_replace(true);
    rig.ticks().await;
    assert!(rig.dead().await.is_empty());
    gates[1].send_replace(true);
    rig.until(|b| b.pipeline.snapshot().events_processed == 1).await;
    rig.idle().await;
    assert_eq!((rig.merged().await, rig.dead().await.len(), rig.leased()), (1, 0, 0));
    assert_eq!(rig.pipeline.snapshot().events_in_queue, 0);
}

/// What waits on the network when the pipeline stops is finished in time or left for the next
/// start. In real time, for virtual time does not wait for a disk.
#[tokio::test]
async fn a_stop_waits_for_the_network_until_its_limit() {
    let rig = Rig::new(apply);
    let gate = watch::Sender::new(false);
    behind(&rig, &gate);
    rig.pipeline.start();
    rig.submit([invalidated(A).id("net-1")]).await;
    rig.until(|b| b.leased() == 1).await;
    let (in_time, ()) = tokio::join!(rig.pipeline.stop(Duration::from_secs(60)), async {
        rig.until(|b| b.pipeline.listen().is_none()).await;
        gate.send_replace(true);
    });
    assert!(in_time);
    assert_eq!(rig.merged().await, 1);

    let rig = rig.reopen().await;
    gate.send_replace(false);
    behind(&rig, &gate);
    rig.pipeline.start();
    rig.submit([invalidated(A).id("net-2")]).await;
    rig.until(|b| b.leased() == 1).await;
    assert!(!rig.pipeline.stop(Duration::from_millis(200)).await);
    let rig = rig.reopen().await.started();
    rig.until(|b| b.pipeline.snapshot().events_processed == 1).await;
    assert_eq!(rig.merged().await, 2);
}
