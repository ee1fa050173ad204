//! What follows a commit: the graph, then what is kept of answers, in rankings and in the cache.
//!
//! Law: changes are applied in the order of their commits, first to the graph, then to what is
//! kept; and an event counts as done only after both. So an answer computed from the old graph cannot
//! outlive the clearing that follows: a computation that began before the clearing is hidden by
//! it, and one that begins after it sees the new graph.
//!
//! A crash loses nothing of this: the graph is loaded from the store at the next start, and the
//! cache of this process is gone with it.
//!
//! A graph that panics over a change has it half, and every later one not at all. Then nothing is
//! said to be applied any more, and the process ends with an error: the next start loads all of it.

use crate::answers::{Rankings, kept};
use async_trait::async_trait;
use rhiz_domain::{
    Change, ChangeSet, Clock, Collection, EntityId,
    cache::{Invalidation, Target},
    store::ChangeReceiver,
};
use rhiz_graph::{Affected, Graph};
use rhiz_pipeline::{Applied, Downstream};
use std::{
    any::Any,
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// How far the graph and the cache are.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    change: u64,
    graph: Duration,
    cache: Duration,
}

/// The thread that applies what was committed.
pub struct Replica {
    reached: watch::Receiver<Reached>,
    broken: watch::Receiver<Option<String>>,
}

impl Replica {
    /// Starts it; `tell` is told what has become invalid, once the graph holds the change. It ends
    /// when the store is closed.
    pub fn start(
        changes: ChangeReceiver,
        graph: Arc<Graph>,
        rankings: Arc<Rankings>,
        mut tell: impl FnMut(&Invalidation) + Send + 'static,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (reaches, reached) =
            watch::channel(Reached { change: graph.version(), ..Reached::default() });
        let (breaks, broken) = watch::channel(None);
        std::thread::Builder::new().name("replica".into()).spawn(move || {
            while let Ok(set) = changes.recv() {
                let applied = catch_unwind(AssertUnwindSafe(|| {
                    apply((&graph, &rankings), &set, &mut tell, &*clock)
                }));
                match applied {
                    Ok(reached) => _ = reaches.send_replace(reached),
                    Err(panic) => {
                        let words = words(&*panic);
                        tracing::error!(change = set.seq, panic = words, "the graph is broken");
                        breaks.send_replace(Some(format!("change {}: {words}", set.seq)));
                        return;
                    }
                }
            }
        })?;
        Ok(Self { reached, broken })
    }

    /// What broke it, if it is broken.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    /// Waits until it breaks; answers with what broke it.
    pub async fn breaks(&self) -> String {
        let mut broken = self.broken.clone();
        match broken.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            // It has ended well, with its store.
            Err(_) => std::future::pending().await,
        }
    }

    /// The number of the last change that is in every answer.
    #[must_use]
    pub fn change(&self) -> u64 {
        self.reached.borrow().change
    }
}

#[async_trait]
impl Downstream for Replica {
    async fn reached(&self, change: u64) -> Applied {
        let mut reached = self.reached.clone();
        let applied = reached.wait_for(|r| r.change >= change).await;
        match applied.map(|r| Applied { graph: r.graph, cache: r.cache }) {
            Ok(applied) => applied,
            // It is not applied in this life.
            Err(_) if self.broken().is_some() => std::future::pending().await,
            // The store is closed; the next start loads the graph anew.
            Err(_) => Applied::default(),
        }
    }
}

/// Brings a set of changes into the graph, and tells what it made invalid.
fn apply(
    (graph, rankings): (&Graph, &Rankings),
    set: &ChangeSet,
    tell: &mut impl FnMut(&Invalidation),
    clock: &dyn Clock,
) -> Reached {
    let started = clock.elapsed();
    let someone_returns = someone_returns(graph, set);
    let affected = graph.apply(set);
    let applied = clock.elapsed();
    rankings.tell(set.seq, &affected.entities);
    let mut targets = targets(graph, set, &affected);
    if someone_returns {
        // Any kept path may be the worse one now, and no tag of it tells.
        targets.push(Target::Pattern("graph:path:*".into()));
    }
    tell(&Invalidation { seq: set.seq, targets });
    let cleared = clock.elapsed();
    Reached {
        change: set.seq,
        graph: applied.saturating_sub(started),
        cache: cleared.saturating_sub(applied),
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// Whether the account of somebody who was hidden is active again. To be asked before the set is
/// applied.
fn someone_returns(graph: &Graph, set: &ChangeSet) -> bool {
    set.changes.iter().any(|change| {
        matches!(change, Change::Entity(fact) if fact.active
            && graph.find(fact.did.as_str()).is_some_and(|id| !graph.exists(id)))
    })
}

/// Convictions named one by one in an invalidation; more of them are all of them. (Somebody who
/// attested of thousands has another standing.)
const MOST_CONVICTIONS: usize = 1000;

/// What a set of changes makes invalid: what the graph says it may have altered, and what is made
/// of the rows that the changes are of. Which tags answers carry: [`kept`].
fn targets(graph: &Graph, set: &ChangeSet, affected: &Affected) -> Vec<Target> {
    let mut people: HashSet<EntityId> = affected.entities.iter().copied().collect();
    let mut identities: HashSet<EntityId> = HashSet::new();
    for change in &set.changes {
        match change {
            Change::Entity(fact) => {
                people.insert(fact.id);
            }
            Change::Relationship(fact) => {
                people.extend([fact.key.owner, fact.subject]);
            }
            Change::Attestation(fact) => {
                people.extend([fact.key.owner, fact.target.owner]);
            }
            Change::RelationshipGone(key) | Change::AttestationGone(key) => {
                people.insert(key.owner);
            }
            // Of what the graph knows nothing of: a profile's text, an identity, a request.
            Change::Touched(id) => {
                people.insert(*id);
                identities.insert(*id);
            }
        }
    }
    let named = |ids: HashSet<EntityId>, tag: fn(&str) -> String| {
        let dids = ids.into_iter().filter_map(|id| graph.did(id));
        dids.map(move |did| Target::Tag(tag(did.as_str())))
    };
    let mut targets: Vec<Target> = named(people, kept::of_person).collect();
    targets.extend(named(identities, kept::identity));
    if affected.convictions.len() > MOST_CONVICTIONS {
        targets.extend(["conviction:*", "graph:neighbors:*"].map(|p| Target::Pattern(p.into())));
        return targets;
    }
    let mut attested: HashSet<EntityId> = HashSet::new();
    for &key in &affected.convictions {
        if let Some(owner) = graph.did(key.owner) {
            let uri = Collection::Relationship.uri(owner.as_str(), key.rkey);
            targets.push(Target::Tag(kept::conviction(&uri)));
        }
        // One that is gone is nobody's edge any more: its people are among those affected.
        attested.extend(graph.participants(key).into_iter().flatten());
    }
    targets.extend(named(attested, kept::attested));
    targets
}
