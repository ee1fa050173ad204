//! `net.rhiz.trust.getMetrics`

use super::{
    error::Error,
    params::Params,
    views::{percent, thousandths},
};
use crate::api::{App, etag::Tag};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use jiff::Timestamp;
use rhiz_domain::syntax::format_datetime;
use rhiz_graph::{TrustExplained, TrustMetrics};
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    did: String,
    trust_score: u8,
    reputation: u8,
    reciprocity: u8,
    consistency: u8,
    verification_ratio: u8,
    network: u8,
    standing: u8,
    relationship_count: u32,
    verified_relationship_count: u32,
    last_calculated: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<ExplanationView>,
}

impl Answer {
    fn new(did: &str, m: &TrustMetrics, at: Timestamp) -> Self {
        Self {
            did: did.to_owned(),
            trust_score: percent(m.trust_score),
            reputation: percent(m.reputation),
            reciprocity: percent(m.reciprocity),
            consistency: percent(m.consistency),
            verification_ratio: percent(m.verification_ratio),
            network: percent(m.network),
            standing: percent(m.standing),
            relationship_count: m.relationship_count,
            verified_relationship_count: m.verified_relationship_count,
            last_calculated: format_datetime(at),
            explanation: None,
        }
    }
}

/// `net.rhiz.trust.defs#scoreAddendView`
#[derive(Debug, Serialize)]
struct AddendView {
    name: String,
    value: u8,
    weight: i32,
    contribution: i32,
}

/// `net.rhiz.trust.defs#voiceView`
#[derive(Debug, Serialize)]
struct VoiceView {
    weight: u8,
    trust: u8,
    network: u8,
}

/// `net.rhiz.trust.defs#moverView`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MoverView {
    #[serde(skip_serializing_if = "Option::is_none")]
    relationship_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    did: Option<String>,
    effect: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_strength: Option<u8>,
    recent: bool,
    stated: bool,
    mutual: bool,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<VoiceView>,
}

/// `net.rhiz.trust.defs#explanationView`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplanationView {
    addends: Vec<AddendView>,
    received_from: u32,
    received_strength: i32,
    recent: u32,
    verified: u32,
    stated: u32,
    mutual: u32,
    relationships: Vec<MoverView>,
    others: usize,
}

impl ExplanationView {
    fn new(app: &App, e: &TrustExplained) -> Self {
        let addends = e.addends.iter().map(|a| AddendView {
            name: camel_case(a.name),
            value: percent(a.value),
            weight: thousandths(a.weight),
            contribution: thousandths(a.contribution),
        });
        let movers = e.movers.iter().map(|m| {
            let (relationship_uri, did) =
                m.key.map(|key| app.answers.named(key, m.counterpart)).unzip();
            MoverView {
                relationship_uri,
                did,
                effect: thousandths(m.effect),
                received_strength: m.received_strength.map(percent),
                recent: m.recent,
                stated: m.stated,
                mutual: m.mutual,
                verified: m.verified,
                voice: m.network.map(|[weight, trust, network]| VoiceView {
                    weight: percent(weight),
                    trust: percent(trust),
                    network: percent(network),
                }),
            }
        });
        Self {
            addends: addends.collect(),
            received_from: e.received_from,
            received_strength: thousandths(e.received_strength),
            recent: e.recent,
            verified: e.verified,
            stated: e.stated,
            mutual: e.mutual,
            relationships: movers.collect(),
            others: e.others,
        }
    }
}

/// As this interface spells what REST calls `verification_ratio`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        text.push_str(&first.to_ascii_uppercase());
        text.push_str(rest);
    }
    text
}

/// Every score of one entity; when asked, what the trust score is made of.
pub(super) async fn get_metrics(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["did", "explain", "refresh"])?;
    let (of, refresh) = (params.did("did")?, params.flag("refresh")?);
    let explain = params.flag("explain")?;
    let tag = Tag::now(&app);
    if let Some(unchanged) = tag.unchanged(&headers).filter(|_| !refresh) {
        return Ok(unchanged);
    }
    if explain {
        let now = app.node.clock.now();
        let (did, e) = app.answers.explain(of.as_str(), None).await?;
        let mut answer = Answer::new(did.as_str(), &e.metrics, now);
        answer.explanation = Some(ExplanationView::new(&app, &e));
        return Ok(tag.json(answer));
    }
    let (did, answer) = app.answers.trust_metrics(of.as_str(), refresh).await?;
    Ok(tag.but_of(answer.of).json(Answer::new(did.as_str(), &answer.metrics, answer.at)))
}
