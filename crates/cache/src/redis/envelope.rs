//! What stands under a key in Redis: a value and everything needed to decide whether it may be
//! believed.
//!
//! ```text
//! "RZ01"  epoch u64  stamp u64  writer u64  write u64  expires i64 (ms since 1970)  flags u8
//! kind (u16 length, text)  key (u16, text)  tags (u16 count, each u16 length, text)
//! payload (u32 length, MessagePack)                                    all little endian
//! ```
//! The key is repeated because a reply may belong to another question when a connection has lost
//! or swapped some.

/// Format of this layout; another one is a value of another version.
const MAGIC: &[u8; 4] = b"RZ01";
/// Where the stamp stands.
pub(crate) const STAMP_AT: usize = MAGIC.len() + 8;

/// How much of a value the reclaimer reads to judge it: fixed part, kind, key and a dozen tags.
pub(crate) const HEADER_BYTES: usize = 4096;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    /// The life of the shared cache in which the stamp was noted.
    pub(crate) epoch: u64,
    /// Number in the change log up to which the computation had certainly seen it.
    pub(crate) stamp: u64,
    /// Which process wrote it.
    pub(crate) writer: u64,
    /// That process's count of writes.
    pub(crate) write: u64,
    /// Milliseconds since 1970.
    pub(crate) expires: i64,
    /// It says that there is nothing.
    pub(crate) none: bool,
    /// The type of the value.
    pub(crate) kind: &'a str,
    pub(crate) key: &'a str,
    pub(crate) tags: Vec<&'a str>,
    pub(crate) payload: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// `None` when a text is longer than its length field can say.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut out =
            Vec::with_capacity(64 + self.kind.len() + self.key.len() + self.payload.len());
        out.extend_from_slice(&self.identity());
        out.push(u8::from(self.none));
        let text = |out: &mut Vec<u8>, text: &str| {
            out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
            out.extend_from_slice(text.as_bytes());
            Some(())
        };
        text(&mut out, self.kind)?;
        text(&mut out, self.key)?;
        out.extend_from_slice(&u16::try_from(self.tags.len()).ok()?.to_le_bytes());
        for tag in &self.tags {
            text(&mut out, tag)?;
        }
        out.extend_from_slice(&u32::try_from(self.payload.len()).ok()?.to_le_bytes());
        out.extend_from_slice(self.payload);
        Some(out)
    }

    /// The bytes it begins with, which no other entry begins with: a writer counts its writes.
    pub(crate) fn identity(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for number in [self.epoch, self.stamp, self.writer, self.write] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.expires.to_le_bytes());
        out
    }

    /// `None` for anything that is not a whole envelope of this version.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (mut envelope, rest) = Self::decode_header(bytes)?;
        let (length, payload) = rest.split_first_chunk()?;
        if u32::from_le_bytes(*length) as usize != payload.len() {
            return None;
        }
        envelope.payload = payload;
        Some(envelope)
    }

    /// All but the payload, and what follows.
    pub(crate) fn decode_header(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut numbers = [0_u64; 5];
        for number in &mut numbers {
            let (head, tail) = rest.split_first_chunk()?;
            *number = u64::from_le_bytes(*head);
            rest = tail;
        }
        let (flags, tail) = rest.split_first()?;
        rest = tail;
        let kind = text(&mut rest)?;
        let key = text(&mut rest)?;
        let (count, tail) = rest.split_first_chunk()?;
        rest = tail;
        let mut tags = Vec::new();
        for _ in 0..u16::from_le_bytes(*count) {
            tags.push(text(&mut rest)?);
        }
        let [epoch, stamp, writer, write, expires] = numbers;
        let envelope = Self {
            epoch,
            stamp,
            writer,
            write,
            expires: expires.cast_signed(),
            none: *flags == 1,
            kind,
            key,
            tags,
            payload: &[],
        };
        Some((envelope, rest))
    }
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, tail) = rest.split_first_chunk()?;
    let (text, tail) = tail.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_truncation_and_every_other_version_is_no_value() {
        let envelope = Envelope {
            epoch: 1,
            stamp: 2,
            writer: 3,
            write: 4,
            expires: -5,
            none: true,
            kind: "alloc::string::String",
            key: "trust:score:a",
            tags: vec!["a", "did:plc:b"],
            payload: b"\xa1v",
        };
        let bytes = envelope.encode().expect("short texts");
        assert_eq!(Envelope::decode(&bytes).as_ref(), Some(&envelope));
        assert_eq!(bytes[STAMP_AT..][..8], 2_u64.to_le_bytes());
        for end in 0..bytes.len() {
            assert_eq!(Envelope::decode(&bytes[..end]), None, "cut at {end}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Envelope::decode(&longer), None);
        let mut older = bytes;
        older[3] = b'0';
        assert_eq!(Envelope::decode(&older), None);
    }
}
