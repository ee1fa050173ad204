//! Whatever fails, and however often: each accepted event is applied once or is a dead letter.

use crate::rig::{Rig, apply, panic_quietly};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rhiz_domain::{Entropy, Outcome, clock::SeededEntropy, store::StoreError};
use rhiz_testkit::{events::invalidated, faults::Point};
use std::time::Duration;

/// What goes wrong at a chance.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Retry,
    Panic,
    Snooze,
    Bury,
    Away,
    Refused,
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    use Fault::{Away, Bury, None, Panic, Refused, Retry, Snooze};
    let fault = prop_oneof![
        6 => Just(None), 2 => Just(Retry), 1 => Just(Panic), 1 => Just(Snooze),
        1 => Just(Bury), 1 => Just(Away), 1 => Just(Refused),
    ];
    // At least one chance of every round goes well, or nothing ever ends.
    prop::collection::vec(fault, 1..24).prop_map(|mut f| {
        f.push(None);
        f
    })
}

async fn run(events: usize, faults: Vec<Fault>, restarts: u64) -> Result<(), TestCaseError> {
    let pick = |dice: &SeededEntropy, faults: &[Fault]| {
        faults[(dice.next_u64() % faults.len() as u64) as usize]
    };
    let (plan, dice) = (faults.clone(), SeededEntropy::new(77));
    let mut rig = Rig::new(move |event| match pick(&dice, &plan) {
        Fault::Retry => Outcome::Retry { reason: "retry".into() },
        Fault::Panic => panic_quietly("panic"),
        Fault::Snooze => {
            Outcome::Snooze { until: event.timestamp + jiff::SignedDuration::from_secs(1) }
        }
        Fault::Bury => Outcome::Bury { reason: "bury".into() },
        _ => apply(event),
    });
    rig.submit((0..events).map(|n| invalidated("did:plc:a").id(&n.to_string()))).await;
    for round in 0.. {
        let (plan, dice) = (faults.clone(), SeededEntropy::new(round));
        rig.store.fail(move |point| match (point, pick(&dice, &plan)) {
            (Point::Settlement | Point::Claim, Fault::Away) => {
                Some(StoreError::Unavailable("away".into()))
            }
            (Point::Settle(..), Fault::Refused) => Some(StoreError::Corrupt("refused".into())),
            _ => None,
        });
        rig.pipeline.start();
        rig.idle().await;
        rig.clock.advance(Duration::from_secs(9));
        rig.ticks().await;
        if rig.waiting() == 0 && rig.scheduled() == 0 {
            rig.idle().await;
            if rig.scheduled() == 0 {
                break;
            }
        }
        if round < restarts {
            rig.pipeline.stop(Duration::from_secs(10)).await;
            rig = rig.reopen().await;
        }
        prop_assert!(round < 500, "it never ends");
    }
    let (merged, dead) = (rig.merged().await, rig.dead().await);
    prop_assert_eq!(merged + dead.len() as u64, events as u64);
    let mut names: Vec<_> = dead.iter().map(|l| l.event_id.to_string()).collect();
    names.sort();
    names.dedup();
    prop_assert_eq!(names.len(), dead.len(), "one event, two dead letters");
    rig.pipeline.stop(Duration::from_secs(10)).await;
    Ok(())
}

#[test]
fn whatever_fails_each_event_ends_once() {
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let input = (1usize..60, faults(), 0u64..3);
    TestRunner::new(config)
        .run(&input, |(events, faults, restarts)| {
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap()
                .block_on(run(events, faults, restarts))
        })
        .unwrap_or_else(|e| panic!("{e}"));
}
