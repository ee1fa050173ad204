//! `POST /internal/events/batch`: one event a line; all of them are accepted, or none.

use super::{
    MAX_BATCH,
    events::{Request as OneEvent, word},
};
use crate::api::{App, body, problem::Problem};
use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use rhiz_domain::Invalid;
use rhiz_pipeline::SubmitError;
use serde_json::{Value, json};
use std::sync::Arc;

/// Lines of a batch at most.
const MAX_LINES: usize = 2000;

/// The rules that the event on a line breaks.
fn on_line(line: usize, invalid: Invalid) -> Problem {
    Problem::from(invalid).on_line(line)
}

/// Accepts a batch; 202 once it is on disk.
pub(super) async fn enqueue(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Problem> {
    const TYPES: [&str; 4] =
        ["application/x-ndjson", "application/ndjson", "application/json", "text/plain"];
    body::expect_type(request.headers(), &TYPES)?;
    let bytes = body::bytes(request, MAX_BATCH).await?;
    let mut submissions = Vec::new();
    // For the messages: the line of each submission.
    let mut lines = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let number = i + 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        if submissions.len() == MAX_LINES {
            let detail = format!("the batch has more than {MAX_LINES} lines");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
        }
        let event: OneEvent = body::json(line).map_err(|problem| problem.on_line(number))?;
        submissions.push(event.read().map_err(|invalid| on_line(number, invalid))?);
        lines.push(number);
    }
    if submissions.is_empty() {
        return Err(Problem::malformed("the batch has no event: one JSON object a line"));
    }
    let accepted = app.node.pipeline.submit(submissions).await.map_err(|error| match error {
        SubmitError::Invalid { index, invalid } => on_line(lines[index], invalid),
        SubmitError::Conflict { index } => Problem::new(
            StatusCode::CONFLICT,
            "event_id_conflict",
            format!("line {}: its event_id was used before with another body", lines[index]),
        ),
        SubmitError::Paused { index, event_type } => {
            let detail = format!("line {}: the intake of {event_type} is paused", lines[index]);
            Problem::paused(detail)
        }
        other => other.into(),
    })?;
    let results: Vec<Value> = accepted
        .iter()
        .map(|a| json!({"event_id": a.event_id, "status": word(a.receipt)}))
        .collect();
    Ok((StatusCode::ACCEPTED, Json(json!({"results": results}))))
}
