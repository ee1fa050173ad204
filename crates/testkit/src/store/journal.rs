//! Accepting, claiming, and who gets what.

use super::{ALL, Rig, applied, bytes, id, ids, one, ready, settlement};
use crate::events::{at, did, identity, invalidated, profile, relationship};
use rhiz_domain::{
    Effect, Event, EventId, Origin, Priority,
    store::{
        AppendError, Claimed, Cursor, Intake, MOST_CLAIMED, Place, Receipt, Rejected, StoreError,
        Verdict, Whereabouts,
    },
};
use std::{sync::Arc, time::Duration};

const A: &str = "did:plc:a";
const B: &str = "did:plc:b";

fn intake(events: Vec<Event>) -> Intake {
    Intake { events, ..Intake::default() }
}

/// What goes in comes out, and is gone once it is applied.
pub async fn accepted_events_come_out_as_they_went_in(rig: Rig) {
    let events = vec![
        relationship(A, B).rev(5).verified().id("one").at(7).build(),
        profile(A, "Ada \u{1f496}").served(6).id("two").build(),
        identity(B, 3, Some("b.example.com"))
            .id("three")
            .from(Origin::Jetstream { time_us: 17 })
            .build(),
    ];
    let receipts = rig.store.append(intake(events.clone())).await.unwrap();
    assert_eq!(receipts, [Receipt::Accepted; 3]);
    assert_eq!(rig.depths(), ready([0, 3, 0, 0], bytes(&events)));
    assert_eq!(rig.store.depths().oldest(), Some(at(7)));
    assert_eq!(rig.store.counts().await.unwrap().journal, 3);

    let mut claim = rig.claim().await;
    for (out, event) in claim.events().iter().zip(&events) {
        assert_eq!(out.event_id, event.event_id);
        assert_eq!((out.event_type, &out.did), (event.event_type, &event.did));
        assert_eq!(out.payload.get(), event.payload.get());
        assert_eq!((out.priority, out.timestamp), (event.priority, event.timestamp));
        assert_eq!((out.assigned_rev, out.verified), (event.assigned_rev, event.verified));
        assert_eq!((&out.origin, out.retry_count), (&event.origin, 0));
        assert!(out.stages.is_empty());
    }
    let settlements = applied(&*claim);
    let change = claim.settle(settlements).await.unwrap();
    assert!(change > 0);
    assert_eq!(rig.depths(), ready([0; 4], 0));
    assert_eq!(rig.store.counts().await.unwrap().journal, 0);
    assert!(rig.store.claim(ALL).await.unwrap().is_none());
    let row = rig.store.entity(A).await.unwrap().unwrap();
    assert_eq!(row.profile.unwrap().name, "Ada \u{1f496}");
    rig.store.ping().await.unwrap();
}

/// In one batch, in the next one, while it waits, once it is applied, after a restart; and
/// however its payload's keys are ordered.
pub async fn the_same_event_twice_is_accepted_once(mut rig: Rig) {
    let draft = relationship(A, B).id("same");
    let receipts = rig.accept([draft.clone(), draft.clone()]).await;
    assert_eq!(receipts, [Receipt::Accepted, Receipt::Duplicate]);
    assert_eq!(rig.accept([draft.clone()]).await, [Receipt::Duplicate]);
    rig.work().await;
    assert_eq!(rig.accept([draft.clone()]).await, [Receipt::Duplicate]);
    rig.reopen().await;
    assert_eq!(rig.accept([draft.clone()]).await, [Receipt::Duplicate]);

    let mut reordered = draft.build();
    let value: serde_json::Value = serde_json::from_str(reordered.payload.get()).unwrap();
    let map = value.as_object().unwrap().iter().rev();
    let map: serde_json::Map<_, _> = map.map(|(k, v)| (k.clone(), v.clone())).collect();
    reordered.payload = serde_json::value::to_raw_value(&map).unwrap();
    let receipts = rig.store.append(intake(vec![reordered])).await.unwrap();
    assert_eq!(receipts, [Receipt::Duplicate]);
    assert_eq!(rig.depths(), ready([0; 4], 0));
    assert_eq!(rig.store.counts().await.unwrap().journal, 0);
}

