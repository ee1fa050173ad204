//! What several methods show, as `net.rhiz.*.defs` describe it.

use crate::answers::{Answers, Entity, HopAnswer, NoAnswer, PathAnswer};
use jiff::Timestamp;
use rhiz_domain::{Did, syntax::format_datetime};
use rhiz_graph::{Conviction, formula};
use serde::Serialize;

/// The protocol's handle of those who have none.
const NO_HANDLE: &str = "handle.invalid";

/// 0.0–1.0 as 0–100, rounded half up. Twelve decimals count: what floats do behind them must not
/// turn a half into less than one.
pub(super) fn percent(fraction: f64) -> u8 {
    formula::rounded((fraction * 1e12).round() / 1e10)
}

/// A difference of −1.0–1.0 and beyond in hundredths, rounded half up as [`percent`] does.
pub(super) fn signed_percent(fraction: f64) -> i32 {
    // Saturating; what is told here is far from either end.
    ((fraction * 1e12).round() / 1e10 + 0.5).floor() as i32
}

/// A number in thousandths, rounded half up as [`percent`] does.
pub(super) fn thousandths(number: f64) -> i32 {
    ((number * 1e12).round() / 1e9 + 0.5).floor() as i32
}

/// `net.rhiz.entity.defs#entityView`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntityView {
    did: String,
    handle: String,
    display_name: String,
    entity_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bio: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    verified: bool,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

impl From<Entity> for EntityView {
    fn from(entity: Entity) -> Self {
        // Required by the lexicon; of somebody whom nothing dated names there is no better one.
        let created = entity.created_at.or(entity.updated_at).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            did: entity.did,
            handle: entity.handle.unwrap_or_else(|| NO_HANDLE.to_owned()),
            display_name: entity.name.unwrap_or_default(),
            entity_type: entity.entity_type,
            bio: entity.bio,
            avatar_url: entity.avatar_url,
            verified: entity.verified,
            created_at: format_datetime(created),
            updated_at: entity.updated_at.map(format_datetime),
        }
    }
}

/// `net.rhiz.conviction.defs#convictionView`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConvictionView {
    score: u8,
    attestation_count: u32,
    verify_count: u32,
    dispute_count: u32,
    strengthen_count: u32,
    weaken_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated: Option<String>,
    trend: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_attester_reputation: Option<u8>,
}

impl From<&Conviction> for ConvictionView {
    fn from(c: &Conviction) -> Self {
        let updated = c.last_updated.and_then(|us| Timestamp::from_microsecond(us).ok());
        Self {
            score: c.score,
            attestation_count: c.attestation_count,
            verify_count: c.verify_count,
            dispute_count: c.dispute_count,
            strengthen_count: c.strengthen_count,
            weaken_count: c.weaken_count,
            last_updated: updated.map(format_datetime),
            trend: c.trend.as_str(),
            top_attester_reputation: c.top_attester_reputation.map(percent),
        }
    }
}

/// `net.rhiz.graph.defs#pathView`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PathView {
    from: String,
    to: String,
    hops: Vec<HopView>,
    total_strength: u8,
    distance: usize,
}

/// `net.rhiz.graph.defs#hopView`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HopView {
    from: String,
    to: String,
    relationship_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    relationship_cid: Option<String>,
    strength: u8,
}

impl PathView {
    /// A path between two, with the versions of its records.
    pub(super) async fn new(
        answers: &Answers,
        from: &Did,
        to: &Did,
        path: PathAnswer,
    ) -> Result<Self, NoAnswer> {
        let (from, to) = (from.to_string(), to.to_string());
        let mut hops = Vec::with_capacity(path.hops.len());
        for hop in path.hops {
            let HopAnswer { from, to, relationship_uri, strength, .. } = hop;
            let relationship_cid = answers.relationship_cid(&relationship_uri).await?;
            hops.push(HopView { from, to, relationship_uri, relationship_cid, strength });
        }
        let total_strength = percent(path.total_strength);
        Ok(Self { from, to, distance: hops.len(), hops, total_strength })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_rounded_the_same_way_below_nothing() {
        let cases = [(0.0, 0), (0.285, 29), (-0.004, 0), (-0.005, 0), (-0.0051, -1), (-1.2, -120)];
        for (fraction, whole) in cases {
            assert_eq!(signed_percent(fraction), whole, "{fraction}");
        }
        assert_eq!((signed_percent(f64::NAN), signed_percent(1e30)), (0, i32::MAX));
    }

    #[test]
    fn halves_go_up_whatever_floats_make_of_them() {
        let cases =
            [(0.0, 0), (0.004_999, 0), (0.005, 1), (0.285, 29), (0.5 * 0.57, 29), (0.284_99, 28)];
        for (fraction, whole) in cases {
            assert_eq!(percent(fraction), whole, "{fraction}");
        }
        for n in 0..=100u8 {
            assert_eq!(percent(f64::from(n) / 100.0), n);
            assert_eq!(percent((f64::from(n) - 0.5) / 100.0), n);
        }
    }

    #[test]
    fn whom_nothing_is_known_of_still_has_all_that_the_lexicon_requires() {
        let view = EntityView::from(Entity {
            did: "did:plc:a".into(),
            entity_type: "person".into(),
            handle: None,
            name: None,
            bio: None,
            avatar_url: None,
            verified: false,
            profile_uri: None,
            profile_cid: None,
            created_at: None,
            updated_at: None,
        });
        assert_eq!(
            serde_json::to_string(&view).unwrap(),
            r#"{"did":"did:plc:a","handle":"handle.invalid","displayName":"","entityType":"person","verified":false,"createdAt":"1970-01-01T00:00:00.000Z"}"#
        );
    }
}
