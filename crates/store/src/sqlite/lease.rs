//! One event under a lease, for work that waits on the network.
//!
//! A lease is in memory, like every claim here: a crash ends it, and the next start finds its event
//! waiting. What keeps the law of [`Leased`] is that the event itself is under the token in
//! [`Lanes`](super::lanes::Lanes): who settles takes it from there, and when the lease has run out
//! it is no longer there to be taken.

use super::{
    careful::{Alone, RanOut},
    lanes::Entry,
    settle::{Hands, InHand, Item},
};
use async_trait::async_trait;
use rhiz_domain::{
    Event,
    store::{Leased, SettleError, Settlement, StoreError},
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// See the module.
pub(super) struct SqliteLease {
    token: u64,
    event: Arc<Event>,
    hands: Hands,
}

impl SqliteLease {
    /// Takes an event that is in hand under a new lease.
    pub(super) fn begin(
        entry: Entry,
        event: Arc<Event>,
        hands: Hands,
        mut alone: Option<Alone>,
    ) -> Self {
        if let Some(alone) = alone.as_mut().filter(|_| entry.crashes == 0) {
            alone.let_go();
        }
        let token = hands.lanes.lock().lease(entry, alone, hands.clock.elapsed());
        Self { token, event, hands }
    }
}

#[async_trait]
impl Leased for SqliteLease {
    fn event(&self) -> &Arc<Event> {
        &self.event
    }

    fn token(&self) -> u64 {
        self.token
    }

    async fn beat(&mut self) -> Result<(), StoreError> {
        let lives = self.hands.lanes.lock().beat(self.token, self.hands.clock.elapsed());
        if lives { Ok(()) } else { Err(StoreError::Fenced) }
    }

    async fn settle(&mut self, settlement: Settlement) -> Result<u64, SettleError> {
        let entry = self.hands.lanes.lock().leave_lease(self.token);
        let Some(entry) = entry else {
            let settlements = vec![settlement];
            return Err(SettleError { error: StoreError::Fenced, settlements });
        };
        let item = Item { entry, event: Arc::clone(&self.event), settlement };
        match self.hands.settle(vec![item], Some(self.token)).await {
            Ok(seq) => Ok(seq),
            Err((error, in_hand)) => {
                let mut settlements = Vec::new();
                for item in in_hand.into_iter().flat_map(InHand::give_back) {
                    let now = self.hands.clock.elapsed();
                    self.hands.lanes.lock().back_under_lease(self.token, item.entry, now);
                    settlements.push(item.settlement);
                }
                Err(SettleError { error, settlements })
            }
        }
    }
}

impl Drop for SqliteLease {
    fn drop(&mut self) {
        // Held until the event is back.
        let Some((entry, mut alone)) = self.hands.lanes.lock().end_lease(self.token) else {
            return;
        };
        if let Some(alone) = &mut alone {
            alone.give_back(&self.hands.writer);
        }
        self.hands.lanes.lock().ready_again(entry);
        self.hands.ready.notify_one();
    }
}

/// Makes ready what is under leases that have run out, and counts that it did not come back.
/// Answers whether there was any.
pub(super) async fn run_out(hands: &Hands) -> bool {
    let gone = hands.lanes.lock().run_out(hands.clock.elapsed());
    let any = !gone.is_empty();
    let mut entries = Vec::new();
    for (entry, alone) in gone {
        tracing::warn!(seq = entry.seq, crashes = entry.crashes + 1, "a lease has run out");
        match alone {
            // It was counted when it was handed out.
            Some(_) => {
                let entry = Entry { crashes: entry.crashes + 1, ..entry };
                hands.lanes.lock().ready_again(entry);
            }
            None => entries.push(entry),
        }
    }
    if !entries.is_empty() {
        let (answer, answered) = oneshot::channel();
        let (lanes, ready) = (Arc::clone(&hands.lanes), Arc::clone(&hands.ready));
        hands.writer.submit(Box::new(RanOut { entries, lanes, ready, answer }));
        // Answered or not, the job is done.
        let _ = answered.await;
    }
    any
}