/// Against what was stored, and within one batch; the first that differs is named.
pub async fn an_id_used_for_another_body_is_a_conflict(rig: Rig) {
    rig.accept([relationship(A, B).id("x")]).await;
    let other = relationship(A, B).strength(51).id("x").build();
    let fine = relationship(B, A).id("y").build();
    let error = rig.store.append(intake(vec![fine.clone(), other])).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { index: 1 }), "{error:?}");

    let batch = ["z", "z", "z"].iter().zip([1, 1, 2]);
    let batch = batch.map(|(id, strength)| relationship(A, B).strength(strength).id(id).build());
    let error = rig.store.append(intake(batch.collect())).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { index: 2 }), "{error:?}");
    // Another type is another body too.
    let deleted = relationship(A, B).id("x").delete().build();
    let error = rig.store.append(intake(vec![deleted])).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { index: 0 }), "{error:?}");
    assert_eq!(rig.depths().claimable, one(Priority::Normal));
    // What was refused was not remembered.
    let receipts = rig.store.append(intake(vec![fine])).await.unwrap();
    assert_eq!(receipts, [Receipt::Accepted]);
}

/// Accepts that share a commit succeed or fail each for itself.
pub async fn a_conflict_takes_nobody_else_with_it(rig: Rig) {
    rig.accept([relationship(A, B).id("taken")]).await;
    let tasks = (0..64).map(|n| {
        let store = Arc::clone(&rig.store);
        let draft = relationship(A, B).strength(99).id(&format!("fine-{n}"));
        let draft = if n % 4 == 3 { draft.id("taken") } else { draft };
        tokio::spawn(async move { (n, store.append(intake(vec![draft.build()])).await) })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (n, answer) = task.await.unwrap();
        match answer {
            Ok(receipts) => assert!(n % 4 != 3 && receipts == [Receipt::Accepted], "{n}"),
            Err(e) => assert!(n % 4 == 3 && matches!(e, AppendError::Conflict { index: 0 }), "{n}"),
        }
    }
    assert_eq!(rig.store.counts().await.unwrap().journal, 49);
    assert_eq!(rig.depths().claimable[1], 49);
}

/// Only a caller of the API can be told of a conflict.
pub async fn a_source_that_repeats_itself_in_other_words_is_a_duplicate(rig: Rig) {
    let draft = relationship(A, B).id("s").from(Origin::Jetstream { time_us: 1 });
    assert_eq!(rig.accept([draft.clone()]).await, [Receipt::Accepted]);
    let receipts = rig.accept([draft.clone().strength(1), draft.strength(2)]).await;
    assert_eq!(receipts, [Receipt::Duplicate; 2]);
}

fn rejected(name: &str, origin: Origin) -> Rejected {
    Rejected {
        event_id: id(name),
        event_type: None,
        did: Some(did(A)),
        raw: b"{".to_vec(),
        reason: "it ends too early".into(),
        origin,
        at: at(1),
    }
}

/// Events, dead letters and cursor: all or nothing.
pub async fn a_refused_intake_leaves_nothing_behind(mut rig: Rig) {
    rig.accept([relationship(A, B).id("taken")]).await;
    let refused = Intake {
        events: vec![
            relationship(A, B).id("new").build(),
            relationship(A, B).strength(1).id("taken").build(),
        ],
        rejected: vec![rejected("r", Origin::Jetstream { time_us: 1 })],
        cursor: Some(Cursor { source: "jetstream:x".into(), position: 9 }),
    };
    for _ in 0..2 {
        rig.store.append(refused.clone()).await.unwrap_err();
        assert_eq!(rig.store.cursor("jetstream:x").await.unwrap(), None);
        assert!(rig.dead().await.is_empty());
        assert!(rig.store.find(&id("new")).await.unwrap().is_none());
        assert_eq!(rig.store.counts().await.unwrap().journal, 1);
        rig.reopen().await;
    }
    let accepted = Intake { events: vec![refused.events[0].clone()], ..refused };
    assert_eq!(rig.store.append(accepted).await.unwrap(), [Receipt::Accepted]);
    assert_eq!(rig.store.cursor("jetstream:x").await.unwrap(), Some(9));
    assert_eq!(rig.dead().await.len(), 1);
}

/// And never goes back.
pub async fn a_cursor_moves_with_its_events(mut rig: Rig) {
    let with = |n: i64, position| Intake {
        events: vec![relationship(A, B).rev(n).from(Origin::Jetstream { time_us: n }).build()],
        rejected: Vec::new(),
        cursor: Some(Cursor { source: "jetstream:x".into(), position }),
    };
    rig.store.append(with(1, 10)).await.unwrap();
    assert_eq!(rig.store.cursor("jetstream:x").await.unwrap(), Some(10));
    rig.store.append(with(2, 8)).await.unwrap();
    assert_eq!(rig.store.cursor("jetstream:x").await.unwrap(), Some(10));
    rig.move_cursor("jetstream:y", 3).await;
    rig.reopen().await;
    rig.store.append(with(3, 12)).await.unwrap();
    assert_eq!(rig.store.cursor("jetstream:x").await.unwrap(), Some(12));
    assert_eq!(rig.store.cursor("jetstream:y").await.unwrap(), Some(3));
    assert_eq!(rig.store.cursor("jetstream:z").await.unwrap(), None);
    assert_eq!(rig.depths().claimable[1], 3);
}

/// Lines before the file's cursor are duplicates, whatever is remembered of them.
pub async fn a_file_is_read_once(mut rig: Rig) {
    let line = |offset: u64| {
        let origin = Origin::File { digest: "abc".into(), offset };
        let event = relationship(A, B).rev(offset as i64).from(origin.clone()).build();
        (event, rejected(&format!("r{offset}"), origin))
    };
    let part = |offsets: &[u64], position| {
        let (events, rejected) = offsets.iter().map(|o| line(*o)).unzip();
        let cursor = Some(Cursor { source: "file:abc".into(), position });
        Intake { events, rejected, cursor }
    };
    let all_new = [Receipt::Accepted; 2];
    assert_eq!(rig.store.append(part(&[10, 20], 30)).await.unwrap(), all_new);
    rig.work().await;
    assert_eq!(rig.dead().await.len(), 2);
    rig.clock.advance(Duration::from_secs(86_400 * 30));
    rig.store.prune(at(86_400 * 365)).await.unwrap();
    rig.reopen().await;
    // Read again from the start, a little further this time.
    let receipts = rig.store.append(part(&[10, 20, 30], 40)).await.unwrap();
    assert_eq!(receipts, [Receipt::Duplicate, Receipt::Duplicate, Receipt::Accepted]);
    assert_eq!(rig.dead().await.len(), 3);
    assert_eq!(rig.depths().claimable[1], 1);
    // Another file is another file.
    let other = relationship(A, B).rev(10).from(Origin::File { digest: "d".into(), offset: 10 });
    assert_eq!(rig.accept([other.id("other")]).await, [Receipt::Accepted]);
}

/// Highest priority first, oldest first within one, no more than asked for.
pub async fn claims_keep_quota_and_priority(mut rig: Rig) {
    let order = [0, 3, 1, 2, 0, 3, 1, 2, 0, 3];
    let drafts = order.iter().enumerate().map(|(n, p)| {
        relationship(A, B).rev(n as i64).id(&format!("{p}-{n}")).priority(Priority::ALL[*p])
    });
    rig.accept(drafts.collect::<Vec<_>>()).await;
    assert_eq!(rig.depths().claimable, [3, 2, 2, 3]);
    for _ in 0..2 {
        let claim = rig.store.claim([1, 0, 1, 2]).await.unwrap().unwrap();
        assert_eq!(ids(&*claim), ["3-1", "3-5", "2-3", "0-0"]);
        assert_eq!(rig.depths().claimable, [2, 2, 1, 1]);
        assert_eq!(rig.depths().in_hand, 4);
        assert!(rig.store.claim([0; 4]).await.unwrap().is_none());
        drop(claim);
        rig.reopen().await;
    }
    let claim = rig.claim().await;
    let all = ["3-1", "3-5", "3-9", "2-3", "2-7", "1-2", "1-6", "0-0", "0-4", "0-8"];
    assert_eq!(ids(&*claim), all);
}

/// Before what came after it, whichever of two claims is dropped first.
pub async fn a_dropped_claim_goes_back_in_order(rig: Rig) {
    rig.accept((0..6).map(|n| relationship(A, B).rev(n).id(&n.to_string()))).await;
    let two = [0, 2, 0, 0];
    for first_first in [true, false] {
        let first = rig.store.claim(two).await.unwrap().unwrap();
        let second = rig.store.claim(two).await.unwrap().unwrap();
        assert_eq!(
            (ids(&*first), ids(&*second)),
            (vec!["0".into(), "1".into()], vec!["2".into(), "3".into()])
        );
        assert_eq!(rig.depths().in_hand, 4);
        let (earlier, later) = if first_first { (first, second) } else { (second, first) };
        drop(earlier);
        drop(later);
        assert_eq!(rig.depths().claimable, [0, 6, 0, 0]);
        assert_eq!(rig.depths().in_hand, 0);
        let all = rig.claim().await;
        assert_eq!(ids(&*all), ["0", "1", "2", "3", "4", "5"], "{first_first}");
    }
}

/// Many claim at once; every event is in one hand.
pub async fn nobody_claims_what_another_has_in_hand(rig: Rig) {
    const EVENTS: i64 = 400;
    rig.accept((0..EVENTS).map(|n| relationship(A, B).rev(n))).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&rig.store);
            tokio::spawn(async move {
                let mut claims: Vec<Box<dyn Claimed>> = Vec::new();
                while let Some(claim) = store.claim([0, 7, 0, 0]).await.unwrap() {
                    claims.push(claim);
                    tokio::task::yield_now().await;
                }
                claims
            })
        })
        .collect();
    let mut claims = Vec::new();
    for task in tasks {
        claims.extend(task.await.unwrap());
    }
    let mut names: Vec<_> = claims.iter().flat_map(|c| ids(&**c)).collect();
    assert_eq!(names.len(), EVENTS as usize);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), EVENTS as usize);
    assert_eq!(rig.depths().in_hand, EVENTS as usize);
    let settled = claims.into_iter().map(|mut claim| async move {
        let settlements = applied(&*claim);
        claim.settle(settlements).await.unwrap();
    });
    for task in settled.map(tokio::spawn).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(rig.depths(), ready([0; 4], 0));
}

