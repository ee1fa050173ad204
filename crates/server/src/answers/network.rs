//! The network as a whole.

use super::{Answers, NoAnswer};
use rhiz_graph::Stats;

impl Answers {
    /// Numbers of the whole.
    pub async fn network_stats(&self) -> Result<Stats, NoAnswer> {
        self.compute(|node| node.graph.stats()).await
    }
}
