//! Making anew what is derived: how, and what was found. (What a store does about it is its own;
//! see [`Index::rebuild`](crate::store::Index::rebuild).)

/// What a rebuild does about what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    /// Counts it.
    Look,
    /// Counts and mends it.
    Mend,
}

/// What a rebuild looked at, and what it found to be wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Records looked at, tombstones too.
    pub records: u64,
    /// Records of which it was noted wrongly what they are about, or whose text was kept although
    /// they are not live.
    pub references: u64,
    /// Derived relationships.
    pub relationships: Mended,
    /// Derived attestations.
    pub attestations: Mended,
    /// Derived profiles.
    pub profiles: Mended,
    /// Entities whose words could not be found by search, or should not have been.
    pub names: u64,
    /// Records whose text is damaged: what was derived from them was left as it is.
    pub unreadable: u64,
}

/// Derived rows of one kind that were not as they should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// They were missing.
    pub added: u64,
    /// They said something else.
    pub changed: u64,
    /// No record is behind them.
    pub removed: u64,
}

impl Mended {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.added + self.changed + self.removed
    }
}

impl Rebuilt {
    /// How much was not as it should be, and can be mended.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        let tables = [self.relationships, self.attestations, self.profiles];
        self.references + self.names + tables.iter().map(Mended::all).sum::<u64>()
    }
}

impl std::ops::AddAssign for Mended {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.removed += other.removed;
    }
}

impl std::ops::AddAssign for Rebuilt {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.references += other.references;
        self.relationships += other.relationships;
        self.attestations += other.attestations;
        self.profiles += other.profiles;
        self.names += other.names;
        self.unreadable += other.unreadable;
    }
}
