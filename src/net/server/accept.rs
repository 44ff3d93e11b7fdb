//! Accepting connections, and serving the requests of each until it ends, idles, or all end.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
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

use super::{body::Bodies, idle::Activity, limits::ServerLimits, memory::Share, tls::Certificates};
use crate::limits::{
    HEAD_BYTES_MAX, HTTP1_READ_BYTES_MAX, HTTP2_PING_INTERVAL, HTTP2_STREAMS_MAX,
    HTTP2_WINDOW_BYTES,
};

/// Pause after a failed accept: out of file descriptors, most likely, and not at once better.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub type Answer = Response<Full<Bytes>>;

/// Who is at the other end of a connection.
pub struct Peer {
    pub address: SocketAddr,
    /// What its bodies may hold of the memory.
    pub share: Arc<Share>,
}

/// What answers the requests of a listener.
pub trait Service: Send + Sync + 'static {
    /// The memory of its bodies, with the limits of the listener.
    fn bodies(&self) -> &Bodies;

    fn handle(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> impl Future<Output = Answer> + Send;
}

/// Accepts connections until `stop`; each is a task of `tasks`, and ends in its own time after
/// `stop`: with the last request under way.
pub async fn accept<S: Service>(
    listener: &TcpListener,
    tasks: &TaskTracker,
    service: &Arc<S>,
    certificates: Option<&Arc<Certificates>>,
    stop: &CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(service.bodies().limits().connections));
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
            Ok((socket, address)) => {
                let share = service.bodies().peer(address.ip());
                (socket, Peer { address, share })
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (service, certificates) = (service.clone(), certificates.cloned());
        let stop = stop.clone();
        tasks.spawn(async move {
            connection(socket, peer, service, certificates, stop).await;
            drop(slot);
        });
    }
}

async fn connection<S: Service>(
    socket: TcpStream,
    peer: Peer,
    service: Arc<S>,
    certificates: Option<Arc<Certificates>>,
    stop: CancellationToken,
) {
    // Answers are written whole; waiting for more to send would only delay them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set nodelay");
    }
    let Some(certificates) = certificates else {
        return requests(socket, peer, service, stop).await;
    };
    let handshake = timeout(
        service.bodies().limits().handshake_timeout,
        certificates.acceptor().accept(socket),
    );
    tokio::select! {
        () = stop.cancelled() => {}
        result = handshake => match result {
            Ok(Ok(stream)) => requests(stream, peer, service, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "handshake failed"),
            Err(_) => tracing::debug!("handshake took too long"),
        },
    }
}

/// Serves the requests of one connection until it ends, idles, or `stop`.
async fn requests<S, T>(socket: T, peer: Peer, service: Arc<S>, stop: CancellationToken)
where
    S: Service,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = *service.bodies().limits();
    let activity = Activity::new();
    let peer = Arc::new(peer);
    let handle = service_fn(|request| {
        let (service, peer, under_way) = (service.clone(), peer.clone(), activity.begin());
        async move {
            let answer = service.handle(request, &peer).await;
            drop(under_way);
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = protocol(&limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), handle));
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
