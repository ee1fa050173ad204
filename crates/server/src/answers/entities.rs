//! Who somebody is.

use super::{Answers, NoAnswer, kept};
use rhiz_cache::{Computed, key::part};
use rhiz_domain::{Collection, EntityId, Handle, Tid, store::EntityRow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An entity, as it is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entity {
    /// The DID.
    pub did: String,
    /// person, organization or agent.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// The handle last heard of.
    pub handle: Option<String>,
    /// What to call it.
    pub name: Option<String>,
    /// In its own words.
    pub bio: Option<String>,
    /// Where its picture is.
    pub avatar_url: Option<String>,
    /// Its own claim.
    pub verified: bool,
    /// The record it presents itself with.
    pub profile_uri: Option<String>,
    /// The CID of that record.
    pub profile_cid: Option<String>,
    /// When it was first named, or presented itself.
    pub created_at: Option<jiff::Timestamp>,
    /// The newest revision of what names it.
    pub updated_at: Option<jiff::Timestamp>,
}

/// A page of entities.
#[derive(Debug, Clone)]
pub struct EntityPage {
    /// The entities.
    pub entities: Vec<Entity>,
    /// Behind the last one looked at, if there are more.
    pub after: Option<EntityId>,
}

impl From<EntityRow> for Entity {
    fn from(row: EntityRow) -> Self {
        let did = row.did.as_str().to_owned();
        let (profile, handle) = (row.profile, row.handle);
        let cid = profile.as_ref().and_then(|p| p.cid.clone());
        let profile_uri = cid.as_ref().map(|_| Collection::Profile.uri(&did, Tid::ZERO));
        let kind = profile.as_ref().map_or("person", |p| p.entity_type.as_str());
        Self {
            entity_type: kind.to_owned(),
            handle,
            name: profile.as_ref().map(|p| p.name.clone()),
            bio: profile.as_ref().and_then(|p| p.bio.clone()),
            avatar_url: profile.as_ref().and_then(|p| p.avatar_url.clone()),
            verified: profile.as_ref().is_some_and(|p| p.verified),
            profile_uri,
            profile_cid: cid,
            created_at: row.created_at,
            updated_at: row.updated_at,
            did,
        }
    }
}

/// Pages looked through for one answer: a search whose hits are all hidden ends all the same.
const SCANS: usize = 8;

impl Answers {
    /// An entity by DID or handle.
    pub async fn entity(&self, actor: &str, refresh: bool) -> Result<Arc<Entity>, NoAnswer> {
        let (_, did) = self.find(actor, "did").await?;
        let key = format!("entity:{}", part(did.as_str()));
        let compute = || async {
            let row = self.node.store.entity(did.as_str()).await?;
            // The graph may know of somebody an instant longer than the store.
            let row = row.ok_or_else(|| NoAnswer::UnknownEntity(actor.to_owned()))?;
            let tag = kept::of_person(did.as_str());
            Ok(Computed::new(Entity::from(row)).tags([tag]).ttl(kept::ENTITY))
        };
        self.kept(&key, refresh, compute).await
    }

    /// An entity by handle alone.
    pub async fn entity_by_handle(
        &self,
        handle: &str,
        refresh: bool,
    ) -> Result<Arc<Entity>, NoAnswer> {
        let handle = Handle::parse(handle.trim_start_matches('@'))
            .map_err(|e| NoAnswer::invalid("handle", e.to_string()))?;
        self.entity(handle.as_str(), refresh).await
    }

    /// Entities whose name, handle or DID matches; all of them without `query`.
    pub async fn search(
        &self,
        query: Option<&str>,
        mut after: Option<EntityId>,
        limit: usize,
    ) -> Result<EntityPage, NoAnswer> {
        let mut shown: Vec<EntityId> = Vec::new();
        let mut more = true;
        for _ in 0..SCANS {
            let wanted = limit + 1;
            let found = self.node.store.search(query, after, wanted).await?;
            more = found.len() == wanted;
            for id in found {
                if shown.len() == limit {
                    more = true;
                    break;
                }
                after = Some(id);
                if self.node.graph.exists(id) {
                    shown.push(id);
                }
            }
            if shown.len() == limit || !more {
                break;
            }
        }
        let rows = self.node.store.entities(&shown).await?;
        Ok(EntityPage {
            entities: rows.into_iter().map(Entity::from).collect(),
            after: after.filter(|_| more),
        })
    }

    /// Entities by number, for answers that name several.
    pub async fn by_number(&self, ids: &[EntityId]) -> Result<Vec<Entity>, NoAnswer> {
        let rows = self.node.store.entities(ids).await?;
        Ok(rows.into_iter().map(Entity::from).collect())
    }
}
