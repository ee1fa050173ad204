//! What is better: the two orders of paths, each as one number that adds up along a path.

/// Adds up to a key: smaller is better. A key holds cost and hops, so that comparing keys compares
/// both, the more important first. Keys are below 2³⁴.
pub(super) trait Order {
    /// Whether hops come after cost: then a longer prefix can be the cheaper one.
    const COST_FIRST: bool;
    fn weight(cost: u32) -> u64;
    /// The cost in a weight.
    fn cost(weight: u64) -> u32;
    fn hops(key: u64) -> u32;
}

/// Cost, then hops. Ten hops of 25 bits each: 29 + 4 bits.
pub(super) struct Strongest;

impl Order for Strongest {
    const COST_FIRST: bool = true;

    #[inline]
    fn weight(cost: u32) -> u64 {
        u64::from(cost) << 4 | 1
    }

    #[inline]
    fn cost(weight: u64) -> u32 {
        (weight >> 4) as u32
    }

    #[inline]
    fn hops(key: u64) -> u32 {
        key as u32 & 15
    }
}

/// Hops, then cost.
pub(super) struct Shortest;

impl Order for Shortest {
    const COST_FIRST: bool = false;

    #[inline]
    fn weight(cost: u32) -> u64 {
        1 << 30 | u64::from(cost)
    }

    #[inline]
    fn cost(weight: u64) -> u32 {
        weight as u32 & ((1 << 30) - 1)
    }

    #[inline]
    fn hops(key: u64) -> u32 {
        (key >> 30) as u32
    }
}
