//! A small internet on loopback: a name server, and a web server with a certificate.
//!
//! 127.0.0.2 stands for a public address, so that everything runs as it does outside, with private
//! addresses refused; 127.0.0.1 is as private as ever.

use hickory_resolver::proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, TXT},
    },
};
use rhiz_domain::{Clock, Did, Handle, clock::ManualClock};
use rhiz_identity::{Dns, ResolveError, Resolver, ResolverConfig, Url};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, rustls};

pub(crate) const PUBLIC: &str = "127.0.0.2";
pub(crate) const PRIVATE: &str = "127.0.0.1";

/// What the name server says of a name and type.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Txt(Vec<&'static str>),
    /// One text, in the pieces given.
    Pieces(Vec<String>),
    Addresses(Vec<IpAddr>),
    /// A TXT record that comes only when the web server has answered a request.
    AfterTheWeb(&'static str),
    /// One answer after the other; the last for ever.
    InTurn(Vec<Said>),
    ServFail,
    Nothing,
}

/// What the web server does for a host and path.
#[derive(Clone, Debug)]
pub(crate) enum Page {
    Body(String),
    Status(u16, Vec<(&'static str, String)>),
    /// A body of so many bytes, with no length told before.
    Long(usize),
    /// Takes the request and never answers.
    Hangs,
    /// Answers with a head, a part of a body, and then nothing.
    Stalls,
}

#[derive(Default)]
struct Script {
    zone: HashMap<(String, RecordType), Said>,
    pages: HashMap<String, Page>,
    asked: Vec<String>,
    looked_up: Vec<String>,
    under_way: usize,
    most_at_once: usize,
    answered: watch::Sender<u64>,
}

/// The internet; ends when dropped.
pub(crate) struct Internet {
    script: Arc<Mutex<Script>>,
    pub(crate) dns: SocketAddr,
    /// The https server: the same port on the public and the private address.
    pub(crate) port: u16,
    /// The PLC directory, by plain http at a private address: the operator names it.
    pub(crate) plc: SocketAddr,
    root: Vec<u8>,
    /// Connections to the private address, ever.
    private_connections: watch::Receiver<u64>,
    pub(crate) clock: Arc<ManualClock>,
    _tasks: JoinSet<()>,
}

impl Internet {
    /// With certificates for `people.net` and what is under it, and for `other.org`.
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let mut tasks = JoinSet::new();
        let (private_connected, private_connections) = watch::channel(0);

        let udp = UdpSocket::bind((PRIVATE, 0)).await.unwrap();
        let dns = udp.local_addr().unwrap();
        tasks.spawn(serve_dns(udp, script.clone()));

        let names = ["people.net", "*.people.net", "other.org"].map(String::from);
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let root = certified.cert.der().to_vec();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = certified.signing_key.serialize_der().try_into().unwrap();
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![root.clone().into()], key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(tls));
        let (public, private) = twin_listeners().await;
        let port = public.local_addr().unwrap().port();
        let served = Served { script: script.clone() };
        for (listener, count) in [(public, None), (private, Some(private_connected))] {
            let (tls, served) = (tls.clone(), served.clone());
            tasks.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    if let Some(count) = &count {
                        count.send_modify(|n| *n += 1);
                    }
                    let (tls, served) = (tls.clone(), served.clone());
                    connections.spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            served.connection(stream).await;
                        }
                    });
                }
            });
        }
        let plain = TcpListener::bind((PRIVATE, 0)).await.unwrap();
        let plc = plain.local_addr().unwrap();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = plain.accept().await {
                let served = served.clone();
                connections.spawn(async move { served.connection(stream).await });
            }
        });
        let clock = Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().unwrap()));
        Self { script, dns, port, plc, root, private_connections, clock, _tasks: tasks }
    }

    /// As a server would set it up, with the internet's name server and authority.
    pub(crate) fn config(&self) -> ResolverConfig {
        let mut config = ResolverConfig::new(Url::parse(&format!("http://{}", self.plc)).unwrap());
        config.dns = Dns::Servers(vec![self.dns]);
        config.https_port = self.port;
        config.extra_roots = vec![self.root.clone()];
        config.is_public =
            |address| address.to_string() == PUBLIC || rhiz_identity::is_public(address);
        config
    }

    pub(crate) fn resolver(&self) -> Resolver {
        self.resolver_with(|_| {})
    }

    pub(crate) fn resolver_with(&self, set: impl FnOnce(&mut ResolverConfig)) -> Resolver {
        let mut config = self.config();
        set(&mut config);
        Resolver::new(config, self.clock.clone() as Arc<dyn Clock>).unwrap()
    }

    pub(crate) fn say(&self, name: &str, kind: RecordType, said: Said) {
        self.script.lock().unwrap().zone.insert((name.to_owned(), kind), said);
    }

    /// An A record.
    pub(crate) fn host(&self, name: &str, address: &str) {
        let address = address.parse().unwrap();
        self.say(name, RecordType::A, Said::Addresses(vec![address]));
    }

    /// `_atproto` TXT records.
    pub(crate) fn txt(&self, handle: &str, texts: &[&'static str]) {
        let name = format!("_atproto.{handle}");
        self.say(&name, RecordType::TXT, Said::Txt(texts.to_vec()));
    }

    /// What the web server does at `host/path`, whatever the port.
    pub(crate) fn page(&self, url: &str, page: Page) {
        self.script.lock().unwrap().pages.insert(url.to_owned(), page);
    }

    pub(crate) fn body(&self, url: &str, body: &str) {
        self.page(url, Page::Body(body.to_owned()));
    }

    /// What the PLC directory says of a DID.
    pub(crate) fn plc(&self, did: &str, page: Page) {
        self.page(&format!("{}/{did}", self.plc.ip()), page);
    }

    /// A document in the directory that claims a handle.
    pub(crate) fn claim(&self, did: &str, handle: &str) {
        let document = serde_json::json!({"id": did, "alsoKnownAs": [format!("at://{handle}")]});
        self.plc(did, Page::Body(document.to_string()));
    }

    /// `host/path` of every request so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    /// Every name that was looked up so far, with its type.
    pub(crate) fn looked_up(&self) -> Vec<String> {
        self.script.lock().unwrap().looked_up.clone()
    }

    pub(crate) fn private_connections(&self) -> u64 {
        *self.private_connections.borrow()
    }

    /// The most requests that were under way at a time, seen from the servers.
    pub(crate) fn most_at_once(&self) -> usize {
        self.script.lock().unwrap().most_at_once
    }
}

