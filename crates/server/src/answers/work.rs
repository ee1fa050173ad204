//! Where answers are computed: off the threads that answer requests, and no more at a time than
//! the processors can do.
//!
//! Two kinds. A *look* takes milliseconds at most; a *search* (paths, introductions, rankings) may
//! take as long as `PATHFINDING_TIMEOUT` allows, so there are as many at a time as there are
//! processors: more of them would only all run out of time together. Who finds no place waits for
//! a quarter of that time, which counts; then the answer is [`NoAnswer::Busy`].
//!
//! A search whose caller has left is stopped as one whose time is over.

use super::{Answers, NoAnswer};
use crate::node::Node;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Looks at a time for each processor: short as they are, a few may be in each other's way.
const LOOKS: usize = 8;
/// Longest wait for a place to look.
const PATIENCE: Duration = Duration::from_secs(1);

/// Places to work, shared by all answers of a node.
#[derive(Debug)]
pub struct Work {
    searches: Arc<Semaphore>,
    looks: Arc<Semaphore>,
}

impl Work {
    /// For so many processors.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let places = |n| Arc::new(Semaphore::new(n));
        Self { searches: places(cores), looks: places(cores * LOOKS) }
    }

    /// For the processors of this machine that this process may use.
    #[must_use]
    pub fn here() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, |n| n.get()))
    }
}

/// Says that the caller has left, when it is dropped.
struct Caller(Arc<AtomicBool>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A search's time, on its way.
pub(super) struct Turn {
    started: Duration,
    limit: Duration,
    left: Arc<AtomicBool>,
}

impl Turn {
    /// The time it had, in milliseconds.
    pub(super) fn limit(&self) -> u128 {
        self.limit.as_millis()
    }

    /// Whether there is time left, and somebody who waits.
    pub(super) fn go_on(&self, node: &Node) -> bool {
        !self.left.load(Ordering::Relaxed)
            && node.clock.elapsed().saturating_sub(self.started) < self.limit
    }
}

async fn place(of: &Arc<Semaphore>, patience: Duration) -> Result<OwnedSemaphorePermit, NoAnswer> {
    let place = tokio::time::timeout(patience, Arc::clone(of).acquire_owned()).await;
    // The semaphores are never closed.
    place.map_err(|_| NoAnswer::Busy)?.map_err(|_| NoAnswer::Broken)
}

impl Answers {
    /// Computes what takes milliseconds at most.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let node = self.node.clone();
        let place = place(&node.work.looks, PATIENCE).await?;
        let looked = tokio::task::spawn_blocking(move || {
            let answer = work(&node);
            drop(place);
            answer
        });
        looked.await.map_err(|_| NoAnswer::Broken)
    }

    /// How long somebody who wants to search waits for a place.
    pub(super) fn patience(&self) -> Duration {
        self.node.config.graph.time_limit / 4
    }

    /// Searches, within the time limit. What searches has to ask its [`Turn`] now and then.
    pub(super) async fn explore<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Node, &Turn) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (node, left) = (self.node.clone(), Arc::new(AtomicBool::new(false)));
        let _caller = Caller(Arc::clone(&left));
        let limit = node.config.graph.time_limit;
        let turn = Turn { started: node.clock.elapsed(), limit, left };
        let place = place(&node.work.searches, self.patience()).await?;
        let searched = tokio::task::spawn_blocking(move || {
            let answer = work(&node, &turn);
            drop(place);
            answer
        });
        searched.await.map_err(|_| NoAnswer::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, survey};
    use std::sync::{atomic::AtomicUsize, mpsc};

    async fn answers(cores: usize, limit: &str) -> (Answers, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let config = survey(Sources {
            directory: folder.path().to_owned(),
            environment: vec![
                ("DATA_DIR".into(), folder.path().join("data").into()),
                ("PATHFINDING_TIMEOUT".into(), limit.into()),
            ],
            ..Sources::default()
        });
        let mut node = Node::open(config.into_config().ok().unwrap()).await.ok().unwrap();
        node.work = Arc::new(Work::new(cores));
        (Answers::new(node), folder)
    }

    /// A search that lasts until it is told to end, once it has begun.
    async fn occupied(answers: &Answers) -> (tokio::task::JoinHandle<()>, mpsc::Sender<()>) {
        let (end, ends) = mpsc::channel::<()>();
        let (begins, begun) = tokio::sync::oneshot::channel();
        let answers = answers.clone();
        let search = async move {
            let searched = answers.explore(move |_, _| {
                begins.send(()).unwrap();
                ends.recv().unwrap();
            });
            searched.await.unwrap();
        };
        let search = tokio::spawn(search);
        begun.await.unwrap();
        (search, end)
    }

    #[tokio::test]
    async fn who_finds_no_place_is_told_so_and_looks_go_on() {
        let (answers, _folder) = answers(2, "200ms").await;
        let (first, second) = (occupied(&answers).await, occupied(&answers).await);
        let before = answers.node.clock.elapsed();
        let refused = answers.explore(|_, _| ()).await;
        assert!(matches!(refused, Err(NoAnswer::Busy)), "{refused:?}");
        let waited = answers.node.clock.elapsed() - before;
        assert!(waited >= Duration::from_millis(50), "{waited:?}");
        answers.compute(|_| ()).await.unwrap();

        first.1.send(()).unwrap();
        first.0.await.unwrap();
        answers.explore(|_, _| ()).await.unwrap();
        second.1.send(()).unwrap();
        second.0.await.unwrap();
        answers.node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_search_at_a_time_than_there_are_processors() {
        let (answers, _folder) = answers(2, "60s").await;
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let all: Vec<_> = (0..50)
            .map(|_| {
                let (answers, now, most) = (answers.clone(), Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(async move {
                    let searched = answers.explore(move |_, _| {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                    });
                    searched.await.unwrap();
                })
            })
            .collect();
        for one in all {
            one.await.unwrap();
        }
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        answers.node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_search_whose_caller_has_left_is_stopped() {
        let (answers, _folder) = answers(1, "60s").await;
        let (begins, begun) = tokio::sync::oneshot::channel();
        let (ends, ended) = tokio::sync::oneshot::channel();
        let searching = {
            let answers = answers.clone();
            tokio::spawn(async move {
                let searched = answers.explore(move |node, turn| {
                    begins.send(()).unwrap();
                    while turn.go_on(node) {
                        std::thread::yield_now();
                    }
                    ends.send(()).unwrap();
                });
                searched.await
            })
        };
        begun.await.unwrap();
        searching.abort();
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
        answers.explore(|_, _| ()).await.unwrap();
        answers.node.stop().await;
    }

    #[tokio::test]
    async fn a_search_stops_when_its_time_is_over() {
        let (answers, _folder) = answers(1, "20ms").await;
        let searched = answers.explore(|node, turn| {
            while turn.go_on(node) {
                std::thread::yield_now();
            }
            turn.limit()
        });
        assert!(matches!(searched.await, Ok(20)));
        answers.node.stop().await;
    }
}
