//! What is kept of answers, and what makes it invalid.
//!
//! The law (promise 1 of the cache): once an event is applied, no answer comes from a value
//! computed before it, but for the lags that are named below. So each kept value carries tags, and
//! [`crate::replica`] tells the cache the tags of what a commit may have altered. Which that is
//! the graph says ([`rhiz_graph::Affected`]): it follows a change through every formula anyway.
//!
//! | answer | is made of | tags | may lag in |
//! |---|---|---|---|
//! | paths | the edges on it | every DID on it; its hops are looked up before it is served | a better path elsewhere (1 h), one where there was none (10 s) |
//! | neighbours of X | the edges of X's pairs; the conviction of the record that is each edge | `X`, `attested:X` | nothing |
//! | trust of X | the tally of X: what is stated between X and each counterpart, its backing and trust | `X` | the network part: N₂ of the counterparts (24 h) |
//! | conviction of R | attestations on R, standing and account of each attester, who takes part, R's visibility | R's URI | nothing |
//! | entity X | its rows in the store: profile, handle, dates of what names it | `X` | nothing |
//! | identity of X | X's DID document and handle, elsewhere on the network | `identity:X` | what no event told (7 days) |
//!
//! How far a single event reaches, from the formulas:
//! - A relationship between A and B: tally, edges and standing of both. If it makes or ends their
//!   mutuality, A becomes or ceases to be an acquaintance of B: backing, edge and tallies of every
//!   relationship of B that A attested, and the other way round.
//! - A standing that changes: the conviction of everything that person attested; and, where they
//!   are an acquaintance, backing, edge and tallies of it.
//! - An attestation: conviction, backing, edge, the tallies of both participants, and (the dates)
//!   the attester and the owner as entities.
//! - An account's status: all of the above for all that the person stated or attested.
//!
//! All answers but entities and identities are of a day, which is part of their key. Who asks is
//! part of no key: what depends on the viewer is decided after the lookup, from what is kept.
//! Who is not known is not looked up in the cache at all: the graph knows as fast.

use super::{Answers, NoAnswer};
use rhiz_cache::{
    Cacheable, Call, Computed,
    key::{MAX_KEY_BYTES, part},
};
use std::{fmt::Write, sync::Arc, time::Duration};

/// Time to live of a path found; a better one may have appeared meanwhile.
pub(super) const PATH: Duration = Duration::from_secs(3600);
/// Time to live of "there is none".
pub(crate) const NONE: Duration = Duration::from_secs(10);
/// Time to live of a page of neighbours.
pub(super) const NEIGHBOURS: Duration = Duration::from_secs(3600);
/// Time to live of a trust score: so long its network part may lag.
pub(super) const TRUST: Duration = Duration::from_secs(24 * 3600);
/// Longest time to live of a conviction.
pub(super) const CONVICTION: Duration = Duration::from_secs(3600);
/// Time to live of an entity.
pub(super) const ENTITY: Duration = Duration::from_secs(6 * 3600);

/// Tag of what is made of somebody's records, edges, scores or rows.
pub(crate) fn of_person(did: &str) -> String {
    did.to_owned()
}

/// Tag of what is made of the convictions of somebody's relationships.
pub(crate) fn attested(did: &str) -> String {
    format!("attested:{did}")
}

/// Tag of what is made of somebody's DID document.
pub(crate) fn identity(did: &str) -> String {
    format!("identity:{did}")
}

/// Tag of a relationship's conviction.
pub(crate) fn conviction(uri: &str) -> String {
    uri.to_owned()
}

/// A list as a part of a key: in order, without repetition, no item able to pass for another part.
pub(super) fn list(key: &mut String, name: &str, items: &[String]) {
    let mut items: Vec<&String> = items.iter().collect();
    items.sort_unstable();
    items.dedup();
    // Writing to a String cannot fail.
    let _ = write!(key, ":{name}[{}]", items.len());
    for item in items {
        let _ = write!(key, ":{}", part(item));
    }
}

impl Answers {
    /// The answer under a key, computed and kept if there is none; computed all the same with
    /// `refresh`. What has so many parameters that it is no key is not kept.
    pub(super) async fn kept<T, F, Fut>(
        &self,
        key: &str,
        refresh: bool,
        compute: F,
    ) -> Result<Arc<T>, NoAnswer>
    where
        T: Cacheable,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Computed<T>, NoAnswer>>,
    {
        self.kept_if(key, refresh, |_| true, compute).await
    }

    /// The same; a kept answer is looked at before it is served.
    pub(super) async fn kept_if<T, V, F, Fut>(
        &self,
        key: &str,
        refresh: bool,
        valid: V,
        compute: F,
    ) -> Result<Arc<T>, NoAnswer>
    where
        T: Cacheable,
        V: Fn(&T) -> bool,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Computed<T>, NoAnswer>>,
    {
        // Keys are made of escaped parts: only their length can make them unusable.
        if key.len() > MAX_KEY_BYTES {
            return Ok(Arc::new(compute().await?.value));
        }
        let call = Call::EVENTUAL.refresh(refresh);
        Ok(self.node.cache.get_or_compute_if(key, call, valid, compute).await?)
    }
}

#[cfg(test)]
mod tests;
