//! After an unclean stop events are handed out one by one, and crashes are counted.

use super::Database;
use rhiz_domain::{
    Clock, Priority,
    clock::ManualClock,
    store::{Intake, Journal, LEASE_STALE, Settlement, Store, Verdict},
};
use rhiz_store::SqliteStore;
use rhiz_testkit::{
    events::{at, relationship, verdict},
    store::Factory,
};
use std::sync::Arc;

const ALL: [usize; 4] = [100; 4];

fn open(database: &Database) -> SqliteStore {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(at(1_000_000)));
    SqliteStore::open(&database.path(), clock).unwrap()
}

async fn two_accepted(store: &SqliteStore) {
    let events = ["did:plc:a", "did:plc:b"]
        .map(|owner| relationship(owner, "did:plc:c").at(1_000_000).build())
        .into();
    store.append(Intake { events, ..Intake::default() }).await.unwrap();
}

#[tokio::test]
async fn an_event_that_kills_the_server_counts_its_crashes() {
    let database = Database::new();
    two_accepted(&open(&database)).await;
    for crashes in 0..5 {
        let store = open(&database);
        let claim = store.claim(ALL).await.unwrap().unwrap();
        assert_eq!(claim.events().len(), 1, "alone");
        assert_eq!(claim.events()[0].did.as_str(), "did:plc:a", "the same one each time");
        assert_eq!(claim.crashes(0), crashes);
        // The process dies with the event in hand.
        database.cut().await;
    }
}

/// Whoever drops it lives: that was no crash, and it is still handed out alone.
#[tokio::test]
async fn an_event_that_is_given_back_counts_no_crash() {
    let database = Database::new();
    two_accepted(&open(&database)).await;
    let store = open(&database);
    for round in 0..6 {
        let mut claim = store.claim(ALL).await.unwrap().unwrap();
        assert_eq!((claim.events().len(), claim.crashes(0)), (1, 0), "round {round}");
        let leased = (round % 2 == 0).then(|| claim.lease(0).unwrap());
        drop(leased);
    }
}

/// What a caller that gives up had taken is ready again: nothing waits for a restart.
#[tokio::test]
async fn a_claim_that_is_given_up_takes_nothing_along() {
    let database = Database::new();
    two_accepted(&open(&database)).await;
    let store = open(&database);
    for _ in 0..6 {
        tokio::select! {
            biased;
            _ = store.claim(ALL) => {}
            () = std::future::ready(()) => {}
        }
    }
    assert_eq!(store.depths().waiting(), 2);
    assert_eq!(store.depths().in_hand, 0);
    assert_eq!(store.claim(ALL).await.unwrap().unwrap().crashes(0), 0);
}

/// A holder that hangs holds nobody up once its lease has run out, nor a stop.
#[tokio::test]
async fn a_lease_that_ran_out_holds_nobody_up() {
    let database = Database::new();
    two_accepted(&open(&database)).await;
    let clock = Arc::new(ManualClock::at(at(1_000_000)));
    let store = SqliteStore::open(&database.path(), clock.clone()).unwrap();
    let hanging = store.claim(ALL).await.unwrap().unwrap().lease(0).unwrap();
    clock.advance(LEASE_STALE * 2);
    store.wake(clock.now()).await.unwrap();
    let claim = store.claim(ALL).await.unwrap().unwrap();
    assert_eq!((claim.events()[0].did.as_str(), claim.crashes(0)), ("did:plc:a", 1));
    store.close().await;
    drop((hanging, claim));
}

#[tokio::test]
async fn one_that_is_settled_makes_room_for_the_next_and_a_clean_stop_forgets() {
    let database = Database::new();
    two_accepted(&open(&database)).await;
    let store = open(&database);
    for owner in ["did:plc:a", "did:plc:b"] {
        let mut claim = store.claim(ALL).await.unwrap().unwrap();
        let event = Arc::clone(&claim.events()[0]);
        assert_eq!((event.did.as_str(), claim.events().len(), claim.crashes(0)), (owner, 1, 0));
        let verdict = verdict(&event);
        assert!(matches!(verdict, Verdict::Apply(_)));
        claim.settle(vec![Settlement { index: 0, verdict, stages: vec![] }]).await.unwrap();
    }
    two_accepted(&store).await;
    store.close().await;
    let store = open(&database);
    store.append(Intake::default()).await.unwrap();
    two_more(&store).await;
    assert_eq!(store.claim(ALL).await.unwrap().unwrap().events().len(), 2, "together again");
}

async fn two_more(store: &SqliteStore) {
    let events = ["did:plc:d", "did:plc:e"]
        .map(|owner| relationship(owner, "did:plc:c").at(1_000_000).build())
        .into();
    store.append(Intake { events, ..Intake::default() }).await.unwrap();
}

/// Failing is not killing: an attempt that is settled leaves no crash behind.
#[tokio::test]
async fn an_attempt_that_failed_is_no_crash() {
    let database = Database::new();
    let events = vec![relationship("did:plc:a", "did:plc:c").at(1_000_000).build()];
    open(&database).append(Intake { events, ..Intake::default() }).await.unwrap();
    let store = open(&database);
    for attempt in 0..5 {
        let mut claim = store.claim(ALL).await.unwrap().unwrap();
        assert_eq!((claim.crashes(0), claim.events()[0].retry_count), (0, attempt));
        let verdict = Verdict::Later { due: at(5), failed: Some("not yet".into()) };
        claim.settle(vec![Settlement { index: 0, verdict, stages: vec![] }]).await.unwrap();
        store.wake(at(6)).await.unwrap();
    }
}

