//! How much of the change log this node knows, and whether that is enough for a call.

use crate::follow::Follower;
use crate::index::{Cover, Numbering};
use crate::key;
use crate::pattern::Pattern;
use crate::service::{CacheService, Inner};
use crate::stats::{Count, Scope};
use rhiz_domain::cache::{CacheError, Consistency, Stamp};
use rhiz_domain::clock::COARSE_LAG;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl CacheService {
    /// The stamp to note before a computation begins.
    #[must_use]
    pub fn note(&self) -> Stamp {
        self.inner.note()
    }

    /// The number in the change log up to which this node has applied it.
    #[must_use]
    pub fn head(&self) -> u64 {
        let inner = &*self.inner;
        inner
            .follower
            .as_ref()
            .map_or_else(|| inner.told.load(Ordering::Acquire), Follower::applied)
    }
}

/// Keeps up with the change log; ends with the service.
pub(crate) async fn follow(inner: Weak<Inner>) {
    /// Pushes that come together are read together.
    const GATHER: Duration = Duration::from_millis(10);
    let mut complained = false;
    while let Some(service) = inner.upgrade().filter(|inner| inner.open()) {
        match service.catch_up(service.clock.elapsed()).await {
            Ok(()) => complained = false,
            Err(error) => {
                if !complained {
                    tracing::warn!(%error, "the cache cannot confirm what is invalid");
                }
                complained = true;
            }
        }
        let Some(follower) = &service.follower else { return };
        let pushed = async {
            follower.wake.notified().await;
            tokio::time::sleep(GATHER).await;
        };
        // Bounded, so that a service that nobody holds any more ends.
        let _ = tokio::time::timeout(service.config.confirm_every, pushed).await;
    }
}

impl Inner {
    pub(crate) fn note(&self) -> Stamp {
        // The change number first: it may be older than the local one, never newer.
        let change = self.follower.as_ref().map(Follower::applied);
        let local = self.index.head();
        let epoch = self.redis.as_ref().map_or(0, |redis| redis.epoch());
        Stamp { local, change: change.unwrap_or(local), epoch }
    }

    /// Everything up to the change log's head, as it was at `moment` or later, has been applied.
    pub(crate) async fn catch_up(&self, moment: Duration) -> Result<(), CacheError> {
        let Some(follower) = &self.follower else { return Ok(()) };
        let begin = |change| {
            // What this node knew of before it lost sight of the log cannot be verified either.
            self.index.raise_floor(change);
            self.index.apply(&[Cover::Pattern(Pattern::All)], Numbering::LocalOnly);
        };
        follower.catch_up(moment, || self.clock.elapsed(), begin, |r| self.take_over(r)).await
    }

    /// Whether this node's knowledge of what is invalid is as fresh as the call asks, as far as can
    /// be told without asking the log.
    #[inline]
    pub(crate) fn knows_enough(&self, consistency: Consistency) -> bool {
        let Some(follower) = &self.follower else { return self.open() };
        let limit = self.config.confirm_within;
        let within = match consistency {
            Consistency::Eventual => limit,
            Consistency::Bounded(within) => within.min(limit),
            Consistency::Fenced => return false,
        };
        // What the cheap clock may lie behind is taken off.
        let now = self.clock.coarse() + COARSE_LAG;
        self.open() && follower.confirmed_since(now.saturating_sub(within))
    }

    /// Whether this node's knowledge of what is invalid is as fresh as the call asks; asks the log
    /// if need be.
    pub(crate) async fn fresh(&self, consistency: Consistency) -> bool {
        let Some(follower) = &self.follower else { return self.open() };
        let now = self.clock.elapsed();
        let limit = self.config.confirm_within;
        let (moment, ask) = match consistency {
            Consistency::Eventual => (now.saturating_sub(limit), false),
            Consistency::Bounded(within) => (now.saturating_sub(within.min(limit)), true),
            Consistency::Fenced => (now, true),
        };
        self.open()
            && (follower.confirmed_since(moment) || (ask && self.catch_up(moment).await.is_ok()))
    }

    /// Counts a lookup that was not made because this node does not know what is invalid.
    pub(crate) fn not_fresh(&self, key: &str) -> Result<(), CacheError> {
        key::check_key(key)?;
        self.stats.count(Scope::Overall, self.stats.namespace(key), Count::Misses);
        Ok(())
    }
}
