//! Reading requests, so that what is wrong is told with its place.

use super::{MAX_BODY, problem::Problem};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bytes::BytesMut;
use futures_util::StreamExt;
use rhiz_domain::Invalid;
use serde::de::{DeserializeOwned, IgnoredAny};

/// A JSON body of a known shape.
pub(super) struct Body<T>(pub T);

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {} KB", limit / 1024);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// Bytes of a refused body that are read all the same: who is still sending when the connection
/// closes loses the answer that says why.
const DRAINED: usize = 32 << 20;

/// Reads a body's bytes within the route's limit.
pub(super) async fn bytes(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let length = length.and_then(|l| l.parse::<usize>().ok());
    // Who asks first has not sent anything yet.
    let asks = request.headers().contains_key(header::EXPECT);
    if length.is_some_and(|l| l > DRAINED || (asks && l > limit)) {
        return Err(too_large(limit));
    }
    let mut chunks = request.into_body().into_data_stream();
    let mut body = BytesMut::new();
    let mut read = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|_| Problem::malformed("the body could not be read to its end"))?;
        read += chunk.len();
        if read == chunk.len() && length == Some(read) && read <= limit {
            // The usual case: all of it at once.
            return Ok(chunk);
        }
        if read > DRAINED {
            break;
        }
        if read <= limit {
            body.extend_from_slice(&chunk);
        } else {
            body = BytesMut::new();
        }
    }
    if read > limit { Err(too_large(limit)) } else { Ok(body.freeze()) }
}

/// Reads what a refused caller is still sending, and forgets it.
pub(super) async fn drain(request: Request) {
    // Whatever comes of it, the caller is refused.
    let _ = bytes(request, 0).await;
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
    // A list would be read as the fields in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        let is_json = serde_json::from_slice::<IgnoredAny>(bytes);
        is_json.map_err(|e| Problem::malformed(format!("the body is not JSON: {e}")))?;
        return Err(Problem::field("body", "it has to be a JSON object"));
    }
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

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        expect_type(request.headers(), &["application/json"])?;
        json(&bytes(request, MAX_BODY).await?).map(Self)
    }
}

/// What stands in a path, decoded.
pub(super) struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path))
            .map_err(|e| Problem::malformed(format!("the path: {}", e.body_text())))
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
