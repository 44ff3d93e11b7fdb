//! A daemon with its listener in this process: what `run` and `demo` share.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, DaemonBackend, ServeError},
    config::Config,
    daemon::Daemon,
    env::Env,
    telemetry::Metrics,
};

/// Time that requests under way get to finish when the daemon stops.
const REQUESTS_FINISH: Duration = Duration::from_secs(15);

/// A running daemon and its listener.
pub struct Serving {
    pub daemon: Daemon,
    pub backend: Arc<DaemonBackend>,
    pub address: SocketAddr,
    stop: CancellationToken,
    listener: JoinHandle<Result<(), ServeError>>,
}

impl Serving {
    /// Binds the listener first: a taken port is found out before anything is opened.
    pub async fn start(config: &Config, file: Option<PathBuf>) -> anyhow::Result<Self> {
        let listen = config.api.listen;
        let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen}: set another `api.listen`, or stop what uses it")
        })?;
        let address = listener.local_addr()?;
        let env = Env::real();
        let clock = env.clock.clone();
        let daemon = Daemon::start(config, env, Arc::new(Metrics::new())).await?;
        let backend = Arc::new(DaemonBackend::new(daemon.clone(), file));
        let stop = CancellationToken::new();
        let (options, for_api, stopping) = (config.api.clone(), backend.clone(), stop.clone());
        let listener =
            tokio::spawn(
                async move { api::serve(listener, &options, clock, for_api, stopping).await },
            );
        Ok(Self { daemon, backend, address, stop, listener })
    }

    /// Resolves if the listener ends by itself, which it does only at the start.
    pub async fn listener_failed(&mut self) -> anyhow::Error {
        match (&mut self.listener).await {
            Ok(Ok(())) => anyhow::anyhow!("the listener ended"),
            Ok(Err(error)) => error.into(),
            Err(error) => error.into(),
        }
    }

    /// Takes no more requests, delivers what is open, closes the journals.
    pub async fn shut_down(mut self) {
        self.stop.cancel();
        let finished = tokio::time::timeout(REQUESTS_FINISH, &mut self.listener).await;
        if finished.is_err() {
            tracing::warn!("requests under way were cut off");
            self.listener.abort();
        }
        self.daemon.shut_down().await;
    }
}
