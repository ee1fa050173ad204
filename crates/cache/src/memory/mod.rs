//! The tier in this process: decoded values, shared with their readers and never changed.

mod name;
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

/// The value, if it is of this type: what `Arc::downcast` answers, for less. That asks the value for
/// its type through its table of methods, and waits for the answer in memory; nearly always the
/// table itself says enough.
#[inline]
pub(crate) fn typed<T: Any + Send + Sync>(value: &Value) -> Option<Arc<T>> {
    let held: *const (dyn Any + Send + Sync) = Arc::as_ptr(value);
    let wanted: *const (dyn Any + Send + Sync) = held.cast::<T>();
    // The same place by construction: what is compared are the tables, the value's and that of `T`.
    if std::ptr::eq(held, wanted) {
        let value = Arc::into_raw(value.clone()).cast::<T>();
        // SAFETY: `from_raw` asks for a pointer of `into_raw`, of an `Arc` of the same type. The type
        // is the same: in the table of `dyn Any` stands the function that answers with the type, so
        // a value whose table is that of `T` answers as a `T` does, which is all that
        // `Arc::downcast` asks for before it does this. (Tables of one type may stand in several
        // places, which only leads to the other way; two types never share one, as their answers
        // differ.) The count taken by `clone` goes over.
        #[expect(unsafe_code, reason = "proven above")]
        return Some(unsafe { Arc::from_raw(value) });
    }
    Arc::downcast(value.clone()).ok()
}

/// A value and what is known of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) value: Value,
    /// Up to this local number no record covers it.
    checked: AtomicU64,
    /// Hashes of its tags; `None` if it has none. One pointer: see [`shard::Held`].
    tags: Option<Arc<Box<[u64]>>>,
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

    /// Whether it has tags, without a look at them: they are in yet another line of memory.
    #[inline]
    pub(crate) fn is_tagged(&self) -> bool {
        self.tags.is_some()
    }

    /// Hashes of its tags.
    pub(crate) fn tags(&self) -> &[u64] {
        self.tags.as_ref().map_or(&[], |tags| tags)
    }

    pub(crate) fn new(
        value: Value,
        stamp: u64,
        tags: Box<[u64]>,
        namespace: u16,
        none: bool,
    ) -> Self {
        let tags = (!tags.is_empty()).then(|| Arc::new(tags));
        Self { value, checked: AtomicU64::new(stamp), tags, namespace, none }
    }
}

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

    /// Looks up; `judge` looks at the slot under the lock, which spares counting references twice,
    /// and answers with what is shown of it. If that is something, it is a hit. Only the first look
    /// of a request is a use: what is missing would seem to be asked for twice as often as what is
    /// there.
    #[inline(always)]
    pub(crate) fn get<R>(
        &self,
        key: &str,
        first: bool,
        judge: impl FnOnce(&Slot, Fit) -> Option<R>,
    ) -> Option<R> {
        self.store.get_if(key, first, |slot, fit, shard| {
            let shown = judge(slot, fit);
            if shown.is_some() {
                self.stats.hit_alone(shard, slot.namespace, slot.none);
            }
            shown
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

    /// Uses and misses counted.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> u64 {
        self.store.asked()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_given_as_its_own_type_and_as_no_other_of_the_same_shape() {
        #[derive(Debug, PartialEq)]
        struct Metres(u64);
        #[derive(Debug, PartialEq)]
        struct Seconds(u64);
        let value: Value = Arc::new(Metres(7));
        let metres = typed::<Metres>(&value).expect("it is one");
        assert_eq!(*metres, Metres(7));
        assert_eq!(Arc::strong_count(&metres), 2);
        assert!(typed::<Seconds>(&value).is_none() && typed::<u64>(&value).is_none());
        assert!(typed::<Value>(&value).is_none() && typed::<()>(&value).is_none());
        drop(value);
        assert_eq!(Arc::strong_count(&metres), 1);
        let nothing: Value = Arc::new(());
        assert!(typed::<()>(&nothing).is_some() && typed::<[u8; 0]>(&nothing).is_none());
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_place_takes_two_lines_of_the_processors_cache() {
        assert_eq!(size_of::<order::Node<shard::Held<Slot>>>(), 128);
    }
}
