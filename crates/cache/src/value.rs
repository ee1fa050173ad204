//! Values as bytes: MessagePack with field names, which says of itself what it holds and can run
//! nothing.

use rhiz_domain::cache::CacheError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write;

/// How many bytes a value takes when serialized.
pub(crate) fn encoded_len<T: Serialize>(key: &str, value: &T) -> Result<usize, CacheError> {
    let mut counter = Counter(0);
    write(key, value, &mut counter)?;
    Ok(counter.0)
}

/// The value as bytes.
pub(crate) fn encode<T: Serialize>(key: &str, value: &T) -> Result<Vec<u8>, CacheError> {
    let mut bytes = Vec::new();
    write(key, value, &mut bytes)?;
    Ok(bytes)
}

fn write<T: Serialize>(key: &str, value: &T, to: &mut impl Write) -> Result<(), CacheError> {
    value
        .serialize(&mut rmp_serde::Serializer::new(to).with_struct_map())
        .map_err(|e| CacheError::Encode { key: key.to_owned(), reason: e.to_string() })
}

/// `None` when the bytes are not a value of this type.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let value = T::deserialize(&mut rmp_serde::Deserializer::new(&mut rest)).ok()?;
    rest.is_empty().then_some(value)
}

/// How the type of a value is named beside it. A renamed type is another one: a miss.
pub(crate) fn kind<T>() -> &'static str {
    std::any::type_name::<T>()
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
