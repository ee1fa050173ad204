//! What operators do to dead letters: replay at a pace, discard.
//!
//! An act takes as many steps as it needs, each a transaction of its own; all of them are one row
//! of the audit log ([`Act`]). Its end is that of what was dead when it began: what dies meanwhile
//! is left alone.

use crate::{Pipeline, Shared};
use rhiz_domain::{
    EventId,
    store::{Act, DeadFilter, DeadSelection, Moved, StoreError},
};
use std::{
    collections::HashSet,
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Letters moved in one transaction at most.
const STEP: usize = 100;

/// Letters whose numbers are looked for at once: 8 bytes each.
const AHEAD: usize = 100_000;

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
        let (mut rest, mut act) = self.begin(which, by).await?;
        let mut part = self.part(&mut rest, most).await?;
        while let Some(which) = part {
            let depths = || self.shared.journal.depths();
            let entering = self.shared.gate.enter_in_turn(most, 0, depths, || false).await;
            // By the runtime's clock. The time that the step takes is part of its own, and what was
            // lost by waiting for room is not made up for.
            let began = tokio::time::sleep(Duration::ZERO).deadline();
            let moved;
            (moved, act) = self
                .to_the_end(|shared: Arc<Shared>| async move {
                    let moved = shared.journal.replay(&which, STEP, &mut act).await?;
                    drop(entering);
                    shared.metrics.replayed(moved.done);
                    Ok::<_, StoreError>((moved, act))
                })
                .await?;
            add(all, moved);
            part = self.part(&mut rest, most).await?;
            if part.is_some() {
                tokio::time::sleep_until(began + time(moved.done)).await;
                self.goes_on()?;
            }
        }
        Ok(())
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
        let (mut rest, mut act) = self.begin(which, by).await?;
        while let Some(part) = self.part(&mut rest, STEP).await? {
            self.goes_on()?;
            add(all, self.shared.journal.discard(&part, STEP, &mut act).await?);
        }
        Ok(())
    }

    /// What is dead now of a selection, and the act that is about to begin.
    async fn begin(&self, which: &DeadSelection, by: &str) -> Result<(Rest, Act), StoreError> {
        let act = Act::by(by);
        Ok(match which {
            DeadSelection::Events(ids) => {
                // One that is named twice is there once.
                let mut seen = HashSet::new();
                let ids = ids.iter().filter(|id| seen.insert(id.as_str())).cloned();
                (Rest::Events(ids.collect::<Vec<_>>().into_iter()), act)
            }
            DeadSelection::Letters(ids) => (Rest::Letters(ids.clone().into_iter()), act),
            DeadSelection::Filter(filter) => {
                let newest = DeadFilter { limit: 1, ..DeadFilter::default() };
                let newest = self.shared.journal.dead_letters(newest).await?.letters;
                let after = newest.first().map_or(0, |letter| letter.id.saturating_add(1));
                let before = Some(filter.before.map_or(after, |before| before.min(after)));
                let all = DeadFilter { before, limit: AHEAD, ..filter.clone() };
                let found = Vec::new().into_iter();
                (Rest::Filter { filter: Box::new(all), found, after: 0 }, act.about(filter))
            }
        })
    }

    /// The next part of what is left, for one step. A letter is in one part only, so that what dies
    /// again is not taken again.
    async fn part(
        &self,
        rest: &mut Rest,
        most: usize,
    ) -> Result<Option<DeadSelection>, StoreError> {
        let part = match rest {
            Rest::Events(ids) => DeadSelection::Events(ids.by_ref().take(most).collect()),
            Rest::Letters(ids) => DeadSelection::Letters(ids.by_ref().take(most).collect()),
            Rest::Filter { filter, found, after } => {
                if found.as_slice().is_empty() {
                    let more = self.shared.journal.dead_numbers((**filter).clone(), *after).await?;
                    *after = more.last().copied().unwrap_or(i64::MAX);
                    *found = more.into_iter();
                }
                DeadSelection::Letters(found.by_ref().take(most).collect())
            }
        };
        let empty = match &part {
            DeadSelection::Events(ids) => ids.is_empty(),
            DeadSelection::Letters(ids) => ids.is_empty(),
            DeadSelection::Filter(_) => false,
        };
        Ok((!empty).then_some(part))
    }

    fn goes_on(&self) -> Result<(), Broken> {
        if self.shared.draining.load(Ordering::Acquire) { Err(Broken::Draining) } else { Ok(()) }
    }
}

/// What an act has still to do.
enum Rest {
    Events(std::vec::IntoIter<EventId>),
    Letters(std::vec::IntoIter<i64>),
    Filter {
        filter: Box<DeadFilter>,
        /// Numbers found and not yet dealt with; none of them is behind `after`.
        found: std::vec::IntoIter<i64>,
        after: i64,
    },
}

fn add(all: &mut Moved, step: Moved) {
    all.done += step.done;
    all.impossible += step.impossible;
    all.more |= step.more;
}
