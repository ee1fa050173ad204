//! Keeping a value in the tiers.

use crate::call::Cacheable;
use crate::key;
use crate::memory::{Fit, Slot, Value};
use crate::redis::Write;
use crate::service::{Inner, nanos};
use crate::stats::{Count, Scope};
use crate::value;
use rhiz_domain::cache::{CacheError, Stamp};
use std::sync::Arc;
use std::time::Duration;

/// What a slot costs besides its value, key and tags: its node, a counter, the table's entry.
pub(crate) const SLOT_BYTES: usize = 160;

/// What goes with a value that is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) tags: &'a [String],
    pub(crate) ttl: Duration,
    pub(crate) none: bool,
    pub(crate) stamp: Stamp,
    /// What is under the key must not be read again, even if this value cannot be stored.
    pub(crate) replaces: bool,
}

impl Inner {
    /// Puts a value into the tiers; answers with its slot, also when it was not kept.
    pub(crate) async fn keep<T: Cacheable>(
        &self,
        key: &str,
        value: &Arc<T>,
        item: Item<'_>,
    ) -> Result<Slot, CacheError> {
        let namespace = self.stats.namespace(key);
        match self.keep_checked(key, value, item).await {
            Err(error) if item.replaces => {
                // What is under the key is older than what cannot be kept.
                self.take_out(key, namespace).await;
                Err(error)
            }
            kept => kept,
        }
    }

    async fn keep_checked<T: Cacheable>(
        &self,
        key: &str,
        value: &Arc<T>,
        item: Item<'_>,
    ) -> Result<Slot, CacheError> {
        for tag in item.tags {
            key::check_tag(tag)?;
        }
        let payload = match &self.redis {
            Some(_) => Some(value::encode(key, &**value)?),
            None => None,
        };
        let size = match &payload {
            Some(payload) => payload.len(),
            None => value::encoded_len(key, &**value)?,
        };
        let ttl = item.ttl.mul_f64(1.0 - self.config.jitter * self.entropy.fraction());
        let namespace = self.stats.namespace(key);
        let bytes = (size + key.len() + item.tags.len() * 8 + SLOT_BYTES) as u64;
        let fit = Fit { expires: self.now().saturating_add(nanos(ttl)), bytes };
        let slot = self.slot(value, &item, namespace);
        if ttl.is_zero() || size > self.config.max_value_bytes || !self.open() {
            self.stats.count(Scope::Overall, namespace, Count::Refused);
            if item.replaces {
                // What is under the key is older than what is not kept.
                self.take_out(key, namespace).await;
            }
            return Ok(slot);
        }
        self.stats.count(Scope::Overall, namespace, Count::Sets);
        if let Some(memory) = &self.memory {
            self.stats.count(Scope::Memory, namespace, Count::Sets);
            memory.insert(key, slot.clone(), fit, self.now());
        }
        if let (Some(redis), Some(payload)) = (&self.redis, &payload) {
            let write = Write {
                key,
                kind: value::kind::<T>(),
                tags: item.tags,
                payload,
                none: item.none,
                ttl,
                stamp: item.stamp.change,
                epoch: item.stamp.epoch,
                replaces: item.replaces,
            };
            redis.set(write, namespace).await;
        }
        Ok(slot)
    }

    /// A value with what is known of it.
    pub(crate) fn slot<T: Cacheable>(
        &self,
        value: &Arc<T>,
        item: &Item<'_>,
        namespace: u16,
    ) -> Slot {
        let tags = item.tags.iter().map(|tag| self.index.tag_hash(tag)).collect();
        let (erased, local): (Value, _) = (value.clone(), item.stamp.local);
        Slot::new(erased, local, tags, namespace, item.none)
    }

    /// Takes what is under the key out of every tier.
    pub(crate) async fn take_out(&self, key: &str, namespace: u16) {
        if let Some(memory) = &self.memory {
            memory.remove(key);
        }
        if let Some(redis) = &self.redis {
            redis.remove(key, namespace).await;
        }
    }
}
