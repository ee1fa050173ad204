//! `rhiz serve`: the node, the firehose, and the HTTP server, until it is told to stop.
//!
//! The order of a stop: readiness says no and nothing more is accepted, the firehose is read no
//! more, requests in hand are answered, the pipeline finishes what it has in hand, the files are
//! closed. All of it takes no longer than [`STOP_LIMIT`]: what is not over by then is cut off by the
//! end of the process. The same happens when the graph breaks, and the process ends with an error.

use crate::{
    api::{self, App},
    config::Config,
    exit::{self, Failure},
    health::Health,
    ingest::{self, Feed},
    key,
    node::{Node, STOP_LIMIT},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};

/// What of a stop requests in hand may take.
const REQUESTS_LIMIT: Duration = Duration::from_secs(4);

/// Runs the command.
pub async fn run(config: Config) -> Result<(), Failure> {
    let node = Node::open(config).await?;
    node.start();
    let firehose = ingest::start(&node);
    until_stopped(node, firehose).await
}

/// How serving ended.
struct Served {
    /// When the stop began, by [`rhiz_domain::Clock::elapsed`].
    since: Duration,
    /// Whether all requests were answered.
    answered: bool,
    result: Result<(), Failure>,
}

/// Serves a node that is running, until SIGTERM or Ctrl-C; then stops it.
pub async fn until_stopped(node: Node, firehose: Option<Feed>) -> Result<(), Failure> {
    let served = match serve(&node, firehose.clone()).await {
        Ok(served) => served,
        Err(failure) => {
            Served { since: node.clock.elapsed(), answered: true, result: Err(failure) }
        }
    };
    if let Some(firehose) = firehose {
        firehose.stop();
    }
    let taken = node.clock.elapsed().saturating_sub(served.since);
    let in_time = node.stop_within(STOP_LIMIT.saturating_sub(taken)).await;
    if !in_time {
        tracing::warn!("what was in hand is left to the next start");
    }
    if !served.answered {
        tracing::warn!("requests that took longer than {REQUESTS_LIMIT:?} are cut off");
    }
    served.result
}

async fn serve(node: &Node, firehose: Option<Feed>) -> Result<Served, Failure> {
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
    let health = Health::start(node, firehose.clone());
    let app = Arc::new(App::new(node.clone(), keys, Arc::clone(&health)));
    node.announce(address);
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
    let until_told = node.while_whole(async {
        let signal = stop.await;
        tracing::info!(signal, "stopping");
        Ok(())
    });
    let result = tokio::select! {
        ended = &mut server => {
            let why = match ended {
                Ok(Ok(())) => "it ended by itself".to_owned(),
                Ok(Err(e)) => e.to_string(),
                Err(e) => e.to_string(),
            };
            return Err(Failure::failed(format!("the HTTP server stopped: {why}")));
        }
        told = until_told => told,
    };
    let since = node.clock.elapsed();
    health.drain();
    node.pipeline.drain();
    if let Some(firehose) = firehose {
        firehose.stop();
    }
    close.send_replace(true);
    let answered = tokio::time::timeout(REQUESTS_LIMIT, &mut server).await.is_ok();
    server.abort();
    Ok(Served { since, answered, result })
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
