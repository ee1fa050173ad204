//! The calls, to both.

use super::super::{
    super::{ids, settlement},
    op::{Batch, Fate, Item, Settling, Source, Which},
    reference::Letter,
};
use super::{Hand, Play, Told, Under, abandon, compare::same_event, pick, same, told};
use crate::{
    events::{did, verdict},
    generate::PEOPLE,
};
use jiff::SignedDuration;
use rhiz_domain::{
    Clock, Event, EventId, EventType, Origin, Pause, Stage, StageName, payload,
    store::{
        AppendError, Cursor, DeadFilter, DeadSelection, Intake, Quota, Receipt, Rejected,
        Settlement, StoreError, Verdict,
    },
};
use std::sync::Arc;

impl Play {
    pub(super) async fn append(&mut self, batch: &Batch) -> Told<bool> {
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
    pub(super) async fn claim(&mut self, quota: Quota) -> Told<bool> {
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
        let got = claim.as_deref().map(ids).unwrap_or_default();
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

    pub(super) fn settlement(
        &self,
        index: usize,
        fate: Fate,
        event: &Event,
        staged: bool,
    ) -> Settlement {
        let due = |seconds: i16| self.now() + SignedDuration::from_secs(seconds.into());
        let reason = || format!("step {}", self.step);
        let verdict = match fate {
            Fate::Apply => verdict(event),
            Fate::Failed(seconds) => Verdict::Later { due: due(seconds), failed: Some(reason()) },
            Fate::Snooze(seconds) => Verdict::Later { due: due(seconds), failed: None },
            Fate::Bury => {
                // Read, as what is given up has been.
                let _ = payload::interpret(event);
                Verdict::Bury { reason: reason() }
            }
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

    pub(super) async fn settle(&mut self, settling: &Settling) -> Told<bool> {
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

    pub(super) fn drop_claim(&mut self, at: usize) {
        let Hand { number, claim, .. } = self.claims.remove(at);
        drop(claim);
        self.reference.drop_claim(number);
    }

    pub(super) fn lease(&mut self, at: usize, index: usize) -> Told<bool> {
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

    pub(super) async fn settle_lease(&mut self, at: usize, fate: Fate) -> Told<()> {
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

    pub(super) async fn wake(&mut self) -> Told<()> {
        let leases = self.reference.leases.len();
        let next = told(self.rig.store.wake(self.now()).await, "wake")?;
        let expected = self.reference.wake(self.now(), self.rig.clock.elapsed());
        self.count("leases that ran out", (leases - self.reference.leases.len()) as u64);
        same("the next time something is due", next, expected)
    }

    pub(super) async fn pause(&mut self, order: Pause) -> Told<()> {
        let stands = told(self.rig.store.pause(order, "ops").await, "pause")?;
        same("what stands still", stands, self.reference.pause(order))
    }

    pub(super) async fn act(&mut self, replay: bool, which: &Which, most: usize) -> Told<()> {
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
        let now = self.now();
        let expected = self.reference.act(replay, matches, most, now);
        let selection = match names {
            Some(names) => DeadSelection::Events(names),
            None => DeadSelection::Filter(filter),
        };
        let store = &self.rig.store;
        let act = &mut self.acts[usize::from(replay)];
        let began = act.row;
        let moved = if replay {
            store.replay(&selection, most, act).await
        } else {
            store.discard(&selection, most, act).await
        };
        self.reference.write_down(began, act.row, expected.done);
        self.count(if replay { "replayed" } else { "discarded" }, expected.done);
        same("dead letters moved", told(moved, "replay or discard")?, expected)
    }
}
