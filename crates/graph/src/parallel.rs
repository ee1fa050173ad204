//! Work on everyone at once, cut into jobs of about the same size.

use std::sync::OnceLock;

/// Threads at most: beyond it memory is the limit.
const THREADS: usize = 4;

/// Items from which on a further thread is worth being started.
const WORTH_A_THREAD: usize = 20_000;

/// Processors that this program may use.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
}

/// Into how many jobs to cut the work on so many items: at least one.
pub(crate) fn jobs(items: usize) -> usize {
    let threads = cores().min(THREADS);
    threads.min(1 + items / WORTH_A_THREAD)
}

/// Does all jobs, the first one here and each other one on a thread of its own; what they answer,
/// in their order. A panic of one is a panic here.
pub(crate) fn run<J: Send, T: Send>(
    jobs: impl IntoIterator<Item = J>,
    work: impl Fn(J) -> T + Sync,
) -> Vec<T> {
    let mut jobs = jobs.into_iter();
    let Some(mine) = jobs.next() else { return Vec::new() };
    let work = &work;
    std::thread::scope(|scope| {
        let others: Vec<_> = jobs.map(|job| scope.spawn(move || work(job))).collect();
        let mut answers = vec![work(mine)];
        let panics = |panic| std::panic::resume_unwind(panic);
        answers.extend(others.into_iter().map(|other| other.join().unwrap_or_else(panics)));
        answers
    })
}

/// Both, at the same time where they are worth a thread.
pub(crate) fn both<A, B: Send>(
    items: usize,
    a: impl FnOnce() -> A,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    if jobs(items) == 1 {
        return (a(), b());
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(b);
        let mine = a();
        (mine, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The ranges `0..items` is cut into for so many jobs, each but the last a multiple of `step` long.
pub(crate) fn ranges(
    items: usize,
    jobs: usize,
    step: usize,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    let share = items.div_ceil(jobs.max(1)).next_multiple_of(step).max(1);
    (0..items).step_by(share).map(move |from| from..(from + share).min(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for items in [0, 1, 31, 32, 33, 1000] {
            for jobs in 1..5 {
                let all: Vec<usize> = ranges(items, jobs, 32).flatten().collect();
                assert_eq!(all, (0..items).collect::<Vec<_>>());
                assert!(ranges(items, jobs, 32).count() <= jobs);
            }
        }
    }

    #[test]
    fn answers_come_in_the_order_of_the_jobs() {
        assert_eq!(run([3, 1, 2], |n| n * 10), [30, 10, 20]);
        assert!(run([0u8; 0], |n| n).is_empty());
        assert_eq!(both(1 << 20, || 1, || 2), (1, 2));
    }
}
