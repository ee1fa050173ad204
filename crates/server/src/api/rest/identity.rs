//! `GET /api/v1/identity/{did or handle}`

use crate::{
    api::{
        App,
        body::{Params, Path},
        problem::Problem,
    },
    identity::Unresolved,
};
use axum::{Json, extract::State, http::StatusCode};
use rhiz_domain::{Did, Handle};
use rhiz_identity::{HandleCheck, Identity};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    refresh: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Answer {
    did: String,
    /// Verified both ways.
    handle: Option<String>,
    handle_check: HandleCheck,
    pds: Option<String>,
    /// A did:key.
    signing_key: Option<String>,
}

impl From<Identity> for Answer {
    fn from(identity: Identity) -> Self {
        Self {
            did: identity.did.to_string(),
            handle_check: match &identity.handle {
                Some(_) => HandleCheck::Verified,
                None => identity.handle_check,
            },
            handle: identity.handle.map(|handle| handle.to_string()),
            // An origin: the path that URLs always have is none of its parts.
            pds: identity.pds.map(|url| url.as_str().trim_end_matches('/').to_owned()),
            signing_key: identity.signing_key.map(|key| key.to_string()),
        }
    }
}

/// In words that name no host but those the caller named: what was asked is for the log.
fn problem(actor: &str, error: &Unresolved) -> Problem {
    let (status, code, detail) = match error.code.as_str() {
        "unsupported_method" => (
            StatusCode::BAD_REQUEST,
            "unsupported_did",
            format!("{actor}: only did:plc and did:web can be resolved"),
        ),
        "impossible_did" | "disallowed_handle" => {
            (StatusCode::BAD_REQUEST, "impossible_identity", error.message.clone())
        }
        "busy" | "left_alone" | "cache" => (
            StatusCode::SERVICE_UNAVAILABLE,
            "identity_unavailable",
            "who that is cannot be asked at the moment: what knows it has been failing, or too \
             much is being asked; try again later"
                .to_owned(),
        ),
        _ if error.temporary => (
            StatusCode::BAD_GATEWAY,
            "identity_unreachable",
            format!("what knows who {actor} is cannot be reached, or does not answer; try again"),
        ),
        _ => (
            StatusCode::BAD_GATEWAY,
            "identity_unreadable",
            format!("what is published of {actor} breaks the rules of identities"),
        ),
    };
    tracing::debug!(actor, code = error.code, error = error.message, "an identity is not resolved");
    let problem = Problem::new(status, code, detail);
    let seconds = error.retry_after.map(|wait| wait.as_secs().max(1));
    match (status, seconds) {
        (_, Some(seconds)) => problem.retry_after(seconds),
        (StatusCode::SERVICE_UNAVAILABLE, None) => problem.retry_after(1),
        _ => problem,
    }
}

/// Who a DID or a handle is, as the network says.
pub(super) async fn identity(
    State(app): State<Arc<App>>,
    Path(actor): Path<String>,
    Params(query): Params<Query>,
) -> Result<Json<Answer>, Problem> {
    let identities = &app.node.identities;
    let found = if actor.starts_with("did:") {
        let did = Did::parse(&actor).map_err(|e| Problem::malformed(format!("did: {e}")))?;
        identities.resolve(&did, query.refresh).await
    } else {
        let handle = Handle::parse(actor.trim_start_matches('@'))
            .map_err(|_| Problem::malformed(format!("{actor:?} is neither a DID nor a handle")))?;
        identities.resolve_handle(&handle, query.refresh).await
    };
    match found {
        Ok(Some(identity)) => Ok(Json(identity.into())),
        Ok(None) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "identity_not_found",
            format!("{actor} is nobody's identity, or not one that both sides claim"),
        )),
        Err(error) => Err(problem(&actor, &error)),
    }
}
