//! `net.rhiz.conviction.listAttestations`

use super::{
    error::Error,
    params::Params,
    views::{EntityView, percent},
};
use crate::api::{App, etag::Tag, page::Cursor};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use rhiz_domain::{Collection, Did, fact::AttestationKind};
use rhiz_graph::AttestationView as View;
use serde::Serialize;
use serde_json::Value;
use std::{cmp::Ordering, collections::HashMap, sync::Arc};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AttestationView {
    uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cid: String,
    record: Value,
    attester: EntityView,
    attester_reputation: u8,
}

#[derive(Debug, Serialize)]
struct Answer {
    attestations: Vec<AttestationView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Where a page ended: what the list is ordered by, greatest first. Not a number of items to
/// leave out: a new attestation would move them.
type Place = Cursor<(i64, u64), String>;

fn behind(app: &App, view: &View, place: &Place) -> bool {
    let Cursor(newest, uri) = place;
    let own = &view.fact;
    let order = (own.effective, own.rev.to_u64()).cmp(newest).then_with(|| {
        let did = app.node.graph.did(own.key.owner);
        let did = did.as_ref().map_or("", Did::as_str);
        Collection::Attestation.uri(did, own.key.rkey).as_str().cmp(uri)
    });
    order == Ordering::Less
}

/// The attestations on a relationship, newest first.
pub(super) async fn list_attestations(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["uri", "type", "minConfidence", "limit", "cursor"])?;
    let on = params.required("uri")?;
    let kind = params.word("type", &AttestationKind::ALL.map(|kind| (kind.as_str(), kind)))?;
    let confidence = params.integer("minConfidence", 0..=100, 0)?;
    let limit = usize::from(params.integer("limit", 1..=100, 50)?);
    let place = params.optional("cursor")?.map(Place::read).transpose()?;
    let tag = Tag::now(&app);
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let there = Arc::clone(&app);
    let wanted = move |view: &View| {
        kind.is_none_or(|kind| kind == view.fact.kind)
            && u16::from(view.fact.confidence) >= confidence
            && place.as_ref().is_none_or(|place| behind(&there, view, place))
    };
    let (found, more) = app.answers.attestations(on, None, wanted, limit).await?;
    let last = found.last().filter(|_| more).map(|a| {
        let newest = (a.view.fact.effective, a.view.fact.rev.to_u64());
        Cursor(newest, a.uri.as_str()).write()
    });
    let ids: Vec<_> = found.iter().map(|a| a.view.fact.key.owner).collect();
    let entities: HashMap<String, _> = app
        .answers
        .by_number(&ids)
        .await?
        .into_iter()
        .map(|entity| (entity.did.clone(), entity))
        .collect();
    let attestations = found.into_iter().filter_map(|a| {
        // Who is in the graph is in the store.
        let attester = app.node.graph.did(a.view.fact.key.owner)?;
        Some(AttestationView {
            attester: entities.get(attester.as_str())?.clone().into(),
            attester_reputation: percent(a.view.standing),
            uri: a.uri,
            cid: a.row.cid,
            record: a.record,
        })
    });
    Ok(tag.json(Answer { attestations: attestations.collect(), cursor: last }))
}
