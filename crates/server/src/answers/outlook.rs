//! What is to be expected: predictions, what fades, who could introduce.

use super::{Answers, NoAnswer, PathAnswer, PathQuestion};
use rhiz_domain::{Did, fact::Day};
use rhiz_graph::{PathError, Prediction, RiskPlace, RiskQuery};

/// A relationship that will fade, with names.
#[derive(Debug, Clone)]
pub(crate) struct Fading {
    pub(crate) relationship_uri: String,
    pub(crate) counterpart: String,
    pub(crate) trust: f64,
    /// The first day below the threshold, days since 1970.
    pub(crate) on: Day,
}

/// A page of them.
#[derive(Debug, Clone)]
pub(crate) struct FadingPage {
    /// The soonest first.
    pub(crate) relationships: Vec<Fading>,
    /// Where it ends, if there are more.
    pub(crate) next: Option<RiskPlace>,
}

/// A way to be introduced, with names.
#[derive(Debug, Clone)]
pub(crate) struct Introduction {
    pub(crate) through: String,
    pub(crate) willingness: f64,
    pub(crate) score: f64,
    pub(crate) path: PathAnswer,
}

impl Answers {
    /// What `from` would state about `to`.
    pub(crate) async fn predict(
        &self,
        from: &str,
        to: &str,
    ) -> Result<(Did, Did, Prediction), NoAnswer> {
        let (a, from_did) = self.find(from, "from").await?;
        let (b, to_did) = self.find(to, "to").await?;
        if a == b {
            return Err(NoAnswer::invalid("to", "it is the same as from"));
        }
        let prediction = self.node.graph.predict(a, b);
        let prediction = prediction.ok_or_else(|| NoAnswer::UnknownEntity(to.to_owned()))?;
        Ok((from_did, to_did, prediction))
    }

    /// Relationships whose trust falls below a threshold within some days, the soonest first.
    pub(crate) async fn at_risk(
        &self,
        of: &str,
        query: RiskQuery,
    ) -> Result<(Did, FadingPage), NoAnswer> {
        let (id, did) = self.find(of, "did").await?;
        let page = self.compute(move |node| {
            let found = node.graph.at_risk(id, &query)?;
            let this = Self::new(node.clone());
            let named = found.list.into_iter().map(|f| Fading {
                relationship_uri: this.relationship_uri(f.key),
                counterpart: this.did_text(f.counterpart).to_string(),
                trust: f.trust,
                on: f.on,
            });
            Some(FadingPage { relationships: named.collect(), next: found.next })
        });
        let page = page.await?.ok_or_else(|| NoAnswer::UnknownEntity(of.to_owned()))?;
        Ok((did, page))
    }

    /// Who could introduce one to another, best first.
    pub(crate) async fn introductions(
        &self,
        question: PathQuestion,
    ) -> Result<(Did, Did, Vec<Introduction>), NoAnswer> {
        let (from, from_did) = self.find(&question.from, "from").await?;
        let (to, to_did) = self.find(&question.to, "to").await?;
        let query = self.path_query(&question, from, to)?;
        let found = self
            .explore(move |node, turn| {
                let found = node.graph.introductions(&query, &mut || turn.go_on(node));
                found.map_err(|error| (error, turn.limit()))
            })
            .await?;
        let found = found.map_err(|(error, limit)| match error {
            PathError::TimeLimit => NoAnswer::TimeLimit(limit),
            PathError::SameEnds => NoAnswer::invalid("to", "it is the same as from"),
            PathError::UnknownEntity(id) => NoAnswer::UnknownEntity(self.did_text(id).to_string()),
            PathError::OutOfRange { field, allowed } => {
                NoAnswer::invalid(field, format!("it has to be {allowed}"))
            }
        })?;
        let named = found.into_iter().map(|i| Introduction {
            through: self.did_text(i.through).to_string(),
            willingness: i.willingness,
            score: i.score,
            path: self.path(&i.path),
        });
        Ok((from_did, to_did, named.collect()))
    }
}
