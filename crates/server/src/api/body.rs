//! Reading requests, so that what is wrong is told with its place.

use super::{MAX_BODY, problem::Problem};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use rhiz_domain::Invalid;
use serde::de::DeserializeOwned;

/// A JSON body of a known shape.
pub(super) struct Body<T>(pub T);

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {} KB", limit / 1024);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// Reads a body's bytes within the route's limit.
pub(super) async fn bytes<S: Send + Sync>(
    request: Request,
    state: &S,
    limit: usize,
) -> Result<Bytes, Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    if length.and_then(|l| l.parse::<usize>().ok()).is_some_and(|l| l > limit) {
        return Err(too_large(limit));
    }
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            too_large(limit)
        }
        _ => Problem::malformed("the body could not be read to its end"),
    })
}

/// Checks the media type of a body; none at all is forgiven.
pub(super) fn expect_type(headers: &HeaderMap, allowed: &[&str]) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let given = value.to_str().unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = allowed.contains(&"application/json") && essence.ends_with("+json");
    if allowed.contains(&essence.as_str()) || json {
        return Ok(());
    }
    let detail = format!("the body is {given:?}; {} is expected", allowed.join(" or "));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_type", detail))
}

/// Reads JSON: 400 for what is none, 422 with the field for what has another shape.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: Result<T, _> = serde_path_to_error::deserialize(&mut reader);
    match value {
        Ok(value) => {
            reader.end().map_err(|e| Problem::malformed(format!("the body is not JSON: {e}")))?;
            Ok(value)
        }
        Err(error) => {
            let path = error.path().to_string();
            let error = error.into_inner();
            if error.is_data() {
                let field = if path == "." { "body".to_owned() } else { path };
                let message = error.to_string();
                // Lines and columns help with syntax, not with a field that is named.
                let message = message.split(" at line ").next().unwrap_or_default().to_owned();
                Err(Invalid::one(field, message).into())
            } else {
                Err(Problem::malformed(format!("the body is not JSON: {error}")))
            }
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        expect_type(request.headers(), &["application/json"])?;
        json(&bytes(request, state, MAX_BODY).await?).map(Self)
    }
}

/// Query parameters of a known shape.
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(params)| Self(params)).map_err(|e| {
            let text = e.body_text();
            let reason = text.strip_prefix("Failed to deserialize query string: ");
            Problem::malformed(format!("query parameters: {}", reason.unwrap_or(&text)))
        })
    }
}

/// A limit from a query: 1 to `most`.
pub(super) fn page_size(given: Option<i64>, default: usize, most: usize) -> Result<usize, Problem> {
    match given {
        None => Ok(default),
        Some(n) => match usize::try_from(n) {
            Ok(n) if (1..=most).contains(&n) => Ok(n),
            _ => {
                Err(Problem::field("limit", format!("{n} is not a whole number from 1 to {most}")))
            }
        },
    }
}
