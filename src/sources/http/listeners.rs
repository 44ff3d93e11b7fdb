//! The addresses that HTTP sources share.

use std::{collections::HashMap, fmt, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    listener::{Listener, State, Terms},
    options::{Options, ProtocolName},
    routes::Route,
};
use crate::{limits::HTTP_BODIES_IN_MEMORY_BYTES, net::server::ServerLimits, units::Secret};

/// Why a stream cannot share an address with another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error(
        "{listen} is listened on with another `tls` or `plain_http` by stream {other:?}: streams that share an address must agree"
    )]
    Terms { listen: SocketAddr, other: String },
    #[error(
        "stream {other:?} takes {path} on {listen} with the same credentials, or with none: give the streams different paths or credentials"
    )]
    Path { listen: SocketAddr, path: String, other: String },
}

/// All listeners of a daemon. The first stream of an address opens it, the last one closes it.
pub struct Listeners {
    limits: ServerLimits,
    open: Mutex<HashMap<SocketAddr, Shared>>,
}

struct Shared {
    listener: Arc<Listener>,
    task: JoinHandle<()>,
}

/// A stream's place on an address, until it leaves.
pub struct Joined {
    listeners: Arc<Listeners>,
    listen: SocketAddr,
    listener: Arc<Listener>,
    route: Arc<Route>,
}

impl Default for Listeners {
    fn default() -> Self {
        // A body whose length is not declared takes room for the largest one while it comes.
        let limits = ServerLimits::default();
        Self::new(ServerLimits { bodies_in_memory_bytes: HTTP_BODIES_IN_MEMORY_BYTES, ..limits })
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.open.lock().keys()).finish()
    }
}

impl Listeners {
    pub fn new(limits: ServerLimits) -> Self {
        Self { limits, open: Mutex::default() }
    }

    pub fn limits(&self) -> &ServerLimits {
        &self.limits
    }

    /// Gives a stream its place on an address. The address may be opened later: a failure is
    /// logged, and tried again.
    pub fn join(
        self: &Arc<Self>,
        listen: SocketAddr,
        terms: Terms,
        route: Arc<Route>,
    ) -> Result<Joined, Conflict> {
        let mut open = self.open.lock();
        let listener = match open.get(&listen) {
            Some(shared) => shared.listener.clone(),
            None => Listener::new(listen, terms.clone(), self.limits),
        };
        if listener.terms != terms {
            let others = listener.routes.all();
            let other = others.first().map(|other| other.stream.clone()).unwrap_or_default();
            return Err(Conflict::Terms { listen, other });
        }
        listener.routes.add(&route).map_err(|(other, path)| Conflict::Path {
            listen,
            path,
            other,
        })?;
        open.entry(listen).or_insert_with(|| {
            let task = tokio::spawn(listener.clone().run());
            Shared { listener: listener.clone(), task }
        });
        drop(open);
        Ok(Joined { listeners: self.clone(), listen, listener, route })
    }

    /// How an address fares, if a stream wants it.
    pub fn state(&self, listen: SocketAddr) -> Option<watch::Receiver<State>> {
        self.open.lock().get(&listen).map(|shared| shared.listener.state())
    }

    fn remove(&self, joined: &Joined) -> Option<JoinHandle<()>> {
        let mut open = self.open.lock();
        if !joined.listener.routes.remove(&joined.route) {
            return None;
        }
        let shared = open.remove(&joined.listen)?;
        shared.listener.stop();
        Some(shared.task)
    }
}

impl Joined {
    /// Takes the stream out, and returns once its last request is answered; the last stream of an
    /// address closes it.
    pub async fn leave(self) {
        let listener = self.listeners.remove(&self);
        self.route.stop().await;
        if let Some(task) = listener
            && let Err(error) = task.await
        {
            tracing::error!(%error, address = %self.listen, "listener failed");
        }
    }
}

/// A stream that takes a path, and the secrets that admit to it.
type Taker<'a> = (&'a str, Vec<&'a Secret>);

/// What streams that are configured together get in each other's way with: the name of the later
/// stream, and why. Nothing is read or opened.
pub fn conflicts<'a>(
    streams: impl IntoIterator<Item = (&'a str, &'a Options)>,
) -> Vec<(String, Conflict)> {
    let mut terms: HashMap<SocketAddr, (&str, Terms)> = HashMap::new();
    let mut paths: HashMap<(SocketAddr, String), Vec<Taker<'_>>> = HashMap::new();
    let mut found = Vec::new();
    for (stream, options) in streams {
        let listen = options.listen;
        let (first, agreed) = terms.entry(listen).or_insert_with(|| (stream, options.terms()));
        if *agreed != options.terms() {
            let other = (*first).to_owned();
            found.push((stream.to_owned(), Conflict::Terms { listen, other }));
            continue;
        }
        let path = match options.protocol {
            ProtocolName::Records | ProtocolName::Firehose => options.path_of(stream),
            // Their own paths follow, the same for all streams.
            ProtocolName::SplunkHec => format!("{}/services/collector", options.prefix()),
            ProtocolName::Otlp => format!("{}/v1/logs", options.prefix()),
        };
        let secrets = options.secrets();
        let others = paths.entry((listen, path.clone())).or_default();
        let meets = |own: &[&Secret], others: &[&Secret]| {
            own.is_empty() || others.is_empty() || own.iter().any(|secret| others.contains(secret))
        };
        match others.iter().find(|(_, taken)| meets(&secrets, taken)) {
            Some((other, _)) => {
                let other = (*other).to_owned();
                found.push((stream.to_owned(), Conflict::Path { listen, path, other }));
            }
            None => others.push((stream, secrets)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_cannot_share_are_found_before_they_run() {
        let of = |yamls: &[&str]| {
            let options: Vec<Options> =
                yamls.iter().map(|yaml| serde_yaml::from_str(yaml).unwrap()).collect();
            let names = ["a", "b", "c"];
            conflicts(names.into_iter().zip(&options))
                .into_iter()
                .map(|(stream, conflict)| (stream, conflict.to_string()))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&["{token: t}", "{token: t}", "{anonymous: true}"]), []);
        assert_eq!(of(&["{path: /x, token: t}", "{path: /x, token: u}"]), []);
        let hec = "{protocol: splunk_hec, token: t}";
        assert_eq!(of(&[hec, "{protocol: splunk_hec, token: u}"]), []);
        for (first, second, part) in [
            ("{path: /x, token: [t, u]}", "{path: /x, token: [u, v]}", "stream \"a\" takes /x"),
            ("{path: /x, token: t}", "{path: /x, anonymous: true}", "stream \"a\" takes /x"),
            (hec, hec, "stream \"a\" takes /services/collector"),
            ("{token: t}", "{token: t, plain_http: true}", "must agree"),
        ] {
            let found = of(&[first, second]);
            assert!(found.len() == 1 && found[0].0 == "b", "{found:?}");
            assert!(found[0].1.contains(part), "{found:?}");
        }
    }
}
