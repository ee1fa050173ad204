//! Whom one can trust.

use super::{Answers, NoAnswer};
use rhiz_domain::{Did, EntityId};
use rhiz_graph::{TrustExplained, TrustHealth, TrustMetrics};

/// Relationships that an explanation names.
const MOVERS: usize = 10;

impl Answers {
    /// The trust metrics of an entity.
    pub async fn trust_metrics(&self, actor: &str) -> Result<(Did, TrustMetrics), NoAnswer> {
        let (id, did) = self.find(actor, "did").await?;
        let metrics = self.compute(move |node| node.graph.trust_metrics(id)).await?;
        Ok((did, metrics.ok_or_else(|| NoAnswer::UnknownEntity(actor.to_owned()))?))
    }

    /// The trust score of an entity, taken apart, as `viewer` may see it.
    pub async fn explain(
        &self,
        actor: &str,
        viewer: Option<EntityId>,
    ) -> Result<(Did, TrustExplained), NoAnswer> {
        let (id, did) = self.find(actor, "did").await?;
        let explained = self.compute(move |node| node.graph.explain(id, viewer, MOVERS)).await?;
        Ok((did, explained.ok_or_else(|| NoAnswer::UnknownEntity(actor.to_owned()))?))
    }

    /// The health of an entity's trust.
    pub async fn trust_health(&self, actor: &str) -> Result<(Did, TrustHealth), NoAnswer> {
        let (id, did) = self.find(actor, "did").await?;
        let health = self.compute(move |node| node.graph.trust_health(id)).await?;
        Ok((did, health.ok_or_else(|| NoAnswer::UnknownEntity(actor.to_owned()))?))
    }

    /// The URI of a relationship that an explanation names, and the DID of a counterpart.
    #[must_use]
    pub fn named(&self, key: rhiz_domain::RecordKey, who: Option<EntityId>) -> (String, String) {
        (
            self.relationship_uri(key),
            who.map_or_else(String::new, |id| self.did_text(id).to_string()),
        )
    }
}
