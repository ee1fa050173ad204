//! Errors in the words of XRPC: `{"error": "Name", "message": "…"}`.
//!
//! Names that a lexicon declares are 400, as the protocol's own services have it. What every part
//! of the server may answer (too many requests, no database, a panic) stays a [`Problem`] until
//! [`in_own_words`] says it anew, so that a caller of XRPC reads one form only.

use crate::{answers::NoAnswer, api::problem::Problem};
use axum::{
    Json,
    body::to_bytes,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

/// Why a method did not answer.
pub(super) enum Error {
    /// A name of this layer, with a sentence.
    Named { status: StatusCode, name: &'static str, message: String },
    /// What the rest of the server calls it.
    Other(Problem),
}

impl Error {
    /// Parameters that break a rule.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::named("InvalidRequest", message)
    }

    /// There is no such method.
    pub(super) fn unknown_method(name: &str) -> Self {
        let message = format!("this server has no method {name:?}");
        Self::Named { status: StatusCode::NOT_IMPLEMENTED, name: "MethodNotImplemented", message }
    }

    fn named(name: &'static str, message: impl Into<String>) -> Self {
        Self::Named { status: StatusCode::BAD_REQUEST, name, message: message.into() }
    }
}

impl From<NoAnswer> for Error {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::UnknownEntity(_) => Self::named("EntityNotFound", error.to_string()),
            NoAnswer::UnknownRelationship(_) => Self::named("RecordNotFound", error.to_string()),
            other => Self::Other(other.into()),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Named { status, name, message } => {
                (status, Json(json!({"error": name, "message": message}))).into_response()
            }
            Self::Other(problem) => problem.into_response(),
        }
    }
}

/// The protocol's name for what a status means here, and its status.
fn name(status: StatusCode) -> (&'static str, StatusCode) {
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => ("InvalidRequest", StatusCode::BAD_REQUEST),
        // Methods say what they do not find by name; what is not found otherwise is no method.
        StatusCode::NOT_FOUND => ("MethodNotImplemented", StatusCode::NOT_IMPLEMENTED),
        StatusCode::UNAUTHORIZED => ("AuthenticationRequired", status),
        StatusCode::FORBIDDEN => ("Forbidden", status),
        StatusCode::TOO_MANY_REQUESTS => ("RateLimitExceeded", status),
        StatusCode::SERVICE_UNAVAILABLE => ("NotEnoughResources", status),
        // What times out is a search: for paths, or by walks.
        StatusCode::GATEWAY_TIMEOUT => ("SearchTimeout", status),
        _ if status.is_server_error() => ("InternalServerError", status),
        _ => ("InvalidRequest", status),
    }
}

/// Bytes of a problem at most; ours are far below.
const LONGEST: usize = 64 * 1024;

/// Around everything that may answer a call of `/xrpc` with a problem.
pub(in crate::api) async fn in_own_words(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path == "/xrpc" || path.starts_with("/xrpc/");
    let response = next.run(request).await;
    let problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"application/problem+json"));
    if ours && problem { translated(response).await } else { response }
}

async fn translated(response: Response) -> Response {
    #[derive(Deserialize)]
    struct Said {
        detail: String,
    }
    let (mut parts, body) = response.into_parts();
    let (name, status) = name(parts.status);
    let bytes = to_bytes(body, LONGEST).await.unwrap_or_default();
    // The answer to a HEAD has no body; neither will ours.
    let message = serde_json::from_slice(&bytes).map(|s: Said| s.detail).unwrap_or_default();
    parts.status = status;
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = json!({"error": name, "message": message}).to_string();
    Response::from_parts(parts, body.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderMap;
    use serde_json::Value;

    async fn said(problem: Problem) -> (StatusCode, HeaderMap, Value) {
        let (parts, body) = translated(problem.into_response()).await.into_parts();
        let bytes = to_bytes(body, LONGEST).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn problems_of_the_server_have_a_name_in_the_protocol() {
        use crate::answers::NoAnswer;
        use rhiz_domain::store::StoreError;
        for (problem, status, name, says) in [
            (Problem::field("cursor", "it is none"), 400, "InvalidRequest", "cursor"),
            (NoAnswer::TimeLimit(50).into(), 504, "SearchTimeout", "ran out of time (50 ms)"),
            (NoAnswer::WalksTimeLimit(50).into(), 504, "SearchTimeout", "go on from where they"),
            (NoAnswer::Busy.into(), 503, "NotEnoughResources", "searches of others"),
            (StoreError::Closed.into(), 503, "NotEnoughResources", "try again"),
            (StoreError::Corrupt("x".into()).into(), 500, "InternalServerError", "the log"),
            (Problem::internal(), 500, "InternalServerError", "the log"),
        ] {
            let (is, headers, body) = said(problem).await;
            assert_eq!((is.as_u16(), body["error"].as_str()), (status, Some(name)));
            assert!(body["message"].as_str().unwrap().contains(says), "{body}");
            assert_eq!(headers[header::CONTENT_TYPE], "application/json");
            assert_eq!(headers.contains_key(header::RETRY_AFTER), status == 503);
        }
    }
}
