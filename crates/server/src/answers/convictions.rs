//! What the network says of a relationship.

use super::{Answers, NoAnswer, kept};
use rhiz_cache::{Computed, key::part};
use rhiz_domain::{EntityId, fact::Visibility};
use rhiz_graph::{Conviction, Trend};
use serde::{Deserialize, Serialize};

/// A conviction, and what decides who may know of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// The numbers of its participants when it is for them alone.
    only: Option<[u32; 2]>,
    #[serde(with = "Numbers")]
    conviction: Conviction,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Conviction")]
struct Numbers {
    score: u8,
    exact: f64,
    attestation_count: u32,
    verify_count: u32,
    dispute_count: u32,
    strengthen_count: u32,
    weaken_count: u32,
    last_updated: Option<i64>,
    #[serde(with = "Way")]
    trend: Trend,
    top_attester_reputation: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Trend")]
enum Way {
    Increasing,
    Decreasing,
    Stable,
}

impl Answers {
    /// What the network says of a relationship, with its URI.
    pub async fn conviction(
        &self,
        uri: &str,
        viewer: Option<EntityId>,
        refresh: bool,
    ) -> Result<(String, Conviction), NoAnswer> {
        let unknown = || NoAnswer::UnknownRelationship(uri.to_owned());
        let record = self.relationship_key(uri)?;
        let uri = self.relationship_uri(record);
        let key = format!("conviction:{}:{}", part(&uri), self.as_of().day);
        let compute = || async {
            let view = self.node.graph.relationship(record).ok_or_else(unknown)?;
            let people = [view.fact.key.owner.0, view.fact.subject.0];
            let only = (view.visibility == Visibility::Private).then_some(people);
            let kept = Kept { only, conviction: view.conviction };
            Ok(Computed::new(kept).tags([kept::conviction(&uri)]).ttl(kept::CONVICTION))
        };
        let kept = self.kept(&key, refresh, compute).await?;
        match kept.only {
            Some(people) if viewer.is_none_or(|v| !people.contains(&v.0)) => Err(unknown()),
            _ => Ok((uri, kept.conviction)),
        }
    }
}
