//! What can be done to a journal: plain data, so that a sequence of it can be made at random, cut
//! short, and read by people.
//!
//! Numbers that choose something (a claim, an event of it, an id used before) are taken modulo what
//! there is when their turn comes. An operation that has nothing to work on does nothing: any
//! part of a sequence is a sequence.

use crate::{
    events::{Draft, invalidated},
    generate::{PEOPLE, history},
};
use proptest::{prelude::*, sample::select, strategy::Union};
use rhiz_domain::{EventType, Priority, store::Quota};

/// People of whom nothing is ever told but that their scores are to be computed anew: each merge of
/// that is exactly one change, so that merges can be counted.
pub(super) const COUNTED: [&str; 3] = ["did:plc:x0", "did:plc:x1", "did:plc:x2"];

/// Types that are paused now and then.
const PAUSABLE: [EventType; 6] = [
    EventType::TrustInvalidated,
    EventType::RelationshipCreated,
    EventType::RelationshipUpdated,
    EventType::AttestationCreated,
    EventType::ProfileUpdated,
    EventType::AccountUpdated,
];

/// One operation.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Accepts a batch.
    Append(Batch),
    /// Claims.
    Claim {
        /// How many of each priority.
        quota: Quota,
    },
    /// Settles a part of a claim, or all of it.
    Settle(Settling),
    /// Drops a claim.
    Drop {
        /// Which claim.
        claim: u8,
    },
    /// Leases an event of a claim.
    Lease {
        /// Which claim.
        claim: u8,
        /// Which of its events; one behind the last is none.
        index: u8,
    },
    /// The holder of a lease says that it lives.
    Beat {
        /// Which lease.
        lease: u8,
    },
    /// Settles what is under a lease.
    SettleLease {
        /// Which lease.
        lease: u8,
        /// How.
        fate: Fate,
    },
    /// Drops a lease.
    DropLease {
        /// Which lease.
        lease: u8,
    },
    /// Time passes, by both clocks.
    Pass {
        /// How much.
        millis: u32,
    },
    /// The wall clock is set.
    Jump {
        /// By how much.
        seconds: i32,
    },
    /// Wakes what is due or whose lease has run out.
    Wake,
    /// Pauses or resumes.
    Pause {
        /// Pause, or resume.
        on: bool,
        /// Intake.
        intake: bool,
        /// Work.
        work: bool,
        /// Of these.
        types: Vec<EventType>,
    },
    /// Replays or discards dead letters.
    Dead {
        /// Replay, or discard.
        replay: bool,
        /// Which.
        which: Which,
        /// How many at most.
        most: u8,
        /// It goes on with the act before, if that was of the same kind.
        goes_on: bool,
    },
    /// Forgets identities accepted more than so many seconds ago.
    Prune {
        /// Seconds.
        age: i32,
    },
    /// Closes the store in order and opens it again.
    Reopen {
        /// What is in hand is dropped only afterwards.
        keep: bool,
    },
    /// The process dies, and the store is opened on what it leaves.
    Crash {
        /// What was under way.
        flying: Vec<Flying>,
        /// How long it was under way before the end, in a measure of no meaning.
        delay: u8,
    },
    /// Somebody calls and does not wait for the answer.
    GiveUp {
        /// What they asked for.
        call: Call,
        /// How often the call gets its turn before it is given up.
        turns: u8,
    },
    /// Works everything off, and compares the index.
    Drain,
}

/// A batch to be accepted.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// Where it comes from.
    pub source: Source,
    /// What is in it, in order.
    pub items: Vec<Item>,
}

/// Where a batch comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// Callers.
    Api,
    /// One of two firehoses.
    Jetstream {
        /// Which.
        which: u8,
        /// Where its cursor is moved to, relative to where it is; `None` leaves it.
        cursor: Option<i8>,
    },
    /// One of two files.
    File {
        /// Which.
        which: u8,
        /// Where the batch begins, relative to where the file has been read to.
        begin: i8,
    },
}

/// Something in a batch.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// An event not seen before.
    Fresh(Draft),
    /// One that was sent before.
    Again(u8),
    /// One with an id that was used before.
    Clash(u8, Draft),
    /// An input that is no event, from one of [`PEOPLE`] or from nobody; from a source only.
    Rejected(u8),
    /// One with the id of an event sent before.
    RejectedClash(u8),
}

/// A settlement of a claim.
#[derive(Debug, Clone)]
pub(super) struct Settling {
    /// Which claim.
    pub claim: u8,
    /// These first: an index may come twice, and one behind the last is none.
    pub picks: Vec<(u8, Fate)>,
    /// Then all the others.
    pub rest: Option<Fate>,
    /// With a stage that tells of it.
    pub staged: bool,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is merged.
    Apply,
    /// Its attempt failed; it is due in so many seconds.
    Failed(i16),
    /// It waits so many seconds.
    Snooze(i16),
    /// It is given up.
    Bury,
}

/// Which dead letters.
#[derive(Debug, Clone)]
pub(super) enum Which {
    /// Those of the events of these letters, and of an event that is none.
    These(Vec<u8>),
    /// Of a type.
    Type(EventType),
    /// Of one of [`PEOPLE`].
    Of(u8),
    /// Given up in the last so many seconds.
    Since(u16),
    /// All.
    All,
}

/// What is under way when the process dies.
#[derive(Debug, Clone)]
pub(super) enum Flying {
    /// An append of new events.
    Append(Vec<Draft>),
    /// A claim is applied.
    Settle(u8),
}

