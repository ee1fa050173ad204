//! How two people are connected.

use super::{Answers, AsOf, NoAnswer, kept};
use rhiz_cache::{Computed, key::part};
use rhiz_domain::{AtUri, Collection, Did, EntityId, RecordKey};
use rhiz_graph::{Path, PathError, PathQuery};
use serde::{Deserialize, Serialize};

pub use rhiz_graph::Algorithm;

/// A question for paths, as its author put it.
#[derive(Debug, Clone)]
pub struct PathQuestion {
    /// A DID or handle.
    pub from: String,
    /// A DID or handle.
    pub to: String,
    /// 1–10; the configured default when not said.
    pub max_hops: Option<i64>,
    /// 0.0–1.0; the configured default when not said.
    pub min_strength: Option<f64>,
    /// The types a hop may have; all when not said.
    pub kinds: Option<Vec<String>>,
    /// DIDs that may not be on the path.
    pub exclude: Vec<String>,
    /// What is better.
    pub algorithm: Algorithm,
    /// How many paths at most, 1–10.
    pub k: i64,
    /// Computes anew, whatever is cached.
    pub refresh: bool,
}

/// One hop.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HopAnswer {
    /// Whose hand.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The record.
    pub relationship_uri: String,
    /// 0–100.
    pub strength: u8,
    /// t, 0.0–1.0.
    pub trust: f64,
    /// The record's type.
    pub kind: String,
}

/// One path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PathAnswer {
    /// At least one.
    pub hops: Vec<HopAnswer>,
    /// The product of the hops' trust.
    pub total_strength: f64,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Paths {
    /// DID of the start.
    pub from: Did,
    /// DID of the end.
    pub to: Did,
    /// Best first, at least one.
    pub paths: Vec<PathAnswer>,
    /// What they are of: there may be better ones by now.
    pub of: AsOf,
}

/// What would have to be relaxed for there to be a path; each on its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Relaxed {
    /// With this lower strength.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_strength: Option<f64>,
    /// With so many hops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hops: Option<u8>,
}

/// What is kept of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    /// Between whom.
    ends: [String; 2],
    of: AsOf,
    found: Found,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Found {
    Paths(Vec<PathAnswer>),
    None(Relaxed),
}

impl Answers {
    /// The best paths between two. That there is none is [`NoAnswer::NoPath`].
    pub async fn paths(&self, question: PathQuestion) -> Result<Paths, NoAnswer> {
        let (from, from_did) = self.find(&question.from, "from").await?;
        let (to, to_did) = self.find(&question.to, "to").await?;
        let query = self.path_query(&question, from, to)?;
        let key = key(&query, &from_did, &to_did, self.as_of().day, &question.exclude);
        let compute = || self.find_paths(query.clone(), [from_did.clone(), to_did.clone()]);
        let ends = [from_did.as_str(), to_did.as_str()];
        let valid = |kept: &Kept| kept.ends == ends && self.still_holds(kept);
        let kept = self.kept_if(&key, question.refresh, valid, compute).await?;
        match &kept.found {
            Found::Paths(paths) => {
                Ok(Paths { from: from_did, to: to_did, paths: paths.clone(), of: kept.of })
            }
            Found::None(relaxed) => Err(NoAnswer::NoPath(*relaxed, kept.of)),
        }
    }

    pub(super) fn path_query(
        &self,
        question: &PathQuestion,
        from: EntityId,
        to: EntityId,
    ) -> Result<PathQuery, NoAnswer> {
        if from == to {
            let message = "from and to are the same: a path needs two different ends";
            return Err(NoAnswer::invalid("to", message));
        }
        let defaults = &self.node.config.graph;
        let max_hops = question.max_hops.unwrap_or(i64::from(defaults.max_hops));
        let Some(max_hops) = u8::try_from(max_hops).ok().filter(|n| (1..=10).contains(n)) else {
            let message = format!("{max_hops} is not a whole number from 1 to 10");
            return Err(NoAnswer::invalid("max_hops", message));
        };
        let min_strength = question.min_strength.unwrap_or(defaults.min_strength);
        if !(0.0..=1.0).contains(&min_strength) {
            let message = format!("{min_strength} is not a number from 0 to 1");
            return Err(NoAnswer::invalid("min_strength", message));
        }
        let Some(k) = usize::try_from(question.k).ok().filter(|k| (1..=10).contains(k)) else {
            let message = format!("{} is not a whole number from 1 to 10", question.k);
            return Err(NoAnswer::invalid("k", message));
        };
        const MOST: usize = 100;
        for (field, given) in [
            ("exclude_entities", question.exclude.len()),
            ("relationship_types", question.kinds.as_ref().map_or(0, Vec::len)),
        ] {
            if given > MOST {
                let message = format!("{given} are given; at most {MOST} are allowed");
                return Err(NoAnswer::invalid(field, message));
            }
        }
        let mut exclude = Vec::new();
        for did in &question.exclude {
            let did = Did::parse(did)
                .map_err(|e| NoAnswer::invalid("exclude_entities", e.to_string()))?;
            // Who is not known is on no path anyway.
            exclude.extend(self.node.graph.find(did.as_str()));
        }
        let kinds = question.kinds.clone();
        Ok(PathQuery {
            from,
            to,
            max_hops,
            min_strength,
            kinds,
            exclude,
            algorithm: question.algorithm,
            k,
        })
    }

