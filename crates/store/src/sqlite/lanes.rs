//! What waits in the journal, mirrored in memory: one lane for each priority.
//!
//! The journal's table is the truth; the lanes say which of its rows nobody has in hand. A crash
//! forgets who had what in hand, and the next start finds all of it waiting: that is why a claim
//! needs no write of its own. One process owns a database (it holds the lock of its directory), so
//! nobody else claims.

use super::careful::Alone;
use jiff::Timestamp;
use rhiz_domain::{
    Event, EventId, EventType, Origin, Paused, Priority,
    store::{Depths, LEASE_STALE, MOST_CLAIMED, Place, Quota},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

/// One waiting event.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub seq: i64,
    /// Its event's [`name`], when it can be found by no other way.
    pub name: Option<u64>,
    pub priority: Priority,
    /// `None` when its row is damaged.
    pub event_type: Option<EventType>,
    /// How often it was in hand and never came back.
    pub crashes: u32,
    /// Of its payload.
    pub bytes: usize,
    /// Since when it is on its way.
    pub since: Timestamp,
    /// Whether it takes part of the capacity; one that waited for a retry does not, so that the
    /// pipeline cannot block itself.
    pub counted: bool,
    /// Kept while it counts; what else waits is read from the table when its turn comes.
    pub event: Option<Arc<Event>>,
}

/// A short name of an event by which it can be found while it is not done: of what comes from a
/// file, whose ids are remembered nowhere else. Different events may share one.
pub(super) fn name(origin: &Origin, id: &EventId) -> Option<u64> {
    matches!(origin, Origin::File { .. }).then(|| hash(id))
}

fn hash(id: &EventId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// The lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    ready: [VecDeque<Entry>; 4],
    scheduled: BTreeMap<(Timestamp, i64), Entry>,
    /// When each of these is due.
    due: HashMap<i64, Timestamp>,
    /// Ready but for their type, whose work is paused.
    held: BTreeMap<i64, Entry>,
    /// Names and numbers of all that is not done and has such a name.
    names: BTreeSet<(u64, i64)>,
    paused: Paused,
    /// Numbers of what may have been in hand at a crash; see [`careful`](super::careful).
    suspects: BTreeSet<i64>,
    leases: HashMap<u64, Lease>,
    last_token: u64,
    /// Of those ready, those that count.
    counted: usize,
    in_hand: usize,
    bytes: usize,
}

/// One event in the hands of work that waits on the network.
#[derive(Debug)]
struct Lease {
    /// `None` while it is being settled: then it cannot run out any more.
    entry: Option<Entry>,
    /// When its holder last said that it lives, by the monotonic clock.
    beat: Duration,
    /// Held while its event is in hand alone: here, so that a lease that has run out lets it go.
    alone: Option<Alone>,
}

impl Lanes {
    /// Appends what was accepted.
    pub(super) fn push(&mut self, entry: Entry) {
        self.names.extend(entry.name.map(|name| (name, entry.seq)));
        if self.stands_still(&entry) {
            self.hold(entry);
            return;
        }
        self.bytes += entry.counted_bytes();
        self.counted += usize::from(entry.counted);
        self.ready[entry.priority as usize].push_back(entry);
    }

    fn stands_still(&self, entry: &Entry) -> bool {
        entry.event_type.is_some_and(|t| self.paused.work.contains(t))
    }

    /// What is held takes no part of the capacity, nor does it when it is let go: the pipeline
    /// must not be blocked by what it was told to leave alone.
    fn hold(&mut self, entry: Entry) {
        let entry = Entry { counted: false, event: None, ..entry };
        self.held.insert(entry.seq, entry);
    }

    /// What stands still.
    pub(super) fn paused(&self) -> Paused {
        self.paused
    }

    /// From now on this stands still, and nothing else. Answers whether something became ready.
    pub(super) fn pause(&mut self, paused: Paused) -> bool {
        self.paused = paused;
        for lane in 0..self.ready.len() {
            let entries = std::mem::take(&mut self.ready[lane]);
            for entry in entries {
                if self.stands_still(&entry) {
                    self.bytes -= entry.counted_bytes();
                    self.counted -= usize::from(entry.counted);
                    self.hold(entry);
                } else {
                    self.ready[lane].push_back(entry);
                }
            }
        }
        let free = |entry: &Entry| entry.event_type.is_none_or(|t| !paused.work.contains(t));
        let free: Vec<i64> = self.held.values().filter(|e| free(e)).map(|e| e.seq).collect();
        for seq in &free {
            if let Some(entry) = self.held.remove(seq) {
                self.ready[entry.priority as usize].push_back(entry);
            }
        }
        for lane in &mut self.ready {
            // Two sorted stretches: linear.
            lane.make_contiguous().sort_by_key(|entry| entry.seq);
        }
        !free.is_empty()
    }

