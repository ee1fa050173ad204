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

#[derive(Debug)]
struct Listed {
    receiver: watch::Receiver<Landing>,
    /// A value was set by hand while the computation ran.
    superseded: bool,
}

type Flights = Mutex<HashMap<Box<str>, Listed>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FlightBoard {
    flights: Arc<Flights>,
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
    key: Box<str>,
    sender: watch::Sender<Landing>,
    flights: Arc<Flights>,
}

impl FlightBoard {
    pub(crate) fn board(&self, key: &str) -> Boarding {
        let mut flights = self.flights.lock();
        if let Some(listed) = flights.get(key) {
            return Boarding::Waits(listed.receiver.clone());
        }
        let (sender, receiver) = watch::channel(Landing::Flying);
        flights.insert(key.into(), Listed { receiver, superseded: false });
        Boarding::Leads(Flight { key: key.into(), sender, flights: self.flights.clone() })
    }

    /// A value is being set by hand: what is being computed for the key is older.
    pub(crate) fn supersede(&self, key: &str) {
        if let Some(listed) = self.flights.lock().get_mut(key) {
            listed.superseded = true;
        }
    }
}

impl Flight {
    /// A value was set by hand since the flight began.
    pub(crate) fn superseded(&self) -> bool {
        self.flights.lock().get(&self.key).is_some_and(|listed| listed.superseded)
    }

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
