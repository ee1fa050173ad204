//! A store that fails on command, at named points.

use async_trait::async_trait;
use jiff::Timestamp;
use rhiz_domain::{
    Collection, EntityId, Event, EventId, Pause, Paused, Tid,
    store::{
        Act, AppendError, AuditPage, ChangeReceiver, Claimed, Counts, DeadFilter, DeadPage,
        DeadSelection, Depths, EntityRow, Facts, Index, Intake, Journal, Leased, Moved, Progress,
        Quota, Rebuild, Rebuilt, Receipt, RecordRow, SettleError, Settlement, Store, StoreError,
        Unusable, Verdict, Whereabouts,
    },
};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Where a store can be made to fail.
pub enum Point<'a> {
    /// Before anything of an intake is stored.
    Append(&'a Intake),
    /// Before anything is claimed.
    Claim,
    /// Before anything of a settlement is carried out.
    Settlement,
    /// Before a lease is told that its holder lives.
    Beat(&'a Event),
    /// Before a verdict is carried out; a failure here fails the whole settlement.
    Settle(&'a Event, &'a Verdict),
    /// Before a step of a replay or a discard does anything.
    Act,
}

/// Decides whether a point fails.
pub type Plan = Arc<dyn Fn(Point<'_>) -> Option<StoreError> + Send + Sync>;

/// Another store, and a plan for its failures.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Arc<Mutex<Plan>>,
    held: watch::Sender<bool>,
}

impl FaultyStore {
    /// Fails nowhere yet.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let plan: Plan = Arc::new(|_| None);
        Self { inner, plan: Arc::new(Mutex::new(plan)), held: watch::Sender::new(false) }
    }

    /// Whether accepting comes to a standstill, as on a disk that takes long over a flush.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// From now on fails where `plan` says.
    pub fn fail(&self, plan: impl Fn(Point<'_>) -> Option<StoreError> + Send + Sync + 'static) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
    }

    /// Fails no more.
    pub fn heal(&self) {
        self.fail(|_| None);
    }

    fn at(&self, point: Point<'_>) -> Result<(), StoreError> {
        at(&self.plan, point)
    }
}

fn at(plan: &Mutex<Plan>, point: Point<'_>) -> Result<(), StoreError> {
    let plan = Arc::clone(&*plan.lock().unwrap_or_else(PoisonError::into_inner));
    plan(point).map_or(Ok(()), Err)
}

struct FaultyClaim {
    inner: Box<dyn Claimed>,
    plan: Arc<Mutex<Plan>>,
}

#[async_trait]
impl Claimed for FaultyClaim {
    fn events(&self) -> &[Arc<Event>] {
        self.inner.events()
    }

    fn crashes(&self, index: usize) -> u32 {
        self.inner.crashes(index)
    }

    fn given_up(&self) -> usize {
        self.inner.given_up()
    }

    fn lease(&mut self, index: usize) -> Option<Box<dyn Leased>> {
        let inner = self.inner.lease(index)?;
        Some(Box::new(FaultyLease { inner, plan: Arc::clone(&self.plan) }))
    }

    async fn settle(&mut self, settlements: Vec<Settlement>) -> Result<u64, SettleError> {
        let failure = at(&self.plan, Point::Settlement).err().or_else(|| {
            settlements.iter().find_map(|s| {
                at(&self.plan, Point::Settle(&self.inner.events()[s.index], &s.verdict)).err()
            })
        });
        match failure {
            Some(error) => Err(SettleError { error, settlements }),
            None => self.inner.settle(settlements).await,
        }
    }
}

struct FaultyLease {
    inner: Box<dyn Leased>,
    plan: Arc<Mutex<Plan>>,
}

#[async_trait]
impl Leased for FaultyLease {
    fn event(&self) -> &Arc<Event> {
        self.inner.event()
    }

    fn token(&self) -> u64 {
        self.inner.token()
    }

    async fn beat(&mut self) -> Result<(), StoreError> {
        at(&self.plan, Point::Beat(self.inner.event()))?;
        self.inner.beat().await
    }

    async fn settle(&mut self, settlement: Settlement) -> Result<u64, SettleError> {
        let failure = at(&self.plan, Point::Settlement).err().or_else(|| {
            at(&self.plan, Point::Settle(self.inner.event(), &settlement.verdict)).err()
        });
        match failure {
            Some(error) => Err(SettleError { error, settlements: vec![settlement] }),
            None => self.inner.settle(settlement).await,
        }
    }
}

