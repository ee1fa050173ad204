//! Inputs that are no events, and events that are given up.

use super::{Rig, id, settlement};
use crate::events::{at, deleted, did, identity, profile, relationship};
use jiff::Timestamp;
use rhiz_domain::{
    EventType, Origin, Priority, payload,
    store::{
        Act, AppendError, DeadFilter, DeadPage, DeadSelection, Dropped, Intake, Moved, Receipt,
        Rejected, Verdict, Whereabouts,
    },
};
use std::time::Duration;

const A: &str = "did:plc:a";
const B: &str = "did:plc:b";

fn rejected(name: &str, who: Option<&str>) -> Rejected {
    Rejected {
        event_id: id(name),
        event_type: Some(EventType::RelationshipCreated),
        did: who.map(did),
        raw: b"\xff\x00{\"half\": ".to_vec(),
        reason: "it ends too early".into(),
        origin: Origin::Jetstream { time_us: 5 },
        at: at(77),
    }
}

async fn take(rig: &Rig, rejected: Vec<Rejected>) -> Vec<Receipt> {
    rig.store.append(Intake { rejected, ..Intake::default() }).await.unwrap()
}

async fn page(rig: &Rig, filter: DeadFilter) -> DeadPage {
    let limit = if filter.limit == 0 { 100 } else { filter.limit };
    rig.store.dead_letters(DeadFilter { limit, ..filter }).await.unwrap()
}

/// Its bytes, cut to 64 KiB; it takes no part of the queue.
pub async fn a_rejected_input_is_kept_as_it_came(mut rig: Rig) {
    let long = Rejected {
        raw: vec![0xfe; Rejected::MAX_RAW + 5],
        event_type: None,
        origin: Origin::File { digest: "abc".into(), offset: 3 },
        ..rejected("long", None)
    };
    let receipts = take(&rig, vec![rejected("short", Some(A)), long]).await;
    assert!(receipts.is_empty());
    assert_eq!(rig.depths(), super::ready([0; 4], 0));
    rig.reopen().await;
    let letters = rig.dead().await;
    let [long, short] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(short.payload, b"\xff\x00{\"half\": ");
    assert_eq!(short.last_error, "it ends too early");
    assert_eq!(short.event_type, Some(EventType::RelationshipCreated));
    assert_eq!((short.did.clone(), short.priority), (Some(did(A)), Priority::Normal));
    assert_eq!((short.accepted_at, short.died_at), (at(77), at(1_000_000)));
    assert_eq!((short.origin.as_str(), short.retry_count), ("jetstream", 0));
    assert!(short.stages.is_empty());
    assert_eq!((&long.did, long.event_type, long.origin.as_str()), (&None, None, "file"));
    assert_eq!(long.payload, vec![0xfe; Rejected::MAX_RAW]);
    match rig.store.find(&id("short")).await.unwrap() {
        Some(Whereabouts::Dead(letter)) => assert_eq!(letter.id, short.id),
        other => panic!("{other:?}"),
    }
}

/// A source that is read again brings it again.
pub async fn the_same_rejected_input_is_kept_once(mut rig: Rig) {
    take(&rig, vec![rejected("x", Some(A)), rejected("x", Some(A))]).await;
    take(&rig, vec![rejected("x", Some(A))]).await;
    rig.reopen().await;
    take(&rig, vec![rejected("x", Some(A)), rejected("y", Some(A))]).await;
    assert_eq!(rig.dead().await.len(), 2);
}

/// Each DID has its own thousand, and those of nobody share one.
pub async fn a_thousand_are_kept_of_one_did_and_the_rest_is_counted(mut rig: Rig) {
    let many = |who: Option<&'static str>, n: usize| {
        (0..n).map(move |i| rejected(&format!("{}-{i}", who.unwrap_or("nobody")), who)).collect()
    };
    take(&rig, many(Some(A), 990)).await;
    take(&rig, many(Some(A), 1100)).await;
    take(&rig, many(None, 1001)).await;
    take(&rig, many(Some(B), 3)).await;
    // Counted once too, when they come again.
    take(&rig, many(Some(A), 1100)).await;
    rig.reopen().await;
    let of = |who: &str| DeadFilter { did: Some(did(who)), ..DeadFilter::default() };
    assert_eq!(page(&rig, of(A)).await.count, Rejected::MAX_PER_DID as u64);
    assert_eq!(page(&rig, of(B)).await.count, 3);
    let all = page(&rig, DeadFilter::default()).await;
    assert_eq!((all.count, all.uncounted), (1000 + 1000 + 3, 100 + 1));
    assert_eq!(rig.store.counts().await.unwrap().dead_letters, 2003);
}

