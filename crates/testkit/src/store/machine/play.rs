//! Does to a store what a sequence says, and to the reference the same; compares after every step.

mod calls;
mod compare;
mod ends;

use super::{
    super::{ALL, Factory, Rig},
    op::{Fate, Op, Settling},
    reference::Reference,
};
use crate::{events::Draft, model::observe};
use jiff::{SignedDuration, Timestamp};
use rhiz_domain::{
    Clock, Did, EntityId, Event, EventTypes, Origin, Pause,
    store::{Act, ChangeReceiver, Claimed, Leased, StoreError},
};
use std::{
    collections::{BTreeMap, HashMap},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

/// What was done, and how often.
pub(super) type Tally = BTreeMap<&'static str, u64>;

/// A claim, and the numbers of what is still in it.
struct Hand {
    number: u64,
    claim: Box<dyn Claimed>,
    rows: Vec<Option<u64>>,
}

struct Under {
    number: u64,
    lease: Box<dyn Leased>,
    seq: u64,
}

/// A store and its reference.
pub(super) struct Play {
    rig: Rig,
    reference: Reference,
    claims: Vec<Hand>,
    leases: Vec<Under>,
    feed: ChangeReceiver,
    people: HashMap<EntityId, Did>,
    /// The last change heard of.
    heard: u64,
    merges_heard: BTreeMap<&'static str, u64>,
    number: u64,
    token: u64,
    /// Everything that was sent under a name of its own.
    past: Vec<(Draft, Event)>,
    /// The discard, and the replay, that may go on.
    acts: [Act; 2],
    step: usize,
    tally: Tally,
}

type Told<T> = Result<T, String>;

fn told<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> Told<T> {
    result.map_err(|e| format!("{what}: {e}"))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, store: T, reference: T) -> Told<()> {
    if store == reference {
        return Ok(());
    }
    Err(format!("{what}: the store says\n  {store:?}, the reference\n  {reference:?}"))
}

/// Which of so many.
fn pick(n: u8, of: usize) -> Option<usize> {
    (of > 0).then(|| usize::from(n) % of)
}

/// Gives a call some turns, and then up.
async fn abandon<T>(call: impl Future<Output = T>, turns: u8) -> Option<T> {
    let mut call = pin!(call);
    for _ in 0..=turns {
        if let Some(out) = turn(call.as_mut()).await {
            return Some(out);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// One turn.
async fn turn<T>(mut call: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    poll_fn(|context| {
        Poll::Ready(match call.as_mut().poll(context) {
            Poll::Ready(out) => Some(out),
            Poll::Pending => None,
        })
    })
    .await
}

impl Play {
    pub(super) async fn new(factory: impl Factory) -> Self {
        let rig = Rig::new(factory).await;
        let feed = rig.store.changes().expect("it was just opened");
        Self {
            rig,
            reference: Reference::default(),
            claims: Vec::new(),
            leases: Vec::new(),
            feed,
            people: HashMap::new(),
            heard: 0,
            merges_heard: BTreeMap::new(),
            number: 0,
            token: 0,
            past: Vec::new(),
            acts: [(); 2].map(|()| Act::by("ops")),
            step: 0,
            tally: Tally::new(),
        }
    }

    /// Carries out an operation, and compares.
    pub(super) async fn step(&mut self, op: &Op) -> Told<()> {
        self.step += 1;
        let done = self.carry_out(op).await?;
        self.count("operations", done.into());
        self.compare().await?;
        if self.step.is_multiple_of(16) { self.compare_rows(50).await } else { Ok(()) }
    }

    /// Works everything off, compares the index, and closes.
    pub(super) async fn end(mut self) -> Told<Tally> {
        self.drain().await?;
        self.compare().await?;
        self.rig.store.close().await;
        let [accepted, applied, buried] = self.reference.tally;
        self.count("accepted", accepted);
        self.count("applied", applied);
        self.count("buried", buried);
        self.count("steps", self.step as u64);
        Ok(self.tally)
    }

    fn count(&mut self, what: &'static str, more: u64) {
        *self.tally.entry(what).or_default() += more;
    }

    fn now(&self) -> Timestamp {
        self.rig.clock.now()
    }

    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    async fn carry_out(&mut self, op: &Op) -> Told<bool> {
        match op {
            Op::Append(batch) => return self.append(batch).await,
            Op::Claim { quota } => return self.claim(*quota).await,
            Op::Settle(settling) => return self.settle(settling).await,
            Op::Drop { claim } => {
                let Some(at) = pick(*claim, self.claims.len()) else { return Ok(false) };
                self.drop_claim(at);
            }
            Op::Lease { claim, index } => {
                let Some(at) = pick(*claim, self.claims.len()) else { return Ok(false) };
                return self.lease(at, usize::from(*index));
            }
            Op::Beat { lease } => {
                let Some(at) = pick(*lease, self.leases.len()) else { return Ok(false) };
                let under = &mut self.leases[at];
                let lives = match under.lease.beat().await {
                    Ok(()) => true,
                    Err(StoreError::Fenced) => false,
                    Err(e) => return Err(format!("beat: {e}")),
                };
                let expected = self.reference.beat(under.number, self.rig.clock.elapsed());
                same("whether the lease lives", lives, expected)?;
            }
            Op::SettleLease { lease, fate } => {
                let Some(at) = pick(*lease, self.leases.len()) else { return Ok(false) };
                self.settle_lease(at, *fate).await?;
            }
            Op::DropLease { lease } => {
                let Some(at) = pick(*lease, self.leases.len()) else { return Ok(false) };
                let Under { number, lease, .. } = self.leases.remove(at);
                drop(lease);
                self.reference.drop_lease(number);
            }
            Op::Pass { millis } => self.rig.clock.advance(Duration::from_millis((*millis).into())),
            Op::Jump { seconds } => {
                self.rig.clock.jump(SignedDuration::from_secs((*seconds).into()));
            }
            Op::Wake => self.wake().await?,
            Op::Pause { on, intake, work, types } => {
                let types = types.iter().copied().collect();
                self.pause(Pause { on: *on, intake: *intake, work: *work, types }).await?;
            }
            Op::Dead { replay, which, most, goes_on } => {
                if *goes_on {
                    self.count(
                        "acts that go on",
                        self.acts[usize::from(*replay)].row.is_some().into(),
                    );
                } else {
                    self.acts[usize::from(*replay)] = Act::by("ops");
                }
                self.act(*replay, which, (*most).into()).await?;
            }
            Op::Prune { age } => {
                let before = self.now() - SignedDuration::from_secs((*age).into());
                let gone = told(self.rig.store.prune(before).await, "prune")?;
                same("identities forgotten", gone, self.reference.prune(before))?;
                self.count("identities forgotten", gone);
            }
            Op::Reopen { keep } => self.reopen(*keep).await?,
            Op::Crash { flying, delay } => self.crash(flying, *delay).await?,
            Op::GiveUp { call, turns } => return self.give_up(call, *turns).await,
            Op::Drain => self.drain().await?,
        }
        Ok(true)
    }

    /// An event that was never sent.
    fn fresh(&mut self, draft: &Draft, origin: Origin) -> (Draft, Event) {
        let name = format!("e{}", self.next());
        let event = Event { timestamp: self.now(), origin, ..draft.clone().id(&name).build() };
        self.past.push((draft.clone(), event.clone()));
        (draft.clone(), event)
    }

    /// A name that was used before, rather lately.
    fn used(&self, n: u8) -> Option<&(Draft, Event)> {
        let at = pick(n, self.past.len())?;
        self.past.get(self.past.len() - 1 - at)
    }

    /// Works everything off, and compares the index.
    async fn drain(&mut self) -> Told<()> {
        while !self.claims.is_empty() {
            self.drop_claim(0);
        }
        for Under { number, lease, .. } in std::mem::take(&mut self.leases) {
            drop(lease);
            self.reference.drop_lease(number);
        }
        let types = EventTypes::all();
        self.pause(Pause { on: false, intake: true, work: true, types }).await?;
        let last_due = self.reference.rows.values().filter_map(|row| row.due).max();
        if let Some(due) = last_due.filter(|due| *due > self.now()) {
            self.rig.clock.jump(due.duration_since(self.now()));
        }
        self.wake().await?;
        while self.claim(ALL).await? {
            let rest = Some(Fate::Apply);
            self.settle(&Settling { claim: 0, picks: Vec::new(), rest, staged: false }).await?;
            self.drop_claim(0);
        }
        same("events left over", self.reference.rows.len(), 0)?;
        self.compare_rows(usize::MAX).await?;
        let observed = observe(&*self.rig.store).await;
        same("the index", observed, self.reference.index.expected())
    }
}
