//! The accept loop and the life of a connection. Connections stay open while idle: clients reuse them for minutes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::direct::{self, Direct, Replayed};
use crate::{Request, Response};

/// Turns requests into responses.
pub trait Service: Send + Sync + 'static {
    /// Answers one request.
    fn handle(self: Arc<Self>, request: Request) -> impl Future<Output = Response> + Send;

    /// Who takes the calls of a new connection that are answered 202 in any case, if there are such calls.
    fn direct(&self) -> Option<Box<dyn Direct>> {
        None
    }
}

/// What a server allows.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Longer bodies are refused with 413.
    pub max_body_bytes: usize,
    /// Longer request heads are refused with 431.
    pub max_head_bytes: usize,
    /// How long open requests may go on after a stop was asked for.
    pub stop_grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            max_head_bytes: 256 << 10,
            stop_grace: Duration::from_millis(500),
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct ServerHandle {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl ServerHandle {
    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets open requests end within the grace, then closes what is left.
    pub async fn stop(self) {
        // No receiver is left when every connection has ended: nothing to tell then.
        let _ = self.stop.send(true);
        let _ = self.accepting.await;
        self.stop.closed().await;
    }
}

/// Serves a listener until it is stopped.
pub fn serve<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    options: ServerOptions,
) -> std::io::Result<ServerHandle> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let accepting = tokio::spawn(accept(listener, service, options, stopped));
    Ok(ServerHandle {
        address,
        stop,
        accepting,
    })
}

async fn accept<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    options: ServerOptions,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(connection(
                    stream,
                    peer,
                    service.clone(),
                    options,
                    stopped.clone(),
                ));
            }
            Err(error) => {
                // Out of descriptors: open connections have to end before another can begin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection<S: Service>(
    stream: TcpStream,
    peer: SocketAddr,
    service: Arc<S>,
    options: ServerOptions,
    mut stopped: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "cannot set TCP_NODELAY");
    }
    let stream = match service.direct() {
        None => Replayed {
            early: BytesMut::new(),
            stream,
        },
        Some(mut calls) => {
            let served = tokio::select! {
                served = direct::serve(stream, &mut *calls) => served,
                _ = stopped.changed() => return,
            };
            match served {
                Ok(Some(stream)) => stream,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, %peer, "a connection ended early");
                    return;
                }
            }
        }
    };
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move {
            let asked = tracing::enabled!(tracing::Level::DEBUG)
                .then(|| (request.method().clone(), request.uri().path().to_owned()));
            let request = Request::new(request, peer, options.max_body_bytes);
            let response = service.handle(request).await;
            if let Some((method, path)) = asked {
                let status = response.status().as_u16();
                tracing::debug!(%peer, %method, path, status, "answered");
            }
            Ok::<_, Infallible>(response)
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        .header_read_timeout(None)
        // Small records leave together in one buffer. No pipelined flush: with it hyper takes from a stream without any
        // bound, and a reader that has stopped would never be found out.
        .writev(false)
        .max_buf_size(options.max_head_bytes)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(options.stop_grace, serving).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}