/// What was only counted belongs to a DID, and has neither type nor time.
pub async fn a_filter_counts_only_what_it_asks_for(rig: Rig) {
    for (who, more) in [(Some(A), 2), (Some(B), 3), (None, 5)] {
        let name = |i: usize| format!("{}-{i}", who.unwrap_or("nobody"));
        let many = (0..Rejected::MAX_PER_DID + more).map(|i| rejected(&name(i), who));
        take(&rig, many.collect()).await;
    }
    let all = DeadFilter::default;
    assert_eq!(page(&rig, all()).await.uncounted, 2 + 3 + 5);
    let of = |who: &str| DeadFilter { did: Some(did(who)), ..all() };
    assert_eq!(page(&rig, of(A)).await.uncounted, 2);
    assert_eq!(page(&rig, of(B)).await.uncounted, 3);
    assert_eq!(page(&rig, of("did:plc:c")).await.uncounted, 0);
    let some = Some(at(0));
    for filter in [
        DeadFilter { event_type: Some(EventType::RelationshipCreated), ..of(A) },
        DeadFilter { since: some, ..all() },
        DeadFilter { until: some, ..all() },
    ] {
        assert_eq!(page(&rig, filter).await.uncounted, 0);
    }
}

/// By type, by DID, by age; newest first, page by page.
pub async fn dead_letters_are_filtered_and_paged(rig: Rig) {
    for n in 0..10u32 {
        let (kind, who) = (n % 2 == 0, n % 3 == 0);
        let draft = if kind { relationship(A, B) } else { profile(A, "Ada") };
        let draft = if who && !kind { profile(B, "Bob") } else { draft };
        rig.accept([draft.id(&n.to_string())]).await;
        let mut claim = rig.claim().await;
        let reason = format!("reason {n}");
        claim.settle(vec![settlement(0, Verdict::Bury { reason })]).await.unwrap();
        rig.clock.advance(Duration::from_secs(1));
    }
    let names = |page: &DeadPage| {
        page.letters.iter().map(|l| l.event_id.to_string()).collect::<Vec<_>>().join("")
    };
    let all = page(&rig, DeadFilter::default()).await;
    assert_eq!((names(&all).as_str(), all.count, all.more), ("9876543210", 10, false));
    assert_eq!(all.oldest, Some(at(1_000_000)));
    let filter =
        DeadFilter { event_type: Some(EventType::ProfileUpdated), ..DeadFilter::default() };
    assert_eq!(names(&page(&rig, filter.clone()).await), "97531");
    let filter = DeadFilter { did: Some(did(B)), ..filter };
    let some = page(&rig, filter.clone()).await;
    assert_eq!((names(&some).as_str(), some.oldest), ("93", Some(at(1_000_003))));
    let filter = DeadFilter { since: Some(at(1_000_009)), ..filter };
    assert_eq!(names(&page(&rig, filter).await), "9");
    let filter = DeadFilter { since: Some(at(1_000_008)), ..DeadFilter::default() };
    assert_eq!(names(&page(&rig, filter).await), "98");
    let filter = DeadFilter { until: Some(at(1_000_002)), ..DeadFilter::default() };
    assert_eq!(names(&page(&rig, filter).await), "10");

    let mut before = None;
    let mut seen = String::new();
    loop {
        let page = page(&rig, DeadFilter { before, limit: 4, ..DeadFilter::default() }).await;
        assert_eq!(page.count, 10);
        assert!(page.letters.len() <= 4);
        seen.push_str(&names(&page));
        before = page.letters.last().map(|l| l.id);
        if !page.more {
            break;
        }
        assert_eq!(page.letters.len(), 4);
    }
    assert_eq!(seen, "9876543210");
    let exactly = page(&rig, DeadFilter { limit: 10, ..DeadFilter::default() }).await;
    assert!(!exactly.more);
}