pub(crate) fn did(text: &str) -> Did {
    Did::parse(text).unwrap()
}

pub(crate) fn handle(text: &str) -> Handle {
    Handle::parse(text).unwrap()
}

pub(crate) fn temporary<T: std::fmt::Debug>(result: Result<T, ResolveError>) -> ResolveError {
    let error = result.unwrap_err();
    assert!(error.is_temporary(), "not temporary: {error}");
    error
}

pub(crate) fn permanent<T: std::fmt::Debug>(result: Result<T, ResolveError>) -> ResolveError {
    let error = result.unwrap_err();
    assert!(!error.is_temporary(), "not permanent: {error}");
    error
}

/// One port that is free on both addresses.
async fn twin_listeners() -> (TcpListener, TcpListener) {
    loop {
        let public = TcpListener::bind((PUBLIC, 0)).await.unwrap();
        let port = public.local_addr().unwrap().port();
        if let Ok(private) = TcpListener::bind((PRIVATE, port)).await {
            return (public, private);
        }
    }
}

async fn serve_dns(socket: UdpSocket, script: Arc<Mutex<Script>>) {
    let socket = Arc::new(socket);
    let mut late = JoinSet::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
        let Some((answer, after)) = answer(&query, &script) else { continue };
        let (socket, mut answered) = (socket.clone(), script.lock().unwrap().answered.subscribe());
        late.spawn(async move {
            let _ = answered.wait_for(|n| *n >= after).await;
            let _ = socket.send_to(&answer.to_vec().unwrap(), from).await;
        });
    }
}