    /// Puts an event that is in hand under a lease; answers with its token.
    pub(super) fn lease(&mut self, entry: Entry, alone: Option<Alone>, now: Duration) -> u64 {
        self.left_hand(&entry);
        self.last_token += 1;
        let entry = Some(Entry { counted: false, event: None, ..entry });
        self.leases.insert(self.last_token, Lease { entry, beat: now, alone });
        self.last_token
    }

    /// Whether the lease is still its holder's; it goes on from now.
    pub(super) fn beat(&mut self, token: u64, now: Duration) -> bool {
        let lease = self.leases.get_mut(&token);
        lease.map(|lease| lease.beat = now).is_some()
    }

    /// Takes what is under the lease, to settle it. `None` when the lease has run out.
    pub(super) fn leave_lease(&mut self, token: u64) -> Option<Entry> {
        self.leases.get_mut(&token).and_then(|lease| lease.entry.take())
    }

    /// Puts it back: it could not be settled.
    pub(super) fn back_under_lease(&mut self, token: u64, entry: Entry, now: Duration) {
        if let Some(lease) = self.leases.get_mut(&token) {
            (lease.entry, lease.beat) = (Some(entry), now);
        }
    }

    /// Ends a lease. Answers with what is still under it, and who had it alone.
    pub(super) fn end_lease(&mut self, token: u64) -> Option<(Entry, Option<Alone>)> {
        let Lease { entry, alone, .. } = self.leases.remove(&token)?;
        Some((entry?, alone))
    }

    /// Takes what is under leases that have run out, with who had it alone.
    pub(super) fn run_out(&mut self, now: Duration) -> Vec<(Entry, Option<Alone>)> {
        let stale = |lease: &mut Lease| {
            lease.entry.is_some() && now.saturating_sub(lease.beat) > LEASE_STALE
        };
        let gone = self.leases.extract_if(|_, lease| stale(lease));
        gone.filter_map(|(_, lease)| Some((lease.entry?, lease.alone))).collect()
    }

    /// Makes ready what was taken from a lease.
    pub(super) fn ready_again(&mut self, entry: Entry) {
        self.insert(entry);
    }

    /// Takes up to `quota` entries, highest priority first, and no more of them than
    /// [`MOST_CLAIMED`] bytes.
    pub(super) fn take(&mut self, quota: Quota) -> Vec<Entry> {
        let quota = self.within(quota);
        let mut taken = Vec::new();
        for (lane, most) in quota.into_iter().enumerate().rev() {
            let n = most.min(self.ready[lane].len());
            taken.extend(self.ready[lane].drain(..n));
        }
        for entry in &taken {
            self.counted -= usize::from(entry.counted);
            self.in_hand += usize::from(entry.counted);
        }
        taken
    }

    /// The part of `quota` whose payloads are not too much to be held at once: of each priority one,
    /// whatever its size, so that nobody waits for being large or less urgent; then more, in the
    /// proportions of the quota.
    fn within(&self, quota: Quota) -> Quota {
        let quota: Quota = std::array::from_fn(|lane| quota[lane].min(self.ready[lane].len()));
        let mut part = Quota::default();
        let mut bytes = 0;
        for lane in (0..quota.len()).filter(|lane| quota[*lane] > 0) {
            bytes += self.ready[lane][0].bytes;
            part[lane] = 1;
        }
        // Whoever has the smallest share of what was meant for him; on a tie the more urgent.
        let next = |part: &Quota| {
            let more = (0..quota.len()).rev().filter(|lane| part[*lane] < quota[*lane]);
            more.min_by(|a, b| (part[*a] * quota[*b]).cmp(&(part[*b] * quota[*a])))
        };
        while let Some(lane) = next(&part) {
            bytes += self.ready[lane][part[lane]].bytes;
            if bytes > MOST_CLAIMED {
                break;
            }
            part[lane] += 1;
        }
        part
    }

