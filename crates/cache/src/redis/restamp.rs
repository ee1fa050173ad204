//! Stamping entries of Redis anew, so that they can be verified for as long as they live.
//!
//! # Law
//! A stamp says up to which change an entry has certainly seen everything that covers it. It may be
//! raised to `n` by who has looked at that very entry with every record up to `n` at hand and found
//! none that covers it. The statement stays true, so it may arrive late or twice; it must only
//! never land on another entry. Hence the comparison in Redis: epoch, old stamp, writer, that
//! writer's number of the write and expiry are those of the entry that was looked at.

use super::envelope::{Envelope, STAMP_AT};
use super::{Live, RedisTier};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const RESTAMP: &str = "if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) == ARGV[1] then \
    redis.call('SETRANGE', KEYS[1], ARGV[2], ARGV[3]) return 1 end return 0";

impl RedisTier {
    /// One command of it. `to` was noted before the entry was judged.
    pub(super) fn restamping(&self, envelope: &Envelope<'_>, to: u64) -> redis::Cmd {
        let mut command = redis::cmd("EVAL");
        command
            .arg(RESTAMP)
            .arg(1)
            .arg(self.value_key(envelope.key))
            .arg(envelope.identity())
            .arg(STAMP_AT)
            .arg(&to.to_le_bytes()[..]);
        command
    }

    /// An entry that was read and found good.
    pub(crate) async fn restamp(
        &self,
        live: &Arc<Live>,
        envelope: &Envelope<'_>,
        to: u64,
        namespace: u16,
    ) {
        let mut connection = live.connection.clone();
        match self.restamping(envelope, to).query_async::<u64>(&mut connection).await {
            Ok(done) => _ = self.restamped.fetch_add(done, Ordering::Relaxed),
            Err(error) => self.failed(live, namespace, error),
        }
    }
}
