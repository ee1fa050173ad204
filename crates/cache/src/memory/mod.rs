//! The tier in this process: decoded values, shared with their readers and never changed.

mod order;
mod shard;
mod sketch;
mod store;
mod trials;

use crate::stats::{Count, Scope, Statistics};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
pub use store::{Fit, Gone, Store};

/// A decoded value.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// A value and what is known of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) value: Value,
    /// Up to this local number no record covers it.
    checked: AtomicU64,
    /// Hashes of its tags.
    pub(crate) tags: Arc<[u64]>,
    pub(crate) namespace: u16,
    /// It says that there is nothing.
    pub(crate) none: bool,
}

impl Clone for Slot {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            checked: AtomicU64::new(self.checked()),
            tags: self.tags.clone(),
            namespace: self.namespace,
            none: self.none,
        }
    }
}

impl Slot {
    pub(crate) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }

    /// Remembers that it was found good up to `local`.
    pub(crate) fn found_good(&self, local: u64) {
        // Every number stored here was checked; that a smaller one may come last costs one check.
        self.checked.store(local, Ordering::Release);
    }

    pub(crate) fn new(
        value: Value,
        stamp: u64,
        tags: Arc<[u64]>,
        namespace: u16,
        none: bool,
    ) -> Self {
        Self { value, checked: AtomicU64::new(stamp), tags, namespace, none }
    }
}

/// What came of judging a slot: the reader gets the first, or the slot has to go for the reason.
pub(crate) type Judged<R> = Result<R, (Count, Value)>;

/// The store as a tier: it counts.
#[derive(Debug)]
pub(crate) struct MemoryTier {
    store: Store<Slot>,
    stats: Arc<Statistics>,
}

impl MemoryTier {
    pub(crate) fn new(store: Store<Slot>, stats: Arc<Statistics>) -> Self {
        Self { store, stats }
    }

    /// Looks up and counts as use; `judge` looks at the slot under the lock, which spares counting
    /// references twice. If it may be shown and is `counted`, it is a hit.
    #[inline]
    pub(crate) fn get<R>(
        &self,
        key: &str,
        counted: bool,
        judge: impl FnOnce(&Slot, Fit) -> Judged<R>,
    ) -> Option<Judged<R>> {
        self.store.get(key, |slot, fit, shard| {
            let judged = judge(slot, fit);
            if counted && judged.is_ok() {
                self.stats.hit_alone(shard, slot.namespace, slot.none);
            }
            judged
        })
    }

    /// Looks up without counting as use.
    pub(crate) fn peek<R>(&self, key: &str, look: impl FnOnce(&Slot, Fit) -> R) -> Option<R> {
        self.store.peek(key, look)
    }

    pub(crate) fn insert(&self, key: &str, slot: Slot, fit: Fit, now: u64) {
        self.stats.stored(slot.namespace, fit.bytes);
        self.left(self.store.insert(key, slot, fit, now));
    }

    fn left(&self, gone: impl IntoIterator<Item = Gone<Slot>>) {
        for Gone { value: slot, fit, pushed_out } in gone {
            self.stats.dropped(slot.namespace, fit.bytes);
            if pushed_out {
                self.stats.count(Scope::Memory, slot.namespace, Count::Evictions);
            }
        }
    }

    pub(crate) fn remove(&self, key: &str) {
        self.remove_if(key, |_| true);
    }

    /// Removes this very value, not one that was stored since.
    pub(crate) fn remove_same(&self, key: &str, value: &Value) {
        self.remove_if(key, |slot| Arc::ptr_eq(&slot.value, value));
    }

    fn remove_if(&self, key: &str, judge: impl FnOnce(&Slot) -> bool) {
        self.left(self.store.remove_if(key, judge));
    }

    pub(crate) fn len(&self) -> u64 {
        self.store.len() as u64
    }

    pub(crate) fn shards(&self) -> usize {
        self.store.shards()
    }

    /// Removes what is not to be kept among `batch` places of one shard; answers where to go on,
    /// `None` at its end.
    pub(crate) fn sweep(
        &self,
        shard: usize,
        from: usize,
        batch: usize,
        keep: impl Fn(&str, &Slot, Fit) -> bool,
    ) -> Option<usize> {
        let (next, gone) = self.store.sweep(shard, from, batch, keep);
        self.left(gone);
        next
    }

    pub(crate) fn clear(&self) {
        for shard in 0..self.shards() {
            self.sweep(shard, 0, usize::MAX, |_, _, _| false);
        }
    }
}
