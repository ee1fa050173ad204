//! Half an edge: what one end needs to know of it, in 8 bytes.

/// Numbers of entities have this many bits.
pub(crate) const NODE_BITS: u32 = 29;
/// The largest number an entity may have.
pub(crate) const MAX_NODE: u32 = (1 << NODE_BITS) - 1;
const COST_BITS: u32 = 25;
/// The cost of an edge that carries nothing (it may still carry under a filter of types).
pub(crate) const CLOSED: u32 = (1 << COST_BITS) - 1;
/// The type of an edge whose pair has statements of several types, or of one that is not known.
pub(crate) const ODD: u8 = 7;

/// From the top: cost (25 bits), neighbour (29), strength (7), type (3). Sorted as a number, a
/// list of them is in the order of cost, then neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Half(u64);

impl Half {
    pub(crate) fn new(cost: u32, neighbour: u32, strength: u8, kind: u8) -> Self {
        debug_assert!(cost <= CLOSED && neighbour <= MAX_NODE && strength <= 100 && kind <= ODD);
        Self(
            u64::from(cost) << 39
                | u64::from(neighbour) << 10
                | u64::from(strength) << 3
                | u64::from(kind),
        )
    }

    /// A word of a page that is no half.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// The same edge, seen from the other end.
    pub(crate) fn to(self, neighbour: u32) -> Self {
        Self::new(self.cost(), neighbour, self.strength(), self.kind())
    }

    #[inline]
    pub(crate) fn cost(self) -> u32 {
        (self.0 >> 39) as u32
    }

    #[inline]
    pub(crate) fn neighbour(self) -> u32 {
        (self.0 >> 10) as u32 & MAX_NODE
    }

    #[inline]
    pub(crate) fn strength(self) -> u8 {
        (self.0 >> 3) as u8 & 127
    }

    #[inline]
    pub(crate) fn kind(self) -> u8 {
        self.0 as u8 & 7
    }

    /// Cost and neighbour: what finds it in a sorted list.
    pub(crate) fn place(self) -> u64 {
        self.0 >> 10
    }
}