/// What is kept of somebody goes with their account.
pub async fn a_deleted_account_leaves_no_dead_letters(rig: Rig) {
    let many = (0..1005).map(|n| rejected(&format!("a{n}"), Some(A)));
    take(&rig, many.chain([rejected("b", Some(B))]).collect()).await;
    rig.apply([deleted(A, 5)]).await;
    let rest = page(&rig, DeadFilter::default()).await;
    assert_eq!((rest.count, rest.uncounted), (1, 0));
    assert_eq!(rest.letters[0].event_id.as_str(), "b");
}

async fn bury(rig: &Rig, draft: crate::events::Draft) {
    rig.accept([draft]).await;
    let mut claim = rig.claim().await;
    let last = claim.events().len() - 1;
    let reason = "of no use".into();
    claim.settle(vec![settlement(last, Verdict::Bury { reason })]).await.unwrap();
}

fn some(names: &[&str]) -> DeadSelection {
    DeadSelection::Events(names.iter().map(|n| id(n)).collect())
}

/// As new, oldest first, in its lane and its place; what never was an event stays.
pub async fn a_replayed_letter_is_an_event_again(mut rig: Rig) {
    for n in 0..4 {
        bury(&rig, profile(A, "Ünïcödé").served(n).id(&n.to_string())).await;
    }
    bury(&rig, relationship(B, A).rev(4).id("b")).await;
    take(&rig, vec![rejected("never", Some(A))]).await;
    let moved =
        rig.store.replay(&some(&["2", "never", "unknown"]), 10, &mut Act::by("ops")).await.unwrap();
    assert_eq!(moved, Moved { done: 1, impossible: 1, more: false });
    let bytes = profile(A, "Ünïcödé").served(2).build().payload.get().len();
    for _ in 0..2 {
        assert_eq!(rig.depths(), super::ready([0, 1, 0, 0], bytes));
        rig.reopen().await;
    }
    {
        let claim = rig.claim().await;
        let event = &claim.events()[0];
        let original = profile(A, "Ünïcödé").served(2).build();
        assert_eq!((event.event_id.as_str(), event.retry_count), ("2", 0));
        assert_eq!(event.payload.get(), original.payload.get());
        assert_eq!(
            (event.assigned_rev, event.timestamp),
            (original.assigned_rev, original.timestamp)
        );
    }
    let of_a = DeadFilter { did: Some(did(A)), ..DeadFilter::default() };
    let of_a = DeadSelection::Filter(of_a);
    let moved = rig.store.replay(&of_a, 2, &mut Act::by("ops")).await.unwrap();
    assert_eq!(moved, Moved { done: 2, impossible: 1, more: true });
    assert_eq!(super::ids(&*rig.claim().await), ["2", "0", "1"]);
    rig.work().await;
    assert_eq!(rig.store.counts().await.unwrap().dead_letters, 3);
    assert!(matches!(rig.store.find(&id("2")).await.unwrap(), Some(Whereabouts::Done { .. })));
    // The same event is still known, and accepted once.
    let again = rig.accept([profile(A, "Ünïcödé").served(2).id("2")]).await;
    assert_eq!(again, [Receipt::Duplicate]);
    // An input that could be no event takes no effect by being asked for again.
    let moved = rig.store.replay(&of_a, 10, &mut Act::by("ops")).await.unwrap();
    assert_eq!(moved, Moved { done: 1, impossible: 1, more: false });
    assert_eq!(rig.store.audit(None, 10).await.unwrap().rows.len(), 3);
}

/// It waits from now on, and is no newer for it: who it is and what it means stay, also what it is
/// newer than. When it is given up again, it is known when it was accepted first.
pub async fn a_replay_begins_a_new_wait_and_changes_no_meaning(mut rig: Rig) {
    for (name, origin) in [
        ("api", Origin::Api),
        ("stream", Origin::Jetstream { time_us: 9 }),
        ("file", Origin::File { digest: "0123456789abcdef".into(), offset: 5 }),
    ] {
        bury(&rig, profile(A, "Ada").id(name).from(origin).at(1_000_000)).await;
    }
    rig.clock.advance(Duration::from_secs(3600));
    let act = &mut Act::by("ops");
    rig.store.replay(&DeadSelection::Filter(DeadFilter::default()), 9, act).await.unwrap();
    for _ in 0..2 {
        assert_eq!(rig.store.depths().oldest(), Some(at(1_003_600)));
        for name in ["api", "stream", "file"] {
            let Some(Whereabouts::Waiting { event, .. }) = rig.store.find(&id(name)).await.unwrap()
            else {
                panic!("{name}")
            };
            assert_eq!(
                (event.timestamp, event.replayed_at, event.under_way_since()),
                (at(1_000_000), Some(at(1_003_600)), at(1_003_600)),
                "{name}"
            );
        }
        rig.reopen().await;
    }
    let mut claim = rig.claim().await;
    let bury = |index| settlement(index, Verdict::Bury { reason: "again".into() });
    claim.settle((0..3).map(bury).collect()).await.unwrap();
    for letter in rig.dead().await {
        assert_eq!((letter.accepted_at, letter.died_at), (at(1_000_000), at(1_003_600)));
    }
}

