//! Maintenance: wakes what waits for a retry, and forgets identities that are old.

use crate::Shared;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How late a retry may start.
const TICK: Duration = Duration::from_millis(100);

/// How often old identities are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Wakes what waits, until `stop`.
pub(crate) async fn wake(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    loop {
        // A schedule can only be added to while we wait, so waits are short.
        if let Err(error) = shared.journal.wake(shared.clock.now()).await {
            tracing::warn!(%error, "cannot wake what waits");
        }
        if tokio::time::timeout(TICK, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}

/// Forgets old identities, at the start and then now and again, until `stop`. On its own, for it
/// takes many steps, and nothing that is due waits for it.
pub(crate) async fn forget(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    loop {
        let before = shared.clock.now() - shared.settings.remember;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            forgot = shared.journal.prune(before) => match forgot {
                Ok(gone) if gone > 0 => tracing::debug!(gone, "forgot old identities"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "cannot forget old identities"),
            },
        }
        if tokio::time::timeout(PRUNE_EVERY, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}
