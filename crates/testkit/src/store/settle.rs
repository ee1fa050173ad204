//! Effects, retries and dead letters, and what is left of a claim.

use super::{Rig, applied, bytes, id, ids, one, ready, settlement};
use crate::events::{at, invalidated, profile, relationship};
use rhiz_domain::{
    Priority, Stage, StageName,
    store::{Depths, Intake, Settlement, Verdict, Whereabouts},
};
use std::time::Duration;

const A: &str = "did:plc:a";
const B: &str = "did:plc:b";

fn stage(error: &str) -> Stage {
    Stage {
        stage: StageName::DatabaseWrite,
        timestamp: at(9),
        success: false,
        error: Some(error.into()),
        ms: Some(1.5),
    }
}

fn later(due: i64, failed: Option<&str>) -> Verdict {
    Verdict::Later { due: at(due), failed: failed.map(Into::into) }
}

/// A second verdict on the same event, in the same call or a later one, is no verdict.
pub async fn a_settled_event_is_settled_once(rig: Rig) {
    rig.accept([invalidated(A).id("x")]).await;
    let mut claim = rig.claim().await;
    let effect = invalidated(A).effect();
    let twice = vec![
        settlement(0, Verdict::Apply(effect.clone())),
        settlement(0, Verdict::Apply(effect.clone())),
        settlement(7, Verdict::Apply(effect.clone())),
    ];
    let change = claim.settle(twice).await.unwrap();
    for verdict in [
        Verdict::Apply(effect),
        Verdict::Bury { reason: "no".into() },
        later(5_000_000, Some("no")),
    ] {
        assert_eq!(claim.settle(vec![settlement(0, verdict)]).await.unwrap(), change);
        assert_eq!(rig.depths(), ready([0; 4], 0));
    }
    drop(claim);
    assert_eq!(rig.depths(), ready([0; 4], 0));
    assert!(rig.dead().await.is_empty());
    assert!(matches!(rig.store.find(&id("x")).await.unwrap(), Some(Whereabouts::Done { .. })));
}

/// One by one, in any order; what is never settled goes back.
pub async fn the_rest_of_a_claim_can_be_settled_later(rig: Rig) {
    rig.accept((0..4).map(|n| relationship(A, B).rev(n).id(&n.to_string()))).await;
    let mut claim = rig.claim().await;
    let mut all = applied(&*claim);
    let (last, second) = (all.remove(3), all.remove(1));
    claim.settle(vec![last]).await.unwrap();
    assert_eq!((rig.depths().in_hand, rig.depths().claimable[1]), (3, 0));
    claim.settle(vec![second]).await.unwrap();
    claim.settle(Vec::new()).await.unwrap();
    assert_eq!(rig.depths().in_hand, 2);
    assert_eq!(rig.store.counts().await.unwrap().journal, 2);
    drop(claim);
    assert_eq!(ids(&*rig.claim().await), ["0", "2"]);
}

/// It is not claimed before its time, comes back with its count and stages, and takes no part of
/// the capacity any more.
pub async fn a_failed_attempt_waits_and_is_counted(rig: Rig) {
    let event = relationship(A, B).id("x").build();
    rig.store.append(Intake { events: vec![event], ..Intake::default() }).await.unwrap();
    let mut stages = Vec::new();
    for attempt in 1..=3u32 {
        let due = 2_000_000 + i64::from(attempt);
        let mut claim = rig.claim().await;
        assert_eq!(claim.events()[0].retry_count, attempt - 1);
        assert_eq!(claim.events()[0].stages, stages);
        stages.push(stage(&format!("failure {attempt}")));
        let verdict = later(due, Some("it failed"));
        claim.settle(vec![Settlement { index: 0, verdict, stages: stages.clone() }]).await.unwrap();
        drop(claim);
        assert_eq!(rig.depths(), rhiz_domain::store::Depths { scheduled: 1, ..ready([0; 4], 0) });
        assert!(rig.store.claim(super::ALL).await.unwrap().is_none());
        let early = at(due) - jiff::SignedDuration::from_micros(1);
        assert_eq!(rig.store.wake(early).await.unwrap(), Some(at(due)));
        assert!(rig.store.claim(super::ALL).await.unwrap().is_none());
        assert_eq!(rig.store.wake(at(due)).await.unwrap(), None);
        let depths = rig.depths();
        assert_eq!((depths.claimable, depths.in_hand, depths.bytes), ([0, 1, 0, 0], 0, 0));
    }
    rig.work().await;
    assert_eq!(rig.depths(), ready([0; 4], 0));
    assert_eq!(rig.store.counts().await.unwrap().relationships, 1);
}

