//! The service as the conformance suite knows it: bytes under keys.

use crate::service::CacheService;
use async_trait::async_trait;
use rhiz_domain::cache::{
    CacheBackend, CacheError, CacheHealth, Consistency, Invalidation, SetOptions, Stamp,
};
use serde::{Deserialize, Serialize};

/// Bytes as one value, not as a list of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[async_trait]
impl CacheBackend for CacheService {
    async fn get(
        &self,
        key: &str,
        consistency: Consistency,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        Ok(Self::get::<Bytes>(self, key, consistency).await?.map(|bytes| bytes.0.clone()))
    }
    async fn set(&self, key: &str, value: Vec<u8>, options: &SetOptions) -> Result<(), CacheError> {
        Self::set(self, key, Bytes(value), options).await
    }
    async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        Self::delete(self, key).await
    }
    async fn exists(&self, key: &str) -> Result<bool, CacheError> {
        Self::exists(self, key).await
    }
    async fn clear_pattern(&self, pattern: &str) -> Result<(), CacheError> {
        Self::clear_pattern(self, pattern).await
    }
    async fn clear_tag(&self, tag: &str) -> Result<(), CacheError> {
        Self::clear_tag(self, tag).await
    }
    fn note(&self) -> Stamp {
        Self::note(self)
    }
    fn invalidate(&self, record: &Invalidation) {
        Self::invalidate(self, record);
    }
    async fn health(&self) -> CacheHealth {
        self.health_check().await
    }
    async fn close(&self) {
        Self::close(self).await;
    }
}
