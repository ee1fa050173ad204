//! `net.rhiz.conviction.getScore`

use super::{
    error::Error,
    params::Params,
    views::{ConvictionView, percent, thousandths},
};
use crate::{
    answers::ConvictionAnswer,
    api::{App, etag::Tag},
};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<ExplanationView>,
}

/// `net.rhiz.conviction.defs#weighedView`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WeighedView {
    uri: String,
    attester: String,
    attestation_type: &'static str,
    confidence: u8,
    days: u32,
    standing: u8,
    weight: i32,
}

/// `net.rhiz.conviction.defs#explanationView`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplanationView {
    sum: i32,
    sum_of_absolutes: i32,
    attestations: Vec<WeighedView>,
    others: u32,
    sum_of_others: i32,
}

impl From<ConvictionAnswer> for ExplanationView {
    fn from(ConvictionAnswer { explained, weighed }: ConvictionAnswer) -> Self {
        let weighed = weighed.into_iter().map(|w| WeighedView {
            uri: w.uri,
            attester: w.attester,
            attestation_type: w.view.fact.kind.as_str(),
            confidence: w.view.fact.confidence,
            days: w.view.days,
            standing: percent(w.view.standing),
            weight: thousandths(w.view.weight),
        });
        Self {
            sum: thousandths(explained.sum),
            sum_of_absolutes: thousandths(explained.sum_of_absolutes),
            attestations: weighed.collect(),
            others: explained.others,
            sum_of_others: thousandths(explained.sum_of_others),
        }
    }
}

/// What the network says of a relationship; when asked, what that is made of.
pub(super) async fn get_score(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["uri", "explain", "refresh"])?;
    let (of, refresh) = (params.required("uri")?, params.flag("refresh")?);
    let explain = params.flag("explain")?;
    let tag = Tag::now(&app);
    let (uri, conviction) = app.answers.conviction(of, None, refresh).await?;
    if let Some(unchanged) = tag.unchanged(&headers).filter(|_| !refresh) {
        return Ok(unchanged);
    }
    if explain {
        let (uri, told) = app.answers.explain_conviction(of, None).await?;
        let conviction = (&told.explained.conviction).into();
        return Ok(tag.json(Answer { uri, conviction, explanation: Some(told.into()) }));
    }
    Ok(tag.json(Answer { uri, conviction: (&conviction).into(), explanation: None }))
}
