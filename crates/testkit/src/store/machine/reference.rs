//! The journal in its shortest form: plain memory, no durability, one call after the other.
//!
//! What it says beyond the words of the traits:
//!
//! * **Order.** An event's number is its place among all that were accepted or replayed. What is
//!   ready is handed out by priority, then by number, whatever happened to it meanwhile.
//! * **Capacity.** An event counts from its accept (or replay) until it is settled, scheduled,
//!   leased or held by a pause; then no more, until the store is opened anew: then what has no due
//!   time and no failed attempt counts.
//! * **Crashes.** After an unclean stop all that waits is suspected: as long as one of them is ready
//!   (and within the quota), a claim has the oldest of them alone, whatever its priority, and nobody
//!   else has one meanwhile. An event under a lease of which no crash was counted before lets the next
//!   one have the turn. What was handed out alone and is in hand when the store ends never came back,
//!   and neither did what is under a lease that runs out: each counts once, and that one is suspected.
//!   Whoever is settled is suspected no more; a retry or a snooze forgets the count, too.
//! * **Leases.** A lease has run out when a wake finds it without a beat for longer than
//!   [`LEASE_STALE`].

mod dead;

pub(super) use dead::Letter;

use super::op::COUNTED;
use crate::{
    events::{Draft, What},
    model::Model,
};
use jiff::Timestamp;
use rhiz_domain::{
    Did, Event, EventId, EventType, Origin, Pause, Paused, Priority,
    store::{
        self, Cursor, Depths, Dropped, LEASE_STALE, Quota, Receipt, Rejected, Settlement, Verdict,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

/// An event in the journal.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub draft: Draft,
    pub event: Event,
    pub place: Place,
    /// When it is due, if it was ever told to wait; kept when it is ready again.
    pub due: Option<Timestamp>,
    pub counted: bool,
    pub crashes: u32,
}

/// In whose hands a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In nobody's.
    Ready,
    /// It waits for its time.
    Scheduled,
    /// In the claim with this number.
    Claimed(u64),
    /// In the lease with this number.
    Leased(u64),
}

/// A name, and whether a caller gave it: a source's are another world.
type Name = (bool, EventId);

/// What was accepted under a name.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    body: [u8; 32],
    pub at: Timestamp,
    /// The number it has in the journal, or had; `None` for what never was an event.
    seq: Option<u64>,
    /// Why it is nowhere, if it was not applied.
    dropped: Option<Dropped>,
}

fn name(origin: &Origin, id: &EventId) -> Name {
    (*origin == Origin::Api, id.clone())
}

/// Who has an event in hand while nobody else may have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    Claim(u64),
    Lease(u64),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reference {
    pub rows: BTreeMap<u64, Row>,
    last_seq: u64,
    /// What was accepted under which name.
    pub accepted: HashMap<Name, Accepted>,
    pub cursors: BTreeMap<String, u64>,
    pub paused: Paused,
    pub dead: Vec<Letter>,
    pub overflow: BTreeMap<String, u64>,
    /// When each lease last had a beat, and the number of its event.
    pub leases: BTreeMap<u64, (u64, Duration)>,
    pub alone: Option<Alone>,
    /// Leases whose events were handed out alone, and let others have the turn.
    apart: BTreeSet<u64>,
    /// Who may have been in hand at a crash.
    suspects: BTreeSet<u64>,
    /// How many each act was about, oldest first.
    pub audit: Vec<u64>,
    /// The store's number of each of these, as far as it told.
    audit_rows: Vec<Option<i64>>,
    /// The index.
    pub index: Model,
    floors: HashMap<Did, i64>,
    /// Merges of each of [`COUNTED`].
    pub merges: BTreeMap<&'static str, u64>,
    /// Events accepted, merged, given up.
    pub tally: [u64; 3],
}

impl Reference {
    fn held(&self, row: &Row) -> bool {
        row.place == Place::Ready && self.paused.work.contains(row.event.event_type)
    }

    /// What is held, or in no lane and no claim, takes no part of the capacity any more.
    fn uncount(&mut self) {
        let paused = self.paused.work;
        for row in self.rows.values_mut() {
            let held = row.place == Place::Ready && paused.contains(row.event.event_type);
            if held || matches!(row.place, Place::Scheduled | Place::Leased(_)) {
                row.counted = false;
            }
        }
    }

    fn push(&mut self, draft: Draft, event: Event) -> u64 {
        self.last_seq += 1;
        let place = Place::Ready;
        let row = Row { draft, event, place, due: None, counted: true, crashes: 0 };
        self.rows.insert(self.last_seq, row);
        self.uncount();
        self.last_seq
    }

