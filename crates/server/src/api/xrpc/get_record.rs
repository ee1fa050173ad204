//! `net.rhiz.relationship.getRecord`

use super::{
    error::Error,
    params::Params,
    views::{ConvictionView, percent},
};
use crate::api::{App, etag::Tag};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use rhiz_domain::syntax::format_datetime;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct TrustFactors {
    strength: u8,
    decay: u8,
    verifiers: u8,
    backing: u8,
    mutuality: u8,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RelationshipView {
    uri: String,
    cid: String,
    record: Value,
    owner: String,
    subject: String,
    visibility: &'static str,
    consent: &'static str,
    texts_hidden: bool,
    mutual: bool,
    refused: bool,
    signature_status: &'static str,
    verified_source: bool,
    conviction: ConvictionView,
    trust: u8,
    trust_factors: TrustFactors,
    indexed_at: String,
}

/// A relationship, and what the network makes of it.
pub(super) async fn get_record(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["uri"])?;
    let asked = params.required("uri")?;
    let tag = Tag::now(&app);
    let answer = app.answers.relationship(asked, None).await?;
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let record = answer.readable();
    let signature_status = answer.signature_status();
    let view = answer.view;
    let factors = view.factors;
    Ok(tag.json(RelationshipView {
        uri: answer.uri,
        cid: answer.row.cid,
        record,
        owner: answer.owner,
        subject: answer.subject,
        visibility: view.visibility.as_str(),
        consent: view.consent.as_str(),
        texts_hidden: !answer.texts,
        mutual: view.mutual,
        refused: view.refused,
        signature_status,
        verified_source: answer.row.verified,
        conviction: (&view.conviction).into(),
        trust: percent(view.trust),
        trust_factors: TrustFactors {
            strength: percent(factors.s),
            decay: percent(factors.d),
            verifiers: percent(factors.v),
            backing: percent(factors.g),
            mutuality: percent(factors.m),
        },
        indexed_at: format_datetime(answer.row.indexed_at),
    }))
}
