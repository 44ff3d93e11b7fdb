//! The listener: connections, TLS, their limits, and the orderly end.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    backend::Backend,
    body::Bodies,
    credentials::{CredentialError, Credentials},
    files::Watch,
    handler::Handler,
    idle::Activity,
    limits::ServerLimits,
    memory::Share,
    tls::{Certificates, TlsError},
};
use crate::{
    config::ApiOptions,
    env::Clock,
    limits::{
        HEAD_BYTES_MAX, HTTP1_READ_BYTES_MAX, HTTP2_PING_INTERVAL, HTTP2_STREAMS_MAX,
        HTTP2_WINDOW_BYTES,
    },
};

/// Pause after a failed accept: out of file descriptors, most likely, and not at once better.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

async fn accept(
    listener: &TcpListener,
    tasks: &TaskTracker,
    handler: &Arc<Handler>,
    certificates: Option<&Arc<Certificates>>,
    stop: &CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(handler.limits.connections));
    loop {
        // Beyond the limit, connections wait in the kernel's queue.
        let accepted = async {
            let slot = connections.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        let (socket, peer) = match accepted {
            Ok((socket, address)) => (socket, handler.bodies.peer(address.ip())),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (handler, certificates) = (handler.clone(), certificates.cloned());
        let stop = stop.clone();
        tasks.spawn(async move {
            connection(socket, peer, handler, certificates, stop).await;
            drop(slot);
        });
    }
}

async fn connection(
    socket: TcpStream,
    peer: Arc<Share>,
    handler: Arc<Handler>,
    certificates: Option<Arc<Certificates>>,
    stop: CancellationToken,
) {
    // Answers are written whole; waiting for more to send would only delay them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set nodelay");
    }
    let Some(certificates) = certificates else {
        return requests(socket, peer, handler, stop).await;
    };
    let handshake =
        timeout(handler.limits.handshake_timeout, certificates.acceptor().accept(socket));
    tokio::select! {
        () = stop.cancelled() => {}
        result = handshake => match result {
            Ok(Ok(stream)) => requests(stream, peer, handler, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "handshake failed"),
            Err(_) => tracing::debug!("handshake took too long"),
        },
    }
}

/// Serves the requests of one connection until it ends, idles, or `stop`.
async fn requests<S>(socket: S, peer: Arc<Share>, handler: Arc<Handler>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = handler.limits;
    let activity = Activity::new();
    let service = service_fn(|request| {
        let (handler, peer, under_way) = (handler.clone(), peer.clone(), activity.begin());
        async move {
            let answer = handler.handle(request, &peer).await;
            drop(under_way);
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = protocol(&limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    tokio::select! {
        result = connection.as_mut() => return log_end(result),
        () = stop.cancelled() => {}
        () = activity.idle(limits.header_timeout, limits.idle_timeout) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A client that does not read its last answer, or sent half a request, is not waited for.
    let lost = async {
        tokio::time::sleep(limits.linger).await;
        activity.idle(limits.linger, limits.linger).await;
    };
    tokio::select! {
        biased;
        result = connection.as_mut() => log_end(result),
        () = lost => {}
    }
}

fn log_end<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection failed");
    }
}

fn protocol(limits: &ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HTTP1_READ_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_INTERVAL)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_header_list_size(HEAD_BYTES_MAX as u32);
    builder
}
