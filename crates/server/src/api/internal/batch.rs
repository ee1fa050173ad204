//! `POST /internal/events/batch`: one event a line; all of them are accepted, or none.
//!
//! An `Idempotency-Key` names the lines that have no `event_id` of their own, by the key and their
//! number among these: the same batch again is a duplicate, line by line, and another one under the
//! same key is refused.

use super::{
    MAX_BATCH,
    events::{Request as OneEvent, word},
};
use crate::api::{App, MAX_BODY, body, problem::Problem};
use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use rhiz_domain::{EventId, Invalid, store::Store};
use rhiz_pipeline::{Submission, SubmitError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{fmt::Write, sync::Arc};

/// Lines of a batch at most.
const MAX_LINES: usize = 2000;

/// The rules that the event on a line breaks.
fn on_line(line: usize, invalid: Invalid) -> Problem {
    Problem::from(invalid).on_line(line)
}

/// Larger than allowed.
fn too_large(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// What a batch holds.
struct Batch {
    submissions: Vec<Submission>,
    /// For the messages: the line of each submission.
    lines: Vec<usize>,
    /// Events that have no id of their own.
    unnamed: usize,
}

/// The names that a key gives.
struct Names {
    /// Not the key itself: it may be as long as a name, and what it names must not be the name that
    /// another caller chose.
    stem: String,
}

impl Names {
    fn new(key: &EventId) -> Self {
        let mut stem = String::from("batch-");
        for byte in Sha256::digest(key.as_str()).iter().take(16) {
            // Writing to a String cannot fail.
            let _ = write!(stem, "{byte:02x}");
        }
        Self { stem }
    }

    /// The name of the `n`-th event that has none, from 0.
    fn name(&self, n: usize) -> Result<EventId, Problem> {
        EventId::parse(&format!("{}-{n}", self.stem)).map_err(|_| Problem::internal())
    }

    /// Whether the key was used for a batch that has not this many events without a name. One that
    /// has as many is told apart by the journal, line by line.
    async fn used_for_another(&self, store: &dyn Store, unnamed: usize) -> Result<bool, Problem> {
        let known =
            async |n| -> Result<bool, Problem> { Ok(store.find(&self.name(n)?).await?.is_some()) };
        // All of a batch were accepted, or none: the first and the last tell how many they were.
        Ok(known(unnamed).await? || unnamed > 0 && known(0).await? != known(unnamed - 1).await?)
    }
}

/// Reads the lines.
fn read(bytes: &[u8], names: Option<&Names>) -> Result<Batch, Problem> {
    let mut batch = Batch { submissions: Vec::new(), lines: Vec::new(), unnamed: 0 };
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let number = i + 1;
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if batch.submissions.len() == MAX_LINES {
            return Err(too_large(format!("the batch has more than {MAX_LINES} lines")));
        }
        if line.len() > MAX_BODY {
            let most = MAX_BODY / 1024;
            return Err(too_large(format!("line {number}: the event is larger than {most} KB")));
        }
        let event: OneEvent = body::json(line).map_err(|problem| problem.on_line(number))?;
        let mut submission = event.read().map_err(|invalid| on_line(number, invalid))?;
        if submission.event_id.is_none() {
            submission.event_id = names.map(|names| names.name(batch.unnamed)).transpose()?;
            batch.unnamed += 1;
        }
        batch.submissions.push(submission);
        batch.lines.push(number);
    }
    if batch.submissions.is_empty() {
        return Err(Problem::malformed("the batch has no event: one JSON object a line"));
    }
    Ok(batch)
}

/// The key's own conflict.
fn other_batch() -> Problem {
    let detail = "this Idempotency-Key was used before with another batch; choose another one";
    Problem::new(StatusCode::CONFLICT, "event_id_conflict", detail)
}

/// Accepts a batch; 202 once it is on disk.
pub(super) async fn enqueue(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Problem> {
    const TYPES: [&str; 4] =
        ["application/x-ndjson", "application/ndjson", "application/json", "text/plain"];
    body::expect_type(request.headers(), &TYPES)?;
    let names = body::idempotency_key(request.headers())?.as_ref().map(Names::new).map(Arc::new);
    let bytes = body::bytes(request, MAX_BATCH).await?;
    let given = names.clone();
    let batch = body::off_thread(bytes.len(), move || read(&bytes, given.as_deref())).await?;
    let Batch { submissions, lines, unnamed } = batch?;
    // One at a time: two under one key would not see each other.
    let mut _turn = None;
    if let Some(names) = &names {
        _turn = Some(app.keyed_batches.lock().await);
        if names.used_for_another(&*app.node.store, unnamed).await? {
            return Err(other_batch());
        }
    }
    let named: Vec<bool> = match &names {
        Some(names) => submissions
            .iter()
            .map(|s| s.event_id.as_ref().is_some_and(|id| id.as_str().starts_with(&names.stem)))
            .collect(),
        None => Vec::new(),
    };
    let accepted = app.node.pipeline.submit(submissions).await.map_err(|error| match error {
        SubmitError::Invalid { index, invalid } => on_line(lines[index], invalid),
        SubmitError::Conflict { index } if named.get(index) == Some(&true) => other_batch(),
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