    /// This one is handed out alone until it is settled.
    pub(super) fn suspect(&mut self, seq: i64) {
        self.suspects.insert(seq);
    }

    /// Whether nobody is suspected.
    pub(super) fn no_suspects(&self) -> bool {
        self.suspects.is_empty()
    }

    /// Takes the oldest suspect that is ready and within the quota.
    pub(super) fn take_suspect(&mut self, quota: Quota) -> Option<Entry> {
        if self.suspects.is_empty() {
            return None;
        }
        let first = |lane: usize| {
            // Nearly always at the front.
            let at = self.ready[lane].iter().position(|e| self.suspects.contains(&e.seq))?;
            Some((self.ready[lane][at].seq, lane, at))
        };
        let lanes = (0..quota.len()).filter(|lane| quota[*lane] > 0);
        let (_, lane, at) = lanes.filter_map(first).min()?;
        let entry = self.ready[lane].remove(at)?;
        self.counted -= usize::from(entry.counted);
        self.in_hand += usize::from(entry.counted);
        Some(entry)
    }

    /// Puts back what was taken and not settled.
    pub(super) fn put_back(&mut self, entries: Vec<Entry>) {
        for entry in entries.into_iter().rev() {
            self.in_hand -= usize::from(entry.counted);
            self.insert(entry);
        }
    }

    /// A lane is sorted by number, which is the order of accepting: what returns goes before what
    /// came after it, whoever returns first.
    fn insert(&mut self, entry: Entry) {
        if self.stands_still(&entry) {
            self.bytes -= entry.counted_bytes();
            self.hold(entry);
            return;
        }
        self.counted += usize::from(entry.counted);
        let lane = &mut self.ready[entry.priority as usize];
        let place = lane.partition_point(|e| e.seq < entry.seq);
        lane.insert(place, entry);
    }

    /// Makes many ready at once: sorted in once, for each on its own would have to move the others.
    fn insert_all(&mut self, entries: impl Iterator<Item = Entry>) {
        for entry in entries {
            if self.stands_still(&entry) {
                self.hold(entry);
            } else {
                self.ready[entry.priority as usize].push_back(entry);
            }
        }
        for lane in &mut self.ready {
            if !lane.iter().is_sorted_by_key(|entry| entry.seq) {
                lane.make_contiguous().sort_by_key(|entry| entry.seq);
            }
        }
    }

    /// Forgets what was taken and is done.
    pub(super) fn done(&mut self, entry: &Entry) {
        self.left_hand(entry);
        self.suspects.remove(&entry.seq);
        if let Some(name) = entry.name {
            self.names.remove(&(name, entry.seq));
        }
    }

    /// Numbers of what is not done and may be the event of this id.
    pub(super) fn named(&self, id: &EventId) -> Vec<i64> {
        let name = hash(id);
        self.names.range((name, i64::MIN)..=(name, i64::MAX)).map(|(_, seq)| *seq).collect()
    }

    /// What was taken is no longer in hand, nor takes it part of the capacity.
    fn left_hand(&mut self, entry: &Entry) {
        self.in_hand -= usize::from(entry.counted);
        self.bytes -= entry.counted_bytes();
    }

    /// Notes what was taken and waits now.
    pub(super) fn schedule(&mut self, entry: Entry, due: Timestamp) {
        self.left_hand(&entry);
        // Whoever settled it lives.
        self.suspects.remove(&entry.seq);
        self.wait(entry, due);
    }

    /// Notes that what was taken and settled leaves its lease, too.
    pub(super) fn lease_settled(&mut self, token: u64) {
        self.leases.remove(&token);
    }

    /// Adds what waits for its time.
    pub(super) fn wait(&mut self, entry: Entry, due: Timestamp) {
        self.names.extend(entry.name.map(|name| (name, entry.seq)));
        let entry = Entry { counted: false, event: None, ..entry };
        self.due.insert(entry.seq, due);
        self.scheduled.insert((due, entry.seq), entry);
    }

    /// Makes ready what is due; answers with how many, and the next time something will be.
    pub(super) fn wake(&mut self, now: Timestamp) -> (usize, Option<Timestamp>) {
        let later = self.scheduled.split_off(&(now, i64::MAX));
        let due = std::mem::replace(&mut self.scheduled, later);
        let woken = due.len();
        if woken > 0 {
            for (_, seq) in due.keys() {
                self.due.remove(seq);
            }
            // None of them counts: it waited.
            self.insert_all(due.into_values());
        }
        (woken, self.scheduled.keys().next().map(|(due, _)| *due))
    }

