//! `GET /api/v1/analytics/trust-metrics/{did}` and `…/trust-health/{did}`

use crate::api::{
    App,
    body::{Params, Path},
    etag::Tag,
    problem::Problem,
};
use axum::{extract::State, http::HeaderMap, response::Response};
use jiff::Timestamp;
use rhiz_graph::{Recommendation, TrustExplained, TrustMetrics};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    explain: bool,
    #[serde(default)]
    refresh: bool,
}

fn shown(did: &str, m: &TrustMetrics, at: Timestamp) -> Value {
    json!({
        "entity_id": did,
        "trust_score": m.trust_score,
        "reputation": m.reputation,
        "reciprocity": m.reciprocity,
        "consistency": m.consistency,
        "verification_ratio": m.verification_ratio,
        "network": m.network,
        "standing": m.standing,
        "relationship_count": m.relationship_count,
        "verified_relationship_count": m.verified_relationship_count,
        "last_calculated": at,
    })
}

fn explained(app: &App, e: &TrustExplained) -> Value {
    let addends = e.addends.iter().map(|a| {
        json!({
            "name": a.name, "value": a.value, "weight": a.weight, "contribution": a.contribution,
        })
    });
    let movers = e.movers.iter().map(|m| {
        let named = m.key.map(|key| app.answers.named(key, m.counterpart));
        json!({
            "relationship_id": named.as_ref().map(|n| &n.0),
            "entity_id": named.as_ref().map(|n| &n.1),
            "effect": m.effect,
            "received_strength": m.received_strength,
            "recent": m.recent,
            "stated": m.stated,
            "mutual": m.mutual,
            "verified": m.verified,
            "network": m.network.map(|[q, t, below]| json!({"q": q, "t": t, "n2": below})),
        })
    });
    json!({
        "addends": addends.collect::<Vec<_>>(),
        "received_from": e.received_from,
        "received_strength": e.received_strength,
        "recent": e.recent,
        "verified": e.verified,
        "stated": e.stated,
        "mutual": e.mutual,
        "relationships": movers.collect::<Vec<_>>(),
        "other_relationships": e.others,
    })
}

/// Every score of one entity; with `explain=true` what they are made of.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    Path(did): Path<String>,
    Params(query): Params<Query>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tag = Tag::now(&app);
    // The tag is of the whole graph: who is not there has not stayed the same.
    app.answers.find(&did, "did").await?;
    if let Some(unchanged) = tag.unchanged(&headers).filter(|_| !query.refresh) {
        return Ok(unchanged);
    }
    if query.explain {
        let now = app.node.clock.now();
        let (did, e) = app.answers.explain(&did, None).await?;
        let mut answer = shown(did.as_str(), &e.metrics, now);
        answer["explanation"] = explained(&app, &e);
        return Ok(tag.json(answer));
    }
    let (did, answer) = app.answers.trust_metrics(&did, query.refresh).await?;
    Ok(tag.but_of(answer.of).json(shown(did.as_str(), &answer.metrics, answer.at)))
}

fn sentence(recommendation: Recommendation) -> &'static str {
    match recommendation {
        Recommendation::VerifyMore => {
            "Ask people you both know to verify more of your relationships: fewer than 5 are."
        }
        Recommendation::Expand => "Expand your network: it has fewer than 10 relationships.",
        Recommendation::InteractMore => {
            "Be in touch: few of those who state you have had to do with you in the last 30 days."
        }
        Recommendation::MakeMutual => {
            "Make it mutual: ask those you state to state the relationship too."
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct HealthQuery {
    #[serde(default)]
    refresh: bool,
}

/// How an entity's trust is doing, and what would do it good.
pub(super) async fn health(
    State(app): State<Arc<App>>,
    Path(did): Path<String>,
    Params(query): Params<HealthQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tag = Tag::now(&app);
    // The tag is of the whole graph: who is not there has not stayed the same.
    app.answers.find(&did, "did").await?;
    if let Some(unchanged) = tag.unchanged(&headers).filter(|_| !query.refresh) {
        return Ok(unchanged);
    }
    let (did, h, of) = app.answers.trust_health(&did, query.refresh).await?;
    let recommendations: Vec<_> = h.recommendations.iter().map(|r| sentence(*r)).collect();
    Ok(tag.but_of(of).json(json!({
        "entity_id": did,
        "trust_level": h.level.as_str(),
        "trust_score": h.trust_score,
        "network_size": h.network_size,
        "verified_ratio": h.verified_ratio,
        "recent_activity": h.recent_activity,
        "recommendations": recommendations,
    })))
}
