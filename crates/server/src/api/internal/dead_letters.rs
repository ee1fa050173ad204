//! `GET /internal/events/dead-letter`

use crate::api::{
    App,
    body::{Params, page_size},
    page::Cursor,
    problem::Problem,
};
use axum::{Json, extract::State};
use rhiz_domain::{
    Did, EventType,
    store::{DeadFilter, DeadLetter},
    syntax::parse_datetime,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    #[serde(rename = "type")]
    event_type: Option<String>,
    did: Option<String>,
    since: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl Query {
    fn filter(&self) -> Result<DeadFilter, Problem> {
        let event_type = match &self.event_type {
            None => None,
            Some(name) => Some(EventType::parse(name).ok_or_else(|| {
                let allowed = EventType::allowed();
                Problem::field("type", format!("{name:?} is unknown; allowed: {allowed}"))
            })?),
        };
        let did = self.did.as_deref().map(Did::parse).transpose();
        let since = self.since.as_deref().map(parse_datetime).transpose();
        Ok(DeadFilter {
            event_type,
            did: did.map_err(|e| Problem::field("did", e.to_string()))?,
            since: since.map_err(|e| Problem::field("since", e.to_string()))?,
            before: match &self.cursor {
                None => None,
                Some(text) => Some(Cursor::<i64, ()>::read(text)?.0),
            },
            limit: page_size(self.limit, 50, 1000)?,
        })
    }
}

/// A dead letter, as it is shown. A payload that is no JSON is shown as the text it is.
pub(super) fn shown(letter: &DeadLetter) -> Value {
    let payload: Value = serde_json::from_slice(&letter.payload)
        .unwrap_or_else(|_| String::from_utf8_lossy(&letter.payload).into());
    json!({
        "id": letter.id,
        "event_id": letter.event_id,
        "event_type": letter.event_type,
        "did": letter.did,
        "priority": letter.priority as u8,
        "retry_count": letter.retry_count,
        "timestamp": letter.accepted_at,
        "died_at": letter.died_at,
        "source": letter.origin,
        "stages": letter.stages,
        "last_error": letter.last_error,
        "payload": payload,
    })
}

/// Dead letters, newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<Query>,
) -> Result<Json<Value>, Problem> {
    let page = app.node.store.dead_letters(query.filter()?).await?;
    let cursor = page.letters.last().filter(|_| page.more).map(|l| Cursor(l.id, ()).write());
    Ok(Json(json!({
        "count": page.count,
        "only_counted": page.uncounted,
        "events": page.letters.iter().map(shown).collect::<Vec<_>>(),
        "cursor": cursor,
    })))
}