/// An act is one row, whatever it takes; the row counts what was done, and a page of the log is a
/// part of it.
pub async fn an_act_of_many_steps_is_one_row_of_the_audit_log(mut rig: Rig) {
    for n in 0..12 {
        bury(&rig, profile(A, "Ada").served(n).id(&format!("d{n}"))).await;
    }
    let told = async |rig: &Rig| {
        let page = rig.store.audit(None, 100).await.unwrap();
        assert!(!page.more);
        page.rows.iter().map(|r| (r.action.clone(), r.by.clone(), r.count)).collect::<Vec<_>>()
    };
    let row = |action: &str, by: &str, count| (action.to_owned(), by.to_owned(), count);
    let all = DeadSelection::Filter(DeadFilter::default());
    let mut act = Act::by("ada");
    // A step that finds nothing begins no row.
    rig.store.discard(&some(&["none"]), 3, &mut act).await.unwrap();
    assert_eq!((act.row, told(&rig).await), (None, vec![]));
    for n in 1..=2 {
        rig.store.discard(&all, 2, &mut act).await.unwrap();
        assert_eq!(told(&rig).await, [row("discard", "ada", n * 2)]);
        rig.reopen().await;
    }
    // What somebody else does meanwhile has a row of its own.
    rig.store.replay(&some(&["d4", "d5"]), 9, &mut Act::by("bob")).await.unwrap();
    let moved = rig.store.discard(&all, 4, &mut act).await.unwrap();
    assert_eq!(moved, Moved { done: 4, impossible: 0, more: true });
    rig.store.replay(&all, 9, &mut Act::by("eve").about("the rest")).await.unwrap();
    // Nor does one that finds no more.
    rig.store.discard(&all, 9, &mut act).await.unwrap();
    let rows = [row("replay", "eve", 2), row("replay", "bob", 2), row("discard", "ada", 8)];
    assert_eq!(told(&rig).await, rows);
    let rows = rig.store.audit(None, 9).await.unwrap().rows;
    let subjects: Vec<_> = rows.iter().map(|row| row.subject.as_str()).collect();
    // Of what was discarded first; there was more.
    assert_eq!(subjects, ["the rest", "d4 d5", "d0 d1 …"]);
    assert_eq!(act.row, Some(rows[2].id));
    for n in 20..26 {
        bury(&rig, profile(A, "Ada").served(n).id(&format!("d{n}"))).await;
    }
    rig.store.discard(&all, 9, &mut Act::by("ada")).await.unwrap();
    let last = rig.store.audit(None, 1).await.unwrap().rows.remove(0);
    assert_eq!((last.subject.as_str(), last.count), ("d20 d21 d22 d23 d24 …", 6));
}

/// What is to be done in many steps is looked for once, by number.
pub async fn letters_are_found_and_moved_by_number(rig: Rig) {
    for n in 0..6 {
        let who = if n % 3 == 0 { A } else { B };
        bury(&rig, profile(who, "Ada").served(n).id(&format!("d{n}"))).await;
    }
    take(&rig, vec![rejected("never", Some(B))]).await;
    let numbers = async |filter, after| rig.store.dead_numbers(filter, after).await.unwrap();
    let mut all: Vec<i64> = rig.dead().await.iter().map(|letter| letter.id).collect();
    all.reverse();
    let any = DeadFilter { limit: 100, ..DeadFilter::default() };
    assert_eq!(numbers(any.clone(), 0).await, all);
    assert_eq!(numbers(DeadFilter { limit: 2, ..any.clone() }, all[1]).await, all[2..4]);
    assert_eq!(numbers(DeadFilter { before: Some(all[3]), ..any.clone() }, 0).await, all[..3]);
    let of_b = DeadFilter { did: Some(did(B)), ..any };
    let theirs = numbers(of_b.clone(), 0).await;
    assert_eq!(theirs, [all[1], all[2], all[4], all[5], all[6]]);
    let after = DeadFilter { limit: 2, before: Some(all[6]), ..of_b };
    assert_eq!(numbers(after, all[1]).await, [all[2], all[4]]);

    let act = &mut Act::by("ops").about("theirs");
    let these = DeadSelection::Letters(vec![all[4], 9999, all[1], all[6]]);
    let moved = rig.store.replay(&these, 9, act).await.unwrap();
    assert_eq!(moved, Moved { done: 2, impossible: 1, more: false });
    assert_eq!(super::ids(&*rig.claim().await), ["d1", "d4"]);
    assert_eq!(rig.store.replay(&these, 9, act).await.unwrap().done, 0);
    assert_eq!(rig.store.discard(&these, 9, act).await.unwrap().done, 1);
    assert_eq!(rig.dead().await.len(), 4);
}

