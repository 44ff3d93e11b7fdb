//! A stream's endpoint: its place on an address, and the records that are put there.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{
    firehose::Firehose,
    hec::Hec,
    listener::{CONFLICT_WAIT, Terms},
    listeners::{Joined, Listeners},
    options::{Options, ProtocolName},
    otlp::Otlp,
    plain::Plain,
    protocol::Protocol,
    putter::DirectPutter,
    routes::Route,
};
use crate::{
    env::Env,
    net::server::Watch,
    seams::{Inlet, Source},
    sources::DirectPut,
    telemetry::SourceMetrics,
};

/// Records that are posted to a stream.
pub struct HttpSource {
    options: Options,
    stream: String,
    direct: Arc<DirectPut>,
    listeners: Arc<Listeners>,
    metrics: SourceMetrics,
    protocol: Arc<dyn Protocol>,
}

impl HttpSource {
    /// Reads the credentials; listens to nobody before it runs. Records go through `direct`, which
    /// is open while this runs: its limits and counters hold for them.
    pub fn new(
        options: Options,
        stream: String,
        direct: Arc<DirectPut>,
        listeners: Arc<Listeners>,
        env: Env,
        metrics: SourceMetrics,
    ) -> Result<Self, String> {
        options.check().map_err(|error| error.to_string())?;
        let protocol = protocol(&options, &stream, &env)?;
        Ok(Self { options, stream, direct, listeners, metrics, protocol })
    }

    /// Takes requests until `stop`.
    async fn serve(&self, stop: &CancellationToken) {
        // From before the credentials are read: a change in between is then found.
        let watch = Watch::new(self.options.files());
        let Some(joined) = self.join(stop).await else { return };
        if let Err(error) = self.protocol.reload() {
            tracing::error!(stream = self.stream, error, "credentials unusable, the old ones stay");
        }
        if self.options.files().is_empty() {
            stop.cancelled().await;
        } else {
            let protocol = self.protocol.clone();
            let interval = self.listeners.limits().files_poll_interval;
            let reload = move || protocol.reload();
            watch.run("credentials of a source", interval, stop.clone(), reload).await;
        }
        joined.leave().await;
    }

    /// The stream's place on its address. One that is taken is tried again: the stream that has
    /// it may be about to leave.
    async fn join(&self, stop: &CancellationToken) -> Option<Joined> {
        let putter = DirectPutter { direct: self.direct.clone(), metrics: self.metrics.clone() };
        let route = Route::new(
            self.stream.clone(),
            self.protocol.clone(),
            Box::new(putter),
            self.metrics.clone(),
        );
        loop {
            match self.listeners.join(self.options.listen, self.options.terms(), route.clone()) {
                Ok(joined) => return Some(joined),
                Err(conflict) => {
                    self.metrics.error("Http.Conflict");
                    let stream = &self.stream;
                    tracing::error!(stream, error = %conflict, "source has no place, trying again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(CONFLICT_WAIT) => {}
            }
        }
    }
}

fn protocol(options: &Options, stream: &str, env: &Env) -> Result<Arc<dyn Protocol>, String> {
    Ok(match options.protocol {
        ProtocolName::Records => Arc::new(Plain::new(options, stream)?),
        ProtocolName::Firehose => Arc::new(Firehose::new(options, stream, env.clock.clone())?),
        ProtocolName::SplunkHec => Arc::new(Hec::new(options)?),
        ProtocolName::Otlp => Arc::new(Otlp::new(options)?),
    })
}

impl Options {
    pub(super) fn terms(&self) -> Terms {
        Terms { tls: self.tls.clone(), plain_http: self.plain_http }
    }
}

#[async_trait]
impl Source for HttpSource {
    async fn run(&self, inlet: Arc<dyn Inlet>, stop: CancellationToken) {
        // The inlet stays open until the last request is answered.
        let closed = CancellationToken::new();
        let requests = async {
            self.serve(&stop).await;
            closed.cancel();
        };
        tokio::join!(self.direct.run(inlet, closed.clone()), requests);
    }
}
