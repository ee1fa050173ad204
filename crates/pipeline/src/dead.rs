//! What operators do to dead letters: replay at a pace, discard.

use crate::Pipeline;
use rhiz_domain::store::{DeadSelection, Moved, StoreError};
use std::time::Duration;

/// Letters moved in one transaction.
const STEP: usize = 100;

impl Pipeline {
    /// Puts dead letters back into the journal, at most `per_second`, waiting while there is no
    /// room: a replay never crowds out what comes in. Answers with all that was done.
    pub async fn replay(
        &self,
        which: &DeadSelection,
        per_second: u32,
        by: &str,
    ) -> Result<Moved, StoreError> {
        let shared = &self.shared;
        let mut all = Moved::default();
        loop {
            let depths = || shared.journal.depths();
            let entering = shared.gate.enter_in_turn(STEP, 0, depths, || false).await;
            let started = shared.clock.elapsed();
            let step = shared.journal.replay(which, STEP, by).await?;
            drop(entering);
            let done = usize::try_from(step.done).unwrap_or(usize::MAX);
            shared.metrics.accepted(done, shared.clock.elapsed().saturating_sub(started));
            all = Moved { done: all.done + step.done, ..step };
            if !step.more || step.done == 0 {
                return Ok(all);
            }
            tokio::time::sleep(Duration::from_secs(1).mul_f64(
                f64::from(u32::try_from(step.done).unwrap_or(u32::MAX))
                    / f64::from(per_second.max(1)),
            ))
            .await;
        }
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