/// Coming back later is not counted, and forgets nothing.
pub async fn a_snooze_is_no_attempt(mut rig: Rig) {
    rig.accept([relationship(A, B).id("x")]).await;
    let mut claim = rig.claim().await;
    let stages = vec![stage("asleep")];
    let verdict = later(2_000_000, None);
    claim.settle(vec![Settlement { index: 0, verdict, stages: stages.clone() }]).await.unwrap();
    rig.reopen().await;
    rig.store.wake(at(2_000_000)).await.unwrap();
    let claim = rig.claim().await;
    assert_eq!((claim.events()[0].retry_count, &claim.events()[0].stages), (0, &stages));
}

/// Counts, stages, and when it is due.
pub async fn what_waits_survives_a_restart(mut rig: Rig) {
    let drafts = (0..3).map(|n| relationship(A, B).rev(n).served(n).id(&n.to_string()));
    rig.accept(drafts).await;
    let before = rig.claim().await.events().to_vec();
    let mut claim = rig.claim().await;
    let stages = vec![stage("down")];
    let settlements = (0..3).map(|index| Settlement {
        index,
        verdict: later(2_000_000 + 10 * (3 - index as i64), Some("down")),
        stages: stages.clone(),
    });
    claim.settle(settlements.collect()).await.unwrap();
    drop(claim);
    for _ in 0..3 {
        assert_eq!(rig.depths(), rhiz_domain::store::Depths { scheduled: 3, ..ready([0; 4], 0) });
        assert_eq!(rig.store.wake(at(2_000_009)).await.unwrap(), Some(at(2_000_010)));
        rig.reopen().await;
    }
    assert_eq!(rig.store.wake(at(2_000_010)).await.unwrap(), Some(at(2_000_020)));
    let claim = rig.claim().await;
    assert_eq!(ids(&*claim), ["2"]);
    let event = &claim.events()[0];
    assert_eq!((event.retry_count, &event.stages), (1, &stages));
    assert_eq!(event.assigned_rev, before[2].assigned_rev);
    assert_eq!(event.payload.get(), before[2].payload.get());
    drop(claim);
    rig.reopen().await;
    // It was due before the restart, and still is.
    assert_eq!(rig.store.wake(at(2_000_030)).await.unwrap(), None);
    assert_eq!(ids(&*rig.claim().await).len(), 3);
}

/// A claim is no promise: who restarts finds what was not settled, in order.
pub async fn a_restart_finds_what_was_in_hand(mut rig: Rig) {
    rig.accept((0..5).map(|n| relationship(A, B).rev(n).id(&n.to_string()))).await;
    let mut claim = rig.store.claim([0, 3, 0, 0]).await.unwrap().unwrap();
    let effect = relationship(A, B).rev(1).effect();
    claim.settle(vec![settlement(1, Verdict::Apply(effect))]).await.unwrap();
    rig.reopen().await;
    drop(claim);
    assert_eq!(rig.depths().claimable, [0, 4, 0, 0]);
    assert_eq!(ids(&*rig.claim().await), ["0", "2", "3", "4"]);
}

