//! `POST /internal/import?digest&offset`: Jetstream-shaped lines of a file, as `rhiz import` sends
//! them. The place of each line is its identity, so a chunk that comes twice is a duplicate.

use super::MAX_IMPORT;
use crate::api::{
    App,
    body::{self, Params},
    problem::Problem,
};
use axum::{
    Json,
    extract::{Request, State},
};
use jiff::Timestamp;
use rhiz_domain::store::{Cursor, Intake};
use rhiz_firehose::{Place, decode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    /// The first 16 hexadecimal digits of the file's SHA-256.
    digest: String,
    /// Where the chunk begins, bytes of uncompressed text.
    offset: u64,
}

/// What is on the lines of a chunk, without what is before `done`, which is counted. Answers with
/// where the chunk ends, too.
fn lines(bytes: &[u8], query: &Query, done: u64, now: Timestamp) -> (Intake, usize, u64) {
    let mut offset = query.offset;
    let mut duplicate = 0;
    let mut intake = Intake::default();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let text = line.trim_ascii();
        let before = (intake.events.len(), intake.rejected.len());
        if !text.is_empty() {
            let place = Place::File { digest: &query.digest, offset };
            decode(text, place, now).decoded.put_into(&mut intake);
        }
        if offset < done {
            // Here already: forgotten again, and counted.
            duplicate += intake.events.len() - before.0 + intake.rejected.len() - before.1;
            intake.events.truncate(before.0);
            intake.rejected.truncate(before.1);
        }
        offset += line.len() as u64;
    }
    (intake, duplicate, offset)
}

/// Accepts a chunk; answers once it is on disk. Waits while there is no room.
pub(super) async fn import(
    State(app): State<Arc<App>>,
    Params(query): Params<Query>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if query.digest.len() != 16 || !query.digest.bytes().all(hex) {
        let message = "it has to be the first 16 hexadecimal digits of the file's SHA-256";
        return Err(Problem::field("digest", message));
    }
    let bytes = body::bytes(request, MAX_IMPORT).await?;
    let source = format!("file:{}", query.digest);
    let done = app.node.store.cursor(&source).await?.unwrap_or(0);
    if query.offset > done {
        let detail = format!(
            "the chunk begins at {}, but only what is before {done} is here: send that first",
            query.offset
        );
        return Err(Problem::new(axum::http::StatusCode::CONFLICT, "gap", detail));
    }
    let now = app.node.clock.now();
    let (mut accepted, mut rejected) = (0, 0);
    let length = bytes.len();
    let decoded = body::off_thread(length, move || lines(&bytes, &query, done, now)).await?;
    let (mut intake, mut duplicate, offset) = decoded;
    if offset > done {
        rejected = intake.rejected.len();
        let events = intake.events.len();
        intake.cursor = Some(Cursor { source, position: offset });
        accepted = app.node.pipeline.take_in(intake).await?;
        duplicate += events - accepted;
    }
    Ok(Json(json!({
        "accepted": accepted,
        "duplicate": duplicate,
        "rejected": rejected,
        "position": offset.max(done),
    })))
}