/// The answer, and how many requests the web server has to have answered before it.
fn answer(query: &Message, script: &Mutex<Script>) -> Option<(Message, u64)> {
    let mut after = 0;
    let asked = query.queries.first()?.clone();
    let (name, kind) = (asked.name().clone(), asked.query_type());
    let plain = name.to_string().trim_end_matches('.').to_lowercase();
    let mut script = script.lock().unwrap();
    script.looked_up.push(format!("{plain} {kind}"));
    let known = script.zone.keys().any(|(n, _)| *n == plain);
    let mut said = script.zone.get(&(plain.clone(), kind)).cloned();
    if let Some(Said::InTurn(mut turns)) = said {
        said = turns.first().cloned();
        if turns.len() > 1 {
            turns.remove(0);
        }
        script.zone.insert((plain, kind), Said::InTurn(turns));
    }
    let mut response =
        Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
    response.metadata.recursion_desired = true;
    response.metadata.recursion_available = true;
    response.add_query(asked);
    let record = |name: &Name, data| Record::from_rdata(name.clone(), 60, data);
    match said {
        None if known => {}
        None => response.metadata.response_code = ResponseCode::NXDomain,
        Some(Said::Txt(texts)) => {
            for text in texts {
                let data = RData::TXT(TXT::new(vec![text.to_owned()]));
                response.add_answer(record(&name, data));
            }
        }
        Some(Said::AfterTheWeb(text)) => {
            after = 1;
            response.add_answer(record(&name, RData::TXT(TXT::new(vec![text.to_owned()]))));
        }
        Some(Said::Pieces(pieces)) => {
            response.add_answer(record(&name, RData::TXT(TXT::new(pieces))));
        }
        Some(Said::Addresses(addresses)) => {
            for address in addresses {
                let data = match address {
                    IpAddr::V4(v4) => RData::A(A(v4)),
                    IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
                };
                response.add_answer(record(&name, data));
            }
        }
        Some(Said::ServFail) => response.metadata.response_code = ResponseCode::ServFail,
        Some(Said::Nothing) => return None,
        Some(Said::InTurn(_)) => unreachable!("unpacked above"),
    }
    Some((response, after))
}

#[derive(Clone)]
struct Served {
    script: Arc<Mutex<Script>>,
}

impl Served {
    async fn connection(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let host =
            head.lines().find_map(|l| l.to_lowercase().strip_prefix("host: ").map(String::from));
        let host = host.unwrap();
        let url = format!("{}{path}", host.split(':').next().unwrap());
        let page = {
            let mut script = self.script.lock().unwrap();
            script.asked.push(url.clone());
            script.under_way += 1;
            script.most_at_once = script.most_at_once.max(script.under_way);
            script.pages.get(&url).cloned()
        };
        let not_found = Page::Status(404, vec![("content-type", "application/json".into())]);
        // An error means that the other side has gone.
        let _ = write(&mut stream, page.unwrap_or(not_found)).await;
        self.script.lock().unwrap().under_way -= 1;
        let _ = stream.shutdown().await;
        // Until the other side has read it and closed.
        let _ = stream.read_u8().await;
        self.script.lock().unwrap().answered.send_modify(|n| *n += 1);
    }
}

async fn write(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    page: Page,
) -> std::io::Result<()> {
    let head = |status: u16| format!("HTTP/1.1 {status} So\r\nconnection: close\r\n");
    let text = match page {
        Page::Body(body) => {
            format!("{}content-length: {}\r\n\r\n{body}", head(200), body.len())
        }
        Page::Status(status, headers) => {
            let headers: String =
                headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            format!("{}content-length: 0\r\n{headers}\r\n", head(status))
        }
        Page::Long(bytes) => format!("{}\r\n{}", head(200), "x".repeat(bytes)),
        Page::Hangs => {
            // Until the other side gives up.
            stream.read_u8().await?;
            return Ok(());
        }
        Page::Stalls => {
            let text = format!("{}content-length: 100\r\n\r\nsome", head(200));
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await?;
            return std::future::pending().await;
        }
    };
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}
