//! What a caller of the service says and gets: how fresh, what was computed, why it failed.

use rhiz_domain::cache::{CacheError, Consistency};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// How one call wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Call {
    /// How old a cached answer may be.
    pub consistency: Consistency,
    /// Compute even if there is a cached answer, and keep the result.
    pub refresh: bool,
}

impl Call {
    /// Not older than the change log's head at the moment of the call.
    pub const FENCED: Self = Self { consistency: Consistency::Fenced, refresh: false };
    /// As old as the confirmation of the change log's head allows.
    pub const EVENTUAL: Self = Self { consistency: Consistency::Eventual, refresh: false };

    /// The log's head was confirmed within this time.
    #[must_use]
    pub const fn bounded(within: Duration) -> Self {
        Self { consistency: Consistency::Bounded(within), refresh: false }
    }

    /// The same with a forced computation, if asked for.
    #[must_use]
    pub const fn refresh(mut self, refresh: bool) -> Self {
        self.refresh = refresh;
        self
    }
}

/// What a computation gives: the value, and what it was made from.
#[derive(Debug, Clone)]
pub struct Computed<T> {
    /// The value.
    pub value: T,
    /// What it was made from; an invalidation of any of them hides it.
    pub tags: Vec<String>,
    /// Time to live; the configured default when absent, zero to keep nothing.
    pub ttl: Option<Duration>,
    /// It says that there is nothing.
    pub none: bool,
}

impl<T> Computed<T> {
    /// A value without tags, with the default time to live.
    pub fn new(value: T) -> Self {
        Self { value, tags: Vec::new(), ttl: None, none: false }
    }

    /// With tags.
    #[must_use]
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// With a time to live.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The value says that there is nothing: kept like any other, counted apart.
    #[must_use]
    pub fn none(mut self) -> Self {
        self.none = true;
        self
    }
}

/// How a value is computed when there is none: an async closure without arguments.
pub trait Compute<T, E>: FnOnce() -> Self::Computing {
    /// The computation under way.
    type Computing: Future<Output = Result<Computed<T>, E>>;
}
impl<T, E, F, Fut> Compute<T, E> for F
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<Computed<T>, E>>,
{
    type Computing = Fut;
}

/// Why loading failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// The cache refused the key.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The computation failed; shared by everyone who waited for it.
    #[error("{0}")]
    Compute(Arc<E>),
}

/// What can be kept: serializable, and the same for every reader.
pub trait Cacheable: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Cacheable for T {}
