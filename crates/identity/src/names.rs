//! Name servers: addresses of hosts, and the DIDs of handles.
//!
//! Nothing is kept here, so that a changed record is seen at once; the caller has a cache.

use crate::{config::Dns, error::ResolveError};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData},
    system_conf::read_system_conf,
};
use rhiz_domain::{Did, Handle};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr as _,
    time::Duration,
};
use tokio::sync::Semaphore;

/// Why a name has no addresses.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NameFailure {
    /// The name servers say so.
    #[error("there is no such name")]
    Absent,
    /// Its addresses are not public, and only public ones are allowed.
    #[error("it is at a private address")]
    Private,
    /// The name servers failed.
    #[error("{0}")]
    Failed(String),
}

/// The name servers.
pub(crate) struct Names {
    resolver: TokioResolver,
    permits: Semaphore,
    timeout: Duration,
}

impl Names {
    pub(crate) fn new(
        dns: &Dns,
        timeout: Duration,
        max_concurrent: usize,
    ) -> Result<Self, ResolveError> {
        let (config, mut options) = match dns {
            Dns::System => read_system_conf().unwrap_or_else(|e| {
                tracing::warn!(error = %e, "no name servers are configured, asking this machine");
                // What the C library does without /etc/resolv.conf.
                (servers(&[(Ipv4Addr::LOCALHOST, 53).into()]), ResolverOpts::default())
            }),
            Dns::Servers(addresses) => (servers(addresses), ResolverOpts::default()),
        };
        options.cache_size = 0;
        // Two tries within the time there is for all.
        options.attempts = 1;
        options.timeout = timeout * 2 / 5;
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let setup = |e: NetError| ResolveError::Setup { why: format!("name servers: {e}") };
        let resolver = builder.build().map_err(setup)?;
        Ok(Self { resolver, permits: Semaphore::new(max_concurrent), timeout })
    }

    /// The addresses of a host. With `search`, the system's search domains are tried too: for names
    /// that the operator configured, never for those of others.
    pub(crate) async fn addresses(
        &self,
        host: &str,
        search: bool,
    ) -> Result<Vec<IpAddr>, NameFailure> {
        let mut name = Name::from_str(host).map_err(|_| NameFailure::Absent)?;
        if !search {
            name.set_fqdn(true);
        }
        match self.resolver.lookup_ip(name).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(e) if e.is_no_records_found() || e.is_nx_domain() => Err(NameFailure::Absent),
            Err(e) => Err(NameFailure::Failed(e.to_string())),
        }
    }

    /// The DID that the TXT records of `_atproto.<handle>` name.
    pub(crate) async fn did_of(&self, handle: &Handle) -> Result<Option<Did>, ResolveError> {
        let text = format!("_atproto.{handle}.");
        // A handle so long that the name before it does not fit has no record.
        let Ok(name) = Name::from_str(&text) else { return Ok(None) };
        let asking = async {
            let _permit = self.permits.acquire().await;
            self.resolver.txt_lookup(name).await
        };
        let name = || format!("_atproto.{handle}");
        let found = match tokio::time::timeout(self.timeout, asking).await {
            Err(_) | Ok(Err(NetError::Timeout)) => {
                return Err(ResolveError::TimedOut { what: format!("DNS for {}", name()) });
            }
            Ok(Err(e)) if e.is_no_records_found() || e.is_nx_domain() => return Ok(None),
            Ok(Err(e)) => return Err(ResolveError::Dns { name: name(), why: e.to_string() }),
            Ok(Ok(found)) => found,
        };
        let mut dids = found.answers().iter().filter_map(|record| match &record.data {
            // A record is one text in pieces of 255 bytes.
            RData::TXT(txt) => {
                let text = txt.txt_data.concat();
                Did::parse(std::str::from_utf8(&text).ok()?.strip_prefix("did=")?).ok()
            }
            _ => None,
        });
        let first = dids.next();
        if dids.any(|another| Some(another) != first) {
            return Err(ResolveError::AmbiguousHandle { handle: handle.clone() });
        }
        Ok(first)
    }
}

fn servers(addresses: &[SocketAddr]) -> ResolverConfig {
    let server = |address: &SocketAddr| {
        let on = |mut connection: ConnectionConfig| {
            connection.port = address.port();
            connection
        };
        let connections = vec![on(ConnectionConfig::udp()), on(ConnectionConfig::tcp())];
        NameServerConfig::new(address.ip(), true, connections)
    };
    ResolverConfig::from_name_servers(addresses.iter().map(server).collect())
}
