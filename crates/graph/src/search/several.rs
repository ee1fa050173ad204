//! The k best loopless paths.
//!
//! Where the k best walks are paths, they are the answer: [`super::walks`] finds them in one
//! search. Otherwise (in a hundred questions about one) it is Yen's partition, with Lawler's
//! restriction.
//!
//! What is not yet answered is cut into sets of paths that share a prefix and avoid some next
//! stops. Each set's best path is a candidate; the best candidate is the next answer, and its own
//! set is cut further. A set needs to be searched only for what is better than the candidates at
//! hand.

use super::bidirectional::{Found, Scratch};
use super::filter::Filter;
use super::order::Order;
use super::task::{INFINITE, OutOfTime, Task};
use super::walks::Walks;
use crate::web::Web;
use std::cmp::Ordering;

/// The memory of searches, used again and again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    scratch: Scratch,
    walks: Walks,
}

impl Memory {
    /// Bytes for what searches have reached. (A number for each entity is needed by all.)
    pub(super) fn grown(&self) -> usize {
        self.scratch.grown() + self.walks.grown()
    }

    #[cfg(test)]
    pub(super) fn of_bytes(bytes: usize) -> Self {
        Self { walks: Walks::of_bytes(bytes), ..Self::default() }
    }
}

/// A path that is the best of its set.
struct Candidate {
    key: u64,
    nodes: Vec<u32>,
    /// Keys along the way: of the prefix that ends at each entity.
    keys: Vec<u64>,
    slots: Vec<u32>,
    /// The set: this many entities at the start are given …
    given: usize,
    /// … and these may not come next.
    not_next: Vec<u32>,
}

/// An answer: the entities on the way and the record slots between them.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) nodes: Vec<u32>,
    pub(super) slots: Vec<u32>,
}

/// What all searches of one question share.
pub(super) struct Question<'a> {
    pub(super) web: &'a Web,
    pub(super) filter: &'a Filter<'a>,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) max_hops: u32,
    pub(super) excluded: &'a [u32],
    pub(super) compare: &'a dyn Fn(u32, u32) -> Ordering,
}

impl Question<'_> {
    /// The `k` best paths, best first.
    pub(super) fn best<O: Order>(
        &self,
        k: usize,
        Memory { scratch, walks }: &mut Memory,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Way>, OutOfTime> {
        let mut answers: Vec<Way> = Vec::with_capacity(k);
        let task = Task {
            web: self.web,
            filter: self.filter,
            from: self.from,
            to: self.to,
            max_hops: self.max_hops,
            at_most: INFINITE,
            wanted: k,
            banned: self.excluded,
            no_first: &[],
            compare: self.compare,
        };
        if k > 1 {
            let walks = walks.search::<O>(&task, go_on)?;
            let paths = walks.iter().filter(|walk| walk.is_path()).take(k);
            let ways: Vec<Way> = paths
                .map(|walk| Way { nodes: walk.nodes.clone(), slots: walk.slots.clone() })
                .collect();
            if ways.len() == k || walks.len() < task.wanted {
                return Ok(ways);
            }
        }
        let Some(first) = scratch.search::<O>(&task, go_on)? else { return Ok(answers) };
        let worst = scratch.worst();
        // Best last.
        let mut waiting: Vec<Candidate> = vec![self.candidate::<O>(first, &[], 1, Vec::new())];
        while let Some(best) = waiting.pop() {
            if answers.len() + 1 < k {
                let wanted = k - answers.len() - 1;
                self.partition::<O>(&best, (wanted, worst), &mut waiting, scratch, go_on)?;
            }
            answers.push(Way { nodes: best.nodes, slots: best.slots });
            if answers.len() == k {
                break;
            }
        }
        Ok(answers)
    }

    /// Cuts the set of an answer into sets without it, and adds the best path of each that may
    /// still be among the `wanted` best; a key above `worst` is not.
    fn partition<O: Order>(
        &self,
        answer: &Candidate,
        (wanted, worst): (usize, u64),
        waiting: &mut Vec<Candidate>,
        scratch: &mut Scratch,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), OutOfTime> {
        let mut banned = self.excluded.to_vec();
        banned.extend(&answer.nodes[..answer.given - 1]);
        for given in answer.given..answer.nodes.len() {
            let (prefix, from) = (&answer.nodes[..given], answer.nodes[given - 1]);
            let mut no_first = vec![answer.nodes[given]];
            if given == answer.given {
                no_first.extend(&answer.not_next);
            }
            let spent = answer.keys[given - 1];
            let worst = match waiting.len().checked_sub(wanted) {
                Some(last) => worst.min(waiting[last].key),
                None => worst,
            };
            // Nothing is left below `worst` for the longer prefixes either.
            if worst < spent {
                break;
            }
            let max_hops = self.max_hops - (given as u32 - 1);
            if max_hops == 1 && answer.nodes[given] == self.to {
                // The one hop that is left is the answer's own.
                break;
            }
            let task = Task {
                web: self.web,
                filter: self.filter,
                from,
                to: self.to,
                max_hops,
                at_most: if worst == INFINITE { INFINITE } else { worst - spent },
                wanted: 1,
                banned: &banned,
                no_first: &no_first,
                compare: self.compare,
            };
            if let Some(found) = scratch.search::<O>(&task, go_on)? {
                let new = self.candidate::<O>(found, &prefix[..given - 1], given, no_first);
                let place = waiting.partition_point(|c| self.order(c, &new).is_gt());
                waiting.insert(place, new);
                if waiting.len() > wanted {
                    waiting.remove(0);
                }
            }
            banned.push(from);
        }
        Ok(())
    }

    fn candidate<O: Order>(
        &self,
        found: Found,
        prefix: &[u32],
        given: usize,
        not_next: Vec<u32>,
    ) -> Candidate {
        let mut nodes = prefix.to_vec();
        nodes.extend(found.nodes);
        let mut keys = vec![0];
        let mut slots = Vec::with_capacity(nodes.len() - 1);
        for hop in nodes.windows(2) {
            // Each hop was found under this filter.
            let (cost, slot) = self.filter.edge(self.web, hop[0], hop[1]).unwrap_or_default();
            keys.push(keys[keys.len() - 1] + O::key(cost, 1));
            slots.push(slot);
        }
        Candidate { key: keys[keys.len() - 1], nodes, keys, slots, given, not_next }
    }

    fn order(&self, a: &Candidate, b: &Candidate) -> Ordering {
        a.key.cmp(&b.key).then_with(|| {
            let mut differences = a.slots.iter().zip(&b.slots).filter(|(x, y)| x != y);
            differences.next().map_or(Ordering::Equal, |(&x, &y)| (self.compare)(x, y))
        })
    }
}
