//! Errors, in sentences a person can act on (RFC 9457).
//!
//! The one place where an error becomes a status code.

use crate::answers::NoAnswer;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rhiz_domain::{FieldError, Invalid, store::StoreError};
use rhiz_pipeline::{ActError, Broken, SubmitError};
use serde::Serialize;
use serde_json::{Map, Value};

/// Seconds after which a refused caller should come again.
const RETRY_AFTER: u64 = 1;

/// Seconds until a caller may look whether an operator has resumed the intake.
const PAUSED_RETRY_AFTER: u64 = 30;

/// An error as `application/problem+json`.
#[derive(Debug, Clone)]
pub struct Problem(Box<Body>);

#[derive(Debug, Clone, Serialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// What belongs to this kind of problem alone.
    #[serde(flatten)]
    members: Map<String, Value>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of its own kind.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Body {
            kind: format!("urn:rhiz:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            code,
            request_id: None,
            errors: Vec::new(),
            members: Map::new(),
            retry_after: None,
        }))
    }

    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Malformed: 400.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// A single field that breaks a rule: 422.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::from(Invalid::one(field, message))
    }

    /// The same problem, with the line of a batch it is about.
    #[must_use]
    pub fn on_line(mut self, line: usize) -> Self {
        if self.0.errors.is_empty() {
            self.0.detail = format!("line {line}: {}", self.0.detail);
            return self;
        }
        let mut named = Invalid::default();
        for error in self.0.errors {
            named.add(format!("line {line}: {}", error.field), error.message);
        }
        named.into()
    }

    /// With a member of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Comes again after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let detail = invalid.to_string();
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        problem.0.errors = invalid.errors;
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // The driver's words are for the log, not for callers.
        tracing::warn!(%error, "the database could not answer");
        match error {
            StoreError::Unavailable(_) | StoreError::Closed => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "database_unavailable",
                "the database cannot be used at the moment; nothing was stored, try again",
            )
            .retry_after(RETRY_AFTER),
            // A lease is the pipeline's own affair.
            StoreError::Corrupt(_) | StoreError::Newer { .. } | StoreError::Fenced => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "database_error",
                "the database could not carry this out; the log has the reason",
            ),
        }
    }
}

impl From<NoAnswer> for Problem {
    fn from(error: NoAnswer) -> Self {
        let detail = error.to_string();
        match error {
            NoAnswer::Invalid { field, message } => Self::field(field, message),
            NoAnswer::UnknownEntity(_) => {
                Self::new(StatusCode::NOT_FOUND, "entity_not_found", detail)
            }
            NoAnswer::UnknownRelationship(_) => {
                Self::new(StatusCode::NOT_FOUND, "relationship_not_found", detail)
            }
            NoAnswer::NoPath(relaxed, _) => {
                let detail = match (relaxed.min_strength, relaxed.max_hops) {
                    (Some(s), Some(h)) => format!(
                        "no path within these limits; there is one with min_strength {s}, or with \
                         max_hops {h}"
                    ),
                    (Some(s), None) => {
                        format!("no path within these limits; there is one with min_strength {s}")
                    }
                    (None, Some(h)) => {
                        format!("no path within these limits; there is one with max_hops {h}")
                    }
                    (None, None) => detail,
                };
                let problem = Self::new(StatusCode::NOT_FOUND, "no_path", detail);
                match serde_json::to_value(relaxed) {
                    Ok(relaxed) => problem.with("relax", relaxed),
                    Err(_) => problem,
                }
            }
            NoAnswer::TimeLimit(_) | NoAnswer::WalksTimeLimit(_) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "time_limit", detail)
            }
            NoAnswer::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(RETRY_AFTER)
            }
            NoAnswer::Store(error) => error.into(),
            NoAnswer::Broken => Self::internal(),
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::Invalid { invalid, .. } => invalid.into(),
            SubmitError::Conflict { .. } => Self::new(
                StatusCode::CONFLICT,
                "event_id_conflict",
                "this event_id was used before with another body; choose another one",
            ),
            SubmitError::Backpressure => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "backpressure", detail)
                    .retry_after(RETRY_AFTER)
            }
            SubmitError::Paused { event_type, .. } => {
                Self::paused(format!("the intake of {event_type} is paused"))
            }
            SubmitError::TooMuch => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_much", detail),
            SubmitError::Draining => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail).retry_after(5)
            }
            // Who may submit may know why, and can do something about it. The log has it already.
            SubmitError::Store(StoreError::Unavailable(why)) => {
                let detail = format!(
                    "the database cannot be written at the moment; nothing was stored, try again: \
                     {why}"
                );
                let code = "database_unavailable";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER)
            }
            SubmitError::Store(error) => error.into(),
        }
    }
}

impl Problem {
    /// A replay or a discard was broken off; `done` says what was to be done to dead letters, as in
    /// `replayed`, and is the member that says to how many it was done.
    #[must_use]
    pub fn broken_off(done: &str, error: &ActError) -> Self {
        let n = error.moved.done;
        let so_far = match n {
            0 => format!("no dead letter was {done}; try again"),
            1 => format!("1 dead letter was {done} before that; ask again for the rest"),
            n => format!("{n} dead letters were {done} before that; ask again for the rest"),
        };
        let problem = match &error.why {
            Broken::Draining => {
                let detail = format!("this server is stopping: {so_far}");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail).retry_after(5)
            }
            Broken::Store(why) => {
                // As for those who submit: who may do this may know why.
                let reason = match why {
                    StoreError::Unavailable(reason) => format!(" ({reason})"),
                    _ => String::new(),
                };
                let mut problem = Self::from(why.clone());
                problem.0.detail = match problem.0.status {
                    StatusCode::SERVICE_UNAVAILABLE => {
                        format!("the database cannot be written at the moment{reason}: {so_far}")
                    }
                    _ => format!("{}: {so_far}", problem.0.detail),
                };
                problem
            }
        };
        problem.with(done, n).with("impossible", error.moved.impossible)
    }

    /// An operator has paused it.
    #[must_use]
    pub fn paused(what: String) -> Self {
        let detail = format!("{what} by an operator; nothing was stored");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "paused", detail).retry_after(PAUSED_RETRY_AFTER)
    }

    /// Something broke on our side: 500, and the log has more.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong on our side; the log has more under this request_id",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        self.0.request_id = super::request::current_id();
        let (status, retry_after) = (self.0.status, self.0.retry_after);
        let mut response = (status, Json(&*self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// No such page.
pub async fn not_found(uri: axum::http::Uri) -> Problem {
    let detail = format!("there is nothing at {}", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

/// The page is there, but not for this method.
pub async fn wrong_method(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
