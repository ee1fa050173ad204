//! `net.rhiz.graph.getNeighbors`

use super::{error::Error, params::Params, views::EntityView};
use crate::{
    answers::{NeighbourAnswer, NeighboursQuestion},
    api::{
        App,
        etag::Tag,
        page::{Cursor, cursor},
    },
};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use rhiz_domain::Did;
use serde::Serialize;
use std::{collections::HashMap, sync::Arc};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NeighborView {
    entity: EntityView,
    relationship_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    relationship_cid: Option<String>,
    strength: u8,
    #[serde(rename = "type")]
    kind: Arc<str>,
}

#[derive(Debug, Serialize)]
struct Answer {
    neighbors: Vec<NeighborView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// One entry for each counterpart, by trust, then DID.
pub(super) async fn get_neighbors(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let known = ["did", "minStrength", "relationshipTypes", "limit", "cursor", "refresh"];
    let params = Params::read(&uri, &known)?;
    let after = match params.optional("cursor")? {
        None => None,
        Some(text) => {
            let Cursor(trust, did) = Cursor::<f64, String>::read(text)?;
            Some((trust, Did::parse(&did).map_err(|_| cursor())?))
        }
    };
    let refresh = params.flag("refresh")?;
    let question = NeighboursQuestion {
        of: params.did("did")?.to_string(),
        min_strength: f64::from(params.integer("minStrength", 0..=100, 0)?) / 100.0,
        kinds: params.types("relationshipTypes")?,
        limit: params.integer("limit", 1..=100, 50)?.into(),
        after,
        refresh,
    };
    let tag = Tag::now(&app);
    if let Some(unchanged) = tag.unchanged(&headers).filter(|_| !refresh) {
        return Ok(unchanged);
    }
    let (_, page) = app.answers.neighbours(question).await?;
    let ids: Vec<_> = page.neighbours.iter().map(NeighbourAnswer::id).collect();
    let entities = app.answers.by_number(&ids).await?;
    let mut entities: HashMap<String, _> =
        entities.into_iter().map(|e| (e.did.clone(), e)).collect();
    let mut neighbors = Vec::with_capacity(page.neighbours.len());
    for neighbour in &page.neighbours {
        // Who is in the graph is in the store.
        let Some(entity) = entities.remove(&neighbour.did) else { continue };
        neighbors.push(NeighborView {
            entity: entity.into(),
            relationship_cid: app.answers.relationship_cid(&neighbour.relationship_uri).await?,
            relationship_uri: neighbour.relationship_uri.clone(),
            strength: neighbour.strength,
            kind: Arc::clone(&neighbour.kind),
        });
    }
    Ok(tag.json(Answer {
        neighbors,
        cursor: page.next().map(|(trust, did)| Cursor(trust, did.to_owned()).write()),
    }))
}
