//! The key of a value where the value is: what a look-up compares is then beside what it found,
//! and the processor need not fetch it from elsewhere once it knows where. Longer keys stand apart.

/// Longest key that is kept in place: all those of one DID fit (`trust:score:did:plc:…` has 44).
const SHORT: usize = 46;

/// See the module.
#[derive(Debug)]
pub(super) enum Name {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

impl Name {
    pub(super) fn new(key: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (u8::try_from(key.len()), bytes.get_mut(..key.len())) {
            (Ok(len), Some(to)) => {
                to.copy_from_slice(key.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(key.into()),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(key) => key.as_bytes(),
        }
    }

    #[inline]
    pub(super) fn is(&self, key: &str) -> bool {
        self.bytes() == key.as_bytes()
    }

    pub(super) fn text(&self) -> &str {
        // It was made of a `str`.
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_key_and_no_other_at_every_length() {
        let text = "k\u{fc}".repeat(SHORT);
        let keys: Vec<&str> = (0..text.len()).filter_map(|len| text.get(..len)).collect();
        assert!(keys.len() > SHORT);
        for key in &keys {
            let name = Name::new(key);
            assert_eq!(matches!(name, Name::Short { .. }), key.len() <= SHORT);
            assert_eq!(name.text(), *key);
            assert!(keys.iter().all(|other| name.is(other) == (other == key)), "{key}");
        }
        assert!(!Name::new("a").is("a\0"), "what is behind the end is not compared");
    }
}
