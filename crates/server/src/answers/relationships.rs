//! One relationship, and what is attested of it.

use super::{Answers, NoAnswer};
use rhiz_domain::{Collection, EntityId, RecordKey, fact::Visibility, store::RecordRow};
use rhiz_graph::{AttestationView, RelationshipView};
use serde_json::Value;

/// A relationship, as it is shown to one viewer.
#[derive(Debug, Clone)]
pub struct RelationshipAnswer {
    /// Its URI.
    pub uri: String,
    /// The stored row.
    pub row: RecordRow,
    /// What the graph makes of it.
    pub view: RelationshipView,
    /// DID of the owner.
    pub owner: String,
    /// DID of the other participant.
    pub subject: String,
    /// The record as its author wrote it.
    pub record: Value,
    /// Whether this viewer may read its texts.
    pub texts: bool,
}

/// What of a record who may not read its texts may read: what paths and scores tell anyway.
const OPEN_FIELDS: [&str; 9] = [
    "$type",
    "participants",
    "type",
    "strength",
    "verification",
    "privacy",
    "temporal",
    "signatures",
    "createdAt",
];

impl RelationshipAnswer {
    /// The record as this viewer may read it. Without its texts it is a record all the same: its
    /// context is empty, and whatever the lexicon does not know is left out.
    #[must_use]
    pub fn readable(&self) -> Value {
        let mut record = self.record.clone();
        if !self.texts
            && let Some(map) = record.as_object_mut()
        {
            map.retain(|name, _| OPEN_FIELDS.contains(&name.as_str()));
            map.insert("context".into(), "".into());
            if let Some(temporal) = map.get_mut("temporal").and_then(Value::as_object_mut) {
                temporal.retain(|name, _| ["start", "lastInteraction"].contains(&name.as_str()));
            }
        }
        record
    }

    /// Whose valid signatures it carries: none, partial or mutual.
    #[must_use]
    pub fn signature_status(&self) -> &'static str {
        match (self.view.fact.signed_by_owner, self.view.fact.signed_by_subject) {
            (true, true) => "mutual",
            (true, false) | (false, true) => "partial",
            (false, false) => "none",
        }
    }
}

/// An attestation, as it is shown to one viewer.
#[derive(Debug, Clone)]
pub struct AttestationAnswer {
    /// Its URI.
    pub uri: String,
    /// The stored row.
    pub row: RecordRow,
    /// What the graph makes of it.
    pub view: AttestationView,
    /// The record; without its evidence if this viewer may not read that.
    pub record: Value,
}

impl Answers {
    /// Whether the viewer may know of a relationship, and whether they may read its texts.
    fn may_see(&self, view: &RelationshipView, viewer: Option<EntityId>) -> (bool, bool) {
        let takes_part = viewer.is_some_and(|v| v == view.fact.key.owner || v == view.fact.subject);
        match view.visibility {
            Visibility::Public => (true, true),
            Visibility::Network => {
                let near = viewer.is_some_and(|v| self.node.graph.acquainted(v, view.fact.key));
                (true, takes_part || near)
            }
            Visibility::Private => (takes_part, takes_part),
        }
    }

    pub(super) fn seen(
        &self,
        uri: &str,
        viewer: Option<EntityId>,
    ) -> Result<(RecordKey, RelationshipView, bool), NoAnswer> {
        let unknown = || NoAnswer::UnknownRelationship(uri.to_owned());
        let key = self.relationship_key(uri)?;
        let view = self.node.graph.relationship(key).ok_or_else(unknown)?;
        let (seen, texts) = self.may_see(&view, viewer);
        if !seen {
            return Err(unknown());
        }
        Ok((key, view, texts))
    }

    /// A relationship by URI.
    pub async fn relationship(
        &self,
        uri: &str,
        viewer: Option<EntityId>,
    ) -> Result<RelationshipAnswer, NoAnswer> {
        let (key, view, texts) = self.seen(uri, viewer)?;
        let row = self.node.store.record(key.owner, Collection::Relationship, key.rkey).await?;
        // The graph may know of it an instant longer than the store.
        let row = row.ok_or_else(|| NoAnswer::UnknownRelationship(uri.to_owned()))?;
        let record = serde_json::from_str(&row.body).unwrap_or_default();
        Ok(RelationshipAnswer {
            uri: self.relationship_uri(key),
            owner: self.did_text(key.owner).to_string(),
            subject: self.did_text(view.fact.subject).to_string(),
            row,
            view,
            record,
            texts,
        })
    }

    /// The CID of the relationship at a URI that an answer named; `None` when it went meanwhile.
    pub async fn relationship_cid(&self, uri: &str) -> Result<Option<String>, NoAnswer> {
        let key = self.relationship_key(uri)?;
        let row = self.node.store.record(key.owner, Collection::Relationship, key.rkey).await?;
        Ok(row.map(|row| row.cid).filter(|cid| !cid.is_empty()))
    }

    /// The live attestations on a relationship, newest first, that `keep` wants, at most `limit`;
    /// and whether there are more.
    pub async fn attestations(
        &self,
        uri: &str,
        viewer: Option<EntityId>,
        keep: impl Fn(&AttestationView) -> bool + Send + 'static,
        limit: usize,
    ) -> Result<(Vec<AttestationAnswer>, bool), NoAnswer> {
        let uri = uri.to_owned();
        let found = self.compute(move |node| {
            let (key, _, texts) = Self::new(node.clone()).seen(&uri, viewer)?;
            let mut wanted = node.graph.attestations_of(key).into_iter().filter(keep);
            let page: Vec<AttestationView> = wanted.by_ref().take(limit).collect();
            Ok::<_, NoAnswer>((page, wanted.next().is_some(), texts))
        });
        let (page, more, texts) = found.await??;
        let mut out = Vec::with_capacity(page.len());
        for view in page {
            let own = view.fact.key;
            let row = self.node.store.record(own.owner, Collection::Attestation, own.rkey).await?;
            let Some(row) = row else { continue };
            let mut record: Value = serde_json::from_str(&row.body).unwrap_or_default();
            if !texts && let Some(map) = record.as_object_mut() {
                map.remove("evidence");
            }
            let uri = Collection::Attestation.uri(&self.did_text(own.owner), own.rkey);
            out.push(AttestationAnswer { uri, row, view, record });
        }
        Ok((out, more))
    }
}