/// Hundreds of accepts at once, ten for each id.
pub async fn one_of_many_with_the_same_id_is_accepted(mut rig: Rig) {
    let tasks: Vec<_> = (0..400)
        .map(|n| {
            let store = Arc::clone(&rig.store);
            let event = relationship(A, B).rev(n % 40).id(&format!("e{}", n % 40)).build();
            tokio::spawn(async move { store.append(intake(vec![event])).await.unwrap()[0] })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        accepted += usize::from(task.await.unwrap() == Receipt::Accepted);
    }
    assert_eq!(accepted, 40);
    assert_eq!(rig.depths().claimable[1], 40);
    rig.reopen().await;
    assert_eq!(rig.depths().claimable[1], 40);
    let mut names = ids(&*rig.claim().await);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 40);
}

/// Who waits in `ready` hears of an accept, of what is put back, and of what is due.
pub async fn waiting_workers_are_told(rig: Rig) {
    async fn soon(what: impl Future<Output = ()>) {
        tokio::time::timeout(Duration::from_secs(20), what).await.expect("somebody is told");
    }
    let wait = || {
        let store = Arc::clone(&rig.store);
        tokio::spawn(async move { store.ready().await })
    };
    let waiting = wait();
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    rig.accept([relationship(A, B)]).await;
    soon(async { waiting.await.unwrap() }).await;
    // It is still there: nobody has to wait.
    soon(rig.store.ready()).await;

    let claim = rig.claim().await;
    let waiting = wait();
    tokio::task::yield_now().await;
    drop(claim);
    soon(async { waiting.await.unwrap() }).await;

    let mut claim = rig.claim().await;
    let later = rhiz_domain::store::Verdict::Later { due: at(5_000_000), failed: None };
    claim.settle(vec![super::settlement(0, later)]).await.unwrap();
    let waiting = wait();
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    rig.store.wake(at(5_000_000)).await.unwrap();
    soon(async { waiting.await.unwrap() }).await;
}

