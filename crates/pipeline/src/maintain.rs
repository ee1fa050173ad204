//! Maintenance: wakes what waits for a retry, and forgets identities that are old.

use crate::Shared;
use rhiz_domain::Clock;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How late a retry may start.
const TICK: Duration = Duration::from_millis(100);

/// How often old identities are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let clock: &dyn Clock = &*shared.clock;
    let mut pruned = clock.elapsed();
    loop {
        // A schedule can only be added to while we wait, so waits are short.
        if let Err(error) = shared.journal.wake(clock.now()).await {
            tracing::warn!(%error, "cannot wake what waits");
        }
        if clock.elapsed().saturating_sub(pruned) >= PRUNE_EVERY {
            pruned = clock.elapsed();
            let before = clock.now() - shared.settings.remember;
            match shared.journal.prune(before).await {
                Ok(gone) if gone > 0 => tracing::debug!(gone, "forgot old identities"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "cannot forget old identities"),
            }
        }
        if tokio::time::timeout(TICK, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}
