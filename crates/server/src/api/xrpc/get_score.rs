//! `net.rhiz.conviction.getScore`

use super::{error::Error, params::Params, views::ConvictionView};
use crate::api::{App, etag::Tag};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct Answer {
    uri: String,
    conviction: ConvictionView,
}

/// What the network says of a relationship.
pub(super) async fn get_score(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["uri", "refresh"])?;
    let (of, refresh) = (params.required("uri")?, params.flag("refresh")?);
    let tag = Tag::now(&app);
    let (uri, conviction) = app.answers.conviction(of, None, refresh).await?;
    if let Some(unchanged) = tag.unchanged(&headers).filter(|_| !refresh) {
        return Ok(unchanged);
    }
    Ok(tag.json(Answer { uri, conviction: (&conviction).into() }))
}
