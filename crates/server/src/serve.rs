//! `rhiz serve`: the node, the firehose, and the HTTP server, until it is told to stop.
//!
//! The order of a stop: readiness says no, the firehose's reader ends, requests in hand are
//! answered, the pipeline finishes what it has in hand, the files are closed.

use crate::{
    api::{self, App},
    config::Config,
    exit::{self, Failure},
    health::Health,
    ingest, key,
    node::Node,
};
use rhiz_firehose::Status;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};

/// How long requests in hand may take once a stop was asked for.
const REQUESTS_LIMIT: Duration = Duration::from_secs(5);

/// Runs the command.
pub async fn run(config: Config) -> Result<(), Failure> {
    let node = Node::open(config).await?;
    node.start();
    let (stop, stopping) = watch::channel(false);
    let firehose = ingest::start(&node, stopping);
    let result = until_stopped(node, firehose).await;
    drop(stop);
    result
}

/// Serves a node that is running, until SIGTERM or Ctrl-C; then stops it.
pub async fn until_stopped(
    node: Node,
    firehose: Option<watch::Receiver<Status>>,
) -> Result<(), Failure> {
    let served = serve(&node, firehose).await;
    let in_time = node.stop().await;
    if !in_time {
        tracing::warn!("what was in hand is left to the next start");
    }
    served
}

async fn serve(node: &Node, firehose: Option<watch::Receiver<Status>>) -> Result<(), Failure> {
    let config = &node.config;
    let keys = api::Keys {
        internal: key::internal_key(
            config.keys.internal.as_ref(),
            &config.data.dir,
            &*node.entropy,
        )?,
        viewer: config.keys.viewer.clone(),
    };
    let asked = SocketAddr::new(config.api.host, config.api.port);
    let listener = TcpListener::bind(asked).await.map_err(|e| {
        Failure::failed(format!("cannot listen on {asked}: {e}"))
            .hint("is another program using the port? choose one with --port or API_PORT")
    })?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    // Listened for before anybody can know that we are here.
    let stop = stop_signal();
    let health = Health::start(node, firehose);
    let app = Arc::new(App::new(node.clone(), keys, Arc::clone(&health)));
    exit::print(&format!("Rhiz is at http://{address}\n"))?;
    tracing::info!(%address, environment = %config.api.environment, "serving");
    let (close, closing) = watch::channel(false);
    let mut closed = closing.clone();
    let server =
        axum::serve(listener, api::router(app).into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(async move {
                let _ = closed.wait_for(|c| *c).await;
            });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        ended = &mut server => {
            let why = match ended {
                Ok(Ok(())) => "it ended by itself".to_owned(),
                Ok(Err(e)) => e.to_string(),
                Err(e) => e.to_string(),
            };
            return Err(Failure::failed(format!("the HTTP server stopped: {why}")));
        }
        signal = stop => tracing::info!(signal, "stopping"),
    }
    health.drain();
    node.pipeline.drain();
    close.send_replace(true);
    if tokio::time::timeout(REQUESTS_LIMIT, server).await.is_err() {
        tracing::warn!("some requests were cut off");
    }
    Ok(())
}

/// Listens for SIGTERM and Ctrl-C from the call on; answers with the first one's name.
pub fn stop_signal() -> impl Future<Output = &'static str> {
    #[cfg(unix)]
    let (terminate, interrupt) = {
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::terminate()).ok(), signal(SignalKind::interrupt()).ok())
    };
    async move {
        #[cfg(unix)]
        if let (Some(mut terminate), Some(mut interrupt)) = (terminate, interrupt) {
            return tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
        }
        let _ = tokio::signal::ctrl_c().await;
        "SIGINT"
    }
}