    /// Accepts; or tells which event has an id that was used for something else.
    pub(super) fn append(
        &mut self,
        events: &[(Draft, Event)],
        rejected: &[Rejected],
        cursor: Option<&Cursor>,
        now: Timestamp,
    ) -> Result<Vec<Receipt>, usize> {
        let place_in = |cursors: &BTreeMap<String, u64>, origin: &Origin| match origin {
            Origin::File { digest, offset } => {
                let read = cursors.get(&format!("file:{digest}")).copied().unwrap_or(0);
                Some(*offset < read)
            }
            _ => None,
        };
        let mut own: HashMap<Name, [u8; 32]> = HashMap::new();
        let mut receipts = Vec::new();
        for (index, (_, event)) in events.iter().enumerate() {
            let name = name(&event.origin, &event.event_id);
            let api = name.0;
            let body = if api { event.fingerprint() } else { [0; 32] };
            let known = match place_in(&self.cursors, &event.origin) {
                Some(read) => read.then_some(body),
                None => {
                    let stored = self.accepted.get(&name).map(|known| known.body);
                    own.get(&name).copied().or(stored)
                }
            };
            match known {
                Some(other) if api && other != body => return Err(index),
                Some(_) => receipts.push(Receipt::Duplicate),
                None => {
                    receipts.push(Receipt::Accepted);
                    own.insert(name, body);
                }
            }
        }
        for ((draft, event), receipt) in events.iter().zip(&receipts) {
            if *receipt == Receipt::Duplicate {
                continue;
            }
            self.tally[0] += 1;
            let seq = Some(self.push(draft.clone(), event.clone()));
            if !matches!(event.origin, Origin::File { .. }) {
                let name = name(&event.origin, &event.event_id);
                let body = own[&name];
                let dropped = None;
                self.accepted.insert(name, Accepted { body, at: now, seq, dropped });
            }
        }
        for input in rejected {
            match place_in(&self.cursors, &input.origin) {
                Some(true) => continue,
                Some(false) => {}
                None => {
                    let name = name(&input.origin, &input.event_id);
                    if self.accepted.contains_key(&name) {
                        continue;
                    }
                    let full = self.is_full(input.did.as_ref());
                    let dropped = full.then_some(Dropped::Counted);
                    let known = Accepted { body: [0; 32], at: now, seq: None, dropped };
                    self.accepted.insert(name, known);
                }
            }
            if self.is_full(input.did.as_ref()) {
                let who = input.did.as_ref().map_or(String::new(), ToString::to_string);
                *self.overflow.entry(who).or_default() += 1;
                continue;
            }
            let normal = Priority::Normal;
            self.dead.push(Letter {
                event_id: input.event_id.clone(),
                event_type: input.event_type,
                did: input.did.clone(),
                priority: input.event_type.map_or(normal, EventType::default_priority),
                retry_count: 0,
                accepted_at: input.at,
                died_at: now,
                stages: Vec::new(),
                last_error: input.reason.clone(),
                payload: input.raw.clone(),
                origin: input.origin.name(),
                event: None,
            });
        }
        if let Some(Cursor { source, position }) = cursor {
            let stands = self.cursors.entry(source.clone()).or_default();
            *stands = (*stands).max(*position);
        }
        Ok(receipts)
    }

    /// The numbers of what is ready, in the order in which it is handed out.
    fn ready(&self, priority: Priority) -> impl Iterator<Item = u64> {
        let ready = move |row: &Row| row.place == Place::Ready && row.event.priority == priority;
        self.rows.iter().filter(move |(_, r)| ready(r) && !self.held(r)).map(|(seq, _)| *seq)
    }

    /// Hands out events as the claim with this number; answers with theirs.
    pub(super) fn claim(&mut self, quota: Quota, claim: u64) -> Vec<u64> {
        let asked = Priority::ALL.into_iter().rev().filter(|p| quota[*p as usize] > 0);
        let suspect = asked.flat_map(|p| self.ready(p)).filter(|s| self.suspects.contains(s)).min();
        let mut taken: Vec<u64> = suspect.into_iter().collect();
        if suspect.is_none() {
            for priority in Priority::ALL.into_iter().rev() {
                taken.extend(self.ready(priority).take(quota[priority as usize]));
            }
        }
        for seq in &taken {
            if let Some(row) = self.rows.get_mut(seq) {
                row.place = Place::Claimed(claim);
                if suspect.is_some() {
                    row.crashes += 1;
                    self.alone = Some(Alone::Claim(claim));
                }
            }
        }
        taken
    }

    /// How often the store says that it did not come back.
    pub(super) fn crashes(&self, seq: u64) -> u32 {
        self.rows[&seq].crashes - u32::from(self.alone.is_some())
    }

    fn unleash(&mut self, holder: Alone) {
        if self.alone == Some(holder) {
            self.alone = None;
        }
    }

