//! Who a DID or a handle is, asked of the network once and kept.
//!
//! What is kept is forgotten with the next event about the identity ([`kept::identity`] is its
//! tag): an `identity.updated` purges document, key and handle. A resolution that was under way
//! meanwhile is not kept either; see the law of [`crate::answers::kept`].
//!
//! Called by the HTTP API, and by what verifies handles and signatures.

use crate::{answers::kept, config};
use rhiz_cache::{
    CacheService, Call, Computed, LoadError,
    key::{MAX_KEY_BYTES, part},
};
use rhiz_domain::{Clock, Did, Handle};
use rhiz_identity::{Identity, ResolveError, Resolver, ResolverConfig, Url};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// Time to live of an identity.
const KNOWN: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time to live of whose a handle is. Who loses one need not be told of in an event.
const OWNER: Duration = Duration::from_secs(3600);
/// Time to live of what could not be found out completely, and of what is wrong with a document.
const UNSURE: Duration = Duration::from_secs(60);

/// Why an identity is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Unresolved {
    /// A short name, as of [`ResolveError::code`].
    pub code: String,
    /// What happened, with the hosts that were asked: for logs, not for strangers.
    pub message: String,
    /// Trying again, later, may help.
    pub temporary: bool,
    /// When, if that is known.
    pub retry_after: Option<Duration>,
}

impl From<ResolveError> for Unresolved {
    fn from(error: ResolveError) -> Self {
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            temporary: error.is_temporary(),
            retry_after: error.retry_after(),
        }
    }
}

impl From<LoadError<Self>> for Unresolved {
    fn from(error: LoadError<Self>) -> Self {
        match error {
            LoadError::Compute(error) => (*error).clone(),
            // Keys are made of escaped parts, and long ones are not looked up.
            LoadError::Cache(error) => Self {
                code: "cache".into(),
                message: error.to_string(),
                temporary: true,
                retry_after: None,
            },
        }
    }
}

/// What is kept: what was found, that there is nothing, or that what there is cannot be read.
type Kept<T> = Result<Option<T>, Unresolved>;

/// Resolves identities, and keeps them.
pub struct Identities {
    resolver: Resolver,
    cache: CacheService,
}

impl Identities {
    /// As configured. Asks nothing yet.
    pub fn new(
        config: &config::Network,
        cache: CacheService,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ResolveError> {
        let url = |text: &str| {
            Url::parse(text).map_err(|e| ResolveError::Setup { why: format!("the address: {e}") })
        };
        let mut settings = ResolverConfig::new(url(config.plc_url.expose())?);
        settings.allow_private_addresses = config.allow_private_addresses;
        // A PDS in development answers for the handles of its accounts.
        let pds = config.pds_url.as_ref().filter(|_| config.allow_private_addresses);
        settings.test_handles = pds.map(|pds| url(pds.expose())).transpose()?;
        Ok(Self { resolver: Resolver::new(settings, clock)?, cache })
    }

    /// Who a DID is, its handle verified both ways; `None` when there is no such DID, or no more.
    pub async fn resolve(&self, did: &Did, refresh: bool) -> Result<Option<Identity>, Unresolved> {
        let compute = || async { self.resolver.resolve(did).await };
        let ttl = |identity: &Identity| if identity.is_complete() { KNOWN } else { UNSURE };
        self.kept(did.as_str(), refresh, compute, ttl, |_| did.clone()).await
    }

    /// Whose a handle is, if that DID claims it too; `None` when it is nobody's.
    pub async fn resolve_handle(
        &self,
        handle: &Handle,
        refresh: bool,
    ) -> Result<Option<Identity>, Unresolved> {
        let compute = || async { self.resolver.resolve_handle(handle).await };
        let owner = self.kept(handle.as_str(), refresh, compute, |_| OWNER, Did::clone).await?;
        let Some(did) = owner else { return Ok(None) };
        let Some(mut identity) = self.resolve(&did, refresh).await? else { return Ok(None) };
        if identity.claimed_handle.as_ref() != Some(handle) {
            return Ok(None);
        }
        // It leads to the DID: that was asked above.
        identity.handle = Some(handle.clone());
        Ok(Some(identity))
    }

    async fn kept<T, F, Fut>(
        &self,
        name: &str,
        refresh: bool,
        resolve: F,
        ttl: impl FnOnce(&T) -> Duration,
        whose: impl FnOnce(&T) -> Did,
    ) -> Result<Option<T>, Unresolved>
    where
        Kept<T>: rhiz_cache::Cacheable,
        T: Clone,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<T>, ResolveError>>,
    {
        let key = format!("did:resolve:{}", part(name));
        let compute = || async {
            let found: Kept<T> = resolve().await.map_err(Unresolved::from);
            // Of who is nobody, the name itself: a DID may come to be.
            let tag = match &found {
                Ok(Some(found)) => kept::identity(whose(found).as_str()),
                _ => kept::identity(name),
            };
            Ok(match found {
                // The resolver knows which hosts it leaves alone, and for how long.
                Err(error) if error.temporary => return Err(error),
                Err(error) => Computed::new(Err(error)).tags([tag]).ttl(UNSURE).none(),
                Ok(None) => Computed::new(Ok(None)).tags([tag]).ttl(kept::NONE).none(),
                Ok(Some(found)) => {
                    let ttl = ttl(&found);
                    Computed::new(Ok(Some(found))).tags([tag]).ttl(ttl)
                }
            })
        };
        if key.len() > MAX_KEY_BYTES {
            return compute().await?.value;
        }
        let call = Call::EVENTUAL.refresh(refresh);
        let kept = self.cache.get_or_compute(&key, call, compute).await?;
        (*kept).clone()
    }
}