/// Waiting, due (to the microsecond), done, dead, or never heard of.
pub async fn where_an_event_is_can_be_found(mut rig: Rig) {
    use rhiz_domain::store::Verdict;
    let drafts = ["waiting", "later", "done", "dead"].map(|name| relationship(A, B).id(name));
    rig.accept(drafts).await;
    let mut claim = rig.claim().await;
    let effect = relationship(A, B).effect();
    let due = at(5_000_000);
    let finer = due + jiff::SignedDuration::from_nanos(999);
    let settlements = vec![
        super::settlement(1, Verdict::Later { due: finer, failed: Some("not yet".into()) }),
        super::settlement(2, Verdict::Apply(effect)),
        super::settlement(3, Verdict::Bury { reason: "no use".into() }),
    ];
    claim.settle(settlements).await.unwrap();
    drop(claim);
    for _ in 0..2 {
        match rig.store.find(&id("waiting")).await.unwrap() {
            Some(Whereabouts::Waiting { event, place: Place::Ready }) => {
                assert_eq!((event.event_id.as_str(), event.retry_count), ("waiting", 0));
            }
            other => panic!("{other:?}"),
        }
        match rig.store.find(&id("later")).await.unwrap() {
            Some(Whereabouts::Waiting { event, place: Place::Scheduled(at) }) => {
                assert_eq!((event.retry_count, at), (1, due));
            }
            other => panic!("{other:?}"),
        }
        match rig.store.find(&id("done")).await.unwrap() {
            Some(Whereabouts::Done { accepted_at }) => assert_eq!(accepted_at, at(1_000_000)),
            other => panic!("{other:?}"),
        }
        match rig.store.find(&id("dead")).await.unwrap() {
            Some(Whereabouts::Dead(letter)) => assert_eq!(letter.last_error, "no use"),
            other => panic!("{other:?}"),
        }
        assert!(rig.store.find(&id("never")).await.unwrap().is_none());
        rig.reopen().await;
    }
}

