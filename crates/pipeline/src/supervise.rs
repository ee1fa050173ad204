//! Tasks that have to go on until the stop.
//!
//! Law: neither a worker nor the maintenance ends before it is told to. One that panics outside of
//! any processor is told of, counted, and begun again; what it had in hand goes back when it unwinds.

use crate::{Shared, hand::words};
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long until one that broke off is begun again, so that what always fails is no busy loop.
const AGAIN: Duration = Duration::from_millis(250);

/// Runs a task until it ends in order.
pub(crate) async fn supervise<F>(
    shared: Arc<Shared>,
    name: &'static str,
    task: impl Fn(Arc<Shared>, watch::Receiver<bool>) -> F,
) where
    F: Future<Output = ()>,
{
    loop {
        let mut stop = shared.stop.subscribe();
        let task = task(Arc::clone(&shared), shared.stop.subscribe());
        // A task begins with nothing: what unwound is not looked at again.
        let Err(panic) = AssertUnwindSafe(task).catch_unwind().await else { return };
        tracing::error!(task = name, panic = words(&*panic), "a task broke off; it is begun again");
        shared.metrics.broke_off();
        if tokio::time::timeout(AGAIN, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}
