//! Revisions for events whose source gives none.

use parking_lot::Mutex;
use rhiz_domain::{Clock, Entropy, Tid};
use std::sync::Arc;

/// Hands out TIDs that only grow, also when the clock goes back.
pub(crate) struct TidClock {
    clock: Arc<dyn Clock>,
    /// Tells nodes apart that ask in the same microsecond.
    id: u16,
    last: Mutex<Tid>,
}

impl TidClock {
    pub(crate) fn new(clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        Self { clock, id: (entropy.next_u64() & 0x3ff) as u16, last: Mutex::new(Tid::ZERO) }
    }

    pub(crate) fn next(&self) -> Tid {
        let mut last = self.last.lock();
        *last = Tid::at(self.clock.now(), self.id).max(last.next());
        *last
    }
}
