//! One computation for one missing key on this node; the others wait for it.
//!
//! # Law
//! A waiter takes over a result only if no invalidation that covers it was applied between the
//! stamp of the computation and the waiter's arrival. The caller checks that: a flight only says
//! what it noted.
//!
//! When the future that computes is dropped, the flight lands empty and one of the waiters
//! computes; when it fails, its waiters get the same error, so that a failing source is not asked
//! once for each of them.
//!
//! A value set by hand is newer than whatever was being computed for its key at that moment, with
//! a flight or without one, forced or not: see [`Computing`].

use crate::memory::Slot;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// How a flight ended.
#[derive(Debug, Clone)]
pub(crate) enum Landing {
    /// Still under way.
    Flying,
    /// A value, with the local number noted before it was computed, or checked when it was found.
    Value { slot: Arc<Slot>, stamp: u64, found: bool },
    /// An error of the computation.
    Error(Arc<dyn Any + Send + Sync>),
    /// Nobody computes any more.
    Abandoned,
}

/// By key, and whether those on it want a forced computation: they share only with each other.
type Flights = Mutex<HashMap<(Box<str>, bool), watch::Receiver<Landing>>>;

/// What is being computed for a key.
#[derive(Debug, Default)]
struct UnderWay {
    computations: usize,
    /// Values set by hand since the first of them began.
    sets: u64,
}

type Computations = Mutex<HashMap<Box<str>, UnderWay>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FlightBoard {
    flights: Arc<Flights>,
    computations: Arc<Computations>,
}

/// A computation from the moment its stamp is noted until its value is kept.
#[derive(Debug)]
pub(crate) struct Computing {
    key: Box<str>,
    sets: u64,
    computations: Arc<Computations>,
}

/// Who computes, or who waits.
#[derive(Debug)]
pub(crate) enum Boarding {
    Leads(Flight),
    Waits(watch::Receiver<Landing>),
}

/// The right and duty to compute; dropping it lets a waiter have it.
#[derive(Debug)]
pub(crate) struct Flight {
    key: (Box<str>, bool),
    sender: watch::Sender<Landing>,
    flights: Arc<Flights>,
}

impl FlightBoard {
    pub(crate) fn board(&self, key: &str, forced: bool) -> Boarding {
        let key = (Box::from(key), forced);
        let mut flights = self.flights.lock();
        if let Some(receiver) = flights.get(&key) {
            return Boarding::Waits(receiver.clone());
        }
        let (sender, receiver) = watch::channel(Landing::Flying);
        flights.insert(key.clone(), receiver);
        Boarding::Leads(Flight { key, sender, flights: self.flights.clone() })
    }

    /// A computation begins.
    pub(crate) fn computing(&self, key: &str) -> Computing {
        let mut computations = self.computations.lock();
        let under_way = computations.entry(key.into()).or_default();
        under_way.computations += 1;
        let sets = under_way.sets;
        Computing { key: key.into(), sets, computations: self.computations.clone() }
    }

    /// A value is being set by hand: what is being computed for the key is older.
    pub(crate) fn supersede(&self, key: &str) {
        if let Some(under_way) = self.computations.lock().get_mut(key) {
            under_way.sets += 1;
        }
    }
}

impl Computing {
    /// A value was set by hand since the computation began.
    pub(crate) fn superseded(&self) -> bool {
        self.computations.lock().get(&self.key).is_some_and(|now| now.sets != self.sets)
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        let mut computations = self.computations.lock();
        if let Some(under_way) = computations.get_mut(&self.key) {
            under_way.computations -= 1;
            if under_way.computations == 0 {
                computations.remove(&self.key);
            }
        }
    }
}

impl Flight {
    /// Ends the flight with a result.
    pub(crate) fn land(self, landing: Landing) {
        // Whoever boards from here on starts a flight of its own; the value is stored already.
        self.flights.lock().remove(&self.key);
        self.sender.send_replace(landing);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if matches!(*self.sender.borrow(), Landing::Flying) {
            self.flights.lock().remove(&self.key);
            self.sender.send_replace(Landing::Abandoned);
        }
    }
}
