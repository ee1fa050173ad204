//! The network as a whole.

use super::{Answers, NoAnswer};
use rhiz_graph::{Memory, Stats};

impl Answers {
    /// Numbers of the whole.
    pub async fn network_stats(&self) -> Result<Stats, NoAnswer> {
        let version = self.as_of().version;
        self.compute(move |node| node.graph.stats_since(version)).await
    }

    /// Bytes that the graph holds.
    pub async fn graph_memory(&self) -> Result<Memory, NoAnswer> {
        self.compute(|node| node.graph.memory()).await
    }
}
