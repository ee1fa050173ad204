//! The types of relationships, numbered. Authors may write any text, so numbers whose text no
//! record uses any more are used again.

use std::{collections::HashMap, sync::Arc};

/// The known types, in the order of their numbers.
pub(crate) const KNOWN: [&str; 6] =
    ["professional", "personal", "family", "social", "civic", "educational"];

#[derive(Debug)]
pub(crate) struct Kinds {
    texts: Vec<Arc<str>>,
    uses: Vec<u32>,
    by_text: HashMap<Arc<str>, u32>,
    free: Vec<u32>,
}

impl Kinds {
    pub(super) fn new() -> Self {
        let texts: Vec<Arc<str>> = KNOWN.iter().map(|&text| text.into()).collect();
        let by_text = texts.iter().cloned().zip(0..).collect();
        // The known ones are never given up.
        Self { uses: vec![1; texts.len()], texts, by_text, free: Vec::new() }
    }

    pub(super) fn take(&mut self, text: &Arc<str>) -> u32 {
        if let Some(known) = KNOWN.iter().position(|known| **known == **text) {
            self.uses[known] += 1;
            return known as u32;
        }
        if let Some(&kind) = self.by_text.get(text) {
            self.uses[kind as usize] += 1;
            return kind;
        }
        let kind = self.free.pop().unwrap_or_else(|| {
            self.texts.push(Arc::clone(text));
            self.uses.push(0);
            (self.texts.len() - 1) as u32
        });
        self.texts[kind as usize] = Arc::clone(text);
        self.uses[kind as usize] = 1;
        self.by_text.insert(Arc::clone(text), kind);
        kind
    }

    pub(super) fn give_back(&mut self, kind: u32) {
        let uses = &mut self.uses[kind as usize];
        *uses -= 1;
        if *uses == 0 {
            self.by_text.remove(&self.texts[kind as usize]);
            self.free.push(kind);
        }
    }

    pub(crate) fn text(&self, kind: u32) -> &Arc<str> {
        &self.texts[kind as usize]
    }
}
