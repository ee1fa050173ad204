//! Who somebody is connected to.

use super::{Answers, NoAnswer};
use rhiz_domain::Did;
use rhiz_graph::{Neighbour, NeighbourQuery};

/// A question for neighbours.
#[derive(Debug, Clone)]
pub struct NeighboursQuestion {
    /// Whose: a DID or handle.
    pub of: String,
    /// 0.0–1.0.
    pub min_strength: f64,
    /// The types; all when not said.
    pub kinds: Option<Vec<String>>,
    /// 1–100.
    pub limit: usize,
    /// Trust and DID of the last one of the page before.
    pub after: Option<(f64, Did)>,
}

/// A page of neighbours.
#[derive(Debug, Clone)]
pub struct NeighbourPage {
    /// Whose.
    pub of: Did,
    /// By trust, then DID; each with its record's URI.
    pub neighbours: Vec<(Neighbour, String)>,
    /// What to ask for the next page with, if there is one.
    pub next: Option<(f64, Did)>,
}

impl Answers {
    /// One page of neighbours.
    pub async fn neighbours(
        &self,
        question: NeighboursQuestion,
    ) -> Result<NeighbourPage, NoAnswer> {
        let (id, of) = self.find(&question.of, "did").await?;
        if !(0.0..=1.0).contains(&question.min_strength) {
            let message = format!("{} is not a number from 0 to 1", question.min_strength);
            return Err(NoAnswer::invalid("min_strength", message));
        }
        let query = NeighbourQuery {
            min_strength: question.min_strength,
            kinds: question.kinds,
            limit: question.limit + 1,
            after: question.after,
        };
        let found = self.compute(move |node| node.graph.neighbours(id, &query)).await?;
        let mut found = found.ok_or(NoAnswer::UnknownEntity(question.of))?;
        let more = found.len() > question.limit;
        found.truncate(question.limit);
        let next = found.last().filter(|_| more).map(|n| (n.trust, n.did.clone()));
        let neighbours =
            found.into_iter().map(|n| (n.clone(), self.relationship_uri(n.key))).collect();
        Ok(NeighbourPage { of, neighbours, next })
    }
}
