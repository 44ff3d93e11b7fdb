//! Whose request is whose, on one address.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header::ALLOW, request::Parts};
use parking_lot::Mutex;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::protocol::{Admission, Caller, Protocol, Putter, RETRY_AFTER_S, problem, retry_after};
use crate::{limits::HTTP_DEPARTED_FOR, net::server::is_foreign_page, telemetry::SourceMetrics};

/// One stream's endpoint.
pub struct Route {
    pub stream: String,
    pub protocol: Arc<dyn Protocol>,
    pub putter: Box<dyn Putter>,
    pub metrics: SourceMetrics,
    stopping: CancellationToken,
    under_way: TaskTracker,
}

impl Route {
    pub fn new(
        stream: String,
        protocol: Arc<dyn Protocol>,
        putter: Box<dyn Putter>,
        metrics: SourceMetrics,
    ) -> Arc<Self> {
        let (stopping, under_way) = (CancellationToken::new(), TaskTracker::new());
        Arc::new(Self { stream, protocol, putter, metrics, stopping, under_way })
    }

    /// Begins a request, unless the stream is being stopped.
    pub fn enter(&self) -> Option<TaskTrackerToken> {
        let token = self.under_way.token();
        (!self.stopping.is_cancelled()).then_some(token)
    }

    /// Ends when bodies that are still on their way are no longer waited for.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Begins no more requests, and returns once the last one is answered.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Whether a request could be meant for both.
    fn meets(&self, other: &Self) -> bool {
        let (own, others) = (self.protocol.keys(), other.protocol.keys());
        own.is_empty() || others.is_empty() || own.iter().any(|key| others.contains(key))
    }
}

const FOREIGN_PAGE: &str = "web pages may not post to a stream without credentials";

/// What a request meets.
pub enum Found {
    /// A stream that takes it, and who sent it.
    Route(Arc<Route>, Caller),
    /// Nobody takes it. With the stream whose path it is, if there is one.
    Nobody(Box<Response<Bytes>>, Option<Arc<Route>>),
}

/// The streams of one address, by path.
#[derive(Default)]
pub struct Routes(Mutex<Table>);

#[derive(Default)]
struct Table {
    by_path: HashMap<String, Vec<Arc<Route>>>,
    /// Paths that were here, and until when they may come back.
    departed: HashMap<String, Instant>,
}

impl Routes {
    /// Adds a stream, unless another one of the same path cannot be told from it: whose name that
    /// is, and the path.
    pub fn add(&self, route: &Arc<Route>) -> Result<(), (String, String)> {
        let mut table = self.0.lock();
        let paths = route.protocol.paths();
        for path in &paths {
            let others = table.by_path.get(path).into_iter().flatten();
            if let Some(other) = others.into_iter().find(|other| other.meets(route)) {
                return Err((other.stream.clone(), path.clone()));
            }
        }
        for path in paths {
            table.departed.remove(&path);
            table.by_path.entry(path).or_default().push(route.clone());
        }
        Ok(())
    }

    /// Takes a stream out; whether it was the last.
    pub fn remove(&self, route: &Arc<Route>) -> bool {
        let mut table = self.0.lock();
        let (now, mut gone) = (Instant::now(), Vec::new());
        table.by_path.retain(|path, routes| {
            routes.retain(|other| !Arc::ptr_eq(other, route));
            if routes.is_empty() {
                gone.push(path.clone());
            }
            !routes.is_empty()
        });
        table.departed.retain(|_, until| *until > now);
        let until = now + HTTP_DEPARTED_FOR;
        table.departed.extend(gone.into_iter().map(|path| (path, until)));
        table.by_path.is_empty()
    }

    /// All streams.
    pub fn all(&self) -> Vec<Arc<Route>> {
        let mut all: Vec<Arc<Route>> = Vec::new();
        for route in self.0.lock().by_path.values().flatten() {
            if !all.iter().any(|known| Arc::ptr_eq(known, route)) {
                all.push(route.clone());
            }
        }
        all
    }

    /// Whose request this is.
    pub fn find(&self, head: &Parts) -> Found {
        let path = head.uri.path();
        let routes = match self.of(path) {
            Ok(routes) => routes,
            Err(answer) => return Found::Nobody(answer, None),
        };
        let mut refused = None;
        let mut allowed: Vec<&Method> = Vec::new();
        for route in &routes {
            let methods = route.protocol.methods(path);
            allowed.extend(methods);
            if !methods.contains(&head.method) {
                continue;
            }
            let admission = match is_foreign_page(head) && route.protocol.keys().is_empty() {
                true => Admission::no(problem(StatusCode::FORBIDDEN, FOREIGN_PAGE)),
                false => route.protocol.admits(head),
            };
            match admission {
                Admission::Yes(caller) => return Found::Route(route.clone(), caller),
                Admission::No(answer) => {
                    refused.get_or_insert((answer, route.clone()));
                }
            }
        }
        match refused {
            Some((answer, route)) => Found::Nobody(answer, Some(route)),
            None => {
                let answer = Box::new(wrong_method(&allowed));
                Found::Nobody(answer, routes.into_iter().next())
            }
        }
    }

    /// The streams of a path, or the answer where there are none.
    fn of(&self, path: &str) -> Result<Vec<Arc<Route>>, Box<Response<Bytes>>> {
        let table = self.0.lock();
        let bare = path.strip_suffix('/').unwrap_or(path);
        if let Some(routes) = table.by_path.get(path).or_else(|| table.by_path.get(bare)) {
            return Ok(routes.clone());
        }
        let back_in = table.departed.get(path).map(|until| until.duration_since(Instant::now()));
        if back_in.is_some_and(|left| left > Duration::ZERO) {
            let message = "the stream of this path has just been stopped, send it again later";
            let answer = problem(StatusCode::SERVICE_UNAVAILABLE, message);
            return Err(retry_after(answer, RETRY_AFTER_S).into());
        }
        Err(problem(StatusCode::NOT_FOUND, "no stream has this path").into())
    }
}

fn wrong_method(allowed: &[&Method]) -> Response<Bytes> {
    let mut names: Vec<_> = allowed.iter().map(|method| method.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let names = names.join(", ");
    let message = format!("this path takes {names}");
    let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, &message);
    if let Ok(names) = HeaderValue::from_str(&names) {
        answer.headers_mut().insert(ALLOW, names);
    }
    answer
}