/// Newest first, page by page, whatever is written meanwhile.
pub async fn the_audit_log_is_paged(rig: Rig) {
    for n in 0..7 {
        bury(&rig, profile(A, "Ada").served(n).id(&format!("d{n}"))).await;
        let act = &mut Act::by(&format!("op{n}"));
        rig.store.discard(&some(&[&format!("d{n}")]), 1, act).await.unwrap();
        rig.clock.advance(Duration::from_secs(1));
    }
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = rig.store.audit(before, 3).await.unwrap();
        before = page.rows.last().map(|row| row.id);
        seen.push(page.rows.iter().map(|row| row.by.clone()).collect::<Vec<_>>());
        if !page.more {
            break;
        }
        // It does not move what comes next.
        let late = format!("late{}", seen.len());
        bury(&rig, profile(A, "Ada").served(9).id(&late)).await;
        rig.store.discard(&some(&[&late]), 1, &mut Act::by(&late)).await.unwrap();
    }
    assert_eq!(seen, [vec!["op6", "op5", "op4"], vec!["op3", "op2", "op1"], vec!["op0"]]);
    let first = rig.store.audit(None, 1).await.unwrap();
    assert_eq!((first.rows[0].by.as_str(), first.rows[0].at), ("late2", at(1_000_007)));
    assert!(first.more);
    assert!(!rig.store.audit(before, 5).await.unwrap().more);
    assert!(!rig.store.audit(None, 9).await.unwrap().more, "all of it, exactly");
}

/// A selection can be of what was dead at a moment.
pub async fn what_died_later_is_left_alone(rig: Rig) {
    for n in 0..3 {
        bury(&rig, profile(A, "Ada").served(n).id(&n.to_string())).await;
    }
    let newest = rig.dead().await.iter().map(|letter| letter.id).max();
    bury(&rig, profile(A, "Ada").served(3).id("later")).await;
    for (who, filter) in [
        (Some(did(B)), DeadFilter::default()),
        (Some(did(A)), DeadFilter::default()),
        (None, DeadFilter::default()),
    ]
    .map(|(did, filter)| (did.clone(), DeadFilter { did, before: newest, ..filter }))
    {
        let moved =
            rig.store.replay(&DeadSelection::Filter(filter), 1, &mut Act::by("ops")).await.unwrap();
        let (done, more) = if who == Some(did(B)) { (0, false) } else { (1, who.is_some()) };
        assert_eq!(moved, Moved { done, impossible: 0, more }, "of {who:?}");
    }
    // The newest of then, and what died since.
    assert_eq!(rig.dead().await.len(), 2);
}

