//! Does to a store what a sequence says, and to the reference the same; compares after every step.

use super::{
    super::{ALL, Factory, Rig, settlement},
    op::{Batch, COUNTED, Call, Fate, Flying, Item, Op, Settling, Source, Which},
    reference::{Letter, Reference},
};
use crate::{
    events::{Draft, did, verdict},
    generate::PEOPLE,
    model::observe,
};
use jiff::{SignedDuration, Timestamp};
use rhiz_domain::{
    Change, Clock, Did, EntityId, Event, EventId, EventType, EventTypes, Origin, Pause, Stage,
    StageName,
    store::{
        AppendError, ChangeReceiver, Claimed, Cursor, DeadFilter, DeadSelection, Intake, Leased,
        Quota, Receipt, Rejected, Settlement, StoreError, Verdict, Whereabouts,
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
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
            Op::Dead { replay, which, most } => self.act(*replay, which, (*most).into()).await?,
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

    async fn append(&mut self, batch: &Batch) -> Told<bool> {
        let (mut events, mut rejected) = (Vec::new(), Vec::new());
        let mut offset = 0;
        let mut file = None;
        if let Source::File { which, begin } = batch.source {
            let digest = format!("f{which}");
            let read = self.reference.position(&format!("file:{digest}"));
            offset = read.saturating_add_signed(begin.into());
            file = Some(digest);
        }
        for item in &batch.items {
            let origin = match (batch.source, &file) {
                (Source::Api, _) => Origin::Api,
                (_, Some(digest)) => Origin::File { digest: digest.clone(), offset },
                _ => Origin::Jetstream { time_us: i64::try_from(self.number).unwrap_or(0) },
            };
            offset += 1;
            let now = self.now();
            let input = |event_id: EventId, who: Option<usize>, origin: Origin| Rejected {
                event_type: who.map(|who| EventType::ALL[who]),
                did: who.map(|who| did(PEOPLE[who])),
                raw: format!("\u{fffd}{event_id}").into_bytes(),
                reason: format!("{event_id} is no event"),
                event_id,
                origin,
                at: now,
            };
            match item {
                Item::Fresh(draft) => {
                    let event = self.fresh(draft, origin);
                    events.push(event);
                }
                Item::Again(n) => {
                    let Some((draft, event)) = self.used(*n).cloned() else { continue };
                    events.push((draft, Event { origin, timestamp: now, ..event }));
                }
                Item::Clash(n, draft) => {
                    let Some(id) = self.used(*n).map(|(_, e)| e.event_id.clone()) else { continue };
                    let event = draft.clone().id(id.as_str()).build();
                    events.push((draft.clone(), Event { origin, timestamp: now, ..event }));
                }
                Item::Rejected(n) => {
                    let name = told(EventId::parse(&format!("r{}", self.next())), "a name")?;
                    let who = pick(*n, PEOPLE.len() + 1).filter(|who| *who < PEOPLE.len());
                    rejected.push(input(name, who, origin));
                }
                Item::RejectedClash(n) => {
                    let Some(id) = self.used(*n).map(|(_, e)| e.event_id.clone()) else { continue };
                    rejected.push(input(id, None, origin));
                }
            }
        }
        let cursor = match (batch.source, file) {
            (Source::Jetstream { which, cursor: Some(by) }, _) => {
                let source = format!("jetstream:{which}");
                let position = self.reference.position(&source).saturating_add_signed(by.into());
                Some(Cursor { source, position })
            }
            (_, Some(digest)) => {
                Some(Cursor { source: format!("file:{digest}"), position: offset })
            }
            _ => None,
        };
        let now = self.now();
        let expected = self.reference.append(&events, &rejected, cursor.as_ref(), now);
        let events = events.into_iter().map(|(_, event)| event).collect();
        let answer = match self.rig.store.append(Intake { events, rejected, cursor }).await {
            Ok(receipts) => Ok(receipts),
            Err(AppendError::Conflict { index }) => Err(index),
            Err(AppendError::Store(e)) => return Err(format!("append: {e}")),
        };
        same("receipts, or the item in conflict", &answer, &expected)?;
        match answer {
            Ok(receipts) => {
                let again = receipts.iter().filter(|r| **r == Receipt::Duplicate).count();
                self.count("duplicates", again as u64);
            }
            Err(_) => self.count("conflicts", 1),
        }
        Ok(true)
    }

    /// Whether something was claimed.
    async fn claim(&mut self, quota: Quota) -> Told<bool> {
        if self.reference.alone.is_some() {
            // Whoever claims has to wait; a store may also say that there is nothing.
            return match abandon(self.rig.store.claim(quota), 2).await {
                Some(Ok(Some(_))) => Err("an event was handed out beside one in hand alone".into()),
                _ => Ok(false),
            };
        }
        let number = self.next();
        let rows = self.reference.claim(quota, number);
        let claim = told(self.rig.store.claim(quota).await, "claim")?;
        let names = |seq: &u64| self.reference.rows[seq].event.event_id.to_string();
        let expected: Vec<_> = rows.iter().map(names).collect();
        let got = claim.as_deref().map(super::super::ids).unwrap_or_default();
        same("events of the claim", got, expected)?;
        let Some(claim) = claim else { return Ok(false) };
        for (index, seq) in rows.iter().enumerate() {
            let expected = &self.reference.rows[seq].event;
            same_event(&claim.events()[index], expected)?;
            let what = format!("crashes of {}", expected.event_id);
            same(&what, claim.crashes(index), self.reference.crashes(*seq))?;
        }
        self.claims.push(Hand { number, claim, rows: rows.into_iter().map(Some).collect() });
        Ok(true)
    }

    fn settlement(&self, index: usize, fate: Fate, event: &Event, staged: bool) -> Settlement {
        let due = |seconds: i16| self.now() + SignedDuration::from_secs(seconds.into());
        let reason = || format!("step {}", self.step);
        let verdict = match fate {
            Fate::Apply => verdict(event),
            Fate::Failed(seconds) => Verdict::Later { due: due(seconds), failed: Some(reason()) },
            Fate::Snooze(seconds) => Verdict::Later { due: due(seconds), failed: None },
            Fate::Bury => Verdict::Bury { reason: reason() },
        };
        let mut settlement = settlement(index, verdict);
        if staged {
            settlement.stages = event.stages.clone();
            settlement.stages.push(Stage {
                stage: StageName::Validation,
                timestamp: self.now(),
                success: fate == Fate::Apply,
                error: Some(reason()),
                ms: None,
            });
        }
        settlement
    }

    async fn settle(&mut self, settling: &Settling) -> Told<bool> {
        let Some(at) = pick(settling.claim, self.claims.len()) else { return Ok(false) };
        let hand = &self.claims[at];
        let n = hand.rows.len();
        let picks = settling.picks.iter().map(|(i, fate)| (usize::from(*i) % (n + 1), *fate));
        let mut fates: Vec<(usize, Fate)> = picks.collect();
        let picked: Vec<usize> = fates.iter().map(|(index, _)| *index).collect();
        let rest = settling.rest.into_iter();
        let rest = rest.flat_map(|fate| (0..n).rev().map(move |index| (index, fate)));
        fates.extend(rest.filter(|(index, _)| !picked.contains(index)));
        let settlements: Vec<Settlement> = fates
            .iter()
            .map(|(index, fate)| match hand.claim.events().get(*index) {
                Some(event) => self.settlement(*index, *fate, event, settling.staged),
                None => settlement(*index, Verdict::Bury { reason: "there is none".into() }),
            })
            .collect();
        let now = self.now();
        let hand = &mut self.claims[at];
        let last = told(hand.claim.settle(settlements.clone()).await, "settle")?;
        for settlement in &settlements {
            if let Some(seq) = hand.rows.get_mut(settlement.index).and_then(Option::take) {
                self.reference.settle(seq, settlement, now);
            }
        }
        same("the last change", self.rig.store.last_change(), last)?;
        Ok(true)
    }

    fn drop_claim(&mut self, at: usize) {
        let Hand { number, claim, .. } = self.claims.remove(at);
        drop(claim);
        self.reference.drop_claim(number);
    }

    fn lease(&mut self, at: usize, index: usize) -> Told<bool> {
        let hand = &mut self.claims[at];
        let index = index % (hand.rows.len() + 1);
        let lease = hand.claim.lease(index);
        let row = hand.rows.get_mut(index).and_then(Option::take);
        same("whether there is something to lease", lease.is_some(), row.is_some())?;
        let (Some(lease), Some(seq)) = (lease, row) else { return Ok(false) };
        same_event(lease.event(), &self.reference.rows[&seq].event)?;
        if lease.token() <= self.token {
            return Err(format!("token {} after {}", lease.token(), self.token));
        }
        self.token = lease.token();
        let number = self.next();
        self.reference.lease(seq, number, self.rig.clock.elapsed());
        self.count("leases", 1);
        self.leases.push(Under { number, lease, seq });
        Ok(true)
    }

    async fn settle_lease(&mut self, at: usize, fate: Fate) -> Told<()> {
        let event = Arc::clone(self.leases[at].lease.event());
        let settlement = self.settlement(7, fate, &event, true);
        let under = &mut self.leases[at];
        let lives = match under.lease.settle(settlement.clone()).await {
            Ok(_) => true,
            Err(e) if matches!(e.error, StoreError::Fenced) => {
                same("settlements given back", e.settlements.len(), 1)?;
                false
            }
            Err(e) => return Err(format!("settle under a lease: {e}")),
        };
        let expected = self.reference.leases.contains_key(&under.number);
        same("whether the lease lives at its settlement", lives, expected)?;
        self.count("fenced", (!lives).into());
        if lives {
            let (now, seq) = (self.now(), self.leases[at].seq);
            self.reference.settle(seq, &settlement, now);
        }
        Ok(())
    }

    async fn wake(&mut self) -> Told<()> {
        let leases = self.reference.leases.len();
        let next = told(self.rig.store.wake(self.now()).await, "wake")?;
        let expected = self.reference.wake(self.now(), self.rig.clock.elapsed());
        self.count("leases that ran out", (leases - self.reference.leases.len()) as u64);
        same("the next time something is due", next, expected)
    }

    async fn pause(&mut self, order: Pause) -> Told<()> {
        let stands = told(self.rig.store.pause(order, "ops").await, "pause")?;
        same("what stands still", stands, self.reference.pause(order))
    }

    async fn act(&mut self, replay: bool, which: &Which, most: usize) -> Told<()> {
        let mut filter = DeadFilter::default();
        let mut names = None;
        match which {
            Which::These(picks) => {
                let letters = &self.reference.dead;
                let name = |n: &u8| Some(letters[pick(*n, letters.len())?].event_id.clone());
                names = Some(picks.iter().filter_map(name).collect::<Vec<_>>());
            }
            Which::Type(event_type) => filter.event_type = Some(*event_type),
            Which::Of(who) => filter.did = Some(did(PEOPLE[usize::from(*who) % PEOPLE.len()])),
            Which::Since(age) => {
                filter.since = Some(self.now() - SignedDuration::from_secs((*age).into()));
            }
            Which::All => {}
        }
        let matches = |letter: &Letter| match &names {
            Some(names) => names.contains(&letter.event_id),
            None => {
                filter.event_type.is_none_or(|t| letter.event_type == Some(t))
                    && filter.did.as_ref().is_none_or(|d| letter.did.as_ref() == Some(d))
                    && filter.since.is_none_or(|s| letter.died_at() >= s)
            }
        };
        let expected = self.reference.act(replay, matches, most);
        let selection = match names {
            Some(names) => DeadSelection::Events(names),
            None => DeadSelection::Filter(filter),
        };
        let store = &self.rig.store;
        let moved = if replay {
            store.replay(&selection, most, "ops").await
        } else {
            store.discard(&selection, most, "ops").await
        };
        self.count(if replay { "replayed" } else { "discarded" }, expected.done);
        same("dead letters moved", told(moved, "replay or discard")?, expected)
    }

    async fn reopen(&mut self, keep: bool) -> Told<()> {
        let (claims, leases) = (std::mem::take(&mut self.claims), std::mem::take(&mut self.leases));
        if keep {
            self.rig.reopen().await;
            drop((claims, leases));
        } else {
            for Hand { number, claim, .. } in claims {
                drop(claim);
                self.reference.drop_claim(number);
            }
            for Under { number, lease, .. } in leases {
                drop(lease);
                self.reference.drop_lease(number);
            }
            self.rig.reopen().await;
        }
        self.count("restarts", 1);
        self.reference.restart(false);
        self.begin_again()
    }

    /// The store was opened anew: nothing of its changes was heard.
    fn begin_again(&mut self) -> Told<()> {
        self.token = 0;
        self.feed = self.rig.store.changes().ok_or("the changes of a new store were taken")?;
        same("the last change after a restart", self.rig.store.last_change(), self.heard)
    }

    /// What of these is under way is either carried out or not, each of it whole. What was
    /// answered before the end is carried out.
    async fn crash(&mut self, flying: &[Flying], delay: u8) -> Told<()> {
        struct Flight<'a> {
            appended: Vec<(Draft, Event)>,
            settled: Vec<(u64, Settlement)>,
            call: Pin<Box<dyn Future<Output = bool> + 'a>>,
            answer: Option<bool>,
            before: bool,
        }
        self.count("crashes", 1);
        let store = Arc::clone(&self.rig.store);
        let mut flights: Vec<Flight<'_>> = Vec::new();
        for what in flying {
            let (mut appended, mut settled) = (Vec::new(), Vec::new());
            let call: Pin<Box<dyn Future<Output = bool>>> = match what {
                Flying::Append(drafts) => {
                    appended = drafts.iter().map(|d| self.fresh(d, Origin::Api)).collect();
                    let events = appended.iter().map(|(_, event)| event.clone()).collect();
                    let (store, intake) =
                        (Arc::clone(&store), Intake { events, ..Intake::default() });
                    Box::pin(async move { store.append(intake).await.is_ok() })
                }
                Flying::Settle(claim) => {
                    // One: what became of it is told by the length of the journal.
                    if flights.iter().any(|flight| !flight.settled.is_empty()) {
                        continue;
                    }
                    let Some(at) = pick(*claim, self.claims.len()) else { continue };
                    settled = self.apply_all(at);
                    if settled.is_empty() {
                        continue;
                    }
                    let mut hand = self.claims.remove(at);
                    let settlements = settled.iter().map(|(_, s)| s.clone()).collect();
                    Box::pin(async move { hand.claim.settle(settlements).await.is_ok() })
                }
            };
            flights.push(Flight { appended, settled, call, answer: None, before: false });
        }
        let spin = || (0..u32::from(delay) * 100).for_each(|_| std::hint::spin_loop());
        let factory = Arc::clone(&self.rig.factory);
        let mut cut = pin!(factory.cut());
        let early = delay.is_multiple_of(2);
        let mut over = None;
        if early {
            // It ends while they are at work.
            over = turn(cut.as_mut()).await;
            spin();
        }
        for flight in &mut flights {
            flight.answer = turn(flight.call.as_mut()).await;
        }
        if !early {
            // It ends when some of them were answered.
            spin();
            for flight in flights.iter_mut() {
                if flight.answer.is_none() {
                    flight.answer = turn(flight.call.as_mut()).await;
                }
                flight.before = flight.answer == Some(true);
            }
        }
        if over.is_none() {
            cut.await;
        }
        for flight in &mut flights {
            if flight.answer.is_none() {
                flight.answer = Some(flight.call.as_mut().await);
            }
        }
        let (claims, leases) = (std::mem::take(&mut self.claims), std::mem::take(&mut self.leases));
        let clock: Arc<dyn Clock> = self.rig.clock.clone();
        self.rig.store = self.rig.factory.open(clock).await;
        drop((claims, leases));

        let journal = told(self.rig.store.counts().await, "counts")?.journal;
        let now = self.now();
        let mut settlement = None;
        for Flight { appended, settled, before, .. } in flights {
            if !settled.is_empty() {
                settlement = Some((settled, before));
                continue;
            }
            let Some((_, first)) = appended.first() else { continue };
            let found = told(self.rig.store.find(&first.event_id).await, "find")?.is_some();
            if before && !found {
                return Err(format!("{} was accepted and is lost", first.event_id));
            }
            self.tell(found);
            if found {
                let receipts = self.reference.append(&appended, &[], None, now);
                told(receipts.map_err(|i| format!("a conflict at {i}")), "a fresh event")?;
            }
        }
        let mut rows = self.reference.rows.len() as u64;
        if let Some((settled, before)) = settlement {
            let carried_out = journal == rows - settled.len() as u64;
            if before && !carried_out {
                return Err("a settlement was answered and is undone".into());
            }
            self.tell(carried_out);
            if carried_out {
                rows = journal;
                settled.iter().for_each(|(seq, s)| self.reference.settle(*seq, s, now));
                self.hear(&*store)?;
            }
        }
        same("events in the journal after the crash", journal, rows)?;
        drop(store);
        self.reference.restart(true);
        self.begin_again()
    }

    fn tell(&mut self, carried_out: bool) {
        self.count(if carried_out { "cut off after" } else { "cut off before" }, 1);
    }

    /// What applies all that is left of a claim.
    fn apply_all(&self, at: usize) -> Vec<(u64, Settlement)> {
        let hand = &self.claims[at];
        let rest = hand.rows.iter().enumerate().filter_map(|(i, seq)| Some((i, (*seq)?)));
        let settle = |index| self.settlement(index, Fate::Apply, &hand.claim.events()[index], true);
        rest.map(|(index, seq)| (seq, settle(index))).collect()
    }

    async fn give_up(&mut self, call: &Call, turns: u8) -> Told<bool> {
        let store = Arc::clone(&self.rig.store);
        match call {
            Call::Append(drafts) => {
                let fresh: Vec<_> = drafts.iter().map(|d| self.fresh(d, Origin::Api)).collect();
                let events = fresh.iter().map(|(_, event)| event.clone()).collect();
                let intake = Intake { events, ..Intake::default() };
                let answer = abandon(store.append(intake), turns).await;
                told(store.ping().await, "ping")?;
                let found = told(store.find(&fresh[0].1.event_id).await, "find")?.is_some();
                if matches!(answer, Some(Ok(_))) && !found {
                    return Err(format!("{} was accepted and is lost", fresh[0].1.event_id));
                }
                self.tell(found);
                if found {
                    let receipts = self.reference.append(&fresh, &[], None, self.now());
                    told(receipts.map_err(|i| format!("a conflict at {i}")), "a fresh event")?;
                }
            }
            Call::Claim(quota) => {
                // Whatever it got goes back.
                drop(abandon(store.claim(*quota), turns).await);
                told(store.ping().await, "ping")?;
            }
            Call::Settle(claim) => {
                let Some(at) = pick(*claim, self.claims.len()) else { return Ok(false) };
                let settled = self.apply_all(at);
                if settled.is_empty() {
                    return Ok(false);
                }
                let settlements = settled.iter().map(|(_, s)| s.clone()).collect();
                let mut hand = self.claims.remove(at);
                let answer = abandon(hand.claim.settle(settlements), turns).await;
                drop(hand.claim);
                told(store.ping().await, "ping")?;
                let journal = told(store.counts().await, "counts")?.journal;
                let carried_out = journal != self.reference.rows.len() as u64;
                if matches!(answer, Some(Ok(_))) && !carried_out {
                    return Err("a settlement was answered and is not carried out".into());
                }
                self.tell(carried_out);
                if carried_out {
                    let now = self.now();
                    settled.iter().for_each(|(seq, s)| self.reference.settle(*seq, s, now));
                }
                self.reference.drop_claim(hand.number);
            }
            Call::Wake => {
                drop(abandon(store.wake(self.now()), turns).await);
                told(store.ping().await, "ping")?;
                self.wake().await?;
            }
        }
        Ok(true)
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

    /// What can be asked cheaply.
    async fn compare(&mut self) -> Told<()> {
        let store = Arc::clone(&self.rig.store);
        same("depths", store.depths(), self.reference.depths())?;
        same("what stands still", store.paused(), self.reference.paused)?;
        if self.reference.depths().claimable != [0; 4] {
            store.ready().await;
        }
        self.hear(&*store)?;
        let sources = ["jetstream:0", "jetstream:1", "file:f0", "file:f1"];
        let source = sources[self.step % sources.len()];
        let position = told(store.cursor(source).await, "cursor")?;
        same(source, position, self.reference.cursors.get(source).copied())?;
        // A stride that meets old ones, too.
        let Some(at) = self.step.wrapping_mul(7919).checked_rem(self.past.len()) else {
            return Ok(());
        };
        let id = self.past[at].1.event_id.clone();
        let found = told(store.find(&id).await, "find")?;
        self.compare_found(&id, found)
    }

    /// Takes the changes that were told, and counts what can be counted.
    fn hear(&mut self, store: &dyn rhiz_domain::store::Store) -> Told<()> {
        while self.heard < store.last_change() {
            let set = self.feed.recv_timeout(Duration::from_secs(10));
            let set = set.map_err(|_| format!("no change after number {}", self.heard))?;
            let expected = self.heard + set.changes.len() as u64;
            same("the number of a set of changes", set.seq, expected)?;
            self.heard = set.seq;
            for change in set.changes {
                match change {
                    Change::Entity(fact) => {
                        self.people.insert(fact.id, fact.did);
                    }
                    Change::Touched(id) => {
                        let who = self.people.get(&id).map_or("nobody", Did::as_str);
                        if let Some(who) = COUNTED.into_iter().find(|counted| *counted == who) {
                            *self.merges_heard.entry(who).or_default() += 1;
                        }
                    }
                    _ => {}
                }
            }
        }
        same("merges counted", &self.merges_heard, &self.reference.merges)
    }

    fn compare_found(&self, id: &EventId, found: Option<Whereabouts>) -> Told<()> {
        let waiting = self.reference.waiting(id);
        let letter = self.reference.dead.iter().rfind(|letter| letter.event_id == *id);
        let accepted = self.reference.accepted_at(id);
        let known = waiting.iter().any(|(_, known)| *known);
        let right = match &found {
            // One id can be that of several: a caller's, a source's, lines of files.
            Some(Whereabouts::Waiting { event, place }) => waiting.iter().any(|(row, _)| {
                self.reference.waits_for(row) == Some(*place)
                    && same_event(event, &row.event).is_ok()
            }),
            Some(Whereabouts::Dead(found)) => !known && letter.is_some_and(|l| l.is(found)),
            Some(Whereabouts::Done { accepted_at }) => {
                !known && letter.is_none() && accepted.contains(accepted_at)
            }
            None => !known && letter.is_none() && accepted.is_empty(),
        };
        if right {
            return Ok(());
        }
        Err(format!(
            "{id}: found {found:?}, it is waiting {waiting:?}, dead {letter:?}, accepted {accepted:?}"
        ))
    }

    /// Rows of the journal, dead letters (so many of the newest), acts of operators, cursors.
    async fn compare_rows(&self, letters: usize) -> Told<()> {
        let store = &self.rig.store;
        let counts = told(store.counts().await, "counts")?;
        same("rows of the journal", counts.journal, self.reference.rows.len() as u64)?;
        let filter = DeadFilter { limit: letters, ..DeadFilter::default() };
        let page = told(store.dead_letters(filter).await, "dead letters")?;
        same("dead letters", page.count, self.reference.dead.len() as u64)?;
        same("inputs counted", page.uncounted, self.reference.overflow.values().sum())?;
        for (found, letter) in page.letters.iter().zip(self.reference.dead.iter().rev()) {
            if !letter.is(found) {
                return Err(format!("a dead letter: found {found:?}, it is {letter:?}"));
            }
        }
        let audit = told(store.audit(usize::MAX >> 1).await, "audit")?.len() as u64;
        same("acts written down", audit, self.reference.audit)?;
        for (source, position) in &self.reference.cursors {
            let found = told(store.cursor(source).await, "cursor")?;
            same(source, found, Some(*position))?;
        }
        Ok(())
    }
}

fn same_event(found: &Event, expected: &Event) -> Told<()> {
    let told = |e: &Event| {
        let Event { event_id, event_type, did, priority, timestamp, assigned_rev, .. } = e.clone();
        let Event { retry_count, stages, origin, verified, payload, .. } = e.clone();
        let payload = payload.get().to_owned();
        let names = (event_id, event_type, did, priority, timestamp, assigned_rev);
        (names, (retry_count, stages, origin, verified, payload))
    };
    same("an event", told(found), told(expected))
}
