//! Values as bytes: MessagePack with field names, which says of itself what it holds and can run
//! nothing.

use rhiz_domain::cache::CacheError;
use serde::Serialize;

/// How many bytes a value takes when serialized.
pub(crate) fn encoded_len<T: Serialize>(key: &str, value: &T) -> Result<usize, CacheError> {
    let mut counter = Counter(0);
    value
        .serialize(&mut rmp_serde::Serializer::new(&mut counter).with_struct_map())
        .map_err(|e| CacheError::Encode { key: key.to_owned(), reason: e.to_string() })?;
    Ok(counter.0)
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
