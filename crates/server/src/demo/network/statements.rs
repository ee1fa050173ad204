//! What people state about each other and what others say of it: the records on the ties that
//! `network` has drawn.

use std::collections::HashSet;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::super::groups::{EVIDENCE_AGAINST, EVIDENCE_FOR, INTRO_MESSAGES, REFUSALS};
use super::super::people::pick;
use super::super::{ATTESTATION, CONTEXT, INTRO, RELATIONSHIP, datetime};
use super::{DAY, Maker, QUIET, pareto, shared, year};

/// One side's record of a tie.
pub(super) struct Statement {
    owner: usize,
    other: usize,
    uri: String,
    /// Microseconds before `now` at which it was first written.
    written_ago: i64,
    /// Whether the other side states something too.
    mutual: bool,
    strength: i64,
    private: bool,
}

impl Maker {
    /// What they state about each other: one record a side.
    pub(super) fn state(&mut self) -> Vec<Statement> {
        let ties = std::mem::take(&mut self.ties);
        let mut statements = Vec::with_capacity(ties.len() * 2);
        for tie in &ties {
            let kind = tie.why.tie(&mut self.rng, &self.groups);
            let (visibility, consent) = privacy(&mut self.rng);
            let mutual = self.rng.random_bool(0.70);
            // The close were in touch lately; over two years, denser towards today.
            let days = 730.0 * self.rng.random::<f64>().powf(1.8 + 4.0 * tie.closeness);
            let strength = 44.0 + 54.0 * tie.closeness;
            let years = self.rng.random_range(0.2..9.0);
            for (owner, other) in
                [(tie.a, tie.b), (tie.b, tie.a)].into_iter().take(1 + usize::from(mutual))
            {
                let rng = &mut self.rng;
                let strength =
                    (strength + rng.random_range(-9.0..9.0)).round().clamp(5.0, 100.0) as i64;
                let last_ago =
                    ((days * rng.random_range(0.9..1.1) * DAY as f64) as i64).max(2 * QUIET);
                // Written down within two days of the meeting.
                let written_ago = last_ago - rng.random_range(0..(last_ago / 2).min(2 * DAY));
                let earlier = rng.random_bool(0.12).then(|| {
                    let ago = last_ago + rng.random_range(60 * DAY..380 * DAY);
                    (ago, (strength - rng.random_range(5..20)).max(5))
                });
                let created = self.now - earlier.map_or(written_ago, |(ago, _)| ago);
                let start = created - (years * 365.25 * DAY as f64) as i64;
                let sentence =
                    tie.why.sentence(rng, &self.groups, &self.people[other].called, year(start));
                let rkey = self.key();
                let uri = format!("at://{}/{RELATIONSHIP}/{rkey}", self.people[owner].did);
                let mut record = json!({
                    "$type": RELATIONSHIP,
                    "participants": [self.people[owner].did, self.people[other].did],
                    "type": kind,
                    "strength": strength,
                    "context": sentence,
                    "privacy": {"visibility": visibility, "consent": consent},
                    "temporal": {
                        "start": datetime(start),
                        "lastInteraction": datetime(self.now - last_ago),
                    },
                    "createdAt": datetime(created),
                });
                if let Some((ago, before)) = earlier {
                    let mut first = record.clone();
                    first["strength"] = json!(before);
                    first["temporal"]["lastInteraction"] = json!(datetime(created - DAY));
                    self.write(self.now - ago, owner, "create", RELATIONSHIP, rkey.clone(), first);
                    record["temporal"]["history"] = json!([
                        {"timestamp": datetime(created), "strength": before},
                        {"timestamp": datetime(self.now - last_ago), "strength": strength, "event": "in touch again"},
                    ]);
                }
                let operation = if earlier.is_some() { "update" } else { "create" };
                self.write(self.now - written_ago, owner, operation, RELATIONSHIP, rkey, record);
                statements.push(Statement {
                    owner,
                    other,
                    uri,
                    written_ago: earlier.map_or(written_ago, |(ago, _)| ago),
                    mutual,
                    strength,
                    private: visibility == "private",
                });
            }
        }
        statements
    }

    /// What others say of it: mostly those who know one of the two, mostly in favour.
    pub(super) fn attest(&mut self, statements: &[Statement]) {
        for s in statements {
            if s.private {
                continue;
            }
            let rng = &mut self.rng;
            // A refusal: the one who does not own the record says no.
            if !s.mutual && rng.random_bool(0.03) {
                let evidence = pick(rng, REFUSALS);
                let confidence = rng.random_range(80..=100);
                self.attestation(s, s.other, "dispute", confidence, evidence, None);
                continue;
            }
            if !rng.random_bool(0.22) {
                continue;
            }
            let contested = rng.random_bool(0.07);
            let voices = 1 + (pareto(rng, 1.4, 9.0) as usize - 1).min(8);
            let mut heard = HashSet::from([s.owner, s.other]);
            for _ in 0..voices {
                let Some(by) = self.witness(s) else { continue };
                if !heard.insert(by) {
                    continue;
                }
                let rng = &mut self.rng;
                let kind = match (contested, rng.random_range(0..100)) {
                    (false, 0..62) | (true, 0..15) => "verify",
                    (false, 62..91) | (true, 15..22) => "strengthen",
                    (false, 91..97) | (true, 22..55) => "weaken",
                    _ => "dispute",
                };
                let favour = matches!(kind, "verify" | "strengthen");
                let evidence = pick(rng, if favour { EVIDENCE_FOR } else { EVIDENCE_AGAINST });
                let suggested = match kind {
                    "strengthen" => Some((s.strength + rng.random_range(4..15)).min(100)),
                    "weaken" => Some((s.strength - rng.random_range(8..30)).max(0)),
                    _ => None,
                };
                let confidence = rng.random_range(55..=98);
                self.attestation(s, by, kind, confidence, evidence, suggested);
            }
        }
    }