    /// A claim ends; what is still in it is ready again.
    pub(super) fn drop_claim(&mut self, claim: u64) {
        let alone = self.alone == Some(Alone::Claim(claim));
        for row in self.rows.values_mut().filter(|r| r.place == Place::Claimed(claim)) {
            row.place = Place::Ready;
            row.crashes -= u32::from(alone);
        }
        self.unleash(Alone::Claim(claim));
        self.uncount();
    }

    /// Puts an event of a claim under the lease with this number.
    pub(super) fn lease(&mut self, seq: u64, lease: u64, now: Duration) {
        let Some(row) = self.rows.get_mut(&seq) else { return };
        if let Place::Claimed(claim) = row.place
            && self.alone == Some(Alone::Claim(claim))
        {
            self.alone = (row.crashes > 1).then_some(Alone::Lease(lease));
            if self.alone.is_none() {
                self.apart.insert(lease);
            }
        }
        row.place = Place::Leased(lease);
        self.leases.insert(lease, (seq, now));
        self.uncount();
    }

    /// Whether the lease is its holder's; it goes on from now.
    pub(super) fn beat(&mut self, lease: u64, now: Duration) -> bool {
        self.leases.get_mut(&lease).map(|(_, beat)| *beat = now).is_some()
    }

    /// A lease is dropped.
    pub(super) fn drop_lease(&mut self, lease: u64) {
        let alone = self.alone == Some(Alone::Lease(lease));
        if let Some((seq, _)) = self.leases.remove(&lease) {
            let apart = self.apart.remove(&lease);
            if let Some(row) = self.rows.get_mut(&seq) {
                row.place = Place::Ready;
                row.crashes -= u32::from(alone || apart);
            }
            self.unleash(Alone::Lease(lease));
        }
        self.uncount();
    }

    /// Carries out a verdict on an event.
    pub(super) fn settle(&mut self, seq: u64, settlement: &Settlement, now: Timestamp) {
        if let Some(Place::Leased(lease)) = self.rows.get(&seq).map(|row| row.place) {
            self.leases.remove(&lease);
            self.apart.remove(&lease);
            self.unleash(Alone::Lease(lease));
        }
        self.suspects.remove(&seq);
        if let Verdict::Later { due, failed } = &settlement.verdict {
            let Some(row) = self.rows.get_mut(&seq) else { return };
            row.event.stages = settlement.stages.clone();
            row.event.retry_count += u32::from(failed.is_some());
            (row.due, row.place, row.crashes) = (Some(*due), Place::Scheduled, 0);
            self.uncount();
            return;
        }
        let Some(Row { draft, event, .. }) = self.rows.remove(&seq) else { return };
        match &settlement.verdict {
            Verdict::Bury { .. } if self.is_gone(&draft) => {
                self.tally[2] += 1;
                self.forget(seq, &event, Dropped::Purged);
            }
            Verdict::Bury { .. }
                if event.origin != Origin::Api && self.is_full(Some(&event.did)) =>
            {
                self.tally[2] += 1;
                self.forget(seq, &event, Dropped::Counted);
                *self.overflow.entry(event.did.to_string()).or_default() += 1;
            }
            Verdict::Bury { reason } => {
                self.tally[2] += 1;
                self.dead.push(Letter {
                    event_id: event.event_id.clone(),
                    event_type: Some(event.event_type),
                    did: Some(event.did.clone()),
                    priority: event.priority,
                    retry_count: event.retry_count,
                    accepted_at: event.timestamp,
                    died_at: now,
                    stages: settlement.stages.clone(),
                    last_error: reason.clone(),
                    payload: event.payload.get().into(),
                    origin: event.origin.name(),
                    event: Some((draft, event)),
                });
            }
            _ => self.merge(&draft),
        }
    }

    fn merge(&mut self, draft: &Draft) {
        self.tally[1] += 1;
        self.index.add(draft);
        if let Some(who) = COUNTED.into_iter().find(|who| *who == draft.did.as_str()) {
            *self.merges.entry(who).or_default() += 1;
        }
        // A deleted account takes along what is kept of it, once for each time it goes further.
        if let What::Account { time, active: false, status: Some(status) } = &draft.what
            && status == "deleted"
            && self.floors.get(&draft.did).is_none_or(|floor| floor < time)
        {
            self.floors.insert(draft.did.clone(), *time);
            let accepted = &mut self.accepted;
            self.dead.retain(|letter| {
                let stays = letter.did.as_ref() != Some(&draft.did);
                if !stays {
                    Self::note(accepted, letter, Dropped::Purged);
                }
                stays
            });
            self.overflow.remove(draft.did.as_str());
        }
    }

