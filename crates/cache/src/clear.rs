//! Invalidation: by hand, and by records of the change log.

use crate::index::{Cover, Numbering};
use crate::key;
use crate::memory::Slot;
use crate::pattern::Pattern;
use crate::redis::Envelope;
use crate::service::{CacheService, Inner};
use crate::stats::{Count, Scope};
use rhiz_domain::cache::{CacheError, Invalidation, Target};
use std::sync::atomic::Ordering;

impl CacheService {
    /// Hides every value whose key matches the glob; costs the same however many there are.
    ///
    /// # Errors
    /// [`CacheError::Pattern`]; [`CacheError::ChangeLog`] when it was cleared in this node's
    /// memory but could not be recorded for the other nodes: clear again.
    pub async fn clear_pattern(&self, pattern: &str) -> Result<(), CacheError> {
        Pattern::parse(pattern)?;
        self.inner.clear(Target::Pattern(pattern.to_owned())).await
    }

    /// Hides every value with this tag; costs the same however many there are.
    ///
    /// # Errors
    /// [`CacheError::Tag`]; [`CacheError::ChangeLog`] as for [`CacheService::clear_pattern`].
    pub async fn clear_tag(&self, tag: &str) -> Result<(), CacheError> {
        key::check_tag(tag)?;
        self.inner.clear(Target::Tag(tag.to_owned())).await
    }

    /// Takes over a record of the change log. To be called once what computations read (store,
    /// graph replica) holds the change, and before the event counts as applied. Targets that
    /// cannot be keys, tags or patterns cover nothing, for nothing can be stored under them.
    pub fn invalidate(&self, record: &Invalidation) {
        let inner = &*self.inner;
        inner.take_over(record);
        match &inner.follower {
            Some(follower) => follower.wake.notify_one(),
            None => _ = inner.told.fetch_max(record.seq, Ordering::AcqRel),
        }
    }
}

fn covers(targets: &[Target]) -> Vec<Cover> {
    targets
        .iter()
        .filter_map(|target| match target {
            Target::Key(key) => Some(Cover::Key(key.clone())),
            Target::Tag(tag) => Some(Cover::Tag(tag.clone())),
            Target::Pattern(text) => match Pattern::parse(text) {
                Ok(pattern) => Some(Cover::Pattern(pattern)),
                Err(error) => {
                    tracing::warn!(%error, "an invalidation names a pattern that cannot be one");
                    None
                }
            },
        })
        .collect()
}

impl Inner {
    fn apply(&self, covers: &[Cover], numbering: Numbering) {
        for cover in covers {
            let namespace = self.stats.namespace(match cover {
                Cover::Key(text) | Cover::Pattern(Pattern::Exact(text) | Pattern::Prefix(text)) => {
                    text
                }
                Cover::Tag(_) | Cover::Pattern(_) => "",
            });
            self.stats.count(Scope::Overall, namespace, Count::Invalidations);
        }
        self.invalidations.fetch_add(1, Ordering::Relaxed);
        self.index.apply(covers, numbering);
    }

    /// A record of the change log.
    pub(crate) fn take_over(&self, record: &Invalidation) {
        let numbering = match self.follower {
            Some(_) => Numbering::Log(record.seq),
            None => Numbering::Own,
        };
        self.apply(&covers(&record.targets), numbering);
    }

    /// A clear by hand: recorded for all nodes, then applied here.
    pub(crate) async fn clear(&self, target: Target) -> Result<(), CacheError> {
        let covers = covers(std::slice::from_ref(&target));
        let Some(follower) = &self.follower else {
            self.apply(&covers, Numbering::Own);
            return Ok(());
        };
        match follower.append(&[target]).await {
            Ok(seq) => {
                self.apply(&covers, Numbering::Log(seq));
                // So that what is computed from here on carries a number above the record's.
                self.catch_up(self.clock.elapsed()).await
            }
            Err(error) => {
                self.apply(&covers, Numbering::LocalOnly);
                Err(error)
            }
        }
    }

    /// Whether a record of the change log covers an entry of Redis.
    pub(crate) fn is_hidden_change(&self, envelope: &Envelope<'_>) -> bool {
        let tags: Vec<u64> = envelope.tags.iter().map(|tag| self.index.tag_hash(tag)).collect();
        self.index.covers_change(envelope.stamp, envelope.key, &tags)
    }

    /// Whether no record covers the slot; remembers it if so.
    #[inline]
    pub(crate) fn is_good(&self, key: &str, slot: &Slot) -> bool {
        let checked = slot.checked();
        let head = self.index.head_for(slot.is_tagged());
        if checked >= head {
            return true;
        }
        if self.index.covers_local(checked, key, slot.tags()) {
            return false;
        }
        slot.found_good(head);
        true
    }
}
