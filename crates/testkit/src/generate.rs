//! Generated histories: few people, few records, colliding revisions.

use crate::events::{
    Draft, account, attestation, claim, context, deleted, identity, intro, invalidated, profile,
    relationship,
};
use proptest::prelude::*;
use rhiz_domain::Priority;

/// Everybody in a generated history.
pub const PEOPLE: [&str; 4] = ["did:plc:a", "did:plc:b", "did:plc:c", "did:web:d.example"];

fn someone() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(PEOPLE.to_vec())
}

/// A relationship, an attestation, a profile or one of the rest, as a create.
fn record() -> impl Strategy<Value = Draft> {
    let pair = || (someone(), someone()).prop_filter("two different ones", |(a, b)| a != b);
    let relationship = (
        pair(),
        prop::sample::select(vec!["professional", "family", "rivalry"]),
        0u8..3,
        prop::sample::select(vec!["public", "network", "private"]),
        prop::sample::select(vec!["full", "limited", "anonymous"]),
        (-3i64..4, -3i64..4),
    )
        .prop_map(|((a, b), kind, strength, visibility, consent, (created, last))| {
            relationship(a, b)
                .kind(kind)
                .strength(strength * 50)
                .privacy(visibility, consent)
                // Days before and after the revision: what is stated may lie in the future.
                .created(created * 86_400)
                .last_interaction(last * 86_400)
        });
    let attestation = (
        (someone(), someone(), 0u64..2),
        prop::sample::select(vec!["verify", "dispute", "strengthen", "weaken"]),
        0u8..2,
        -3i64..4,
    )
        .prop_map(|((by, owner, n), says, confidence, created)| {
            attestation(by, owner, n)
                .says(says)
                .set("confidence", confidence * 100)
                .created(created * 86_400)
        });
    let profile = (someone(), prop::sample::select(vec!["Ada", "Ada Lovelace", "Bob"]))
        .prop_map(|(who, name)| profile(who, name));
    prop_oneof![
        6 => relationship,
        4 => attestation,
        3 => profile,
        1 => pair().prop_map(|(a, b)| intro(a, b)),
        1 => someone().prop_map(context),
        1 => (someone(), 0u8..2).prop_map(|(who, score)| claim(who, score)),
    ]
}

/// A record event: any operation, either class, either form, revisions that collide.
fn record_event() -> impl Strategy<Value = Draft> {
    (record(), 0u64..2, 1i64..7, prop::bool::weighted(0.7), 0u8..10, any::<bool>(), any::<bool>())
        .prop_map(|(draft, key, rev, sourced, operation, flat, verified)| {
            let is_profile = draft.event_type().as_str().starts_with("entity.profile");
            let draft = if is_profile { draft } else { draft.key(key) };
            let draft = if sourced { draft.rev(rev) } else { draft.served(rev) };
            let draft = match operation {
                0..5 => draft,
                5..8 => draft.update(),
                _ => draft.delete(),
            };
            let name = draft.event_type().as_str();
            let has_flat = name.starts_with("relationship") || name.starts_with("attestation");
            let draft = if flat && has_flat { draft.flat() } else { draft };
            if verified { draft.verified() } else { draft }
        })
}

/// An event of an account or an identity, at instants between the revisions.
fn account_event() -> impl Strategy<Value = Draft> {
    let handles = vec![None, Some("a.example.com"), Some("b.example.com")];
    prop_oneof![
        3 => (someone(), 0i64..8, any::<bool>()).prop_map(|(w, t, active)| account(w, t, active)),
        2 => (someone(), 0i64..8).prop_map(|(who, time)| deleted(who, time)),
        2 => (someone(), 0i64..4, prop::sample::select(handles))
            .prop_map(|(who, time, handle)| identity(who, time, handle)),
        1 => someone().prop_map(invalidated),
    ]
}

/// A history of 1 to `most` events, with events that repeat.
pub fn history(most: usize) -> impl Strategy<Value = Vec<Draft>> {
    let event = prop_oneof![4 => record_event(), 1 => account_event()];
    let priority = prop::sample::select(Priority::ALL.to_vec());
    let event = (event, priority).prop_map(|(draft, priority)| draft.priority(priority));
    prop::collection::vec(event, 1..=most)
}

/// What happens to a history on its way: `(events in another order, some twice, sizes of batches)`.
pub fn shuffled(history: Vec<Draft>) -> impl Strategy<Value = (Vec<Draft>, Vec<usize>)> {
    let most = history.len();
    let twice = prop::sample::subsequence(history.clone(), 0..=most.min(8));
    let all = twice.prop_map(move |twice| history.iter().cloned().chain(twice).collect::<Vec<_>>());
    (all.prop_shuffle(), prop::collection::vec(1usize..12, 1..8))
}
