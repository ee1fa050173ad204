//! Calls that are cut off: the store is closed or dies, or whoever called gives up.

use super::super::op::{Call, Fate, Flying};
use super::{Hand, Play, Told, Under, abandon, pick, same, told, turn};
use crate::events::Draft;
use rhiz_domain::{
    Clock, Event, Origin,
    store::{Intake, Settlement},
};
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
};

impl Play {
    pub(super) async fn reopen(&mut self, keep: bool) -> Told<()> {
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
    pub(super) fn begin_again(&mut self) -> Told<()> {
        self.token = 0;
        self.feed = self.rig.store.changes().ok_or("the changes of a new store were taken")?;
        same("the last change after a restart", self.rig.store.last_change(), self.heard)
    }

    /// What of these is under way is either carried out or not, each of it whole. What was
    /// answered before the end is carried out.
    pub(super) async fn crash(&mut self, flying: &[Flying], delay: u8) -> Told<()> {
        struct Flight<'a> {
            appended: Vec<(Draft, Event)>,
            settled: Vec<(u64, Settlement)>,
            call: Pin<Box<dyn Future<Output = bool> + 'a>>,
            answer: Option<bool>,
            before: bool,
        }
        self.count("crashes", 1);
        let store = Arc::clone(&self.rig.store);
        // What a dropped claim gave back is on its way without anybody waiting for it: whether a
        // crash comes before it cannot be told afterwards.
        told(self.rig.store.append(Intake::default()).await, "an empty append")?;
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

    pub(super) fn tell(&mut self, carried_out: bool) {
        self.count(if carried_out { "cut off after" } else { "cut off before" }, 1);
    }

    /// What applies all that is left of a claim.
    pub(super) fn apply_all(&self, at: usize) -> Vec<(u64, Settlement)> {
        let hand = &self.claims[at];
        let rest = hand.rows.iter().enumerate().filter_map(|(i, seq)| Some((i, (*seq)?)));
        let settle = |index| self.settlement(index, Fate::Apply, &hand.claim.events()[index], true);
        rest.map(|(index, seq)| (seq, settle(index))).collect()
    }

    pub(super) async fn give_up(&mut self, call: &Call, turns: u8) -> Told<bool> {
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
}
