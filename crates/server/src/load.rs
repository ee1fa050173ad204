//! The graph from the store, with progress shown.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rhiz_domain::{
    fact::Day,
    store::{Progress, Store, StoreError},
};
use rhiz_graph::Graph;
use std::sync::Arc;

/// Loads shorter than this many facts show no bar: they are over before it can be read.
const WORTH_A_BAR: u64 = 200_000;

/// Builds the graph of a day from everything that is live. Shows a bar on standard error, when
/// that is a terminal and there is much to load.
pub async fn graph(store: &dyn Store, today: Day) -> Result<Graph, StoreError> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = "loading the graph {bar:30} {human_pos}/{human_len} facts, {eta} left";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()));
    let shown = bar.clone();
    let progress: Progress = Arc::new(move |done, total| {
        if total >= WORTH_A_BAR {
            shown.set_length(total);
            shown.set_position(done);
        }
    });
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
