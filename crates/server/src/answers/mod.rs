//! The answers, whoever asks: REST and XRPC put the same ones into their own words.
//!
//! Privacy is decided here. What is private does not exist for anyone but its participants; what
//! is for the network loses its texts; what is anonymous is nobody's hop or neighbour (the graph
//! sees to that).

mod convictions;
mod entities;
pub(crate) mod kept;
mod neighbours;
mod network;
mod outlook;
mod paths;
mod rankings;
mod relationships;
mod trust;
mod work;

pub use convictions::{ConvictionAnswer, Weighed};
pub use entities::Entity;
pub use neighbours::{NeighbourAnswer, NeighboursQuestion};
pub use paths::{Algorithm, HopAnswer, PathAnswer, PathQuestion, Relaxed};
pub use rankings::Rankings;
pub use relationships::RelationshipAnswer;
pub use work::Work;

use crate::node::Node;
use rhiz_cache::LoadError;
use rhiz_domain::{AtUri, Collection, Did, EntityId, Handle, RecordKey, store::StoreError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Answers questions from the graph, the cache and the store. Cheap to clone.
#[derive(Clone)]
pub struct Answers {
    node: Node,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoAnswer {
    /// A parameter breaks a rule.
    #[error("{field}: {message}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// Nobody of that name, or nobody to be shown.
    #[error("there is no entity {0} here")]
    UnknownEntity(String),
    /// No live record at that URI, or none to be shown.
    #[error("there is no relationship {0} here")]
    UnknownRelationship(String),
    /// No path within the limits; what would have to be relaxed, and what this is of.
    #[error("no path within these limits")]
    NoPath(Relaxed, AsOf),
    /// The search took too long.
    #[error(
        "the search ran out of time ({0} ms): ask for fewer hops, a greater strength or a smaller k"
    )]
    TimeLimit(u128),
    /// A ranking's walks took too long.
    #[error("the walks ran out of time ({0} ms): ask again, and they go on from where they were")]
    WalksTimeLimit(u128),
    /// No place to work was free for long enough.
    #[error("all processors are busy with the searches of others; nothing was computed, try again")]
    Busy,
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A computation broke off.
    #[error("the answer could not be computed")]
    Broken,
}

impl NoAnswer {
    fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }
}

impl From<LoadError<NoAnswer>> for NoAnswer {
    fn from(error: LoadError<NoAnswer>) -> Self {
        match error {
            LoadError::Compute(e) => (*e).clone(),
            // Keys are made of checked parts; one that is too long is answered without a cache.
            LoadError::Cache(_) => Self::Broken,
        }
    }
}

/// What an answer is of: it was computed when this much was applied, or more. For ETags, and kept
/// with the answers that may lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf {
    /// The last change applied, to the graph and to the cache: an answer that comes later is not
    /// older than this.
    pub version: u64,
    /// Days since 1970.
    pub day: i32,
    /// The version that predictions were learned anew from.
    pub taught: u64,
}

impl Answers {
    /// Answers from this node.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self { node }
    }

    /// What answers are of at the moment.
    #[must_use]
    pub fn as_of(&self) -> AsOf {
        let graph = &self.node.graph;
        AsOf { version: self.node.replica.change(), day: graph.as_of(), taught: graph.taught() }
    }

    /// Somebody who exists for the public, by DID or handle.
    pub async fn find(
        &self,
        actor: &str,
        field: &'static str,
    ) -> Result<(EntityId, Did), NoAnswer> {
        let unknown = || NoAnswer::UnknownEntity(actor.to_owned());
        let id = if actor.starts_with("did:") {
            let did = Did::parse(actor).map_err(|e| NoAnswer::invalid(field, e.to_string()))?;
            self.node.graph.find(did.as_str()).ok_or_else(unknown)?
        } else {
            let handle = Handle::parse(actor.trim_start_matches('@')).map_err(|_| {
                NoAnswer::invalid(field, format!("{actor:?} is neither a DID nor a handle"))
            })?;
            let row = self.node.store.entity_by_handle(handle.as_str()).await?;
            row.ok_or_else(unknown)?.id
        };
        if !self.node.graph.exists(id) {
            return Err(unknown());
        }
        let did = self.node.graph.did(id).ok_or_else(unknown)?;
        Ok((id, did))
    }

    /// The key of the relationship at a URI.
    fn relationship_key(&self, uri: &str) -> Result<RecordKey, NoAnswer> {
        let unknown = || NoAnswer::UnknownRelationship(uri.to_owned());
        let parsed = AtUri::parse(uri).map_err(|e| NoAnswer::invalid("uri", e.to_string()))?;
        if parsed.collection() != Collection::Relationship.nsid() {
            let message = "it has to name a net.rhiz.relationship.record";
            return Err(NoAnswer::invalid("uri", message));
        }
        let rkey = Collection::Relationship.parse_rkey(parsed.rkey()).map_err(|_| unknown())?;
        let owner = self.node.graph.find(parsed.did().as_str()).ok_or_else(unknown)?;
        Ok(RecordKey { owner, rkey })
    }

    /// The URI of a relationship.
    fn relationship_uri(&self, key: RecordKey) -> String {
        let owner = self.node.graph.did(key.owner);
        Collection::Relationship.uri(owner.as_ref().map_or("", Did::as_str), key.rkey)
    }

    fn did_text(&self, id: EntityId) -> Arc<str> {
        self.node.graph.did(id).map_or_else(|| "".into(), |did| did.as_str().into())
    }
}
