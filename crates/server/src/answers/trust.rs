//! Whom one can trust.

use super::{Answers, AsOf, NoAnswer, kept};
use jiff::Timestamp;
use rhiz_cache::{Computed, key::part};
use rhiz_domain::{Did, EntityId};
use rhiz_graph::{TrustExplained, TrustHealth, TrustMetrics};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Relationships that an explanation names.
const MOVERS: usize = 10;

/// The scores of an entity, and when they were worked out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrustAnswer {
    /// Every score.
    #[serde(with = "Metrics")]
    pub metrics: TrustMetrics,
    /// When. All but the network part is as it is now.
    pub at: Timestamp,
    /// What the network part is of.
    pub of: AsOf,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TrustMetrics")]
struct Metrics {
    trust_score: f64,
    reputation: f64,
    reciprocity: f64,
    consistency: f64,
    standing: f64,
    verification_ratio: f64,
    direct: f64,
    network: f64,
    relationship_count: u32,
    verified_relationship_count: u32,
    network_size: u32,
    recent_interactions: u32,
}

impl Answers {
    /// The trust metrics of an entity.
    pub async fn trust_metrics(
        &self,
        actor: &str,
        refresh: bool,
    ) -> Result<(Did, Arc<TrustAnswer>), NoAnswer> {
        let (id, did) = self.find(actor, "did").await?;
        let key = format!("trust:score:{}:{}", part(did.as_str()), self.as_of().day);
        let tag = kept::of_person(did.as_str());
        let compute = || async {
            let (at, of) = (self.node.clock.now(), self.as_of());
            let metrics = self.compute(move |node| node.graph.trust_metrics(id)).await?;
            let metrics = metrics.ok_or_else(|| NoAnswer::UnknownEntity(actor.to_owned()))?;
            Ok(Computed::new(TrustAnswer { metrics, at, of }).tags([tag]).ttl(kept::TRUST))
        };
        let answer = self.kept(&key, refresh, compute).await?;
        Ok((did, answer))
    }

    /// The trust score of an entity, taken apart, as `viewer` may see it. Worked out each time.
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
    pub async fn trust_health(
        &self,
        actor: &str,
        refresh: bool,
    ) -> Result<(Did, TrustHealth, AsOf), NoAnswer> {
        let (did, answer) = self.trust_metrics(actor, refresh).await?;
        Ok((did, answer.metrics.health(), answer.of))
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
