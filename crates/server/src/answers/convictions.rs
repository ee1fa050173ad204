//! What the network says of a relationship.

use super::{Answers, NoAnswer, kept};
use rhiz_cache::{Computed, key::part};
use rhiz_domain::{Collection, EntityId, fact::Visibility};
use rhiz_graph::{AttestationView, Conviction, ConvictionExplained, Trend};
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

/// Attestations that an explanation names: the heaviest.
const WEIGHED: usize = 100;

/// An attestation that counts, with names.
#[derive(Debug, Clone)]
pub struct Weighed {
    /// Its URI.
    pub uri: String,
    /// DID of who made it.
    pub attester: String,
    /// What it weighs, and why.
    pub view: AttestationView,
}

/// A conviction, added up.
#[derive(Debug, Clone)]
pub struct ConvictionAnswer {
    /// The sums.
    pub explained: ConvictionExplained,
    /// The heaviest of what counts.
    pub weighed: Vec<Weighed>,
}

impl Answers {
    /// The conviction of a relationship, taken apart, with its URI. Worked out each time. Who is
    /// an acquaintance is not told: that may rest on something anonymous.
    pub async fn explain_conviction(
        &self,
        uri: &str,
        viewer: Option<EntityId>,
    ) -> Result<(String, ConvictionAnswer), NoAnswer> {
        let uri = uri.to_owned();
        let found = self.compute(move |node| {
            let this = Self::new(node.clone());
            let (key, ..) = this.seen(&uri, viewer)?;
            let explained = node.graph.explain_conviction(key, WEIGHED);
            let mut explained = explained.ok_or(NoAnswer::UnknownRelationship(uri))?;
            let named = std::mem::take(&mut explained.attestations).into_iter().map(|view| {
                let own = view.fact.key;
                let attester = this.did_text(own.owner).to_string();
                Weighed { uri: Collection::Attestation.uri(&attester, own.rkey), attester, view }
            });
            let weighed = named.collect();
            Ok((this.relationship_uri(key), ConvictionAnswer { explained, weighed }))
        });
        found.await?
    }

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
