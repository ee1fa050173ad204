//! Reading requests, so that what is wrong is told with its place.

use super::{MAX_BODY, problem::Problem};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bytes::BytesMut;
use futures_util::StreamExt;
use rhiz_domain::{EventId, Invalid};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::time::Duration;
use tokio::time::timeout;

/// A JSON body of a known shape.
pub(super) struct Body<T>(pub T);

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {} KB", limit / 1024);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// Bytes of a refused body that are read all the same: who is still sending when the connection
/// closes loses the answer that says why.
const DRAINED: usize = 32 << 20;

/// How slowly a body may come. Whoever sends slower holds a place that others need.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Longest pause.
    silence: Duration,
    /// Longest time for all of it.
    whole: Duration,
}

/// The largest body, at half a megabit a second.
const PACE: Pace = Pace { silence: Duration::from_secs(10), whole: Duration::from_secs(120) };

/// Bytes that are decoded where the request is answered; more would keep one of few threads from
/// all other requests.
const INLINE: usize = 64 << 10;

/// Decodes a body of so many bytes, on a thread that may be kept busy when it is long.
pub(super) async fn off_thread<T: Send + 'static>(
    bytes: usize,
    decode: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if bytes <= INLINE {
        return Ok(decode());
    }
    tokio::task::spawn_blocking(decode).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The runtime is gone.
        Err(_) => Problem::internal(),
    })
}

/// The `Idempotency-Key`, if there is one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut keys = headers.get_all(NAME).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let id = key.to_str().ok().and_then(|key| EventId::parse(key).ok());
    match (id, keys.next()) {
        (Some(id), None) => Ok(Some(id)),
        (_, Some(_)) => Err(Problem::field(NAME, "it is given more than once")),
        (None, None) => {
            Err(Problem::field(NAME, "allowed are 1 to 128 visible ASCII characters, best a UUID"))
        }
    }
}

/// A body whose end does not come.
fn too_slow(read: usize, pace: Pace) -> Problem {
    let Pace { silence, whole } = pace;
    let detail = format!(
        "the body did not come to its end, {read} bytes were read: send it without pauses of \
         {silence:?}, all of it within {whole:?}"
    );
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
}

/// Reads a body's bytes within the route's limit.
pub(super) async fn bytes(request: Request, limit: usize) -> Result<Bytes, Problem> {
    at_pace(request, limit, PACE).await
}

async fn at_pace(request: Request, limit: usize, pace: Pace) -> Result<Bytes, Problem> {
    let mut read = 0;
    match timeout(pace.whole, gather(request, limit, pace, &mut read)).await {
        Ok(result) => result,
        // Half of a request is worth nothing: what has come is forgotten.
        Err(_) => Err(too_slow(read, pace)),
    }
}

/// Reads it; `read` says how much has come.
async fn gather(
    request: Request,
    limit: usize,
    pace: Pace,
    read: &mut usize,
) -> Result<Bytes, Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let length = length.and_then(|l| l.parse::<usize>().ok());
    // Who asks first has not sent anything yet.
    let asks = request.headers().contains_key(header::EXPECT);
    if length.is_some_and(|l| l > DRAINED || (asks && l > limit)) {
        return Err(too_large(limit));
    }
    let mut chunks = request.into_body().into_data_stream();
    let mut body = BytesMut::new();
    loop {
        let next = timeout(pace.silence, chunks.next()).await;
        let next = next.map_err(|_| too_slow(*read, pace))?;
        let Some(chunk) = next else { break };
        let chunk =
            chunk.map_err(|_| Problem::malformed("the body could not be read to its end"))?;
        *read += chunk.len();
        if *read == chunk.len() && length == Some(*read) && *read <= limit {
            // The usual case: all of it at once.
            return Ok(chunk);
        }
        if *read > DRAINED {
            break;
        }
        if *read <= limit {
            body.extend_from_slice(&chunk);
        } else {
            body = BytesMut::new();
        }
    }
    if *read > limit { Err(too_large(limit)) } else { Ok(body.freeze()) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body as RawBody;
    use futures_util::stream;
    use std::convert::Infallible;

    /// A body of which a byte comes each `every`, so many times.
    fn dripping(every: Duration, times: usize) -> Request {
        let bytes = stream::unfold(0, move |n| async move {
            if n == times {
                return None;
            }
            tokio::time::sleep(every).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), n + 1))
        });
        Request::new(RawBody::from_stream(bytes))
    }

    #[tokio::test]
    async fn a_body_whose_end_does_not_come_is_refused() {
        let ms = Duration::from_millis;
        let for_ever = Duration::from_secs(3600);
        for (every, pace, read) in [
            (for_ever, Pace { silence: ms(20), whole: for_ever }, "pauses of 20ms"),
            (for_ever, Pace { silence: for_ever, whole: ms(20) }, "within 20ms"),
            (ms(1), Pace { silence: for_ever, whole: ms(50) }, "within 50ms"),
        ] {
            let refused = at_pace(dripping(every, usize::MAX), MAX_BODY, pace).await.unwrap_err();
            assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
            assert!(refused.detail().contains(read), "{}", refused.detail());
        }
        let slow = at_pace(dripping(ms(1), 10), MAX_BODY, PACE).await.unwrap();
        assert_eq!(slow.len(), 10);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_refused_and_not_left_out() {
        let with = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = axum::http::HeaderValue::from_bytes(value).unwrap();
                headers.append("idempotency-key", value);
            }
            idempotency_key(&headers)
        };
        assert!(with(&[]).unwrap().is_none());
        assert_eq!(with(&[b"a-key"]).unwrap().unwrap().as_str(), "a-key");
        let long = [b'x'; 129];
        for bad in [&[&b"schl\xfcssel"[..]][..], &[b""], &[b"a b"], &[&long], &[b"a", b"a"]] {
            let problem = with(bad).unwrap_err();
            assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
            assert!(problem.detail().contains("Idempotency-Key"), "{}", problem.detail());
        }
    }
}
