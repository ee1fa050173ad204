//! What operators do to dead letters: replay at a pace, discard.

use crate::{Pipeline, Shared};
use rhiz_domain::store::{DeadFilter, DeadSelection, Moved, StoreError};
use std::{sync::Arc, time::Duration};

/// Letters moved in one transaction.
const STEP: usize = 100;

impl Pipeline {
    /// Puts dead letters back into the journal, at most `per_second`, waiting while there is no
    /// room: a replay never crowds out what comes in. Only what was dead when it began: what is
    /// replayed and dies again stays dead, so that it ends. Answers with all that was done.
    pub async fn replay(
        &self,
        which: &DeadSelection,
        per_second: u32,
        by: &str,
    ) -> Result<Moved, StoreError> {
        let mut all = Moved::default();
        match which {
            DeadSelection::Filter(filter) => {
                let newest = DeadFilter { limit: 1, ..DeadFilter::default() };
                let newest = self.shared.journal.dead_letters(newest).await?.letters;
                let after = newest.first().map_or(i64::MAX, |letter| letter.id.saturating_add(1));
                let before = Some(filter.before.map_or(after, |before| before.min(after)));
                let which = DeadSelection::Filter(DeadFilter { before, ..filter.clone() });
                loop {
                    let step = self.replay_some(&which, by).await?;
                    all = Moved { done: all.done + step.done, ..step };
                    if !step.more || step.done == 0 {
                        return Ok(all);
                    }
                    pace(step, per_second).await;
                }
            }
            DeadSelection::Events(ids) => {
                // Each is named in one step only.
                for (n, ids) in ids.chunks(STEP).enumerate() {
                    if n > 0 {
                        pace(Moved { done: STEP as u64, ..Moved::default() }, per_second).await;
                    }
                    let which = DeadSelection::Events(ids.to_vec());
                    let step = self.replay_some(&which, by).await?;
                    all.done += step.done;
                    all.impossible += step.impossible;
                    all.more |= step.more;
                }
                Ok(all)
            }
        }
    }

    /// One step of it, when there is room.
    async fn replay_some(&self, which: &DeadSelection, by: &str) -> Result<Moved, StoreError> {
        let depths = || self.shared.journal.depths();
        let entering = self.shared.gate.enter_in_turn(STEP, 0, depths, || false).await;
        let (which, by) = (which.clone(), by.to_owned());
        self.to_the_end(|shared: Arc<Shared>| async move {
            let started = shared.clock.elapsed();
            let step = shared.journal.replay(&which, STEP, &by).await?;
            drop(entering);
            let done = usize::try_from(step.done).unwrap_or(usize::MAX);
            shared.metrics.accepted(done, shared.clock.elapsed().saturating_sub(started));
            Ok(step)
        })
        .await
    }

    /// Removes dead letters for good.
    pub async fn discard(&self, which: &DeadSelection, by: &str) -> Result<Moved, StoreError> {
        let mut all = Moved::default();
        loop {
            let step = self.shared.journal.discard(which, STEP, by).await?;
            all = Moved { done: all.done + step.done, ..step };
            if !step.more || step.done == 0 {
                return Ok(all);
            }
        }
    }
}

/// Waits until as many more may follow.
async fn pace(step: Moved, per_second: u32) {
    let done = f64::from(u32::try_from(step.done).unwrap_or(u32::MAX));
    tokio::time::sleep(Duration::from_secs(1).mul_f64(done / f64::from(per_second.max(1)))).await;
}
