//! `GET /api/v1/graph/neighbors/{did}`

use super::fraction;
use crate::{
    answers::NeighboursQuestion,
    api::{
        App,
        body::{Params, Path, page_size},
        etag::Tag,
        page::{Cursor, cursor},
        problem::Problem,
    },
};
use axum::{extract::State, http::HeaderMap, response::Response};
use rhiz_domain::Did;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    min_strength: Option<f64>,
    #[serde(rename = "type")]
    kind: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
    #[serde(default)]
    refresh: bool,
}

#[derive(Debug, Serialize)]
struct Neighbor<'a> {
    entity_id: &'a str,
    relationship_id: &'a str,
    strength: f64,
    trust: f64,
    #[serde(rename = "type")]
    kind: &'a str,
    mutual: bool,
    conviction: u8,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    entity_did: String,
    neighbors: Vec<Neighbor<'a>>,
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// One entry for each counterpart, by trust, then DID.
pub(super) async fn neighbors(
    State(app): State<Arc<App>>,
    Path(of): Path<String>,
    Params(query): Params<Query>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tag = Tag::now(&app);
    // The tag is of the whole graph: who is not there has not stayed the same.
    app.answers.find(&of, "did").await?;
    if let Some(unchanged) = tag.unchanged(&headers).filter(|_| !query.refresh) {
        return Ok(unchanged);
    }
    let after = match &query.cursor {
        None => None,
        Some(text) => {
            let Cursor(trust, did) = Cursor::<f64, String>::read(text)?;
            Some((trust, Did::parse(&did).map_err(|_| cursor())?))
        }
    };
    let (of, page) = app
        .answers
        .neighbours(NeighboursQuestion {
            of,
            min_strength: query.min_strength.unwrap_or(0.0),
            kinds: query.kind.map(|kinds| kinds.split(',').map(str::to_owned).collect()),
            limit: page_size(query.limit, 50, 100)?,
            after,
            refresh: query.refresh,
        })
        .await?;
    let neighbors: Vec<Neighbor<'_>> = page
        .neighbours
        .iter()
        .map(|n| Neighbor {
            entity_id: &n.did,
            relationship_id: &n.relationship_uri,
            strength: fraction(n.strength),
            trust: n.trust,
            kind: &n.kind,
            mutual: n.mutual,
            conviction: n.conviction,
        })
        .collect();
    Ok(tag.json(Answer {
        entity_did: of.to_string(),
        count: neighbors.len(),
        neighbors,
        cursor: page.next().map(|(trust, did)| Cursor(trust, did.to_owned()).write()),
    }))
}