#[async_trait]
impl Journal for FaultyStore {
    async fn append(&self, intake: Intake) -> Result<Vec<Receipt>, AppendError> {
        // An error means that the store is gone, and with it whoever held it.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        self.at(Point::Append(&intake))?;
        self.inner.append(intake).await
    }
    async fn claim(&self, quota: Quota) -> Result<Option<Box<dyn Claimed>>, StoreError> {
        self.at(Point::Claim)?;
        let claim = self.inner.claim(quota).await?;
        Ok(claim.map(|inner| -> Box<dyn Claimed> {
            Box::new(FaultyClaim { inner, plan: Arc::clone(&self.plan) })
        }))
    }
    async fn wake(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.inner.wake(now).await
    }
    async fn ready(&self) {
        self.inner.ready().await;
    }
    fn depths(&self) -> Depths {
        self.inner.depths()
    }
    async fn pause(&self, pause: Pause, by: &str) -> Result<Paused, StoreError> {
        self.inner.pause(pause, by).await
    }
    fn paused(&self) -> Paused {
        self.inner.paused()
    }
    async fn cursor(&self, source: &str) -> Result<Option<u64>, StoreError> {
        self.inner.cursor(source).await
    }
    async fn find(&self, id: &EventId) -> Result<Option<Whereabouts>, StoreError> {
        self.inner.find(id).await
    }
    async fn dead_letters(&self, filter: DeadFilter) -> Result<DeadPage, StoreError> {
        self.inner.dead_letters(filter).await
    }
    async fn dead_numbers(&self, filter: DeadFilter, after: i64) -> Result<Vec<i64>, StoreError> {
        self.inner.dead_numbers(filter, after).await
    }
    async fn replay(
        &self,
        which: &DeadSelection,
        most: usize,
        act: &mut Act,
    ) -> Result<Moved, StoreError> {
        self.at(Point::Act)?;
        self.inner.replay(which, most, act).await
    }
    async fn discard(
        &self,
        which: &DeadSelection,
        most: usize,
        act: &mut Act,
    ) -> Result<Moved, StoreError> {
        self.at(Point::Act)?;
        self.inner.discard(which, most, act).await
    }
    async fn audit(&self, before: Option<i64>, limit: usize) -> Result<AuditPage, StoreError> {
        self.inner.audit(before, limit).await
    }
    async fn prune(&self, accepted_before: Timestamp) -> Result<u64, StoreError> {
        self.inner.prune(accepted_before).await
    }
}

#[async_trait]
impl Index for FaultyStore {
    async fn facts(&self, progress: Progress) -> Result<Facts, StoreError> {
        self.inner.facts(progress).await
    }
    async fn entity(&self, did: &str) -> Result<Option<EntityRow>, StoreError> {
        self.inner.entity(did).await
    }
    async fn entities(&self, ids: &[EntityId]) -> Result<Vec<EntityRow>, StoreError> {
        self.inner.entities(ids).await
    }
    async fn entity_by_handle(&self, handle: &str) -> Result<Option<EntityRow>, StoreError> {
        self.inner.entity_by_handle(handle).await
    }
    async fn search(
        &self,
        query: Option<&str>,
        after: Option<EntityId>,
        limit: usize,
    ) -> Result<Vec<EntityId>, StoreError> {
        self.inner.search(query, after, limit).await
    }
    async fn record(
        &self,
        owner: EntityId,
        collection: Collection,
        rkey: Tid,
    ) -> Result<Option<RecordRow>, StoreError> {
        self.inner.record(owner, collection, rkey).await
    }
    async fn dump(&self) -> Result<Vec<String>, StoreError> {
        self.inner.dump().await
    }
    async fn counts(&self) -> Result<Counts, StoreError> {
        self.inner.counts().await
    }
    async fn rebuild(&self, how: Rebuild, progress: Progress) -> Result<Rebuilt, StoreError> {
        self.inner.rebuild(how, progress).await
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn changes(&self) -> Option<ChangeReceiver> {
        self.inner.changes()
    }
    fn last_change(&self) -> u64 {
        self.inner.last_change()
    }
    async fn ping(&self) -> Result<(), Unusable> {
        self.inner.ping().await
    }
    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.inner.check().await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
