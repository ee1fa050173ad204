//! What operators do to dead letters: replay at a pace, discard.
//!
//! An act takes as many steps as it needs, each a transaction of its own; all of them are one row
//! of the audit log ([`Act`]). Its end is that of what was dead when it began: what dies meanwhile
//! is left alone.

use crate::{Pipeline, Shared};
use rhiz_domain::store::{Act, DeadFilter, DeadSelection, Moved, StoreError};
use std::{
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Letters moved in one transaction at most.
const STEP: usize = 100;

/// Steps a second, as far as [`STEP`] allows: what is replayed at a slow pace comes evenly, not all
/// of a second's at once.
const STEPS: u32 = 10;

/// An act that was broken off. What its steps before that did is done, and stays.
#[derive(Debug, thiserror::Error)]
#[error("{why}; {} dead letters were moved before that", moved.done)]
pub struct ActError {
    /// What was done before.
    pub moved: Moved,
    /// Why it went no further.
    #[source]
    pub why: Broken,
}

/// Why an act was broken off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The store failed; nothing of that step is done.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pipeline is stopping.
    #[error("the server is stopping")]
    Draining,
}

impl Pipeline {
    /// Puts dead letters back into the journal, at most `per_second` in any second and evenly,
    /// waiting while there is no room: a replay never crowds out what comes in. Only what was dead
    /// when it began: what is replayed and dies again stays dead, so that it ends. Answers with all
    /// that was done.
    pub async fn replay(
        &self,
        which: &DeadSelection,
        per_second: NonZeroU32,
        by: &str,
    ) -> Result<Moved, ActError> {
        let most = usize::try_from(per_second.get() / STEPS).unwrap_or(STEP).clamp(1, STEP);
        let mut all = Moved::default();
        let result = self.replay_all(which, per_second, most, by, &mut all).await;
        result.map_err(|why| ActError { moved: Moved { more: true, ..all }, why })?;
        Ok(all)
    }

    async fn replay_all(
        &self,
        which: &DeadSelection,
        per_second: NonZeroU32,
        most: usize,
        by: &str,
        all: &mut Moved,
    ) -> Result<(), Broken> {
        let time = |letters: u64| Duration::from_secs(letters) / per_second.get();
        let mut parts = self.parts(which, most).await?.into_iter();
        let Some(mut part) = parts.next() else { return Ok(()) };
        // A letter is named in one part, which is one step: a filter goes on while there are more.
        let named = matches!(which, DeadSelection::Events(_));
        let at_once = if named { STEP } else { most };
        let (mut act, mut impossible) = (Act::by(by), 0);
        loop {
            let depths = || self.shared.journal.depths();
            let entering = self.shared.gate.enter_in_turn(most, 0, depths, || false).await;
            // By the runtime's clock. The time that the step takes is part of its own, and what was
            // lost by waiting for room is not made up for.
            let began = tokio::time::sleep(Duration::ZERO).deadline();
            let step = (part.clone(), act);
            let (moved, after) = self
                .to_the_end(|shared: Arc<Shared>| async move {
                    let (which, mut act) = step;
                    let started = shared.clock.elapsed();
                    let moved = shared.journal.replay(&which, at_once, &mut act).await?;
                    drop(entering);
                    let done = usize::try_from(moved.done).unwrap_or(usize::MAX);
                    shared.metrics.accepted(done, shared.clock.elapsed().saturating_sub(started));
                    Ok::<_, StoreError>((moved, act))
                })
                .await?;
            act = after;
            all.done += moved.done;
            all.impossible = impossible + moved.impossible;
            all.more |= named && moved.more;
            if named || !moved.more || moved.done == 0 {
                impossible = all.impossible;
                match parts.next() {
                    Some(next) => part = next,
                    None => return Ok(()),
                }
            }
            tokio::time::sleep_until(began + time(moved.done)).await;
            self.goes_on()?;
        }
    }

    /// Removes dead letters for good; only what was dead when it began. Answers with all that was
    /// done.
    pub async fn discard(&self, which: &DeadSelection, by: &str) -> Result<Moved, ActError> {
        let mut all = Moved::default();
        let result = self.discard_all(which, by, &mut all).await;
        result.map_err(|why| ActError { moved: Moved { more: true, ..all }, why })?;
        Ok(all)
    }

    async fn discard_all(
        &self,
        which: &DeadSelection,
        by: &str,
        all: &mut Moved,
    ) -> Result<(), Broken> {
        let mut act = Act::by(by);
        for part in self.parts(which, STEP).await? {
            loop {
                let moved = self.shared.journal.discard(&part, STEP, &mut act).await?;
                all.done += moved.done;
                if !moved.more || moved.done == 0 {
                    break;
                }
                self.goes_on()?;
            }
        }
        Ok(())
    }

    /// The selection in parts that are each of what is dead now. An event is named in one part
    /// only, so that what dies again is not taken again.
    async fn parts(
        &self,
        which: &DeadSelection,
        most: usize,
    ) -> Result<Vec<DeadSelection>, StoreError> {
        Ok(match which {
            DeadSelection::Filter(filter) => {
                let newest = DeadFilter { limit: 1, ..DeadFilter::default() };
                let newest = self.shared.journal.dead_letters(newest).await?.letters;
                let Some(newest) = newest.first() else { return Ok(Vec::new()) };
                let after = newest.id.saturating_add(1);
                let before = Some(filter.before.map_or(after, |before| before.min(after)));
                vec![DeadSelection::Filter(DeadFilter { before, ..filter.clone() })]
            }
            DeadSelection::Events(ids) => {
                ids.chunks(most).map(|ids| DeadSelection::Events(ids.to_vec())).collect()
            }
        })
    }

    fn goes_on(&self) -> Result<(), Broken> {
        if self.shared.draining.load(Ordering::Acquire) { Err(Broken::Draining) } else { Ok(()) }
    }
}