/// Thousands, so that it takes several steps; what waits is not touched.
pub async fn old_identities_are_forgotten_and_young_ones_kept(rig: Rig) {
    let many = |name: &str, from: i64| {
        let name = name.to_owned();
        (from..from + 1250).map(move |n| invalidated(A).id(&format!("{name}-{n}")))
    };
    let uuid = |n: u64| uuid_like(n);
    rig.apply(many("old", 0).chain((0..10).map(|n| invalidated(A).id(&uuid(n))))).await;
    rig.accept([relationship(A, B).id("old-and-waiting")]).await;
    rig.clock.advance(Duration::from_secs(60));
    rig.apply(many("young", 0).chain((10..20).map(|n| invalidated(A).id(&uuid(n))))).await;
    // That includes the one that waited; its effect is there.
    let border = at(1_000_000) + jiff::SignedDuration::from_secs(30);
    assert_eq!(rig.store.prune(border).await.unwrap(), 1250 + 10 + 1);
    assert_eq!(rig.store.prune(border).await.unwrap(), 0);
    assert!(rig.store.find(&id("old-7")).await.unwrap().is_none());
    assert!(rig.store.find(&id("young-7")).await.unwrap().is_some());
    assert!(rig.store.find(&id(&uuid(3))).await.unwrap().is_none());
    assert!(rig.store.find(&id(&uuid(13))).await.unwrap().is_some());
    let again = [invalidated(A).id("old-7"), invalidated(A).id("young-7")];
    assert_eq!(rig.accept(again).await, [Receipt::Accepted, Receipt::Duplicate]);
}

