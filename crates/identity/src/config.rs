//! What can be set.

use crate::address;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use url::Url;

/// How identities are resolved. Not `Debug`: the directory's URL may hold a password.
#[derive(Clone)]
pub struct ResolverConfig {
    /// The directory that resolves did:plc. The operator names it, so its address is not judged:
    /// a mirror may be in a private network.
    pub plc_url: Url,
    /// Whether hosts that others name may be at private addresses, be bare addresses, and be asked
    /// without TLS; also, whether handles may end in `.test`.
    pub allow_private_addresses: bool,
    /// Which addresses are public. [`is_public`](address::is_public), save in tests, where a part of
    /// loopback stands for the internet.
    pub is_public: fn(IpAddr) -> bool,
    /// Where handles that end in `.test` are asked instead of at themselves: a server that tells
    /// them apart by the `Host` header, as a PDS in development does. Only with
    /// `allow_private_addresses`. No name server is asked for them then.
    pub test_handles: Option<Url>,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// For one request from start to end: names, connection, redirects, body.
    pub timeout: Duration,
    /// Requests at a time to the directory, and as many to all other hosts together.
    pub max_concurrent: usize,
    /// Which name servers are asked.
    pub dns: Dns,
    /// The port of `https://` addresses made from a did:web or a handle.
    pub https_port: u16,
    /// Certificate authorities trusted beside those of the web, in DER.
    pub extra_roots: Vec<Vec<u8>>,
    /// The `User-Agent`.
    pub user_agent: String,
}

/// Which name servers are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dns {
    /// Those of the system (`/etc/resolv.conf`), and its hosts file.
    System,
    /// These, and nothing else.
    Servers(Vec<SocketAddr>),
}

impl ResolverConfig {
    /// The defaults: connect 2 s, all 5 s, 64 requests at a time, the system's name servers, no
    /// private addresses.
    #[must_use]
    pub fn new(plc_url: Url) -> Self {
        Self {
            plc_url,
            allow_private_addresses: false,
            is_public: address::is_public,
            test_handles: None,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            max_concurrent: 64,
            dns: Dns::System,
            https_port: 443,
            extra_roots: Vec::new(),
            user_agent: concat!("rhiz/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
