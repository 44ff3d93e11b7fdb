//! The listener of the API: its keys and certificate, its address, and its end.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    backend::Backend,
    credentials::{CredentialError, Credentials},
    handler::Handler,
};
use crate::{
    config::ApiOptions,
    env::Clock,
    net::server::{
        Bodies, ServerLimits, Watch, accept,
        tls::{Certificates, TlsError},
    },
};

/// Why the listener does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("`anonymous: true` is allowed on a loopback address only, not on {0}")]
    Anonymous(SocketAddr),
    #[error("{0} is not a loopback address: set `tls`, or `plain_http: true` to do without")]
    PlainHttp(SocketAddr),
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the listener has no address: {0}")]
    Address(#[from] io::Error),
}

/// A server with its keys and certificate loaded, not yet listening.
pub struct Server {
    handler: Arc<Handler>,
    certificates: Option<Arc<Certificates>>,
    plain_http: bool,
    credential_files: Watch,
    certificate_files: Watch,
}

/// Serves the API on `listener` until `stop`, then finishes the requests under way.
pub async fn serve(
    listener: TcpListener,
    options: &ApiOptions,
    clock: Arc<dyn Clock>,
    backend: Arc<dyn Backend>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    Server::new(options, ServerLimits::default(), clock, backend)?.run(listener, stop).await
}

impl Server {
    /// Loads keys and certificate.
    pub fn new(
        options: &ApiOptions,
        limits: ServerLimits,
        clock: Arc<dyn Clock>,
        backend: Arc<dyn Backend>,
    ) -> Result<Self, ServeError> {
        let credential_files = Watch::new(Credentials::files(options));
        let credentials = Arc::new(Credentials::load(options)?);
        if credentials.is_empty() && !options.anonymous {
            tracing::warn!("no credentials are configured, every request will be refused");
        }
        let tls = options.tls.as_ref();
        let certificate_files = Watch::new(tls.map(Certificates::files).unwrap_or_default());
        let certificates = tls.map(Certificates::load).transpose()?.map(Arc::new);
        let bodies = Bodies::new(limits);
        let anonymous = options.anonymous;
        Ok(Self {
            handler: Arc::new(Handler { backend, credentials, bodies, clock, limits, anonymous }),
            certificates,
            plain_http: options.plain_http,
            credential_files,
            certificate_files,
        })
    }

    /// Accepts connections until `stop`; returns when the last request under way is answered.
    pub async fn run(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        self.check_address(address)?;
        let tasks = TaskTracker::new();
        let Self { handler, certificates, credential_files, certificate_files, .. } = self;
        let interval = handler.limits.files_poll_interval;
        let credentials = handler.credentials.clone();
        tasks.spawn(
            credential_files
                .run("credentials", interval, stop.clone(), move || credentials.reload()),
        );
        if let Some(certificates) = certificates.clone() {
            tasks.spawn(
                certificate_files
                    .run("certificate", interval, stop.clone(), move || certificates.reload()),
            );
        }
        tracing::info!(%address, tls = certificates.is_some(), "listening");
        accept(&listener, &tasks, &handler, certificates.as_ref(), &stop).await;
        // From here on the kernel refuses new connections.
        drop(listener);
        tasks.close();
        tasks.wait().await;
        tracing::info!(%address, "listener closed");
        Ok(())
    }

    fn check_address(&self, address: SocketAddr) -> Result<(), ServeError> {
        if address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        if self.handler.anonymous {
            return Err(ServeError::Anonymous(address));
        }
        if self.certificates.is_none() && !self.plain_http {
            return Err(ServeError::PlainHttp(address));
        }
        Ok(())
    }
}
