//! `GET /api/v1/relationships/{at-uri}`

use crate::{
    answers::{ConvictionAnswer, RelationshipAnswer},
    api::{
        App,
        body::{Params, Path},
        etag::Tag,
        problem::Problem,
    },
};
use axum::{extract::State, http::HeaderMap, response::Response};
use jiff::Timestamp;
use rhiz_graph::{Conviction, formula};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A conviction, as REST shows it.
pub(super) fn conviction(c: &Conviction) -> Value {
    json!({
        "score": c.score,
        "attestation_count": c.attestation_count,
        "verify_count": c.verify_count,
        "dispute_count": c.dispute_count,
        "strengthen_count": c.strengthen_count,
        "weaken_count": c.weaken_count,
        "last_updated": c.last_updated.and_then(|us| Timestamp::from_microsecond(us).ok()),
        "trend": c.trend.as_str(),
        "top_attester_reputation": c.top_attester_reputation,
    })
}

fn shown(answer: &RelationshipAnswer) -> Value {
    let (view, record) = (&answer.view, &answer.record);
    let text = |value: &Value| if answer.texts { value.clone() } else { Value::Null };
    json!({
        "uri": answer.uri,
        "cid": answer.row.cid,
        "rev": answer.row.rev,
        "owner": answer.owner,
        "participants": [answer.owner, answer.subject],
        "type": view.fact.kind,
        "strength": super::fraction(view.fact.strength),
        "context": text(&record["context"]),
        "visibility": view.visibility.as_str(),
        "consent": view.consent.as_str(),
        "mutual": view.mutual,
        "refused": view.refused,
        "signature_status": answer.signature_status(),
        "verified_source": answer.row.verified,
        "conviction": conviction(&view.conviction),
        "trust": view.trust,
        "trust_factors": {
            "s": view.factors.s,
            "d": view.factors.d,
            "v": view.factors.v,
            "g": view.factors.g,
            "m": view.factors.m,
        },
        "verification_claim": text(&record["verification"]),
        "start_date": record["temporal"]["start"],
        "last_interaction": record["temporal"]["lastInteraction"],
        "history": text(&record["temporal"]["history"]),
        "created_at": record["createdAt"],
        "updated_at": answer.row.rev.time(),
    })
}

/// What a conviction is added up from. All there is to recompute it by hand:
/// w = base · reputation · decay · confidence/100, score = 50 + 50 · sum / (sum_of_absolutes + 1).
fn explained(ConvictionAnswer { explained, weighed }: &ConvictionAnswer) -> Value {
    let weighed = weighed.iter().map(|w| {
        json!({
            "uri": w.uri,
            "attester_did": w.attester,
            "attestation_type": w.view.fact.kind.as_str(),
            "confidence": w.view.fact.confidence,
            "days": w.view.days,
            "standing": w.view.standing,
            "base": formula::base(w.view.fact.kind),
            "reputation": w.view.reputation,
            "decay": w.view.decay,
            "weight": w.view.weight,
        })
    });
    json!({
        "sum": explained.sum,
        "sum_of_absolutes": explained.sum_of_absolutes,
        "attestations": weighed.collect::<Vec<_>>(),
        "other_attestations": explained.others,
        "sum_of_others": explained.sum_of_others,
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    explain: bool,
}

/// One relationship; with `explain=true` what its conviction is made of. Its URI may be
/// percent-encoded or not.
pub(super) async fn relationship(
    State(app): State<Arc<App>>,
    Path(uri): Path<String>,
    Params(query): Params<Query>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tag = Tag::now(&app);
    let answer = app.answers.relationship(&uri, None).await?;
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let mut shown = shown(&answer);
    if query.explain {
        let (_, told) = app.answers.explain_conviction(&uri, None).await?;
        // Both of one moment, so that they agree.
        shown["conviction"] = conviction(&told.explained.conviction);
        shown["conviction"]["explanation"] = explained(&told);
    }
    Ok(tag.json(shown))
}