/// A call whose answer nobody waits for.
#[derive(Debug, Clone)]
pub(super) enum Call {
    /// An append of new events.
    Append(Vec<Draft>),
    /// A claim.
    Claim(Quota),
    /// A claim is applied; then it is dropped.
    Settle(u8),
    /// A wake.
    Wake,
}

/// A draft: half of them can be counted, the others are of every kind.
fn draft() -> BoxedStrategy<Draft> {
    let counted = (select(COUNTED.to_vec()), select(Priority::ALL.to_vec()))
        .prop_map(|(who, priority)| invalidated(who).priority(priority));
    let any = history(1).prop_map(|mut history| history.remove(0));
    prop_oneof![counted, any].boxed()
}

fn item(sourced: bool) -> BoxedStrategy<Item> {
    let events = prop_oneof![
        8 => draft().prop_map(Item::Fresh),
        2 => any::<u8>().prop_map(Item::Again),
    ];
    let clash = (any::<u8>(), draft()).prop_map(|(n, draft)| Item::Clash(n, draft));
    let mut all = vec![(19, events.boxed())];
    if sourced {
        let rejected = prop_oneof![
            4 => any::<u8>().prop_map(Item::Rejected),
            1 => any::<u8>().prop_map(Item::RejectedClash),
            2 => clash,
        ];
        all.push((3, rejected.boxed()));
    } else {
        // A clash refuses the batch: not too many.
        all.push((1, clash.boxed()));
    }
    Union::new_weighted(all).boxed()
}

fn batch() -> impl Strategy<Value = Batch> {
    let source = prop_oneof![
        4 => Just(Source::Api),
        2 => (0u8..2, prop::option::of(-4i8..12))
            .prop_map(|(which, cursor)| Source::Jetstream { which, cursor }),
        2 => (0u8..2, -6i8..3).prop_map(|(which, begin)| Source::File { which, begin }),
    ];
    source.prop_flat_map(|source| {
        let items = prop::collection::vec(item(!matches!(source, Source::Api)), 0..7);
        items.prop_map(move |items| Batch { source, items })
    })
}

fn quota() -> impl Strategy<Value = Quota> {
    let some = prop::array::uniform4(0usize..4);
    prop_oneof![2 => some, 1 => Just(super::super::ALL)]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Apply),
        2 => (-5i16..40).prop_map(Fate::Failed),
        1 => (-5i16..40).prop_map(Fate::Snooze),
        1 => Just(Fate::Bury),
    ]
}

fn settling() -> impl Strategy<Value = Settling> {
    let picks = prop::collection::vec((any::<u8>(), fate()), 0..4);
    let rest = prop::option::weighted(0.4, fate());
    (any::<u8>(), picks, rest, any::<bool>()).prop_map(|(claim, picks, rest, staged)| Settling {
        claim,
        picks,
        rest,
        staged,
    })
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..4).prop_map(Which::These),
        1 => select(PAUSABLE.to_vec()).prop_map(Which::Type),
        1 => (0..PEOPLE.len() as u8).prop_map(Which::Of),
        1 => (0u16..60).prop_map(Which::Since),
        1 => Just(Which::All),
    ]
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    prop::collection::vec(draft(), 1..5)
}

/// Any operation.
pub(super) fn op() -> BoxedStrategy<Op> {
    let flying = prop_oneof![
        2 => prop::collection::vec(draft(), 1..16).prop_map(Flying::Append),
        1 => any::<u8>().prop_map(Flying::Settle),
    ];
    let crash = (prop::collection::vec(flying, 0..4), any::<u8>());
    let call = prop_oneof![
        drafts().prop_map(Call::Append),
        quota().prop_map(Call::Claim),
        any::<u8>().prop_map(Call::Settle),
        Just(Call::Wake),
    ];
    let types = prop::collection::vec(select(PAUSABLE.to_vec()), 0..4);
    let lease = || any::<u8>();
    prop_oneof![
        28 => batch().prop_map(Op::Append),
        28 => quota().prop_map(|quota| Op::Claim { quota }),
        24 => settling().prop_map(Op::Settle),
        6 => any::<u8>().prop_map(|claim| Op::Drop { claim }),
        18 => (any::<u8>(), any::<u8>()).prop_map(|(claim, index)| Op::Lease { claim, index }),
        4 => lease().prop_map(|lease| Op::Beat { lease }),
        8 => (lease(), fate()).prop_map(|(lease, fate)| Op::SettleLease { lease, fate }),
        3 => lease().prop_map(|lease| Op::DropLease { lease }),
        8 => (0u32..30_000).prop_map(|millis| Op::Pass { millis }),
        3 => (-60i32..60).prop_map(|seconds| Op::Jump { seconds }),
        8 => Just(Op::Wake),
        5 => (prop::bool::weighted(0.4), any::<bool>(), prop::bool::weighted(0.8), types)
            .prop_map(|(on, intake, work, types)| Op::Pause { on, intake, work, types }),
        6 => (prop::bool::weighted(0.7), which(), 0u8..5, any::<bool>())
            .prop_map(|(replay, which, most, goes_on)| Op::Dead { replay, which, most, goes_on }),
        2 => (-10i32..200).prop_map(|age| Op::Prune { age }),
        2 => any::<bool>().prop_map(|keep| Op::Reopen { keep }),
        2 => crash.prop_map(|(flying, delay)| Op::Crash { flying, delay }),
        6 => (call, 0u8..4).prop_map(|(call, turns)| Op::GiveUp { call, turns }),
        1 => Just(Op::Drain),
    ]
    .boxed()
}
