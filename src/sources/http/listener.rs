//! One address: opened as long as it takes, and its requests.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT},
    request::Parts,
};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming as Body};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    protocol::{Caller, Incoming, Refusal},
    routes::{Found, Route, Routes},
    unpack::{Encoding, Unpacker},
};
use crate::{
    limits::{HTTP_BIND_WAIT_MAX, HTTP_BIND_WAIT_MIN},
    net::server::{
        Answer, Bodies, BodyError, Peer, Received, Sender, ServerLimits, Service, TlsOptions,
        Watch, accept, declared_length, drain,
        tls::{Certificates, TlsError},
    },
};

/// What an address is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub tls: Option<TlsOptions>,
    pub plain_http: bool,
}

/// Whether an address is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Opening,
    /// It failed, is tried again, and why.
    Failed(String),
    /// Where it is (a port of 0 is one of the system's choice).
    Open(SocketAddr),
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("cannot listen on {address}: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The listener of one address.
pub struct Listener {
    pub terms: Terms,
    pub routes: Routes,
    address: SocketAddr,
    bodies: Bodies,
    unpacker: Unpacker,
    state: watch::Sender<State>,
    stop: CancellationToken,
}

/// The socket, and what it needs for TLS.
type Opened = (TcpListener, Option<(Arc<Certificates>, Watch)>);

impl Listener {
    pub fn new(address: SocketAddr, terms: Terms, limits: ServerLimits) -> Arc<Self> {
        Arc::new(Self {
            terms,
            routes: Routes::default(),
            address,
            bodies: Bodies::new(limits),
            unpacker: Unpacker::new(limits.body_wait),
            state: watch::Sender::new(State::Opening),
            stop: CancellationToken::new(),
        })
    }

    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Lets go of the address; `run` returns when the last request under way is answered.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Listens until it is stopped.
    pub async fn run(self: Arc<Self>) {
        let opened = tokio::select! {
            biased;
            () = self.stop.cancelled() => return,
            opened = self.open() => opened,
        };
        let (listener, tls) = opened;
        let (tasks, stop) = (TaskTracker::new(), self.stop.clone());
        let certificates = tls.map(|(certificates, watch)| {
            let (interval, reloaded) =
                (self.bodies.limits().files_poll_interval, certificates.clone());
            let reload = move || reloaded.reload();
            tasks.spawn(watch.run("certificate", interval, stop.clone(), reload));
            certificates
        });
        accept(&listener, &tasks, &self, certificates.as_ref(), &self.stop).await;
        // From here on the kernel refuses new connections.
        drop(listener);
        tasks.close();
        tasks.wait().await;
        tracing::info!(address = %self.address, "listener of sources closed");
    }

    /// Opens the address, as often as it takes: what stands in the way may be the one before.
    async fn open(self: &Arc<Self>) -> Opened {
        let mut wait = HTTP_BIND_WAIT_MIN;
        loop {
            let error = match self.try_open().await {
                Ok(opened) => return opened,
                Err(error) => error.to_string(),
            };
            for route in self.routes.all() {
                route.metrics.error("Http.Listen");
                tracing::error!(stream = route.stream, %error, "source cannot listen, trying again");
            }
            self.state.send_replace(State::Failed(error));
            tokio::time::sleep(wait).await;
            wait = (2 * wait).min(HTTP_BIND_WAIT_MAX);
        }
    }

    async fn try_open(&self) -> Result<Opened, OpenError> {
        let tls = match &self.terms.tls {
            None => None,
            Some(options) => {
                let watch = Watch::new(Certificates::files(options));
                Some((Arc::new(Certificates::load(options)?), watch))
            }
        };
        let address = self.address;
        let wrap = |source| OpenError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(wrap)?;
        let address = listener.local_addr().map_err(wrap)?;
        tracing::info!(%address, tls = tls.is_some(), "listening for sources");
        self.state.send_replace(State::Open(address));
        Ok((listener, tls))
    }

    /// The answer to an admitted request, and whether the connection ends with it.
    async fn admitted(
        &self,
        route: &Route,
        caller: Caller,
        head: Parts,
        body: Body,
        peer: &Peer,
    ) -> (Response<Bytes>, bool) {
        let Some(_under_way) = route.enter() else {
            let answer = route.protocol.refuse(&head, &Refusal::Stopping);
            self.leave_unread(&head, body);
            return (answer, false);
        };
        let max = route.protocol.max_body();
        let encoding = match Encoding::of(&head) {
            Ok(_) if declared_length(&body).is_some_and(|length| length > max as u64) => {
                Err(Refusal::TooLarge { max })
            }
            other => other,
        };
        let encoding = match encoding {
            Ok(encoding) => encoding,
            Err(refusal) => {
                let answer = route.protocol.refuse(&head, &refusal);
                self.leave_unread(&head, body);
                return (answer, false);
            }
        };
        let mut body = body;
        let received = tokio::select! {
            biased;
            received = self.receive(&mut body, peer, max) => received,
            // Bodies may take hours to come; who stops does not wait for them.
            () = route.stopping().cancelled() => Err(Refusal::Stopping),
        };
        let received = match received {
            Ok(received) => received,
            Err(refusal) => {
                let answer = route.protocol.refuse(&head, &refusal);
                // A client that still sends reads its answer only then.
                if refusal.is_passing() || matches!(refusal, Refusal::TooLarge { .. }) {
                    self.leave_unread(&head, body);
                    return (answer, false);
                }
                return (answer, true);
            }
        };
        let unpacked = match self.unpacker.unpack(encoding, received, max).await {
            Ok(unpacked) => unpacked,
            Err(refusal) => return (route.protocol.refuse(&head, &refusal), false),
        };
        let bytes = unpacked.bytes.clone();
        let request = Incoming { head, body: bytes, caller, peer: peer.address };
        let answer = route.protocol.answer(request, route.putter.as_ref()).await;
        // The memory is given back no sooner than the records have left it.
        drop(unpacked);
        (answer, false)
    }

    async fn receive(&self, body: &mut Body, peer: &Peer, max: usize) -> Result<Received, Refusal> {
        // The credential has been proven already: the peer's share of the memory is enough.
        let sender = Sender { peer: &peer.share, access_key_id: None };
        self.bodies.read(body, sender, max).await.map_err(|error| match error {
            BodyError::TooLarge { max } => Refusal::TooLarge { max },
            BodyError::TooSlow => Refusal::TooSlow,
            BodyError::Broken => Refusal::Broken,
            BodyError::Crowded => Refusal::Crowded,
        })
    }

    /// A client may send all of its body before it looks for an answer. The rest is read and
    /// thrown away beside the answer, unless the client waits to be asked for it.
    fn leave_unread(&self, head: &Parts, body: Body) {
        let is_awaited = head.headers.contains_key(EXPECT);
        if head.version <= Version::HTTP_11 && !is_awaited && !body.is_end_stream() {
            tokio::spawn(drain(body, self.bodies.limits().body_grace));
        }
    }
}

impl Service for Listener {
    fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    async fn handle(&self, request: Request<Body>, peer: &Peer) -> Answer {
        let (head, body) = request.into_parts();
        let (version, is_head) = (head.version, head.method == Method::HEAD);
        let (mut answer, close, route) = match self.routes.find(&head) {
            Found::Nobody(answer, route) => {
                self.leave_unread(&head, body);
                (*answer, false, route)
            }
            Found::Route(route, caller) => {
                let (answer, close) = self.admitted(&route, caller, head, body, peer).await;
                (answer, close, Some(route))
            }
        };
        if let Some(route) = route
            && !answer.status().is_success()
        {
            route.metrics.error(&format!("Http.{}", answer.status().as_u16()));
        }
        // HTTP/2 has no such header; there the stream is reset.
        if close && version <= Version::HTTP_11 {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if is_head {
            leave_body_out(&mut answer);
        }
        answer.map(Full::new)
    }
}

/// Makes it the answer to HEAD: what GET is answered, without the body.
fn leave_body_out(answer: &mut Response<Bytes>) {
    let length = HeaderValue::from(answer.body().len());
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer.body_mut().clear();
}

/// The wait before a stream that cannot be added is tried again.
pub const CONFLICT_WAIT: Duration = HTTP_BIND_WAIT_MAX;
