//! What is derived, made anew. (Damage is a matter of each store's own files: its crate tests that.)

use super::Rig;
use crate::{events::relationship, generate::history};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use rhiz_domain::store::{Rebuild, Rebuilt};
use std::sync::{Arc, Mutex};

/// Where nothing is damaged nothing is changed, and nothing is told to those who follow.
pub async fn what_is_sound_is_left_alone(rig: Rig) {
    let changes = rig.store.changes().unwrap();
    let mut runner = TestRunner::deterministic();
    for n in 0..6 {
        let history = history(60).new_tree(&mut runner).unwrap().current();
        let named = history.into_iter().enumerate().map(|(i, d)| d.id(&format!("{n}-{i}")));
        rig.apply(named).await;
        let before = rig.store.dump().await.unwrap();
        let last = rig.store.last_change();
        changes.try_iter().for_each(drop);
        let rebuilt = rig.store.rebuild(Rebuild::Mend, Arc::new(|_, _| ())).await.unwrap();
        let records = rig.store.counts().await.unwrap().records;
        assert_eq!(rebuilt, Rebuilt { records, ..Rebuilt::default() });
        assert!(records > 0 && rebuilt.wrong() == 0);
        assert_eq!(rig.store.dump().await.unwrap(), before);
        assert_eq!(rig.store.check().await.unwrap(), Vec::<String>::new());
        assert_eq!(rig.store.last_change(), last);
        assert_eq!(changes.try_iter().count(), 0);
    }
}

/// It grows to the whole, while others write.
pub async fn a_rebuild_tells_its_progress(rig: Rig) {
    let drafts = (0..5_000).map(|n| relationship("did:plc:a", "did:plc:b").key(n));
    rig.accept(drafts).await;
    rig.work().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let rebuild = rig.store.rebuild(
        Rebuild::Mend,
        Arc::new(move |done, total| {
            tell.lock().unwrap().push((done, total));
        }),
    );
    let write = rig.apply([relationship("did:plc:b", "did:plc:a").id("meanwhile")]);
    let (rebuilt, _) = tokio::join!(rebuild, write);
    assert_eq!(rebuilt.unwrap().wrong(), 0);
    let told = told.lock().unwrap();
    assert!(told.len() > 3, "{told:?}");
    assert!(told.is_sorted_by_key(|(done, _)| *done) && told.iter().all(|(d, all)| d <= all));
    assert_eq!(told[0].0, 0);
    assert!(told.last().is_some_and(|(done, all)| done == all && *all >= 5_002), "{told:?}");
}
