//! One computation for one missing key across nodes: a lease in Redis, as far as Redis answers.
//!
//! A lease keeps nobody from being right, only from working twice: without Redis, or when its
//! holder takes too long, a node computes for itself.

use super::{Live, RedisTier};
use std::sync::Arc;
use std::time::Duration;

const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
    return redis.call('UNLINK', KEYS[1]) end return 0";

/// What came of asking for one.
pub(crate) enum Leasing {
    /// This node computes.
    Granted(Lease),
    /// Another node computes.
    Taken,
    /// Redis is out: every node for itself.
    Unavailable,
}

/// The right to compute; given back when dropped.
pub(crate) struct Lease {
    tier: Arc<RedisTier>,
    live: Arc<Live>,
    key: String,
    token: String,
}

impl RedisTier {
    /// Asks for the lease of a key, for at most so long.
    pub(crate) async fn lease(self: &Arc<Self>, key: &str, most: Duration) -> Leasing {
        let Some(live) = self.live() else { return Leasing::Unavailable };
        let lease = Lease {
            tier: self.clone(),
            key: format!("{}l:{key}", self.space),
            token: format!("{:016x}", self.entropy.next_u64()),
            live: live.clone(),
        };
        let mut connection = live.connection.clone();
        let asked = redis::cmd("SET")
            .arg(&lease.key)
            .arg(&lease.token)
            .arg("NX")
            .arg("PX")
            .arg(u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1))
            .query_async::<Option<String>>(&mut connection)
            .await;
        match asked {
            Ok(Some(_)) => Leasing::Granted(lease),
            Ok(None) => {
                lease.forget();
                Leasing::Taken
            }
            Err(error) => {
                let namespace = self.stats.namespace(key);
                self.failed(&live, namespace, error);
                Leasing::Unavailable
            }
        }
    }
}

impl Lease {
    /// It was not granted: there is nothing to give back.
    fn forget(mut self) {
        self.token.clear();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.token.is_empty() || self.live.is_given_up() {
            return;
        }
        let (tier, live) = (self.tier.clone(), self.live.clone());
        let (key, token) = (std::mem::take(&mut self.key), std::mem::take(&mut self.token));
        runtime.spawn(async move {
            let mut connection = live.connection.clone();
            let asked = redis::cmd("EVAL")
                .arg(RELEASE)
                .arg(1)
                .arg(&key)
                .arg(&token)
                .query_async::<u64>(&mut connection)
                .await;
            if let Err(error) = asked {
                tier.give_up(&live, &error.into());
            }
        });
    }
}
