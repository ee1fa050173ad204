//! Weak ETags: the answer to a question is the same while the graph's version and day are. A tag is
//! of one question, so that what was answered to one says nothing of another: who is unknown has no
//! tag, and so is never "not modified".

use super::App;
use crate::answers::AsOf;
use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// The tag of an answer.
///
/// Law: an answer is not older than its tag. One that is newer is asked for again; one that is
/// older would be kept, though nobody would give it any more. So a tag is taken before the answer
/// is computed; and where the answer may come from the cache and lag ([`crate::answers::kept`]),
/// its tag is of what was noted when it was computed ([`Tag::but_of`]). Only the tag of now is ever
/// "not modified".
pub(super) struct Tag {
    of: AsOf,
    /// Of what else the answer is.
    also: Option<u64>,
}

impl Tag {
    /// What answers are of now.
    #[must_use]
    pub(super) fn now(app: &App) -> Self {
        Self { of: app.answers.as_of(), also: None }
    }

    /// What predictions are of now: they change when they are learned anew, whatever was changed.
    #[must_use]
    pub(super) fn of_predictions(app: &App) -> Self {
        let now = Self::now(app);
        Self { also: Some(now.of.taught), ..now }
    }

    /// The same for an answer in which a number is of another version and day.
    #[must_use]
    pub(super) fn with_a_number_of(self, version: u64, day: i32) -> Self {
        Self { also: Some(version.wrapping_shl(20) ^ u64::from(day.cast_unsigned())), ..self }
    }

    /// The tag of an answer that has, or has in it, what is of this.
    #[must_use]
    pub(super) fn but_of(self, of: AsOf) -> Self {
        let older = (of.day, of.version) < (self.of.day, self.of.version);
        Self { of: if older { of } else { self.of }, ..self }
    }

    fn text(&self) -> String {
        let question = super::request::current_target();
        let also = self.also.map(|also| format!("-{also:x}")).unwrap_or_default();
        format!("W/\"{}-{}-{question:x}{also}\"", self.of.version, self.of.day)
    }

    /// `Some(304)` when the caller has this already.
    #[must_use]
    pub(super) fn unchanged(&self, headers: &HeaderMap) -> Option<Response> {
        let known = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
        let own = self.text();
        let same = |tag: &str| tag.trim().trim_start_matches("W/") == own.trim_start_matches("W/");
        known
            .split(',')
            .any(same)
            .then(|| (StatusCode::NOT_MODIFIED, [(header::ETAG, own.clone())]).into_response())
    }

    /// The answer with its tag.
    pub(super) fn json(self, answer: impl Serialize) -> Response {
        let mut response = Json(answer).into_response();
        if let Ok(value) = HeaderValue::from_str(&self.text()) {
            response.headers_mut().insert(header::ETAG, value);
        }
        // Kept by nobody without asking: the next change is in every answer.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}
