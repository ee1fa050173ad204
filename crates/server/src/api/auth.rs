//! Who is calling: the operator, a viewer, or anybody.

use super::{App, body, problem::Problem};
use crate::key::SecretKey;
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use std::sync::Arc;

/// The keys of this server.
pub struct Keys {
    /// Reads and writes.
    pub internal: SecretKey,
    /// Reads only.
    pub viewer: Option<SecretKey>,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// What everybody may.
    Anybody,
    /// Reads what is internal.
    Viewer,
    /// Everything.
    Operator,
}

/// The key that a request carries.
fn given(headers: &HeaderMap) -> Option<&str> {
    let own = headers.get("x-internal-key").and_then(|v| v.to_str().ok());
    own.or_else(|| {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    })
}

impl Keys {
    /// What the caller of a request may do; `None` when it carries a key that is none of ours.
    fn role(&self, headers: &HeaderMap) -> Option<Role> {
        let Some(key) = given(headers) else { return Some(Role::Anybody) };
        // Both are compared whatever comes of the first, in constant time each.
        let operator = self.internal.matches(key);
        let viewer = self.viewer.as_ref().is_some_and(|v| v.matches(key));
        match (operator, viewer) {
            (true, _) => Some(Role::Operator),
            (false, true) => Some(Role::Viewer),
            (false, false) => None,
        }
    }

    /// What the caller may do; a wrong key is worth as much as none.
    #[must_use]
    pub fn role_or_anybody(&self, headers: &HeaderMap) -> Role {
        self.role(headers).unwrap_or(Role::Anybody)
    }

    /// Lets those pass who may do at least this: 401 without a key, 403 with a wrong one.
    pub fn require(&self, headers: &HeaderMap, least: Role) -> Result<(), Problem> {
        match self.role(headers) {
            Some(role) if role >= least => Ok(()),
            Some(Role::Anybody) => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "key_required",
                "this needs the internal key, as X-Internal-Key or Authorization: Bearer",
            )),
            Some(_) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "key_not_enough",
                "the viewer's key reads only; this needs the internal key",
            )),
            None => Err(Problem::new(StatusCode::FORBIDDEN, "wrong_key", "the key is wrong")),
        }
    }
}

/// The caller has the internal key. As the first argument of a handler it is asked for before a
/// body is read.
pub(super) struct Operator;

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        app.keys.require(&parts.headers, Role::Operator).map(|()| Self)
    }
}

/// Guards everything internal: reads need a viewer, writes an operator.
pub(super) async fn layer(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let least = if *request.method() == Method::GET { Role::Viewer } else { Role::Operator };
    if let Err(refused) = app.keys.require(request.headers(), least) {
        body::drain(request).await;
        return Err(refused);
    }
    Ok(next.run(request).await)
}
