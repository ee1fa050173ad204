//! One WebSocket connection: made within a time limit, kept alive by pings, given up when silent.
//!
//! Knows nothing of what the messages mean. Nothing is read from the network but inside
//! [`Socket::next`] and [`Socket::ready`]: whoever calls neither makes the sender wait.

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::{io, sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::USER_AGENT},
        protocol::WebSocketConfig,
    },
};

/// Bytes of a refusal's body that are told.
const MAX_BODY: usize = 200;

/// Limits of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// For name, TCP, TLS and handshake together.
    pub(crate) connect: Duration,
    /// A ping goes out after so long a silence.
    pub(crate) ping: Duration,
    /// Given up after so long a silence, pongs included.
    pub(crate) idle: Duration,
    /// Bytes of a message at most.
    pub(crate) message: usize,
}

/// Why a connection did not come about, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it cannot be reached: {0}")]
    Unreachable(io::Error),
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("no secure connection: {0}")]
    Tls(String),
    #[error("it refused the connection with HTTP {status}{body}")]
    Refused { status: u16, body: String },
    #[error("it does not keep the protocol: {0}")]
    Protocol(String),
    #[error("it sent a message of more than {0} bytes")]
    TooLarge(usize),
    #[error("it was silent for {0:?}")]
    Idle(Duration),
    #[error("it closed the connection{0}")]
    Closed(String),
    #[error("the connection was cut: {0}")]
    Cut(String),
}

impl Fault {
    /// For machines.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Tls(_) => "tls",
            Self::Refused { .. } => "refused",
            Self::Protocol(_) => "protocol",
            Self::TooLarge(_) => "too_large",
            Self::Idle(_) => "idle",
            Self::Closed(_) => "closed",
            Self::Cut(_) => "cut",
        }
    }

    fn of(error: tungstenite::Error, limits: &Limits) -> Self {
        use tungstenite::{Error as E, error::ProtocolError};
        match error {
            E::Io(e) => match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
                Some(tls) => Self::Tls(tls.to_string()),
                None => Self::Cut(e.to_string()),
            },
            E::Tls(e) => Self::Tls(e.to_string()),
            E::Capacity(_) => Self::TooLarge(limits.message),
            E::ConnectionClosed | E::AlreadyClosed => Self::Closed(String::new()),
            E::Protocol(
                e @ (ProtocolError::ResetWithoutClosingHandshake
                | ProtocolError::HandshakeIncomplete),
            ) => Self::Cut(e.to_string()),
            E::Http(response) => {
                let body = response.body().as_deref().unwrap_or_default();
                let body = String::from_utf8_lossy(&body[..body.len().min(MAX_BODY)]);
                let body = body.trim();
                Self::Refused {
                    status: response.status().as_u16(),
                    body: if body.is_empty() { String::new() } else { format!(": {body:?}") },
                }
            }
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// A connection that stands.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    limits: Limits,
}

impl Socket {
    pub(crate) async fn connect(url: &str, limits: &Limits) -> Result<Self, Fault> {
        match timeout(limits.connect, Self::open(url, limits)).await {
            Ok(socket) => socket,
            Err(_) => Err(Fault::Timeout(limits.connect)),
        }
    }

    async fn open(url: &str, limits: &Limits) -> Result<Self, Fault> {
        let fault = |e| Fault::of(e, limits);
        let mut request = url.into_client_request().map_err(fault)?;
        let agent = HeaderValue::from_static(concat!("rhiz/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);

        let secure = request.uri().scheme_str() == Some("wss");
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        let port = request.uri().port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tcp = TcpStream::connect((host, port)).await.map_err(Fault::Unreachable)?;
        // Pings are small and should not wait. A socket that cannot be told so works all the same.
        let _ = tcp.set_nodelay(true);

        let connector = if secure { Connector::Rustls(tls()?) } else { Connector::Plain };
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits.message))
            .max_frame_size(Some(limits.message));
        let connected =
            client_async_tls_with_config(request, tcp, Some(config), Some(connector)).await;
        let (stream, _) = connected.map_err(fault)?;
        Ok(Self { stream, limits: limits.clone() })
    }

    /// The next message with data. Can be cancelled without loss.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Fault> {
        let mut silent = Duration::ZERO;
        loop {
            let wait = self.limits.ping.min(self.limits.idle - silent);
            match timeout(wait, self.stream.next()).await {
                Ok(received) => {
                    silent = Duration::ZERO;
                    if let Some(data) = self.data(received)? {
                        return Ok(data);
                    }
                }
                Err(_) => {
                    silent += wait;
                    if silent >= self.limits.idle {
                        return Err(Fault::Idle(silent));
                    }
                    self.ping().await?;
                }
            }
        }
    }

    /// The next message with data, if it is here already.
    pub(crate) fn ready(&mut self) -> Option<Result<Bytes, Fault>> {
        loop {
            let received = self.stream.next().now_or_never()?;
            if let Some(data) = self.data(received).transpose() {
                return Some(data);
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Fault> {
        let ping = self.stream.send(Message::Ping(Bytes::new()));
        match timeout(self.limits.connect, ping).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(Fault::of(e, &self.limits)),
            Err(_) => Err(Fault::Idle(self.limits.connect)),
        }
    }

    /// What a frame carries; `None` for pings and pongs (tungstenite answers the former).
    fn data(
        &self,
        received: Option<Result<Message, tungstenite::Error>>,
    ) -> Result<Option<Bytes>, Fault> {
        match received {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                Ok(Some(message.into_data()))
            }
            Some(Ok(Message::Close(frame))) => {
                Err(Fault::Closed(frame.map_or_else(String::new, |f| {
                    format!(" ({} {:?})", f.code, f.reason.as_str())
                })))
            }
            Some(Ok(_)) => Ok(None),
            Some(Err(e)) => Err(Fault::of(e, &self.limits)),
            None => Err(Fault::Closed(String::new())),
        }
    }
}

/// TLS by rustls with ring, named here so that it does not depend on what else is linked in.
fn tls() -> Result<Arc<rustls::ClientConfig>, Fault> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Fault::Tls(e.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
