//! The first few of many.

use std::cmp::Ordering;

/// The first `limit` of what is offered, in an order that is told with each offer. What comes
/// later than these costs one comparison, the others a few on average.
#[derive(Debug)]
pub(crate) struct First<T> {
    limit: usize,
    /// Once cut, the last of the first `limit` stands at their end; some more may follow.
    found: Vec<T>,
    cut: bool,
}

impl<T> First<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, found: Vec::new(), cut: false }
    }

    pub(crate) fn offer(&mut self, item: T, order: &mut impl FnMut(&T, &T) -> Ordering) {
        if self.limit == 0 || (self.cut && order(&item, &self.found[self.limit - 1]).is_gt()) {
            return;
        }
        self.found.push(item);
        if self.found.len() >= self.limit.saturating_mul(2) {
            self.cut(order);
        }
    }

    fn cut(&mut self, order: &mut impl FnMut(&T, &T) -> Ordering) {
        if self.found.len() > self.limit {
            self.found.select_nth_unstable_by(self.limit - 1, &mut *order);
            self.found.truncate(self.limit);
            self.cut = true;
        }
    }

    /// They, in order.
    pub(crate) fn sorted(mut self, order: &mut impl FnMut(&T, &T) -> Ordering) -> Vec<T> {
        self.cut(order);
        self.found.sort_unstable_by(&mut *order);
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first `limit` and the comparisons made.
    fn first(limit: usize, all: impl Iterator<Item = u32>) -> (Vec<u32>, usize) {
        let mut compared = 0;
        let mut order = |a: &u32, b: &u32| {
            compared += 1;
            a.cmp(b)
        };
        let mut first = First::new(limit);
        all.for_each(|item| first.offer(item, &mut order));
        (first.sorted(&mut order), compared)
    }

    #[test]
    fn each_is_compared_a_few_times_however_many_there_are() {
        const N: u32 = 100_000;
        let scattered = || (0..N).map(|n| n.wrapping_mul(0x9e37_79b9) % N);
        for limit in [1, 2, 51, 101, 5_000] {
            let mut all: Vec<u32> = scattered().collect();
            all.sort_unstable();
            let (found, compared) = first(limit, scattered());
            assert_eq!(found, all[..limit]);
            // A sort of all of them takes 17 each.
            assert!(compared < 3 * N as usize, "{compared} comparisons for {limit}");
        }
        // The worst order: each one comes before all that came before it.
        let (found, compared) = first(101, (0..N).rev());
        assert!(found.into_iter().eq(0..101) && compared < 8 * N as usize, "{compared}");
    }

    #[test]
    fn fewer_than_asked_for_are_all_there_is() {
        assert_eq!(first(5, [3, 1, 2].into_iter()).0, [1, 2, 3]);
        assert_eq!(first(usize::MAX, [3, 1, 2].into_iter()).0, [1, 2, 3]);
        assert!(first(0, [3, 1, 2].into_iter()).0.is_empty());
        assert_eq!(first(2, [1, 1, 1, 1].into_iter()).0, [1, 1]);
    }
}
