//! How this node keeps up with the change log, the authority on what is invalid.
//!
//! # Law
//! The number up to which the log counts as applied moves only by reading the log in order. A
//! push hides at once what it covers, but moves nothing: another push may have been lost before
//! it. Confirmed is the moment *before* the head was asked for, if everything up to that head has
//! been applied since.

use rhiz_domain::cache::{CacheError, ChangeLog, Invalidation};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

/// Records taken from the log at once.
const PAGE: usize = 1000;

/// See the module.
pub(crate) struct Follower {
    log: Arc<dyn ChangeLog>,
    applied: AtomicU64,
    /// The clock's `elapsed` in nanoseconds, plus one; 0 before the first confirmation.
    confirmed: AtomicU64,
    began: AtomicBool,
    reading: Mutex<()>,
    pub(crate) wake: Notify,
    /// Longest time for one question to the log.
    patience: Duration,
    replay: u64,
}

impl Follower {
    pub(crate) fn new(log: Arc<dyn ChangeLog>, patience: Duration, replay: u64) -> Self {
        Self {
            log,
            applied: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            began: AtomicBool::new(false),
            reading: Mutex::new(()),
            wake: Notify::new(),
            patience,
            replay,
        }
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Whether the head was confirmed at or after this moment.
    pub(crate) fn confirmed_since(&self, moment: Duration) -> bool {
        let confirmed = self.confirmed.load(Ordering::Acquire);
        confirmed != 0 && u128::from(confirmed) > moment.as_nanos()
    }

    /// Writes a record; answers with its number.
    pub(crate) async fn append(
        &self,
        targets: &[rhiz_domain::cache::Target],
    ) -> Result<u64, CacheError> {
        self.patiently(self.log.append(targets)).await
    }

    /// Brings this node up to the log's head of now, unless somebody has since `moment`.
    /// `now` tells the time; `begin` says from which number on the log will be known, `apply`
    /// takes a record over.
    pub(crate) async fn catch_up(
        &self,
        moment: Duration,
        now: impl Fn() -> Duration,
        begin: impl Fn(u64),
        apply: impl Fn(&Invalidation),
    ) -> Result<(), CacheError> {
        let _alone = self.reading.lock().await;
        if self.confirmed_since(moment) {
            return Ok(());
        }
        let asked = now();
        let head = self.patiently(self.log.head()).await?;
        let mut applied = self.applied();
        if !self.began.load(Ordering::Acquire) || head < applied {
            // At the start, or when the log has lost its end: what is older cannot be verified.
            applied = head.saturating_sub(self.replay);
            begin(if head < self.applied() { head } else { applied });
            self.began.store(true, Ordering::Release);
            self.applied.store(applied, Ordering::Release);
        }
        while applied < head {
            let records = self.patiently(self.log.read(applied, PAGE)).await?;
            for record in &records {
                apply(record);
            }
            // Numbers may have gaps: with nothing left to read, the head is reached.
            let next = records.last().map_or(head, |record| record.seq);
            if next <= applied {
                return Err(CacheError::ChangeLog(format!("read({applied}) gave {next}")));
            }
            applied = next;
            self.applied.store(applied, Ordering::Release);
        }
        let asked = u64::try_from(asked.as_nanos()).unwrap_or(u64::MAX - 1) + 1;
        self.confirmed.fetch_max(asked, Ordering::AcqRel);
        Ok(())
    }

    async fn patiently<T>(
        &self,
        question: impl Future<Output = Result<T, CacheError>>,
    ) -> Result<T, CacheError> {
        tokio::time::timeout(self.patience, question)
            .await
            .map_err(|_| CacheError::ChangeLog(format!("no answer within {:?}", self.patience)))?
    }
}