/// By whom, when, and how many; an act on nothing is no act.
pub async fn what_is_discarded_is_gone_and_written_down(mut rig: Rig) {
    bury(&rig, profile(A, "Ada").id("x")).await;
    bury(&rig, relationship(B, A).id("y")).await;
    take(&rig, vec![rejected("never", Some(A))]).await;
    let filter =
        DeadFilter { event_type: Some(EventType::ProfileUpdated), ..DeadFilter::default() };
    let moved =
        rig.store.discard(&DeadSelection::Filter(filter), 10, &mut Act::by("ada")).await.unwrap();
    assert_eq!(moved, Moved { done: 1, impossible: 0, more: false });
    rig.clock.advance(Duration::from_secs(1));
    let moved = rig.store.discard(&some(&["never"]), 10, &mut Act::by("bob")).await.unwrap();
    assert_eq!(moved, Moved { done: 1, impossible: 0, more: false });
    assert_eq!(
        rig.store.discard(&some(&["gone"]), 10, &mut Act::by("eve")).await.unwrap(),
        Moved::default()
    );
    rig.reopen().await;
    assert_eq!(rig.dead().await.len(), 1);
    let audit = rig.store.audit(None, 10).await.unwrap().rows;
    let told: Vec<_> =
        audit.iter().map(|a| (a.action.as_str(), a.by.as_str(), a.count, a.at)).collect();
    assert_eq!(told, [("discard", "bob", 1, at(1_000_001)), ("discard", "ada", 1, at(1_000_000))]);
    assert_eq!(rig.store.audit(None, 1).await.unwrap().rows.len(), 1);
    // Not done: it was never applied. One that is named again is known all the same.
    for (name, accepted_at) in [("x", at(1_000_000)), ("never", at(1_000_000))] {
        assert_eq!(dropped(&rig, name).await, Some((accepted_at, Dropped::Discarded)), "{name}");
    }
    assert_eq!(rig.accept([profile(A, "Ada").id("x")]).await, [Receipt::Duplicate]);
}

async fn dropped(rig: &Rig, name: &str) -> Option<(Timestamp, Dropped)> {
    match rig.store.find(&id(name)).await.unwrap() {
        Some(Whereabouts::Dropped { accepted_at, why }) => Some((accepted_at, why)),
        Some(Whereabouts::Dead(_)) => None,
        other => panic!("{name}: {other:?}"),
    }
}

/// Nobody is told that it was done.
pub async fn what_was_only_counted_or_purged_says_so(mut rig: Rig) {
    let most = Rejected::MAX_PER_DID;
    bury(&rig, profile(A, "Ada").rev(3).id("buried")).await;
    take(&rig, (0..=most).map(|n| rejected(&format!("a{n}"), Some(A))).collect()).await;
    rig.reopen().await;
    let last = format!("a{most}");
    assert_eq!(dropped(&rig, &last).await, Some((at(1_000_000), Dropped::Counted)));
    assert_eq!(dropped(&rig, "a0").await, None);
    rig.apply([deleted(A, 5)]).await;
    for name in ["a0", "buried"] {
        assert_eq!(dropped(&rig, name).await, Some((at(1_000_000), Dropped::Purged)), "{name}");
    }
    assert_eq!(dropped(&rig, &last).await, Some((at(1_000_000), Dropped::Counted)));
}

/// What is forgotten of a letter that is old is remembered anew when it is an event again.
pub async fn an_old_letter_that_is_replayed_is_accepted_once(mut rig: Rig) {
    let source = Origin::Jetstream { time_us: 9 };
    bury(&rig, profile(A, "Ada").served(1).id("api")).await;
    bury(&rig, profile(A, "Ada").served(2).id("stream").from(source.clone())).await;
    rig.clock.advance(Duration::from_secs(8 * 86_400));
    rig.store.prune(at(1_000_001)).await.unwrap();
    let moved = rig.store.replay(&some(&["api", "stream"]), 10, &mut Act::by("ops")).await.unwrap();
    assert_eq!(moved.done, 2);
    for _ in 0..2 {
        for name in ["api", "stream"] {
            let found = rig.store.find(&id(name)).await.unwrap();
            assert!(matches!(found, Some(Whereabouts::Waiting { .. })), "{name}: {found:?}");
        }
        let again = [
            profile(A, "Ada").served(1).id("api"),
            profile(A, "Ada").served(2).id("stream").from(source.clone()),
        ];
        assert_eq!(rig.accept(again).await, [Receipt::Duplicate, Receipt::Duplicate]);
        rig.reopen().await;
    }
    let other = profile(A, "Somebody else").served(1).id("api").build();
    let other = Intake { events: vec![other], ..Intake::default() };
    let refused = rig.store.append(other).await;
    assert!(matches!(refused, Err(AppendError::Conflict { index: 0 })), "{refused:?}");
    rig.work().await;
    for name in ["api", "stream"] {
        let found = rig.store.find(&id(name)).await.unwrap();
        assert!(matches!(found, Some(Whereabouts::Done { .. })), "{name}: {found:?}");
    }
}

