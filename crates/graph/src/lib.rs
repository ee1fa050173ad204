//! Edges, paths, trust and conviction: what all live statements amount to.
//!
//! Pure: no I/O, no clock of its own. [`Graph`] is fed with facts and answers for one day.

mod audit;
#[cfg(test)]
mod between;
mod conviction;
mod derived;
mod explain;
mod facts;
mod first;
pub mod formula;
mod graph;
mod learned;
mod neighbours;
mod outlook;
mod parallel;
mod predict;
mod ranking;
mod search;
mod state;
mod stats;
mod trust;
mod web;

pub use audit::{Digest, Part};
pub use conviction::{
    AttestationView, Conviction, ConvictionExplained, Factors, RelationshipView, Trend,
};
pub use explain::{Addend, Mover, TrustExplained};
pub use graph::{Affected, Graph};
pub use neighbours::{Neighbour, NeighbourQuery, Neighbours};
pub use outlook::{AtRisk, Introduction, RiskPlace, RiskQuery, Risks};
pub use predict::Prediction;
pub use ranking::{Ranking, Reached};
pub use search::{Algorithm, Hop, Path, PathError, PathQuery, Relax};
pub use stats::{Memory, Stats};
pub use trust::{Recommendation, TrustHealth, TrustLevel, TrustMetrics};
