//! One pass over Redis, slowly: takes out what is hidden, stamps anew what is good but fades, and
//! counts. Nothing that is served depends on it: every entry also has a time to live.
//!
//! What other caches have there is left alone, unless nobody has looked after it for an hour: then
//! its owner is gone (each process without a change log is an owner of its own), and it could only
//! lie there until its time is over.

use super::envelope::{Envelope, HEADER_BYTES};
use super::link::META_LASTS;
use super::{Counted, RedisTier};
use redis::RedisError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Keys looked at in one step.
const STEP: usize = 200;
/// Time between two steps: at most 4,000 keys are looked at in a second.
const PACE: Duration = Duration::from_millis(50);
/// A cache whose epoch nobody has looked at for this long (live ones do every 250 ms) is gone.
const GONE_AFTER: Duration = Duration::from_hours(1);

/// What is done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A record covers it.
    Hidden,
    /// It stays as it is.
    Good,
    /// It is good up to this change, and its own stamp fades.
    GoodTo(u64),
}

impl RedisTier {
    /// One pass over everything under the prefix; `judge` says what happens to the values of this
    /// cache. Ends early when Redis is out.
    pub(crate) async fn sweep(&self, judge: impl Fn(&Envelope<'_>) -> Verdict) {
        let mut held = vec![(0, 0); self.stats.namespaces()];
        let mut cursor = 0_u64;
        loop {
            match self.sweep_step(cursor, &judge, &mut held).await {
                Some(0) => break,
                Some(next) => cursor = next,
                None => return,
            }
            self.pause(PACE).await;
        }
        *self.counted.lock() = Some(Counted { at: self.clock.elapsed(), held });
    }

    /// Answers where to go on; `None` when Redis is out.
    async fn sweep_step(
        &self,
        cursor: u64,
        judge: &impl Fn(&Envelope<'_>) -> Verdict,
        held: &mut [(u64, u64)],
    ) -> Option<u64> {
        let live = self.live()?;
        let mut connection = live.connection.clone();
        let step = async {
            let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                // Sixteen hexadecimal digits say whose it is.
                .arg(format!("{}{}:v:*", self.config.prefix, "?".repeat(16)))
                .arg("COUNT")
                .arg(STEP)
                .query_async(&mut connection)
                .await?;
            let own = format!("{}v:", self.space);
            let (ours, others): (Vec<&String>, Vec<&String>) =
                keys.iter().partition(|key| key.starts_with(&own));
            let mut gone = self.left_behind(&others, &mut connection).await?;
            if !ours.is_empty() {
                let mut headers = redis::pipe();
                for key in &ours {
                    headers.cmd("GETRANGE").arg(key).arg(0).arg(HEADER_BYTES - 1);
                }
                let headers: Vec<Vec<u8>> = headers.query_async(&mut connection).await?;
                let mut stamps = redis::pipe();
                for (key, header) in ours.into_iter().zip(&headers) {
                    let envelope = Envelope::decode_header(header).map(|(envelope, _)| envelope);
                    let verdict = envelope.as_ref().map(|envelope| {
                        if envelope.epoch == live.epoch { judge(envelope) } else { Verdict::Hidden }
                    });
                    if verdict == Some(Verdict::Hidden) {
                        gone.push(key);
                        continue;
                    }
                    if let (Some(Verdict::GoodTo(to)), Some(envelope)) = (verdict, &envelope) {
                        stamps.add_command(self.restamping(envelope, to));
                    }
                    let bytes = if header.len() < HEADER_BYTES {
                        header.len() as u64
                    } else {
                        redis::cmd("STRLEN").arg(key).query_async(&mut connection).await?
                    };
                    let namespace = self.stats.namespace(&key[own.len()..]);
                    let (keys, sum) = &mut held[usize::from(namespace)];
                    *keys += 1;
                    *sum += bytes + key.len() as u64;
                }
                if !stamps.is_empty() {
                    let done: Vec<u64> = stamps.query_async(&mut connection).await?;
                    self.restamped.fetch_add(done.iter().sum(), Ordering::Relaxed);
                }
            }
            if !gone.is_empty() {
                redis::cmd("UNLINK").arg(gone).exec_async(&mut connection).await?;
            }
            Ok::<_, RedisError>(next)
        };
        match step.await {
            Ok(next) => Some(next),
            Err(error) => {
                self.give_up(&live, &error.into());
                None
            }
        }
    }

    /// Those keys whose owner is gone.
    async fn left_behind<'a>(
        &self,
        keys: &[&'a String],
        connection: &mut redis::aio::MultiplexedConnection,
    ) -> Result<Vec<&'a String>, RedisError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let space = |key: &'a String| &key[..self.space.len()];
        let owners: BTreeSet<&str> = keys.iter().map(|key| space(key)).collect();
        let mut times = redis::pipe();
        for owner in &owners {
            times.cmd("PTTL").arg(format!("{owner}meta"));
        }
        let left: Vec<i64> = times.query_async(connection).await?;
        let fresh = i64::try_from((META_LASTS - GONE_AFTER).as_millis()).unwrap_or(i64::MAX);
        let gone: BTreeMap<&str, bool> =
            owners.into_iter().zip(left.into_iter().map(|left| left < fresh)).collect();
        Ok(keys.iter().copied().filter(|key| gone[space(key)]).collect())
    }
}
