//! `POST /internal/events` and `GET /internal/events/{event_id}`

use crate::api::{
    App,
    body::{self, Body, Path},
    problem::Problem,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use rhiz_domain::{
    Did, EventId, EventType, Invalid, Priority,
    store::{Place, Receipt, Whereabouts},
};
use rhiz_pipeline::Submission;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

/// An event as it is posted. Its parts are read by hand, so that each error names its field.
/// A name that is none of them is refused: a misspelt `priority` would be a normal one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    event_type: Option<String>,
    payload: Option<Box<RawValue>>,
    did: Option<String>,
    priority: Option<Value>,
    event_id: Option<String>,
}

impl Request {
    /// The submission, or every field that is wrong.
    pub(super) fn read(self) -> Result<Submission, Invalid> {
        let mut invalid = Invalid::default();
        let event_type = match &self.event_type {
            None => {
                invalid
                    .add("event_type", format!("it is required: one of {}", EventType::allowed()));
                None
            }
            Some(name) => {
                let found = EventType::parse(name);
                if found.is_none() {
                    let allowed = EventType::allowed();
                    invalid.add("event_type", format!("{name:?} is unknown; allowed: {allowed}"));
                }
                found
            }
        };
        let payload = self.payload.filter(|p| p.get() != "null");
        if payload.is_none() {
            invalid.add("payload", "it is required: a JSON object");
        }
        let did = match self.did.as_deref().map(Did::parse) {
            None => {
                invalid.add("did", "it is required: the DID of who caused the event");
                None
            }
            Some(Err(e)) => {
                invalid.add("did", e.to_string());
                None
            }
            Some(Ok(did)) => Some(did),
        };
        let priority = match self.priority.filter(|p| !p.is_null()) {
            None => None,
            Some(given) => {
                let found = given.as_i64().and_then(Priority::from_number);
                if found.is_none() {
                    let message = format!(
                        "{given} is unknown; allowed: 0 (low), 1 (normal), 2 (high), 3 (critical)"
                    );
                    invalid.add("priority", message);
                }
                found
            }
        };
        let event_id = self.event_id.as_deref().map(EventId::parse).transpose();
        if let Err(message) = event_id {
            invalid.add("event_id", message);
        }
        match (event_type, payload, did, event_id) {
            (Some(event_type), Some(payload), Some(did), Ok(event_id))
                if invalid.errors.is_empty() =>
            {
                Ok(Submission { event_type, did, payload, priority, event_id })
            }
            _ => Err(invalid),
        }
    }
}

/// The word for a receipt.
pub(in crate::api) fn word(receipt: Receipt) -> &'static str {
    match receipt {
        Receipt::Accepted => "enqueued",
        Receipt::Duplicate => "duplicate",
    }
}

/// Accepts one event; 202 once it is on disk. An `Idempotency-Key` serves as its id.
pub(super) async fn enqueue(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let key = body::idempotency_key(&headers)?;
    let mut submission = request.read()?;
    submission.event_id = submission.event_id.or(key);
    let accepted = app.node.pipeline.submit(vec![submission]).await?;
    let accepted = accepted.first().ok_or_else(Problem::internal)?;
    let answer = json!({"status": word(accepted.receipt), "event_id": accepted.event_id});
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Where an event is.
pub(super) async fn find(
    State(app): State<Arc<App>>,
    Path(event_id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id = EventId::parse(&event_id).map_err(|e| Problem::field("event_id", e))?;
    if let Some(done) = app.node.pipeline.recently_done(&id) {
        return Ok(Json(json!({
            "event_id": id,
            "state": "done",
            "event_type": done.event_type,
            "done_at": done.at,
            "stages": done.stages,
        })));
    }
    Ok(Json(match app.node.store.find(&id).await? {
        Some(Whereabouts::Waiting { event, place }) => json!({
            "event_id": id,
            "state": match place {
                Place::Working => "working",
                Place::Ready | Place::Scheduled(_) | Place::Paused => "waiting",
            },
            "waits_for": match place {
                Place::Ready => "a worker",
                Place::Working => "its processor",
                Place::Scheduled(_) => "a retry",
                Place::Paused => "the work of its type to be resumed",
            },
            "event_type": event.event_type,
            "did": event.did,
            "priority": event.priority as u8,
            "timestamp": event.timestamp,
            "replayed_at": event.replayed_at,
            "retry_count": event.retry_count,
            "due": match place {
                Place::Scheduled(due) => Some(due),
                Place::Ready | Place::Working | Place::Paused => None,
            },
            "stages": event.stages,
        }),
        Some(Whereabouts::Done { accepted_at }) => json!({
            "event_id": id, "state": "done", "timestamp": accepted_at, "stages": [],
        }),
        Some(Whereabouts::Dropped { accepted_at, why }) => json!({
            "event_id": id, "state": why.as_str(), "timestamp": accepted_at, "stages": [],
        }),
        Some(Whereabouts::Dead(letter)) => {
            let mut shown = super::dead_letters::shown(&letter);
            shown["state"] = "dead".into();
            shown
        }
        None => {
            let detail = format!("no event {id} is waiting, dead, or done in the last seven days");
            return Err(Problem::new(StatusCode::NOT_FOUND, "event_not_found", detail));
        }
    }))
}
