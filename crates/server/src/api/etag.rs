//! Weak ETags: the answer to a question is the same while the graph's version and day are. A tag is
//! of one question, so that what was answered to one says nothing of another: who is unknown has no
//! tag, and so is never "not modified".

use super::App;
use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// The tag of an answer given now. Take it before the answer is computed: an answer that is newer
/// than its tag is asked for again, one that is older would be kept.
pub(super) struct Tag(String);

impl Tag {
    /// What answers are of now.
    #[must_use]
    pub(super) fn now(app: &App) -> Self {
        let of = app.answers.as_of();
        let question = super::request::current_target();
        Self(format!("W/\"{}-{}-{question:x}\"", of.version, of.day))
    }

    /// What predictions are of now: they change when they are learned anew, whatever was changed.
    #[must_use]
    pub(super) fn of_predictions(app: &App) -> Self {
        let (Self(now), of) = (Self::now(app), app.answers.as_of());
        Self(format!("{}-{:x}\"", now.trim_end_matches('"'), of.taught))
    }

    /// `Some(304)` when the caller has this already.
    #[must_use]
    pub(super) fn unchanged(&self, headers: &HeaderMap) -> Option<Response> {
        let known = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
        let same =
            |tag: &str| tag.trim().trim_start_matches("W/") == self.0.trim_start_matches("W/");
        known
            .split(',')
            .any(same)
            .then(|| (StatusCode::NOT_MODIFIED, [(header::ETAG, self.0.clone())]).into_response())
    }

    /// The answer with its tag.
    pub(super) fn json(self, answer: impl Serialize) -> Response {
        let mut response = Json(answer).into_response();
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(header::ETAG, value);
        }
        // Kept by nobody without asking: the next change is in every answer.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}
