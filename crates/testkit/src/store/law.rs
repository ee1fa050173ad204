//! The law of merging: the order of events, their repetition, and how they are batched do not
//! matter.

use super::{Factory, Rig, applied};
use crate::{
    events::Draft,
    generate::{history, shuffled},
    model::{Expected, Model, observe},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::{collections::BTreeSet, sync::Arc};

/// Histories tried. Each opens two databases.
const CASES: u32 = 96;

/// What a history ends in.
struct End {
    dump: Vec<String>,
    observed: Expected,
    entities: BTreeSet<String>,
}

/// Applies a history, in that order, in batches of these sizes in turn; the priorities of its
/// events reorder it further.
async fn run(factory: impl Factory, history: &[Draft], sizes: &[usize]) -> End {
    let rig = Rig::new(factory).await;
    let mut rest = history.iter().cloned().enumerate();
    for size in sizes.iter().cycle() {
        let batch: Vec<_> = rest.by_ref().take(*size).collect();
        if batch.is_empty() {
            break;
        }
        rig.accept(batch.into_iter().map(|(n, draft)| draft.id(&format!("e{n}")))).await;
        // Not all of it: the rest mixes with the next batch.
        if let Some(mut claim) = rig.store.claim([*size, 1, *size / 2, 1]).await.unwrap() {
            let settlements = applied(&*claim);
            claim.settle(settlements).await.unwrap();
        }
    }
    rig.work().await;
    let facts = rig.store.facts(Arc::new(|_, _| {})).await.unwrap();
    let end = End {
        dump: rig.store.dump().await.unwrap(),
        observed: observe(&*rig.store).await,
        entities: facts.entities.iter().map(|e| e.did.to_string()).collect(),
    };
    rig.store.close().await;
    end
}

/// Any permutation of a history, with repetitions, in any batches, ends in the same rows, and in
/// those that the rule gives.
pub fn any_order_ends_the_same<F: Factory>(factory: impl Fn() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let histories = history(40).prop_flat_map(|h| {
        let other = shuffled(h.clone());
        (Just(h), other)
    });
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&histories, |(history, (other, sizes))| {
            let (one, two) = runtime.block_on(async {
                (
                    run(factory(), &history, &[history.len()]).await,
                    run(factory(), &other, &sizes).await,
                )
            });
            let expected = Model::of(&history).expected();
            prop_assert_eq!(&one.observed, &expected);
            prop_assert_eq!(&two.observed, &expected);
            prop_assert_eq!(one.dump, two.dump);
            // Who was ever named may differ: of two versions, one order sees both. Whoever is
            // named by something live is there in both.
            let named = |line: &String| {
                line.split([' ', '/']).find_map(|w| w.starts_with("did:").then(|| w.to_owned()))
            };
            for did in expected.relationships.iter().filter_map(named) {
                prop_assert!(one.entities.contains(&did) && two.entities.contains(&did));
            }
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}
