//! From the firehose into the pipeline: reading stops while there is no room.

use crate::{config::SourceKind, node::Node};
use rhiz_domain::store::StoreError;
use rhiz_firehose::{Jetstream, Options, Source, Status};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Batches read ahead of the journal.
const AHEAD: usize = 2;

/// How long to wait when the journal cannot be written.
const JOURNAL_WAIT: Duration = Duration::from_millis(500);

/// Starts reading the firehose, if it is wanted; answers with how it goes.
pub fn start(node: &Node, stop: watch::Receiver<bool>) -> Option<watch::Receiver<Status>> {
    let firehose = &node.config.firehose;
    if !firehose.enabled {
        tracing::info!("the firehose is switched off (ENABLE_FIREHOSE_INGEST)");
        return None;
    }
    if firehose.kind == SourceKind::Firehose || firehose.verify {
        tracing::warn!(
            "verified sources are not built in yet: records are read from a Jetstream and marked \
             verified_source: false (handles are verified)"
        );
    }
    if firehose.kind == SourceKind::Firehose {
        tracing::error!("ATPROTO_FIREHOSE_URL is no Jetstream: nothing is read from the network");
        return None;
    }
    let options = Options::new(firehose.url.expose());
    let source = match Jetstream::new(options, Arc::clone(&node.clock), Arc::clone(&node.entropy)) {
        Ok(source) => source,
        Err(error) => {
            tracing::error!(%error, "nothing is read from the network");
            return None;
        }
    };
    let status = source.status();
    let node = node.clone();
    tokio::spawn(async move { run(&node, source, stop).await });
    Some(status)
}

async fn run(node: &Node, source: Jetstream, stop: watch::Receiver<bool>) {
    let from = loop {
        match node.store.cursor(source.name()).await {
            Ok(from) => break from,
            Err(error) => {
                tracing::warn!(%error, "cannot read the cursor");
                tokio::time::sleep(JOURNAL_WAIT).await;
            }
        }
    };
    let (out, mut intakes) = mpsc::channel(AHEAD);
    let reader = tokio::spawn(Box::new(source).run(from, out, stop));
    while let Some(intake) = intakes.recv().await {
        let mut intake = Some(intake);
        while let Some(next) = intake.take() {
            match node.pipeline.take_in(next.clone()).await {
                Ok(_) => {}
                Err(StoreError::Closed) => return,
                Err(error) => {
                    // Not skipped: what cannot be journaled now is journaled later.
                    tracing::warn!(%error, "cannot journal what the firehose sent; trying again");
                    tokio::time::sleep(JOURNAL_WAIT).await;
                    intake = Some(next);
                }
            }
        }
    }
    match reader.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the firehose's reader stopped"),
        Err(error) => tracing::error!(%error, "the firehose's reader broke off"),
    }
}
