//! What is better: the two orders of paths, each as one number that adds up along a path.

/// Cost and hops in one number, a key, that adds up along a path. Smaller is better: the more
/// important of the two stands above the other. Keys are below 2³⁴: at most ten hops, each with a
/// cost of 25 bits.
pub(super) trait Order {
    /// What a hop adds to a key, or what a way of several hops comes to.
    fn key(cost: u32, hops: u32) -> u64;
    fn hops(key: u64) -> u32;
    fn cost(key: u64) -> u32;
    /// A way of fewer hops and this cost makes one of more hops and that cost useless.
    fn outdone(by: u32, cost: u32) -> bool;
}

/// Cost, then hops.
pub(super) struct Strongest;

impl Order for Strongest {
    #[inline]
    fn key(cost: u32, hops: u32) -> u64 {
        u64::from(cost) << 4 | u64::from(hops)
    }

    #[inline]
    fn hops(key: u64) -> u32 {
        key as u32 & 15
    }

    #[inline]
    fn cost(key: u64) -> u32 {
        (key >> 4) as u32
    }

    #[inline]
    fn outdone(by: u32, cost: u32) -> bool {
        by <= cost
    }
}

/// Hops, then cost.
pub(super) struct Shortest;

impl Order for Shortest {
    #[inline]
    fn key(cost: u32, hops: u32) -> u64 {
        u64::from(hops) << 30 | u64::from(cost)
    }

    #[inline]
    fn hops(key: u64) -> u32 {
        (key >> 30) as u32
    }

    #[inline]
    fn cost(key: u64) -> u32 {
        key as u32 & ((1 << 30) - 1)
    }

    #[inline]
    fn outdone(by: u32, _: u32) -> bool {
        by != u32::MAX
    }
}
