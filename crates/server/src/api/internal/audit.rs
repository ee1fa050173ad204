//! `GET /internal/audit?limit&cursor`: what operators did, newest first.

use crate::api::{
    App,
    body::{Params, page_size},
    page::Cursor,
    problem::Problem,
};
use axum::{Json, extract::State};
use rhiz_domain::store::AuditRow;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    limit: Option<i64>,
    cursor: Option<String>,
}

fn shown(row: &AuditRow) -> Value {
    json!({
        "id": row.id,
        "at": row.at,
        "action": row.action,
        "by": row.by,
        "subject": row.subject,
        "count": row.count,
    })
}

/// One row for each act, newest first. The count of one that is under way still grows.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<Query>,
) -> Result<Json<Value>, Problem> {
    let cursor = query.cursor.as_deref().map(Cursor::<i64, ()>::read).transpose()?;
    let limit = page_size(query.limit, 100, 1000)?;
    let page = app.node.store.audit(cursor.map(|cursor| cursor.0), limit).await?;
    let cursor = page.rows.last().filter(|_| page.more).map(|row| Cursor(row.id, ()).write());
    let rows: Vec<Value> = page.rows.iter().map(shown).collect();
    Ok(Json(json!({"audit": rows, "cursor": cursor})))
}
