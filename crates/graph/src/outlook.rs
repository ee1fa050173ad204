//! What lies ahead of a relationship, and who could begin one.

use crate::formula;
use crate::graph::Graph;
use crate::search::{Path, PathError, PathQuery};
use crate::web::CLOSED;
use rhiz_domain::fact::{Day, EntityId, RecordKey};

/// A relationship that will fade below a threshold if nothing happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtRisk {
    /// The record that is the edge now.
    pub key: RecordKey,
    /// The counterpart.
    pub counterpart: EntityId,
    /// t today, 0.0–1.0.
    pub trust: f64,
    /// The first day on which its t is below the threshold.
    pub on: Day,
}

/// A way to somebody, through somebody who would open the door.
#[derive(Debug, Clone, PartialEq)]
pub struct Introduction {
    /// Who would introduce.
    pub through: EntityId,
    /// How willing they are: what they state about the asking one, or would state, 0.0–1.0.
    pub willingness: f64,
    /// willingness · the trust of the hops beyond them.
    pub score: f64,
    /// The whole way.
    pub path: Path,
}

/// Paths that can be asked for at once.
const MOST_PATHS: usize = 10;

impl Graph {
    /// Relationships of an entity whose edge is at `threshold` (0.0–1.0) or above today and falls
    /// below it within `days`, by age alone; the soonest first, then by trust. `None` when the
    /// entity does not exist for the public.
    #[must_use]
    pub fn at_risk(&self, id: EntityId, threshold: f64, days: u32) -> Option<Vec<AtRisk>> {
        if !self.exists(id) {
            return None;
        }
        let web = self.web.load_full();
        let state = self.state.read();
        let (facts, derived) = (&state.facts, &state.derived);
        let mut found: Vec<AtRisk> = web
            .edges(id.0)
            .iter()
            .filter(|half| half.cost() != CLOSED)
            .filter_map(|half| {
                let (lo, hi) = (id.0.min(half.neighbour()), id.0.max(half.neighbour()));
                let slot = web.edge(lo, hi)?.slot;
                let r = facts.record(slot);
                let trust = derived.trust[slot as usize].value();
                let last = r.last_interaction()?;
                if r.pair == crate::facts::NONE || trust < threshold {
                    return None;
                }
                let [s, _, v, g, m] = derived.factors(facts, slot);
                let age = formula::days_between(last, derived.day);
                let below = |ahead: u32| {
                    let d =
                        formula::freshness(Some(last), last.saturating_add((age + ahead) as i32));
                    formula::trust(s, d, v, g, m).value() < threshold
                };
                // It only falls: the first day below, by halving.
                if !below(days) {
                    return None;
                }
                let (mut not_yet, mut then) = (0, days);
                while then - not_yet > 1 {
                    let middle = not_yet + (then - not_yet) / 2;
                    if below(middle) { then = middle } else { not_yet = middle }
                }
                Some(AtRisk {
                    key: r.key(),
                    counterpart: EntityId(half.neighbour()),
                    trust,
                    on: derived.day + then as i32,
                })
            })
            .collect();
        found.sort_by(|a, b| {
            a.on.cmp(&b.on).then(a.trust.total_cmp(&b.trust)).then_with(|| {
                let (x, y) = (a.key, b.key);
                facts.compare_authorities(x.owner.0, y.owner.0).then(x.rkey.cmp(&y.rkey))
            })
        });
        Some(found)
    }

    /// Who could introduce `query.from` to `query.to`: the `k` best paths of two hops and more,
    /// ranked with the willingness of the first one on the way. Best first.
    pub fn introductions(
        &self,
        query: &PathQuery,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Introduction>, PathError> {
        // One more than asked for: the one path without anybody on it needs no introduction.
        let more = PathQuery { k: (query.k + 1).min(MOST_PATHS), ..query.clone() };
        let mut found: Vec<Introduction> = self
            .find_paths(&more, go_on)?
            .into_iter()
            .filter(|path| path.hops.len() > 1)
            .filter_map(|path| {
                let through = path.hops[0].to;
                let said = self.predict(through, query.from)?;
                let willingness = said.stated.unwrap_or(said.estimate);
                let beyond: f64 = path.hops[1..].iter().map(|hop| hop.trust).product();
                Some(Introduction { through, willingness, score: willingness * beyond, path })
            })
            .collect();
        // Stable: of equal ones, the better path stays first.
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(query.k);
        Ok(found)
    }
}
