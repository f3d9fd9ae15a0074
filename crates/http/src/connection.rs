//! The life of one connection: calls on the short way, then hyper, and a stay on the bulk thread for each bulk answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::Request;
use crate::bulk::{BulkThread, Carried};
use crate::direct::{self, Replayed};
use crate::server::{ServerOptions, Service};

/// A bulk answer that is not sent by then goes on among all others: it waits for its reader most of the time, or the
/// thread gets no processor.
const LONGEST_STAY: Duration = Duration::from_secs(2);

/// What a connection is served with.
pub(crate) struct Connection<S> {
    pub(crate) peer: SocketAddr,
    pub(crate) service: Arc<S>,
    pub(crate) options: ServerOptions,
    pub(crate) bulk: Arc<BulkThread>,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// How far a connection was carried.
enum Driven {
    Ended(hyper::Result<()>),
    /// Its bulk answer begins, or is over.
    Changed,
}

impl<S: Service> Connection<S> {
    /// Serves until the peer or the server ends it.
    pub(crate) async fn serve(mut self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, peer = %self.peer, "cannot set TCP_NODELAY");
        }
        if let Some(stream) = self.direct_calls(stream).await {
            self.requests(stream).await;
        }
    }

    /// Calls on the short way; what is left then, unless the connection has ended.
    async fn direct_calls(&mut self, stream: TcpStream) -> Option<Replayed> {
        let Some(mut calls) = self.service.direct() else {
            return Some(Replayed {
                early: BytesMut::new(),
                stream,
            });
        };
        let served = tokio::select! {
            served = direct::serve(stream, &mut *calls) => served,
            _ = self.stopped.changed() => return None,
        };
        served.unwrap_or_else(|error| {
            tracing::debug!(%error, peer = %self.peer, "a connection ended early");
            None
        })
    }

    async fn requests(self, stream: Replayed) {
        let Self {
            peer,
            service,
            options,
            bulk,
            mut stopped,
        } = self;
        let in_bulk = Arc::new(AtomicBool::new(false));
        let carried = in_bulk.clone();
        let answer = service_fn(move |request| {
            let request = Request::new(request, peer, options.max_body_bytes);
            answer(service.clone(), request, carried.clone())
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .title_case_headers(true)
            .header_read_timeout(None)
            // Small records leave together in one buffer. No pipelined flush: with it hyper takes from a stream without
            // any bound, and a reader that has stopped would never be found out.
            .writev(false)
            .max_buf_size(options.max_head_bytes)
            .serve_connection(TokioIo::new(stream), answer)
            .with_upgrades();
        let mut serving = Box::pin(serving);
        let ended = loop {
            let driven = tokio::select! {
                biased;
                _ = stopped.changed() => {
                    serving.as_mut().graceful_shutdown();
                    match tokio::time::timeout(options.stop_grace, serving).await {
                        Ok(ended) => break ended,
                        Err(_) => return,
                    }
                }
                driven = drive(serving.as_mut(), &in_bulk, false) => driven,
            };
            if let Driven::Ended(ended) = driven {
                break ended;
            }
            let stay = stay(serving, in_bulk.clone(), stopped.clone());
            match bulk.carry(stay).await {
                Some((_, Driven::Ended(ended))) => break ended,
                Some((back, Driven::Changed)) => serving = back,
                None => return,
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
    }
}

/// A connection's stay on the bulk thread, until its answer is over, takes too long, or the server stops.
async fn stay<F>(
    mut serving: Pin<Box<F>>,
    in_bulk: Arc<AtomicBool>,
    mut stopped: watch::Receiver<bool>,
) -> (Pin<Box<F>>, Driven)
where
    F: Future<Output = hyper::Result<()>>,
{
    let driven = tokio::select! {
        driven = drive(serving.as_mut(), &in_bulk, true) => driven,
        _ = stopped.changed() => Driven::Changed,
        () = tokio::time::sleep(LONGEST_STAY) => Driven::Changed,
    };
    in_bulk.store(false, Ordering::Relaxed);
    (serving, driven)
}

/// Carries a connection on as long as it has a bulk answer, or as long as it has none.
async fn drive<F>(mut serving: Pin<&mut F>, in_bulk: &AtomicBool, while_bulk: bool) -> Driven
where
    F: Future<Output = hyper::Result<()>>,
{
    std::future::poll_fn(|context| match serving.as_mut().poll(context) {
        Poll::Ready(ended) => Poll::Ready(Driven::Ended(ended)),
        Poll::Pending if in_bulk.load(Ordering::Relaxed) == while_bulk => Poll::Pending,
        Poll::Pending => Poll::Ready(Driven::Changed),
    })
    .await
}

async fn answer<S: Service>(
    service: Arc<S>,
    request: Request,
    in_bulk: Arc<AtomicBool>,
) -> Result<crate::Response, Infallible> {
    let peer = request.peer();
    let asked = tracing::enabled!(tracing::Level::DEBUG)
        .then(|| (request.method().clone(), request.path().to_owned()));
    let mut response = service.handle(request).await;
    if let crate::Body::Bulk(bulk) = response.body_mut() {
        bulk.carried = Some(Carried::begin(in_bulk));
    }
    if let Some((method, path)) = asked {
        let status = response.status().as_u16();
        tracing::debug!(%peer, %method, path, status, "answered");
    }
    Ok(response)
}
