//! `GET /internal/pipeline`, `POST /internal/pipeline/pause` and `resume`

use crate::api::{App, MAX_BODY, body, problem::Problem};
use axum::{Json, extract::State};
use rhiz_domain::{EventType, EventTypes, Pause, Paused};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What to pause or to resume: everything, unless it is said.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    types: Option<Vec<String>>,
    parts: Option<Vec<String>>,
}

impl Request {
    /// From a body; none at all is everything.
    async fn read(request: axum::extract::Request) -> Result<Self, Problem> {
        body::expect_type(request.headers(), &["application/json"])?;
        let bytes = body::bytes(request, MAX_BODY).await?;
        if bytes.trim_ascii().is_empty() { Ok(Self::default()) } else { body::json(&bytes) }
    }

    fn order(self, on: bool) -> Result<Pause, Problem> {
        let types = match self.types {
            None => EventTypes::all(),
            Some(names) if names.is_empty() => {
                return Err(Problem::field("types", "it is empty; leave it out for every type"));
            }
            Some(names) => {
                let known = |name: &String| {
                    EventType::parse(name).ok_or_else(|| {
                        let allowed = EventType::allowed();
                        let message = format!("{name:?} is unknown; allowed: {allowed}");
                        Problem::field("types", message)
                    })
                };
                names.iter().map(known).collect::<Result<_, _>>()?
            }
        };
        let parts = self.parts.unwrap_or_else(|| vec!["intake".into(), "work".into()]);
        if let Some(part) = parts.iter().find(|p| !matches!(p.as_str(), "intake" | "work")) {
            let message = format!("{part:?} is unknown; allowed: intake, work");
            return Err(Problem::field("parts", message));
        }
        if parts.is_empty() {
            return Err(Problem::field("parts", "it is empty; leave it out for both"));
        }
        let has = |name: &str| parts.iter().any(|part| part == name);
        Ok(Pause { on, intake: has("intake"), work: has("work"), types })
    }
}

fn shown(paused: Paused) -> Json<Value> {
    let names = |types: EventTypes| types.iter().map(EventType::as_str).collect::<Vec<_>>();
    let all = EventTypes::all();
    let still = |types| match types {
        types if types == all => "paused",
        types if types == EventTypes::default() => "running",
        _ => "partly paused",
    };
    Json(json!({
        "intake": {"state": still(paused.intake), "paused": names(paused.intake)},
        "work": {"state": still(paused.work), "paused": names(paused.work)},
    }))
}

/// What stands still.
pub(super) async fn state(State(app): State<Arc<App>>) -> Json<Value> {
    shown(app.node.store.paused())
}

/// Stands still from now on, across restarts; what is in hand goes on.
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    request: axum::extract::Request,
) -> Result<Json<Value>, Problem> {
    let order = Request::read(request).await?.order(true)?;
    Ok(shown(app.node.pipeline.pause(order, "internal key").await?))
}

/// Goes on.
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    request: axum::extract::Request,
) -> Result<Json<Value>, Problem> {
    let order = Request::read(request).await?.order(false)?;
    Ok(shown(app.node.pipeline.pause(order, "internal key").await?))
}
