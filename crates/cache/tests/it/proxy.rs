//! Stands between the service and Redis and misbehaves on demand.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Everything arrives, later, in both directions; also after the client has hung up.
    Delay(Duration),
    /// Connections are accepted and nothing is ever answered.
    BlackHole,
    /// Connections are closed, and new ones too.
    Cut,
    /// Every n-th reply is lost.
    DropReplies(usize),
    /// Every n-th reply changes places with the next.
    ReorderReplies(usize),
    /// Removals are answered, but not made.
    LieAboutRemovals,
    /// Renewals of a stamp, and what comes behind them, stay on the way until it ends.
    HoldRenewals,
}

/// How often each fault really befell something on its way.
#[derive(Debug, Default)]
pub(crate) struct Felt {
    pub(crate) delayed: AtomicUsize,
    pub(crate) cut: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
    pub(crate) swapped: AtomicUsize,
    pub(crate) swallowed: AtomicUsize,
}

fn felt(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::SeqCst);
}

/// See the module.
pub(crate) struct Proxy {
    pub(crate) felt: Arc<Felt>,
    pub(crate) port: u16,
    fault: watch::Sender<Fault>,
    upstream: Arc<Mutex<String>>,
    accepted: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (fault, faults) = watch::channel(Fault::None);
        let upstream = Arc::new(Mutex::new(upstream));
        let accepted = Arc::new(AtomicUsize::new(0));
        let felt = Arc::new(Felt::default());
        tokio::spawn({
            let felt = felt.clone();
            let (upstream, accepted) = (upstream.clone(), accepted.clone());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::SeqCst);
                    let upstream = upstream.lock().clone();
                    tokio::spawn(serve(client, upstream, faults.clone(), felt.clone()));
                }
            }
        });
        Self { felt, port, fault, upstream, accepted }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Where new connections lead.
    pub(crate) fn lead_to(&self, upstream: String) {
        *self.upstream.lock() = upstream;
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn serve(
    client: TcpStream,
    upstream: String,
    faults: watch::Receiver<Fault>,
    counts: Arc<Felt>,
) {
    let now = *faults.borrow();
    if now == Fault::Cut {
        felt(&counts.cut);
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
    let requests =
        pump_requests(from_client, to_server, to_client.clone(), faults.clone(), &counts);
    let replies = pump_replies(from_server, to_client, faults.clone(), &counts);
    let mut cut = faults;
    tokio::select! {
        // What the client sent before it hung up still goes its way.
        () = requests => {}
        () = replies => {}
        _ = cut.wait_for(|fault| *fault == Fault::Cut) => felt(&counts.cut),
    }
}

/// Waits as long as the fault says; a black hole lasts until it ends.
async fn hindrance(faults: &mut watch::Receiver<Fault>, counts: &Felt) {
    let fault = *faults.borrow();
    match fault {
        Fault::Delay(time) => {
            felt(&counts.delayed);
            // The network's time, not the test's.
            let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
        }
        Fault::BlackHole => {
            felt(&counts.swallowed);
            let _ = faults.wait_for(|fault| *fault != Fault::BlackHole).await;
        }
        _ => {}
    }
}

async fn pump_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    to_client: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    mut faults: watch::Receiver<Fault>,
    counts: &Felt,
) {
    let mut buffer = Vec::new();
    loop {
        let mut chunk = [0; 16 * 1024];
        let Ok(read) = from.read(&mut chunk).await else { return };
        buffer.extend_from_slice(&chunk[..read]);
        hindrance(&mut faults, counts).await;
        while let Some(end) = frame_end(&buffer) {
            let frame: Vec<u8> = buffer.drain(..end).collect();
            if *faults.borrow() == Fault::HoldRenewals && frame.windows(8).any(|w| w == b"SETRANGE")
            {
                felt(&counts.swallowed);
                let _ = faults.wait_for(|fault| *fault != Fault::HoldRenewals).await;
            }
            let removal = frame.windows(6).take(16).any(|w| w == b"UNLINK");
            if *faults.borrow() == Fault::LieAboutRemovals && removal {
                // The client waits for each removal before it goes on, as the tests use it.
                if to_client.lock().await.write_all(b":1\r\n").await.is_err() {
                    return;
                }
            } else if to.write_all(&frame).await.is_err() {
                return;
            }
        }
        if read == 0 {
            return;
        }
    }
}

async fn pump_replies(
    mut from: OwnedReadHalf,
    to: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    mut faults: watch::Receiver<Fault>,
    counts: &Felt,
) {
    let mut buffer = Vec::new();
    let mut held: Option<Vec<u8>> = None;
    let mut count = 0_usize;
    loop {
        let mut chunk = [0; 16 * 1024];
        let Ok(read) = from.read(&mut chunk).await else { return };
        if read == 0 {
            return;
        }
        buffer.extend_from_slice(&chunk[..read]);
        hindrance(&mut faults, counts).await;
        while let Some(end) = frame_end(&buffer) {
            let frame: Vec<u8> = buffer.drain(..end).collect();
            count += 1;
            let mut out = Vec::new();
            let fault = *faults.borrow();
            match fault {
                Fault::DropReplies(n) if count.is_multiple_of(n) => felt(&counts.dropped),
                Fault::ReorderReplies(n) if count.is_multiple_of(n) && held.is_none() => {
                    held = Some(frame)
                }
                _ => out = frame,
            }
            if !out.is_empty() {
                if held.is_some() {
                    felt(&counts.swapped);
                }
                out.extend(held.take().unwrap_or_default());
                if to.lock().await.write_all(&out).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Where the first whole RESP frame ends.
fn frame_end(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|w| w == b"\r\n")? + 2;
    let number = || std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse::<i64>().ok();
    match bytes[0] {
        b'$' | b'=' | b'!' => match number()? {
            length if length < 0 => Some(line),
            length => {
                let end = line + usize::try_from(length).ok()? + 2;
                (bytes.len() >= end).then_some(end)
            }
        },
        kind @ (b'*' | b'%' | b'~' | b'>') => {
            let count = number()?.max(0) * if kind == b'%' { 2 } else { 1 };
            let mut end = line;
            for _ in 0..count {
                end += frame_end(bytes.get(end..).filter(|rest| !rest.is_empty())?)?;
            }
            Some(end)
        }
        _ => Some(line),
    }
}
