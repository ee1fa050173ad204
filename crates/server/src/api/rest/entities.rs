//! `GET /api/v1/entities`, `…/{did}`, `…/by-handle/{handle}`

use crate::{
    answers::Entity,
    api::{
        App,
        body::{Params, Path, page_size},
        page::Cursor,
        problem::Problem,
    },
};
use axum::{Json, extract::State};
use rhiz_domain::EntityId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Page {
    entities: Vec<Entity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Longest text searched for, bytes.
const LONGEST_QUERY: usize = 256;

/// By name, handle or DID prefix; all of them without `q`.
pub(super) async fn search(
    State(app): State<Arc<App>>,
    Params(query): Params<Query>,
) -> Result<Json<Page>, Problem> {
    if query.q.as_ref().is_some_and(|q| q.len() > LONGEST_QUERY) {
        return Err(Problem::field("q", format!("it is longer than {LONGEST_QUERY} bytes")));
    }
    let after = match &query.cursor {
        Some(text) => Some(EntityId(Cursor::<u32, ()>::read(text)?.0)),
        None => None,
    };
    let limit = page_size(query.limit, 50, 100)?;
    let page = app.answers.search(query.q.as_deref(), after, limit).await?;
    Ok(Json(Page {
        entities: page.entities,
        cursor: page.after.map(|id| Cursor(id.0, ()).write()),
    }))
}

#[derive(Debug, Deserialize)]
pub(super) struct OneQuery {
    #[serde(default)]
    refresh: bool,
}

/// By DID (a handle is taken too).
pub(super) async fn entity(
    State(app): State<Arc<App>>,
    Path(did): Path<String>,
    Params(query): Params<OneQuery>,
) -> Result<Json<Arc<Entity>>, Problem> {
    Ok(Json(app.answers.entity(&did, query.refresh).await?))
}

/// By handle.
pub(super) async fn by_handle(
    State(app): State<Arc<App>>,
    Path(handle): Path<String>,
    Params(query): Params<OneQuery>,
) -> Result<Json<Arc<Entity>>, Problem> {
    Ok(Json(app.answers.entity_by_handle(&handle, query.refresh).await?))
}