/// With all that is known of it.
pub async fn a_buried_event_is_a_dead_letter(mut rig: Rig) {
    let draft = profile(A, "Ada").id("x").priority(Priority::High).at(44);
    rig.accept([draft.clone()]).await;
    let mut claim = rig.claim().await;
    claim.settle(vec![settlement(0, later(2_000_000, Some("once")))]).await.unwrap();
    rig.store.wake(at(2_000_000)).await.unwrap();
    rig.clock.advance(Duration::from_secs(5));
    let mut claim = rig.claim().await;
    let stages = vec![stage("once"), stage("twice")];
    let verdict = Verdict::Bury { reason: "it is of no use".into() };
    claim.settle(vec![Settlement { index: 0, verdict, stages: stages.clone() }]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(rig.depths(), ready([0; 4], 0));
        let counts = rig.store.counts().await.unwrap();
        assert_eq!((counts.journal, counts.dead_letters, counts.profiles), (0, 1, 0));
        let letters = rig.dead().await;
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!((letter.event_id.as_str(), letter.event_type), ("x", Some(draft.event_type())));
        assert_eq!(letter.did.as_ref(), Some(&draft.did));
        assert_eq!((letter.priority, letter.retry_count), (Priority::High, 1));
        assert_eq!((letter.accepted_at, letter.died_at), (at(44), at(1_000_005)));
        assert_eq!((&letter.stages, letter.last_error.as_str()), (&stages, "it is of no use"));
        assert_eq!(letter.payload, draft.build().payload.get().as_bytes());
        assert_eq!(letter.origin, "api");
        rig.reopen().await;
    }
}

/// Events, bytes, retries: at every step, and found again after a restart.
pub async fn depths_are_exact_at_every_step(mut rig: Rig) {
    let normal = profile(A, "Ünïcödé 👩‍🚀").served(1).build();
    let critical = relationship(A, B).priority(Priority::Critical).build();
    let (n, c) = (normal.payload.get().len(), critical.payload.get().len());
    let all = vec![normal, critical];
    assert_eq!(bytes(&all), n + c);
    rig.store.append(Intake { events: all, ..Intake::default() }).await.unwrap();
    let both = ready([0, 1, 0, 1], n + c);
    assert_eq!(rig.depths(), both);
    rig.reopen().await;
    assert_eq!(rig.depths(), both);

    let mut first = rig.store.claim([0, 0, 0, 1]).await.unwrap().unwrap();
    let mut expected = ready(one(Priority::Normal), n + c);
    expected.in_hand = 1;
    assert_eq!(rig.depths(), expected);
    assert_eq!(rig.depths().waiting(), 2);
    first.settle(vec![settlement(0, later(2_000_000, Some("down")))]).await.unwrap();
    let mut expected = ready(one(Priority::Normal), n);
    expected.scheduled = 1;
    assert_eq!(rig.depths(), expected);
    rig.reopen().await;
    assert_eq!(rig.depths(), expected);

    // Ready again it can be claimed, but counts no more.
    rig.store.wake(at(2_000_000)).await.unwrap();
    assert_eq!(rig.depths(), Depths { counted: 1, ..ready([0, 1, 0, 1], n) });
    let claim = rig.claim().await;
    let mut expected = ready([0; 4], n);
    expected.in_hand = 1;
    assert_eq!(rig.depths(), expected);
    drop(claim);
    assert_eq!(rig.depths(), Depths { counted: 1, ..ready([0, 1, 0, 1], n) });
    rig.work().await;
    assert_eq!(rig.depths(), ready([0; 4], 0));
    rig.reopen().await;
    assert_eq!(rig.depths(), ready([0; 4], 0));
}

/// A caller that gives up between the asking and the answer leaves no event behind in no hand.
pub async fn a_settlement_nobody_waits_for_is_whole(mut rig: Rig) {
    const ROUNDS: usize = 40;
    for n in 0..ROUNDS {
        rig.accept([invalidated(A).id(&format!("{n}"))]).await;
        let mut claim = rig.claim().await;
        let settlements = applied(&*claim);
        let settling = claim.settle(settlements);
        tokio::select! {
            biased;
            _ = settling => {}
            () = yields(n % 7) => {}
        }
        drop(claim);
    }
    // Whatever is under way is done when this is, for one thread does both in order.
    rig.store.ping().await.unwrap();
    rig.work().await;
    assert_eq!(rig.depths(), ready([0; 4], 0));
    let facts = rig.store.facts(std::sync::Arc::new(|_, _| {})).await.unwrap();
    // Each was applied once: one change each, and one for the entity they name.
    assert_eq!(facts.seq, ROUNDS as u64 + 1);
    rig.reopen().await;
    assert_eq!(rig.depths(), ready([0; 4], 0));
}

async fn yields(n: usize) {
    for _ in 0..n {
        tokio::task::yield_now().await;
    }
}
