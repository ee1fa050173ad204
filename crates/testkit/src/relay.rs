//! A fake relay: a Jetstream, version 1, over a list of messages, on loopback.
//!
//! It honours `cursor` (from it on, inclusive), and misbehaves as it is told to, connection by
//! connection. Everything a test has to wait for can be awaited; nothing needs to sleep.

use futures_util::{SinkExt, StreamExt};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::StatusCode,
    },
};

/// How one connection goes. `n` counts messages sent on it.
#[derive(Debug, Clone)]
pub enum Connection {
    /// As it should; live messages follow as they are pushed.
    Well,
    /// Cut without a goodbye after `n` messages.
    CutAfter(usize),
    /// Closed in order after `n` messages.
    CloseAfter(usize),
    /// After `n` messages nothing comes any more, not even pongs.
    SilentAfter(usize),
    /// After `n` messages, bytes that are no WebSocket frame.
    GarbageAfter(usize),
    /// Refused with this HTTP status and body.
    Refused(u16, String),
    /// The cursor is taken for this one without a word, as a server does that keeps less.
    ClampedTo(u64),
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    script: VecDeque<Connection>,
    requests: Vec<String>,
}

/// A relay. Stops when dropped.
pub struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Counts changes of `messages`.
    pushed: watch::Sender<u64>,
    sent: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free port of loopback.
    pub async fn start(messages: impl IntoIterator<Item = String>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let messages = messages.into_iter().map(Message::text).collect();
        let state = Arc::new(Mutex::new(State { messages, ..State::default() }));
        let (pushed, sent) = (watch::Sender::new(0), watch::Sender::new(0));
        let serve = Served { state: state.clone(), pushed: pushed.subscribe(), sent: sent.clone() };
        let accepting = tokio::spawn(async move {
            // Dropping the set with this task ends its connections.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve.clone().connection(stream));
            }
        });
        Ok(Self { address, state, pushed, sent, accepting })
    }

    /// `ws://127.0.0.1:…/subscribe`
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/subscribe", self.address)
    }

    /// What the next connections are like, in order; those after them go well.
    pub fn script(&self, connections: impl IntoIterator<Item = Connection>) {
        lock(&self.state).script.extend(connections);
    }

    /// Adds a message at the end: sent on every connection that has come so far.
    pub fn push(&self, message: impl Into<String>) {
        self.push_frame(Message::text(message.into()));
    }

    /// Adds bytes in a binary frame.
    pub fn push_binary(&self, bytes: Vec<u8>) {
        self.push_frame(Message::binary(bytes));
    }

    fn push_frame(&self, message: Message) {
        lock(&self.state).messages.push(message);
        self.pushed.send_modify(|n| *n += 1);
    }

    /// Path and query of every request so far, refused ones too.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }

    /// How many messages were written to sockets, on all connections together.
    #[must_use]
    pub fn sent(&self) -> watch::Receiver<u64> {
        self.sent.subscribe()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Whole values are put in and taken out: a panic elsewhere leaves nothing half done.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Served {
    state: Arc<Mutex<State>>,
    pushed: watch::Receiver<u64>,
    sent: watch::Sender<u64>,
}

impl Served {
    async fn connection(mut self, stream: TcpStream) {
        let plan = lock(&self.state).script.pop_front().unwrap_or(Connection::Well);
        let mut cursor = None;
        #[expect(clippy::result_large_err, reason = "the handshake's callback is typed so")]
        let shake = |request: &Request, response: Response| {
            let uri = request.uri();
            cursor = uri.query().and_then(cursor_in);
            lock(&self.state).requests.push(uri.to_string());
            match &plan {
                Connection::Refused(status, body) => Err(refusal(*status, body)),
                _ => Ok(response),
            }
        };
        let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, shake).await else { return };
        if let (Connection::ClampedTo(least), Some(asked)) = (&plan, cursor) {
            cursor = Some(asked.max(*least));
        }
        // An error means that the other side has gone.
        let _ = self.serve(socket, &plan, cursor).await;
    }

    async fn serve(
        &mut self,
        mut socket: WebSocketStream<TcpStream>,
        plan: &Connection,
        cursor: Option<u64>,
    ) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        use tokio::io::AsyncWriteExt as _;
        let mut next = self.start(cursor);
        let mut count = 0;
        loop {
            match plan {
                Connection::CutAfter(n) if count == *n => {
                    socket.get_mut().shutdown().await?;
                    return Ok(());
                }
                Connection::CloseAfter(n) if count == *n => return socket.close(None).await,
                Connection::SilentAfter(n) if count == *n => {
                    return std::future::pending().await;
                }
                Connection::GarbageAfter(n) if count == *n => {
                    socket.get_mut().write_all(b"this is no frame at all").await?;
                    return std::future::pending().await;
                }
                _ => {}
            }
            let message = lock(&self.state).messages.get(next).cloned();
            if let Some(message) = message {
                socket.send(message).await?;
                self.sent.send_modify(|n| *n += 1);
                (next, count) = (next + 1, count + 1);
                continue;
            }
            tokio::select! {
                pushed = self.pushed.changed() => if pushed.is_err() { return Ok(()) },
                // Reading is what answers pings.
                received = socket.next() => match received {
                    Some(Ok(_)) => {}
                    _ => return Ok(()),
                },
            }
        }
    }

    /// The first message to send: the first one that is not before the cursor. Without a cursor
    /// all of them, as if this client had been there from the start.
    fn start(&self, cursor: Option<u64>) -> usize {
        let state = lock(&self.state);
        let Some(cursor) = cursor else { return 0 };
        let all = &state.messages;
        all.iter().position(|m| time_us(m).is_some_and(|t| t >= cursor)).unwrap_or(all.len())
    }
}

fn refusal(status: u16, body: &str) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(Some(body.into()));
    *refusal.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    refusal
}

fn cursor_in(query: &str) -> Option<u64> {
    query.split('&').find_map(|pair| pair.strip_prefix("cursor="))?.parse().ok()
}

fn time_us(message: &Message) -> Option<u64> {
    let value: serde_json::Value =
        serde_json::from_slice(message.to_text().ok()?.as_bytes()).ok()?;
    value.get("time_us")?.as_u64()
}