fn uuid_like(n: u64) -> String {
    use rhiz_domain::clock::SeededEntropy;
    EventId::generate(at(n as i64), &SeededEntropy::new(n)).to_string()
}

/// Workers hold many claims at once, and one event may be large. Nobody waits for being so.
pub async fn a_claim_holds_so_many_bytes_and_no_more(mut rig: Rig) {
    let large = "x".repeat(1 << 20);
    let mut left = 0;
    for priority in Priority::ALL {
        let names = (0..10).map(|n| format!("{}-{n}", priority.name()));
        let draft = |name: String| profile(A, "Ada").set("bio", &*large).id(&name);
        rig.accept(names.map(|name| draft(name).priority(priority))).await;
        left += 10;
    }
    rig.accept([profile(A, "Ada").set("bio", "x".repeat(9 << 20)).id("huge")]).await;
    left += 1;
    // What is held does not count, whether it is in memory or not.
    rig.reopen().await;
    while left > 0 {
        let mut claim = rig.claim().await;
        let events = claim.events();
        let held: usize = events.iter().map(|e| e.payload.get().len()).sum();
        let of = |p: Priority| events.iter().filter(|e| e.priority == p).count();
        let alone = Priority::ALL.iter().all(|p| of(*p) <= 1);
        assert!(held <= MOST_CLAIMED || alone, "{held} bytes");
        let waiting = rig.store.depths().claimable;
        assert!(Priority::ALL.iter().all(|p| of(*p) > 0 || waiting[*p as usize] == 0));
        let effect = || Verdict::Apply(Effect::Invalidate { did: did(A) });
        let n = events.len();
        claim.settle((0..n).map(|i| settlement(i, effect())).collect()).await.unwrap();
        left -= n;
    }
    assert_eq!(rig.depths(), ready([0; 4], 0));
}

/// Many are read at once, and whoever wants them may be gone before they are.
pub async fn a_claim_given_up_while_it_is_read_goes_back(mut rig: Rig) {
    rig.accept((0..500).map(|n| invalidated(A).id(&format!("e{n}")))).await;
    rig.reopen().await;
    for _ in 0..20 {
        // Asked once, and never again.
        let _ = tokio::time::timeout(Duration::ZERO, rig.store.claim(ALL)).await;
    }
    let claim = rig.claim().await;
    assert_eq!(ids(&*claim), (0..500).map(|n| format!("e{n}")).collect::<Vec<_>>());
}

/// And gives back what it could not do.
pub async fn a_closed_store_says_so(rig: Rig) {
    rig.accept([relationship(A, B).rev(1), relationship(A, B).rev(2)]).await;
    let mut claim = rig.claim().await;
    rig.store.close().await;
    let event = relationship(A, B).rev(3).build();
    let error = rig.store.append(intake(vec![event])).await.unwrap_err();
    assert!(matches!(error, AppendError::Store(StoreError::Closed)), "{error:?}");
    let settlements = applied(&*claim);
    let failed = claim.settle(settlements).await.unwrap_err();
    assert!(matches!(failed.error, StoreError::Closed), "{failed:?}");
    assert_eq!(failed.settlements.len(), 2);
    assert_eq!(rig.depths().in_hand, 2);
    drop(claim);
    assert_eq!(rig.depths().claimable[1], 2);
    assert!(rig.store.prune(at(0)).await.is_err());
    assert!(rig.store.ping().await.is_err());
    rig.store.close().await;
}