/// Whoever can make a source say things that cannot be done does not fill the disk with them. What
/// callers with a key sent is theirs, and kept.
pub async fn a_thousand_letters_of_one_did_are_kept_of_what_sources_said(rig: Rig) {
    let from = |n: usize, origin: Origin| identity(A, 5, None).id(&format!("i{n}")).from(origin);
    let give_up = async |drafts: Vec<crate::events::Draft>| {
        rig.accept(drafts).await;
        while let Some(mut claim) = rig.store.claim(super::ALL).await.unwrap() {
            let reason = || Verdict::Bury { reason: "nobody answers".into() };
            let n = claim.events().len();
            claim.settle((0..n).map(|i| settlement(i, reason())).collect()).await.unwrap();
        }
    };
    let most = Rejected::MAX_PER_DID;
    let stream = Origin::Jetstream { time_us: 1 };
    take(&rig, vec![rejected("input", Some(A))]).await;
    give_up((0..most + 2).map(|n| from(n, stream.clone())).collect()).await;
    let of_a = page(&rig, DeadFilter { did: Some(did(A)), ..DeadFilter::default() }).await;
    assert_eq!((of_a.count, of_a.uncounted), (most as u64, 3));
    let last = format!("i{}", most + 1);
    assert_eq!(dropped(&rig, &last).await, Some((at(1_000_000), Dropped::Counted)));
    give_up(vec![from(9000, Origin::Api), identity(B, 5, None).id("b").from(stream)]).await;
    let all = page(&rig, DeadFilter::default()).await;
    assert_eq!((all.count, all.replayable, all.uncounted), (most as u64 + 2, most as u64 + 1, 3));
    // As many as are discarded can come again.
    rig.store.discard(&some(&["i0", "i1"]), 9, &mut Act::by("ops")).await.unwrap();
    give_up((0..3).map(|n| from(10_000 + n, Origin::Jetstream { time_us: 2 })).collect()).await;
    let all = page(&rig, DeadFilter::default()).await;
    assert_eq!((all.count, all.uncounted), (most as u64 + 2 - 2 + 1, 3 + 2));
}

/// An account that is gone keeps no letters of what it said before, whenever that is given up.
pub async fn what_is_given_up_after_the_end_of_its_account_is_not_kept(rig: Rig) {
    rig.accept([deleted(A, 5)]).await;
    rig.work().await;
    for (name, draft, kept) in [
        ("before", profile(A, "Ada").rev(5), false),
        ("after", profile(A, "Ada").rev(6), true),
        ("older identity", identity(A, 4, None), false),
        ("newer identity", identity(A, 6, None), true),
        ("somebody else", profile(B, "Bob").rev(5), true),
    ] {
        let name = name.replace(' ', "-");
        rig.accept([draft.id(&name)]).await;
        let mut claim = rig.claim().await;
        payload::interpret(&claim.events()[0]).unwrap();
        claim.settle(vec![settlement(0, Verdict::Bury { reason: "no".into() })]).await.unwrap();
        let why = dropped(&rig, &name).await.map(|(_, why)| why);
        assert_eq!(why, (!kept).then_some(Dropped::Purged), "{name}");
        assert_eq!(rig.store.depths().all(), 0);
    }
    assert_eq!(rig.dead().await.len(), 3);
}

/// However they come and go, the page without a filter knows how many there are.
pub async fn all_letters_are_counted(mut rig: Rig) {
    bury(&rig, profile(A, "Ada").served(1).id("x")).await;
    bury(&rig, profile(B, "Bob").served(1).id("y")).await;
    take(&rig, vec![rejected("of-a", Some(A)), rejected("of-nobody", None)]).await;
    let counted = async |rig: &Rig| {
        let all = page(rig, DeadFilter::default()).await;
        assert_eq!(all.count, all.letters.len() as u64);
        assert_eq!(all.replayable, all.letters.iter().filter(|l| l.replayable).count() as u64);
        (all.count, all.replayable)
    };
    assert_eq!(counted(&rig).await, (4, 2));
    rig.store.replay(&some(&["y"]), 9, &mut Act::by("ops")).await.unwrap();
    assert_eq!(counted(&rig).await, (3, 1));
    rig.store.discard(&some(&["of-nobody", "x"]), 9, &mut Act::by("ops")).await.unwrap();
    rig.reopen().await;
    assert_eq!(counted(&rig).await, (1, 0));
    rig.apply([deleted(A, 5)]).await;
    assert_eq!(counted(&rig).await, (0, 0));
}