/// What is accepted since, however urgent, takes no turn from those that may have been in hand.
#[tokio::test]
async fn the_oldest_goes_first_whatever_its_priority() {
    let database = Database::new();
    let low = relationship("did:plc:a", "did:plc:c").at(1_000_000).priority(Priority::Low);
    let urgent = relationship("did:plc:b", "did:plc:c").at(1_000_000).priority(Priority::Critical);
    let one = |draft: &rhiz_testkit::events::Draft| Intake {
        events: vec![draft.build()],
        ..Intake::default()
    };
    open(&database).append(one(&low)).await.unwrap();
    let store = open(&database);
    store.append(one(&urgent)).await.unwrap();
    let mut claim = store.claim(ALL).await.unwrap().unwrap();
    assert_eq!((claim.events().len(), claim.events()[0].did.as_str()), (1, "did:plc:a"));
    let verdict = verdict(&claim.events()[0]);
    claim.settle(vec![Settlement { index: 0, verdict, stages: vec![] }]).await.unwrap();
    drop(claim);
    let claim = store.claim(ALL).await.unwrap().unwrap();
    assert_eq!(claim.events()[0].did.as_str(), "did:plc:b");
}

/// A silent peer holds up nobody; and whoever was in hand beside the one that killed the server
/// counts no second crash.
#[tokio::test]
async fn one_that_waits_on_the_network_lets_the_next_one_have_the_turn_once() {
    let database = Database::new();
    two_accepted(&open(&database)).await;
    let store = open(&database);
    let waits = store.claim(ALL).await.unwrap().unwrap().lease(0).unwrap();
    let kills = store.claim(ALL).await.unwrap().unwrap();
    let both = [waits.event().did.as_str(), kills.events()[0].did.as_str()];
    assert_eq!((both, kills.events().len()), (["did:plc:a", "did:plc:b"], 1));
    database.cut().await;
    drop((waits, kills));

    let store = open(&database);
    let mut claim = store.claim(ALL).await.unwrap().unwrap();
    assert_eq!((claim.events()[0].did.as_str(), claim.crashes(0)), ("did:plc:a", 1));
    let mut waits = claim.lease(0).unwrap();
    drop(claim);
    let mut next = Box::pin(store.claim(ALL));
    tokio::select! {
        biased;
        _ = &mut next => panic!("it has the turn to itself"),
        () = std::future::ready(()) => {}
    }
    let verdict = verdict(waits.event());
    waits.settle(Settlement { index: 0, verdict, stages: vec![] }).await.unwrap();
    drop(waits);
    let kills = next.await.unwrap().unwrap();
    assert_eq!((kills.events()[0].did.as_str(), kills.crashes(0)), ("did:plc:b", 1));
}

/// One that let others have the turn and is given back has one again, and a stop meanwhile is not
/// in order.
#[tokio::test]
async fn one_that_let_others_have_the_turn_is_not_forgotten() {
    let database = Database::new();
    two_accepted(&open(&database)).await;
    let store = open(&database);
    let waits = store.claim(ALL).await.unwrap().unwrap().lease(0).unwrap();
    let mut claim = store.claim(ALL).await.unwrap().unwrap();
    let applied = verdict(&claim.events()[0]);
    claim.settle(vec![Settlement { index: 0, verdict: applied, stages: vec![] }]).await.unwrap();
    drop(claim);
    two_more(&store).await;
    drop(waits);
    let claim = store.claim(ALL).await.unwrap().unwrap();
    assert_eq!((claim.events().len(), claim.crashes(0)), (1, 0), "alone");
    let waits = { claim }.lease(0).unwrap();
    store.close().await;
    drop(waits);
    let store = open(&database);
    let claim = store.claim(ALL).await.unwrap().unwrap();
    assert_eq!((claim.events().len(), claim.crashes(0)), (1, 1), "alone, and it never came back");
}

/// What is claimed at once goes alone however many older ones wait in another lane.
#[tokio::test]
async fn a_crowd_does_not_hide_an_urgent_one() {
    let database = Database::new();
    let store = open(&database);
    let low = |n: i64| relationship(&format!("did:plc:a{n}"), "did:plc:c").at(1_000_000 + n);
    for crowd in 0..5 {
        let events = (0..1000).map(|n| low(crowd * 1000 + n).priority(Priority::Low).build());
        store.append(Intake { events: events.collect(), ..Intake::default() }).await.unwrap();
    }
    let urgent = relationship("did:plc:b", "did:plc:c").at(2_000_000).priority(Priority::Critical);
    store.append(Intake { events: vec![urgent.build()], ..Intake::default() }).await.unwrap();
    database.cut().await;
    let store = open(&database);
    let only_urgent = [0, 0, 0, 100];
    let claim = store.claim(only_urgent).await.unwrap().unwrap();
    assert_eq!((claim.events()[0].did.as_str(), claim.crashes(0)), ("did:plc:b", 0));
    database.cut().await;
    drop(claim);
    let store = open(&database);
    assert_eq!(store.claim(only_urgent).await.unwrap().unwrap().crashes(0), 1);
}

/// One that is tried again is as innocent as any other, and goes with them.
#[tokio::test]
async fn who_was_settled_is_suspected_no_more() {
    let database = Database::new();
    two_accepted(&open(&database)).await;
    let store = open(&database);
    for _ in 0..2 {
        let mut claim = store.claim(ALL).await.unwrap().unwrap();
        let verdict = Verdict::Later { due: at(5), failed: Some("not yet".into()) };
        claim.settle(vec![Settlement { index: 0, verdict, stages: vec![] }]).await.unwrap();
    }
    store.wake(at(6)).await.unwrap();
    assert_eq!(store.claim(ALL).await.unwrap().unwrap().events().len(), 2);
}