    /// What a row is said to wait for.
    pub(super) fn waits_for(&self, row: &Row) -> Option<store::Place> {
        match row.place {
            Place::Ready if self.paused.work.contains(row.event.event_type) => {
                Some(store::Place::Paused)
            }
            Place::Ready => Some(store::Place::Ready),
            Place::Scheduled => row.due.map(store::Place::Scheduled),
            Place::Claimed(_) | Place::Leased(_) => Some(store::Place::Working),
        }
    }

    /// Makes ready what is due and what is under leases that have run out; answers with the next
    /// time something is due.
    pub(super) fn wake(&mut self, now: Timestamp, elapsed: Duration) -> Option<Timestamp> {
        let stale = |beat: Duration| elapsed.saturating_sub(beat) > LEASE_STALE;
        for (lease, (seq, _)) in self.leases.extract_if(.., |_, (_, beat)| stale(*beat)) {
            let alone = self.alone == Some(Alone::Lease(lease)) || self.apart.remove(&lease);
            if self.alone == Some(Alone::Lease(lease)) {
                self.alone = None;
            }
            if let Some(row) = self.rows.get_mut(&seq) {
                row.place = Place::Ready;
                // Alone, it was counted when it was handed out.
                row.crashes += u32::from(!alone);
                self.suspects.insert(seq);
            }
        }
        let mut next = None;
        for row in self.rows.values_mut().filter(|r| r.place == Place::Scheduled) {
            match row.due {
                Some(due) if due > now => next = Some(next.map_or(due, |n: Timestamp| n.min(due))),
                _ => row.place = Place::Ready,
            }
        }
        self.uncount();
        next
    }

    /// Pauses or resumes.
    pub(super) fn pause(&mut self, order: Pause) -> Paused {
        let after = self.paused.after(order);
        if after != self.paused {
            self.audit.push(order.types.iter().count() as u64);
            self.audit_rows.push(None);
        }
        self.paused = after;
        self.uncount();
        after
    }

    /// Forgets names, but of what waits.
    pub(super) fn prune(&mut self, before: Timestamp) -> u64 {
        let known = self.accepted.len();
        let waits = |seq: Option<u64>| seq.is_some_and(|seq| self.rows.contains_key(&seq));
        self.accepted.retain(|_, known| known.at >= before || waits(known.seq));
        (known - self.accepted.len()) as u64
    }

    /// The store ends, in order or not, and is opened on what it leaves.
    pub(super) fn restart(&mut self, crash: bool) {
        let unclean = crash || !self.suspects.is_empty();
        for row in self.rows.values_mut() {
            row.place = if row.due.is_some() { Place::Scheduled } else { Place::Ready };
            row.counted = row.due.is_none() && row.event.retry_count == 0;
        }
        self.leases.clear();
        self.apart.clear();
        self.alone = None;
        self.suspects = self.rows.keys().filter(|_| unclean).copied().collect();
        self.uncount();
    }

    /// What waits.
    pub(super) fn depths(&self) -> Depths {
        let mut depths = Depths { leased: self.leases.len(), ..Depths::default() };
        for priority in Priority::ALL {
            let lane = priority as usize;
            depths.claimable[lane] = self.ready(priority).count();
            depths.fronts[lane] =
                self.ready(priority).next().map(|seq| self.rows[&seq].event.under_way_since());
        }
        for row in self.rows.values() {
            depths.scheduled += usize::from(row.place == Place::Scheduled);
            depths.paused += usize::from(self.held(row));
            if row.counted {
                depths.bytes += row.event.payload.get().len();
                depths.in_hand += usize::from(matches!(row.place, Place::Claimed(_)));
                depths.counted += usize::from(row.place == Place::Ready && !self.held(row));
            }
        }
        depths
    }

    /// What an event of this id may be found as: waiting, unless its name was forgotten while it
    /// was dead and means another one now.
    pub(super) fn waiting(&self, id: &EventId) -> Vec<(&Row, bool)> {
        let rows = self.rows.iter().filter(|(_, row)| row.event.event_id == *id);
        rows.map(|(seq, row)| {
            let origin = &row.event.origin;
            let known = self.accepted.get(&name(origin, id)).and_then(|known| known.seq);
            (row, matches!(origin, Origin::File { .. }) || known == Some(*seq))
        })
        .collect()
    }

    /// When events of this id were accepted, and why they are nowhere.
    pub(super) fn accepted_at(&self, id: &EventId) -> Vec<(Timestamp, Option<Dropped>)> {
        let known = [true, false].map(|caller| self.accepted.get(&(caller, id.clone())));
        known.into_iter().flatten().map(|known| (known.at, known.dropped)).collect()
    }

    /// How far a source was read.
    pub(super) fn position(&self, source: &str) -> u64 {
        self.cursors.get(source).copied().unwrap_or(0)
    }
}
