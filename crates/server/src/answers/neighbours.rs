//! Who somebody is connected to.

use super::{Answers, NoAnswer, kept};
use rhiz_cache::{Computed, key::part};
use rhiz_domain::{Did, EntityId};
use rhiz_graph::NeighbourQuery;
use serde::{Deserialize, Serialize};
use std::{fmt::Write, sync::Arc};

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
    /// Computes anew, whatever is cached.
    pub refresh: bool,
}

/// A neighbour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeighbourAnswer {
    id: u32,
    /// Who.
    pub did: String,
    /// The record that is the edge.
    pub relationship_uri: String,
    /// 0–100.
    pub strength: u8,
    /// t, 0.0–1.0.
    pub trust: f64,
    /// The record's type.
    pub kind: Arc<str>,
    /// Both state one another.
    pub mutual: bool,
    /// The record's, 0–100.
    pub conviction: u8,
}

impl NeighbourAnswer {
    /// Their number.
    #[must_use]
    pub fn id(&self) -> EntityId {
        EntityId(self.id)
    }
}

/// A page of neighbours.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct NeighbourPage {
    /// By trust, then DID.
    pub neighbours: Vec<NeighbourAnswer>,
    /// Where it ends, if there are more.
    next: Option<(f64, String)>,
}

impl NeighbourPage {
    /// Trust and DID that the next page comes after, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<(f64, &str)> {
        self.next.as_ref().map(|(trust, did)| (*trust, did.as_str()))
    }
}

/// Every parameter that changes the answer.
fn key(of: &Did, question: &NeighboursQuestion, day: i32) -> String {
    let NeighboursQuestion { min_strength, limit, .. } = question;
    let mut key = format!("graph:neighbors:{}:{min_strength}:{limit}:{day}", part(of.as_str()));
    if let Some(kinds) = &question.kinds {
        kept::list(&mut key, "type", kinds);
    }
    if let Some((trust, did)) = &question.after {
        // Writing to a String cannot fail.
        let _ = write!(key, ":after:{trust}:{}", part(did.as_str()));
    }
    key
}

impl Answers {
    /// One page of neighbours, and whose.
    pub async fn neighbours(
        &self,
        question: NeighboursQuestion,
    ) -> Result<(Did, Arc<NeighbourPage>), NoAnswer> {
        let (id, of) = self.find(&question.of, "did").await?;
        if !(0.0..=1.0).contains(&question.min_strength) {
            let message = format!("{} is not a number from 0 to 1", question.min_strength);
            return Err(NoAnswer::invalid("min_strength", message));
        }
        let key = key(&of, &question, self.as_of().day);
        let refresh = question.refresh;
        let tags = [kept::of_person(of.as_str()), kept::attested(of.as_str())];
        let compute = || async {
            let page = self.find_neighbours(id, question).await?;
            Ok(Computed::new(page).tags(tags).ttl(kept::NEIGHBOURS))
        };
        let page = self.kept(&key, refresh, compute).await?;
        Ok((of, page))
    }

    async fn find_neighbours(
        &self,
        id: EntityId,
        question: NeighboursQuestion,
    ) -> Result<NeighbourPage, NoAnswer> {
        let query = NeighbourQuery {
            min_strength: question.min_strength,
            kinds: question.kinds,
            limit: question.limit,
            after: question.after,
        };
        let found = self.compute(move |node| node.graph.neighbours(id, &query)).await?;
        let found = found.ok_or(NoAnswer::UnknownEntity(question.of))?;
        let next = found.next.map(|(trust, did)| (trust, did.to_string()));
        let named = found.list.into_iter().map(|n| NeighbourAnswer {
            id: n.id.0,
            did: n.did.to_string(),
            relationship_uri: self.relationship_uri(n.key),
            strength: n.strength,
            trust: n.trust,
            kind: n.kind,
            mutual: n.mutual,
            conviction: n.conviction.score,
        });
        Ok(NeighbourPage { neighbours: named.collect(), next })
    }
}