    /// Someone to attest: a common friend, else a friend of one of them, now and then anybody.
    fn witness(&mut self, s: &Statement) -> Option<usize> {
        let rng = &mut self.rng;
        if rng.random_bool(0.08) {
            return Some(rng.random_range(0..self.people.len()));
        }
        let common: Vec<usize> = self.circles[s.owner]
            .iter()
            .copied()
            .filter(|c| self.circles[s.other].contains(c))
            .collect();
        if !common.is_empty() && rng.random_bool(0.7) {
            return common.choose(rng).copied();
        }
        let side = if rng.random_bool(0.5) { s.owner } else { s.other };
        self.circles[side].choose(rng).copied()
    }

    fn attestation(
        &mut self,
        s: &Statement,
        by: usize,
        kind: &str,
        confidence: i64,
        evidence: &str,
        suggested: Option<i64>,
    ) {
        let share = self.rng.random::<f64>().powf(1.5);
        let ago = QUIET + ((s.written_ago - QUIET) as f64 * share) as i64;
        let at = self.now - ago;
        let mut record = json!({
            "$type": ATTESTATION,
            "targetRelationship": s.uri,
            "attester": self.people[by].did,
            "attestationType": kind,
            "confidence": confidence,
        });
        if !evidence.is_empty() {
            record["evidence"] = json!(evidence);
        }
        if let Some(strength) = suggested {
            record["suggestedStrength"] = json!(strength);
            record["targetFields"] = json!(["strength"]);
        }
        record["createdAt"] = json!(datetime(at));
        let rkey = self.key();
        self.write(at, by, "create", ATTESTATION, rkey, record);
    }

    /// Context records on some relationships, and a few requests for an introduction.
    pub(super) fn annotate(&mut self, statements: &[Statement]) {
        for s in statements {
            let group = shared(&self.people[s.owner], &self.people[s.other]);
            let (Some(g), false) = (group, s.private) else {
                continue;
            };
            let rng = &mut self.rng;
            if !rng.random_bool(0.06) {
                continue;
            }
            let kind = self.groups[g].kind;
            let tags: Vec<_> = kind.tags.sample(rng, 2).collect();
            let ago = QUIET + ((s.written_ago - QUIET) as f64 * rng.random::<f64>()) as i64;
            let at = self.now - ago;
            let record = json!({
                "$type": CONTEXT,
                "relationshipUri": s.uri,
                "domain": kind.domain,
                "collaborationType": kind.collaboration,
                "semanticTags": tags,
                "projectNames": [self.groups[g].name],
                "geographicScope": pick(rng, &["local", "regional", "remote"]),
                "confidenceScore": rng.random_range(60..=95),
                "createdAt": datetime(at),
            });
            let rkey = self.key();
            self.write(at, s.owner, "create", CONTEXT, rkey, record);
        }
        let Some(last) = self.people.len().checked_sub(1) else {
            return;
        };
        for _ in 0..self.people.len() / 40 {
            let by = self.rng.random_range(0..=last);
            let rng = &mut self.rng;
            let Some(&friend) = self.circles[by].choose(rng) else {
                continue;
            };
            let Some(&target) = self.circles[friend].choose(rng) else {
                continue;
            };
            if target == by || self.circles[by].contains(&target) {
                continue;
            }
            let at = self.now - rng.random_range(QUIET..90 * DAY);
            let about = &self.groups[self.people[target].groups[0]].name;
            let record = json!({
                "$type": INTRO,
                "requester": self.people[by].did,
                "target": self.people[target].did,
                "intermediary": self.people[friend].did,
                "context": format!("About {about}"),
                "message": pick(rng, INTRO_MESSAGES),
                "status": pick(rng, &["pending", "pending", "accepted", "completed", "declined"]),
                "createdAt": datetime(at),
            });
            let rkey = self.key();
            self.write(at, by, "create", INTRO, rkey, record);
        }
    }
}

/// Visibility and consent: most people do not mind.
fn privacy(rng: &mut StdRng) -> (&'static str, &'static str) {
    match rng.random_range(0..100) {
        0..84 => ("public", "full"),
        84..88 => ("public", "limited"),
        88..94 => ("network", "full"),
        94..97 => ("private", "full"),
        _ => ("public", "anonymous"),
    }
}
