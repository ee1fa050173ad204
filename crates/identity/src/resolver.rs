//! From a DID or a handle to who that is.

use crate::{
    config::ResolverConfig,
    error::ResolveError,
    hosts,
    identity::{Document, HandleCheck, Identity},
    names::Names,
    web::{Answer, Ask, Web, Whom},
};
use rhiz_domain::{Clock, Did, Handle};
use std::sync::Arc;
use url::Url;

/// Most bytes of a DID document. The largest seen on the network are some KiB.
const DOCUMENT_LIMIT: usize = 64 * 1024;
/// Most bytes of `/.well-known/atproto-did`; a DID has 2,048 at most.
const HANDLE_LIMIT: usize = 2048 + 64;
/// Redirects followed for a handle. For documents there are none.
const HANDLE_REDIRECTS: usize = 3;

/// Resolves identities. Keeps none: whoever asks has a cache.
pub struct Resolver {
    config: ResolverConfig,
    names: Arc<Names>,
    /// The PLC directory, and the server for `.test` handles.
    configured: Web,
    anybody: Web,
}

impl Resolver {
    /// Sets it up; asks nothing yet. Fails with [`ResolveError::Setup`].
    pub fn new(config: ResolverConfig, clock: Arc<dyn Clock>) -> Result<Self, ResolveError> {
        for url in [Some(&config.plc_url), config.test_handles.as_ref()].into_iter().flatten() {
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                let why =
                    format!("an address has to be http:// or https://, not {}:", url.scheme());
                return Err(ResolveError::Setup { why });
            }
        }
        let names = Arc::new(Names::new(&config.dns, config.timeout, config.max_concurrent)?);
        let configured = Web::new(&config, Whom::Configured, names.clone(), clock.clone())?;
        let anybody = Web::new(&config, Whom::Anybody, names.clone(), clock)?;
        Ok(Self { config, names, configured, anybody })
    }

    /// Who a DID is: its document, and its handle asked whether it leads back. `None` when there is
    /// no such DID, or no more.
    ///
    /// A handle that cannot be asked just now is no error, since key and server are known: see
    /// [`Identity::is_complete`].
    pub async fn resolve(&self, did: &Did) -> Result<Option<Identity>, ResolveError> {
        let Some(document) = self.document(did).await? else { return Ok(None) };
        let check = match &document.claimed_handle {
            None => HandleCheck::NotClaimed,
            Some(handle) => self.check(handle, did).await,
        };
        Ok(Some(Identity::new(document, check)))
    }

    /// What a DID's document says, without asking its handle: enough to verify commits, and to find
    /// the repo. `None` when there is no such DID, or no more.
    pub async fn document(&self, did: &Did) -> Result<Option<Document>, ResolveError> {
        let text = did.as_str();
        let bytes = if let Some(id) = text.strip_prefix("did:plc:") {
            self.plc(did, id).await?
        } else if let Some(name) = text.strip_prefix("did:web:") {
            self.web(did, name).await?
        } else {
            return Err(ResolveError::UnsupportedMethod { did: did.clone() });
        };
        bytes.map(|b| Document::parse(did, &b, self.config.allow_private_addresses)).transpose()
    }

    /// Whose a handle is, by DNS and `/.well-known/atproto-did`, both asked at once; DNS wins.
    /// `None` when nobody's. That the DID claims the handle too is for [`resolve`](Self::resolve)
    /// to find out.
    pub async fn resolve_handle(&self, handle: &Handle) -> Result<Option<Did>, ResolveError> {
        hosts::check_handle(handle, self.config.allow_private_addresses)?;
        if let Some(server) = self.test_server(handle) {
            let url = server
                .join("/.well-known/atproto-did")
                .map_err(|_| ResolveError::Setup { why: format!("{server} cannot have a path") })?;
            return well_known(&self.configured, url, Some(handle.as_str())).await;
        }
        let web = async {
            let port = self.config.https_port;
            let url = format!("https://{handle}:{port}/.well-known/atproto-did");
            // A handle is a host name unless its last label looks like a number to the URL parser.
            let Ok(url) = Url::parse(&url) else { return Ok(None) };
            well_known(&self.anybody, url, None).await
        };
        let dns = self.names.did_of(handle);
        tokio::pin!(dns, web);
        let (by_dns, by_web) = tokio::select! {
            biased;
            by_dns = &mut dns => match by_dns {
                Ok(Some(_)) | Err(ResolveError::AmbiguousHandle { .. }) => return by_dns,
                _ => (by_dns, web.await),
            },
            by_web = &mut web => (dns.await, by_web),
        };
        match (by_dns, by_web) {
            (Ok(Some(did)), _) => Ok(Some(did)),
            (Err(e @ ResolveError::AmbiguousHandle { .. }), _) => Err(e),
            (_, Ok(Some(did))) => Ok(Some(did)),
            (Err(e), _) if e.is_temporary() => Err(e),
            (_, Err(e)) | (Err(e), _) => Err(e),
            (Ok(None), Ok(None)) => Ok(None),
        }
    }

    async fn check(&self, handle: &Handle, did: &Did) -> HandleCheck {
        match self.resolve_handle(handle).await {
            Ok(Some(owner)) if owner == *did => HandleCheck::Verified,
            Ok(_) => HandleCheck::Refuted,
            Err(e) if e.is_temporary() => {
                tracing::debug!(%did, %handle, error = %e, "a handle could not be verified");
                HandleCheck::Unknown
            }
            Err(_) => HandleCheck::Refuted,
        }
    }

    fn test_server(&self, handle: &Handle) -> Option<&Url> {
        let server = self.config.test_handles.as_ref()?;
        (self.config.allow_private_addresses && handle.as_str().ends_with(".test"))
            .then_some(server)
    }

    async fn plc(&self, did: &Did, id: &str) -> Result<Option<Vec<u8>>, ResolveError> {
        if id.len() != 24 || !id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')) {
            let why = "after did:plc: there are 24 characters of a-z and 2-7";
            return Err(ResolveError::ImpossibleDid { did: did.clone(), why });
        }
        let mut url = self.config.plc_url.clone();
        let path = format!("{}/{did}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let host = hosts::host_of(&url);
        let strange = |why: &str| ResolveError::Unreachable { host, why: why.to_owned() };
        match self.configured.get(document_at(url)).await? {
            Answer::Body(bytes) => Ok(Some(bytes)),
            Answer::Absent { json: true } => Ok(None),
            // Or else one wrong setting would be the end of everybody.
            Answer::Absent { json: false } => {
                Err(strange("what answers there is no PLC directory"))
            }
            Answer::NoHost => Err(strange("there is no such host")),
        }
    }

    async fn web(&self, did: &Did, name: &str) -> Result<Option<Vec<u8>>, ResolveError> {
        let (private, port) = (self.config.allow_private_addresses, self.config.https_port);
        let url = hosts::did_web_url(did, name, private, port)?;
        match self.anybody.get(document_at(url)).await? {
            Answer::Body(bytes) => Ok(Some(bytes)),
            Answer::Absent { .. } | Answer::NoHost => Ok(None),
        }
    }
}

fn document_at(url: Url) -> Ask<'static> {
    let accept = "application/did+ld+json, application/json";
    Ask { url, host: None, accept, limit: DOCUMENT_LIMIT, redirects: 0 }
}

/// The DID in a handle's file. Many a web server answers every path with a page: what is no DID, is
/// too large for one, or is refused, is nobody's.
async fn well_known(web: &Web, url: Url, host: Option<&str>) -> Result<Option<Did>, ResolveError> {
    let (limit, redirects) = (HANDLE_LIMIT, HANDLE_REDIRECTS);
    let ask = Ask { url, host, accept: "text/plain", limit, redirects };
    match web.get(ask).await {
        Ok(Answer::Body(bytes)) => {
            Ok(std::str::from_utf8(&bytes).ok().and_then(|text| Did::parse(text.trim()).ok()))
        }
        Ok(Answer::Absent { .. } | Answer::NoHost)
        | Err(
            ResolveError::TooLarge { .. }
            | ResolveError::Refused { .. }
            | ResolveError::ForbiddenUrl { .. },
        ) => Ok(None),
        Err(e) => Err(e),
    }
}
