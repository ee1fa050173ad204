//! Whether both say the same.

use super::super::op::COUNTED;
use super::{Play, Told, same, told};
use rhiz_domain::{
    Change, Did, Event, EventId,
    store::{DeadFilter, Whereabouts},
};
use std::{sync::Arc, time::Duration};

impl Play {
    /// What can be asked cheaply.
    pub(super) async fn compare(&mut self) -> Told<()> {
        let store = Arc::clone(&self.rig.store);
        same("depths", store.depths(), self.reference.depths())?;
        same("what stands still", store.paused(), self.reference.paused)?;
        if self.reference.depths().claimable != [0; 4] {
            store.ready().await;
        }
        self.hear(&*store)?;
        let sources = ["jetstream:0", "jetstream:1", "file:f0", "file:f1"];
        let source = sources[self.step % sources.len()];
        let position = told(store.cursor(source).await, "cursor")?;
        same(source, position, self.reference.cursors.get(source).copied())?;
        // A stride that meets old ones, too.
        let Some(at) = self.step.wrapping_mul(7919).checked_rem(self.past.len()) else {
            return Ok(());
        };
        let id = self.past[at].1.event_id.clone();
        let found = told(store.find(&id).await, "find")?;
        self.compare_found(&id, found)
    }

    /// Takes the changes that were told, and counts what can be counted.
    pub(super) fn hear(&mut self, store: &dyn rhiz_domain::store::Store) -> Told<()> {
        while self.heard < store.last_change() {
            let set = self.feed.recv_timeout(Duration::from_secs(10));
            let set = set.map_err(|_| format!("no change after number {}", self.heard))?;
            let expected = self.heard + set.changes.len() as u64;
            same("the number of a set of changes", set.seq, expected)?;
            self.heard = set.seq;
            for change in set.changes {
                match change {
                    Change::Entity(fact) => {
                        self.people.insert(fact.id, fact.did);
                    }
                    Change::Touched(id) => {
                        let who = self.people.get(&id).map_or("nobody", Did::as_str);
                        if let Some(who) = COUNTED.into_iter().find(|counted| *counted == who) {
                            *self.merges_heard.entry(who).or_default() += 1;
                        }
                    }
                    _ => {}
                }
            }
        }
        same("merges counted", &self.merges_heard, &self.reference.merges)
    }

    pub(super) fn compare_found(&self, id: &EventId, found: Option<Whereabouts>) -> Told<()> {
        let waiting = self.reference.waiting(id);
        let letter = self.reference.dead.iter().rfind(|letter| letter.event_id == *id);
        let accepted = self.reference.accepted_at(id);
        let known = waiting.iter().any(|(_, known)| *known);
        let right = match &found {
            // One id can be that of several: a caller's, a source's, lines of files.
            Some(Whereabouts::Waiting { event, place }) => waiting.iter().any(|(row, _)| {
                self.reference.waits_for(row) == Some(*place)
                    && same_event(event, &row.event).is_ok()
            }),
            Some(Whereabouts::Dead(found)) => !known && letter.is_some_and(|l| l.is(found)),
            Some(Whereabouts::Done { accepted_at }) => {
                !known && letter.is_none() && accepted.contains(&(*accepted_at, None))
            }
            Some(Whereabouts::Dropped { accepted_at, why }) => {
                !known && letter.is_none() && accepted.contains(&(*accepted_at, Some(*why)))
            }
            None => !known && letter.is_none() && accepted.is_empty(),
        };
        if right {
            return Ok(());
        }
        Err(format!(
            "{id}: found {found:?}, it is waiting {waiting:?}, dead {letter:?}, accepted {accepted:?}"
        ))
    }

    /// Rows of the journal, dead letters (so many of the newest), acts of operators, cursors.
    pub(super) async fn compare_rows(&self, letters: usize) -> Told<()> {
        let store = &self.rig.store;
        let counts = told(store.counts().await, "counts")?;
        same("rows of the journal", counts.journal, self.reference.rows.len() as u64)?;
        let filter = DeadFilter { limit: letters, ..DeadFilter::default() };
        let page = told(store.dead_letters(filter).await, "dead letters")?;
        same("dead letters", page.count, self.reference.dead.len() as u64)?;
        same("inputs counted", page.uncounted, self.reference.overflow.values().sum())?;
        for (found, letter) in page.letters.iter().zip(self.reference.dead.iter().rev()) {
            if !letter.is(found) {
                return Err(format!("a dead letter: found {found:?}, it is {letter:?}"));
            }
        }
        let audit = told(store.audit(None, usize::MAX >> 1).await, "audit")?;
        let counts: Vec<u64> = audit.rows.iter().rev().map(|row| row.count).collect();
        same("acts written down", &counts, &self.reference.audit)?;
        for (source, position) in &self.reference.cursors {
            let found = told(store.cursor(source).await, "cursor")?;
            same(source, found, Some(*position))?;
        }
        Ok(())
    }
}

pub(super) fn same_event(found: &Event, expected: &Event) -> Told<()> {
    let told = |e: &Event| {
        let Event { event_id, event_type, did, priority, timestamp, assigned_rev, .. } = e.clone();
        let Event { retry_count, stages, origin, verified, payload, replayed_at, .. } = e.clone();
        let payload = payload.get().to_owned();
        let names = (event_id, event_type, did, priority, timestamp, assigned_rev);
        (names, (retry_count, stages, origin, verified, payload, replayed_at))
    };
    same("an event", told(found), told(expected))
}
