//! The tier in this process: decoded values, shared with their readers and never changed.

use crate::stats::Statistics;
use quick_cache::Lifecycle;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A decoded value.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// A value and what is known of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) value: Value,
    /// Up to this local number no record covers it.
    checked: AtomicU64,
    /// Nanoseconds of the clock's `elapsed`.
    pub(crate) expires: u64,
    /// Hashes of its tags.
    pub(crate) tags: Box<[u64]>,
    pub(crate) bytes: u64,
    pub(crate) namespace: u16,
    /// It says that there is nothing.
    pub(crate) none: bool,
}

impl Slot {
    pub(crate) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }

    /// Remembers that it was found good up to `local`.
    pub(crate) fn found_good(&self, local: u64) {
        self.checked.fetch_max(local, Ordering::AcqRel);
    }

    pub(crate) fn new(
        value: Value,
        stamp: u64,
        expires: u64,
        tags: Box<[u64]>,
        bytes: u64,
        namespace: u16,
        none: bool,
    ) -> Self {
        Self { value, checked: AtomicU64::new(stamp), expires, tags, bytes, namespace, none }
    }
}

#[derive(Debug, Clone)]
struct Gauge(Arc<Statistics>);

impl Lifecycle<Box<str>, Arc<Slot>> for Gauge {
    type RequestState = ();
    fn on_evict(&self, (): &mut (), _: Box<str>, slot: Arc<Slot>) {
        self.0.dropped(slot.namespace, slot.bytes);
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct MemoryTier {
    slots: quick_cache::sync::Cache<
        Box<str>,
        Arc<Slot>,
        quick_cache::UnitWeighter,
        std::hash::RandomState,
        Gauge,
    >,
    stats: Arc<Statistics>,
}

impl MemoryTier {
    pub(crate) fn new(max_keys: usize, stats: Arc<Statistics>) -> Self {
        Self {
            slots: quick_cache::sync::Cache::with(
                max_keys,
                max_keys as u64,
                quick_cache::UnitWeighter,
                std::hash::RandomState::new(),
                Gauge(stats.clone()),
            ),
            stats,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Slot>> {
        self.slots.get(key)
    }

    pub(crate) fn insert(&self, key: &str, slot: Arc<Slot>) {
        self.stats.stored(slot.namespace, slot.bytes);
        self.slots.insert(key.into(), slot);
    }

    pub(crate) fn remove(&self, key: &str) -> Option<Arc<Slot>> {
        let (_, slot) = self.slots.remove(key)?;
        self.stats.dropped(slot.namespace, slot.bytes);
        Some(slot)
    }

    /// Removes this very slot, not one that was stored since.
    pub(crate) fn remove_same(&self, key: &str, slot: &Arc<Slot>) {
        if let Some((_, slot)) = self.slots.remove_if(key, |s| Arc::ptr_eq(s, slot)) {
            self.stats.dropped(slot.namespace, slot.bytes);
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    pub(crate) fn clear(&self) {
        self.slots.retain(|_, slot| {
            self.stats.dropped(slot.namespace, slot.bytes);
            false
        });
    }
}
