//! The graph from the store, with progress shown.

use crate::progress;
use rhiz_domain::{
    fact::Day,
    store::{Store, StoreError},
};
use rhiz_graph::Graph;

/// Loads shorter than this many facts show no bar: they are over before it can be read.
const WORTH_A_BAR: u64 = 200_000;

/// Builds the graph of a day from everything that is live. Shows a bar on standard error, when
/// that is a terminal and there is much to load.
pub async fn graph(store: &dyn Store, today: Day) -> Result<Graph, StoreError> {
    let style = "loading the graph {bar:30} {human_pos}/{human_len} facts, {eta} left";
    let (bar, progress) = progress::of_rows(style, WORTH_A_BAR);
    let facts = store.facts(progress).await?;
    let graph = tokio::task::spawn_blocking(move || {
        let graph = Graph::load(
            today,
            facts.seq,
            facts.entities.into_iter(),
            facts.relationships.into_iter(),
            facts.attestations.into_iter(),
        );
        graph.relearn();
        graph
    });
    let graph = graph.await;
    bar.finish_and_clear();
    graph.map_err(|e| StoreError::Corrupt(format!("the graph could not be built: {e}")))
}