    async fn find_paths(
        &self,
        query: PathQuery,
        ends: [Did; 2],
    ) -> Result<Computed<Kept>, NoAnswer> {
        // Before it is computed: an answer is never older than it says.
        let of = self.as_of();
        let answers = self.clone();
        let search = self.explore(move |node, turn| {
            let mut go_on = || turn.go_on(node);
            match node.graph.find_paths(&query, &mut go_on) {
                Ok(paths) if paths.is_empty() => {
                    let relax = node.graph.relax(&query, &mut go_on);
                    Ok(Found::None(Relaxed {
                        min_strength: relax.min_strength,
                        max_hops: relax.max_hops,
                    }))
                }
                Ok(paths) => Ok(Found::Paths(paths.iter().map(|p| answers.path(p)).collect())),
                Err(PathError::TimeLimit) => Err(NoAnswer::TimeLimit(turn.limit())),
                Err(PathError::SameEnds) => Err(NoAnswer::invalid("to", "it is the same as from")),
                Err(PathError::UnknownEntity(id)) => {
                    Err(NoAnswer::UnknownEntity(answers.did_text(id).to_string()))
                }
                Err(PathError::OutOfRange { field, allowed }) => {
                    Err(NoAnswer::invalid(field, format!("it has to be {allowed}")))
                }
            }
        });
        let found = search.await??;
        let mut tags: Vec<String> = ends.iter().map(|d| kept::of_person(d.as_str())).collect();
        let found_ends = ends.map(|end| end.to_string());
        let kept = |found| Kept { ends: found_ends, of, found };
        Ok(match &found {
            Found::Paths(paths) => {
                let people = paths.iter().flat_map(|p| &p.hops).map(|hop| kept::of_person(&hop.to));
                tags.extend(people);
                tags.sort_unstable();
                tags.dedup();
                Computed::new(kept(found)).tags(tags).ttl(kept::PATH)
            }
            Found::None(_) => Computed::new(kept(found)).tags(tags).ttl(kept::NONE).none(),
        })
    }

    pub(super) fn path(&self, path: &Path) -> PathAnswer {
        let hop = |hop: &rhiz_graph::Hop| HopAnswer {
            from: self.did_text(hop.from).to_string(),
            to: self.did_text(hop.to).to_string(),
            relationship_uri: self.relationship_uri(hop.key),
            strength: hop.strength,
            trust: hop.trust,
            kind: hop.kind.to_string(),
        };
        PathAnswer {
            hops: path.hops.iter().map(hop).collect(),
            total_strength: path.total_strength,
        }
    }

    /// Whether every hop of a kept path is still what it was: never served otherwise.
    fn still_holds(&self, kept: &Kept) -> bool {
        let Found::Paths(paths) = &kept.found else { return true };
        let graph = &self.node.graph;
        paths.iter().flat_map(|p| &p.hops).all(|hop| {
            let now = AtUri::parse(&hop.relationship_uri)
                .ok()
                .and_then(|uri| {
                    let rkey = Collection::Relationship.parse_rkey(uri.rkey()).ok()?;
                    Some(RecordKey { owner: graph.find(uri.did().as_str())?, rkey })
                })
                .and_then(|key| graph.hop(key));
            now.is_some_and(|(strength, trust)| {
                strength == hop.strength && (trust - hop.trust).abs() < 1e-9
            })
        })
    }
}

/// Every parameter that changes the answer.
fn key(q: &PathQuery, from: &Did, to: &Did, day: i32, exclude: &[String]) -> String {
    let mut key = format!(
        "graph:path:{}:{}:{}:{}:{}:{:?}:{day}",
        part(from.as_str()),
        part(to.as_str()),
        q.max_hops,
        q.min_strength,
        q.k,
        q.algorithm
    );
    if let Some(kinds) = &q.kinds {
        kept::list(&mut key, "type", kinds);
    }
    kept::list(&mut key, "without", exclude);
    key
}
