//! `POST /api/v1/attestations`: keyed; through the pipeline; answers when it is applied.

use super::relationships::conviction;
use crate::api::{
    App,
    auth::Operator,
    body::{self, Body},
    internal::word,
    problem::Problem,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use rhiz_domain::{Did, EventType};
use rhiz_pipeline::{Ended, Submission};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use std::{sync::Arc, time::Duration};

/// The fields of an attestation in flat form; what they may hold is the record's rule.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Request {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<String>,
    attester_did: String,
    target_uri: String,
    attestation_type: Value,
    confidence: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested_strength: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

/// How long to wait for it to be applied, from when it is accepted.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes an attestation, and answers with what it did to the conviction.
pub(super) async fn attest(
    _: Operator,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let did = Did::parse(&request.attester_did)
        .map_err(|e| Problem::field("attester_did", e.to_string()))?;
    let event_id = body::idempotency_key(&headers)?;
    let payload = serde_json::to_string(&request)
        .and_then(RawValue::from_string)
        .map_err(|_| Problem::internal())?;
    let submission = Submission {
        event_type: EventType::AttestationCreated,
        did,
        payload,
        priority: None,
        event_id,
    };
    let (accepted, ended) = app.node.pipeline.submit_and_wait(submission, PATIENCE).await?;
    let status = match (accepted.receipt, ended) {
        (_, Some(Ended::Dead { reason })) => {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "given_up", reason));
        }
        (_, Some(Ended::Applied)) => "applied",
        // Not applied yet, or not in this life of the server: it is on disk.
        (receipt, None) => word(receipt),
    };
    // A target that is not known yet has no conviction; the attestation waits for it.
    let conviction = app.answers.conviction(&request.target_uri, None, false).await.ok();
    let answer = json!({
        "status": status,
        "attestation_uri": request.uri,
        "conviction": conviction.map(|(_, c)| self::conviction(&c)),
    });
    let code = if status == "enqueued" { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((code, Json(answer)))
}