    /// What an event in the journal waits for.
    pub(super) fn place(&self, seq: i64) -> Place {
        if self.held.contains_key(&seq) {
            return Place::Paused;
        }
        if let Some(due) = self.due.get(&seq) {
            return Place::Scheduled(*due);
        }
        let ready = |lane: &VecDeque<Entry>| lane.binary_search_by_key(&seq, |e| e.seq).is_ok();
        if self.ready.iter().any(ready) { Place::Ready } else { Place::Working }
    }

    /// Whether something can be taken.
    pub(super) fn any_ready(&self) -> bool {
        self.ready.iter().any(|lane| !lane.is_empty())
    }

    pub(super) fn depths(&self) -> Depths {
        let claimable = [0, 1, 2, 3].map(|lane| self.ready[lane].len());
        let fronts = [0, 1, 2, 3].map(|lane| self.ready[lane].front().map(|e| e.since));
        Depths {
            claimable,
            counted: self.counted,
            in_hand: self.in_hand,
            bytes: self.bytes,
            scheduled: self.scheduled.len(),
            leased: self.leases.len(),
            paused: self.held.len(),
            fronts,
        }
    }
}

impl Entry {
    fn counted_bytes(&self) -> usize {
        if self.counted { self.bytes } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(entries: impl IntoIterator<Item = (Priority, usize)>) -> Lanes {
        let mut lanes = Lanes::default();
        for (seq, (priority, bytes)) in (1..).zip(entries) {
            lanes.push(Entry {
                seq,
                name: None,
                priority,
                event_type: Some(EventType::TrustInvalidated),
                crashes: 0,
                bytes,
                since: Timestamp::UNIX_EPOCH,
                counted: true,
                event: None,
            });
        }
        lanes
    }

    fn taken(lanes: &mut Lanes, quota: Quota) -> Quota {
        let mut taken = Quota::default();
        lanes.take(quota).iter().for_each(|entry| taken[entry.priority as usize] += 1);
        taken
    }

    const MB: usize = 1024 * 1024;

    #[test]
    fn a_claim_holds_so_many_bytes_and_one_at_least() {
        let low = |n: usize, bytes: usize| std::iter::repeat_n((Priority::Low, bytes), n);
        assert_eq!(taken(&mut lanes(low(300, 4 * MB)), [256; 4]), [2, 0, 0, 0]);
        assert_eq!(taken(&mut lanes(low(300, 9 * MB)), [256; 4]), [1, 0, 0, 0]);
        assert_eq!(taken(&mut lanes(low(300, 1000)), [256; 4]), [256, 0, 0, 0]);
        assert_eq!(taken(&mut lanes(low(300, 1000)), [0, 9, 9, 9]), [0; 4]);
    }

    /// What is cut off is cut off of all alike, and nobody is left out.
    #[test]
    fn a_claim_of_few_keeps_the_proportions() {
        let all = |bytes| Priority::ALL.into_iter().flat_map(move |p| [(p, bytes); 200]);
        let share = [16, 32, 64, 128];
        assert_eq!(taken(&mut lanes(all(100)), share), share);
        assert_eq!(taken(&mut lanes(all(4 * MB)), share), [1; 4]);
        let half = taken(&mut lanes(all(MB / 15)), share);
        assert_eq!(half, [8, 16, 32, 64]);
    }

    /// Thousands wait; whoever asks for one of them does not look at all of them.
    #[test]
    fn what_is_scheduled_is_found_until_it_is_woken() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let mut lanes = lanes([(Priority::Normal, 1), (Priority::Normal, 1)]);
        for entry in lanes.take([9; 4]) {
            let due = at(entry.seq);
            lanes.schedule(entry, due);
        }
        assert_eq!(lanes.place(2), Place::Scheduled(at(2)));
        assert_eq!(lanes.wake(at(1)), (1, Some(at(2))));
        assert_eq!((lanes.place(1), lanes.place(2)), (Place::Ready, Place::Scheduled(at(2))));
        assert_eq!(lanes.wake(at(2)), (1, None));
        assert!(lanes.due.is_empty());
    }
}
