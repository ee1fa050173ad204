//! `net.rhiz.entity.getProfile`

use super::{error::Error, params::Params, views::EntityView};
use crate::api::App;
use axum::{Json, extract::State, http::Uri};
use std::sync::Arc;

/// An entity by DID or handle.
pub(super) async fn get_profile(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Json<EntityView>, Error> {
    let params = Params::read(&uri, &["actor", "refresh"])?;
    let (actor, refresh) = (params.required("actor")?, params.flag("refresh")?);
    // What the answers call did may be a handle here.
    let (_, did) = app.answers.find(actor, "actor").await?;
    Ok(Json((*app.answers.entity(did.as_str(), refresh).await?).clone().into()))
}
