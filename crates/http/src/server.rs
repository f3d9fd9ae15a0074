//! The accept loop and the life of a connection. Connections stay open while idle: clients reuse them for minutes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bulk::BulkThread;
use crate::connection::Connection;
use crate::direct::Direct;
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
    /// What the thread that sends bulk answers does first, such as lowering its priority.
    pub on_bulk_thread: fn(),
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            max_head_bytes: 256 << 10,
            stop_grace: Duration::from_millis(500),
            on_bulk_thread: || {},
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
    let bulk = Arc::new(BulkThread::new(options.on_bulk_thread));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = Connection {
                    peer,
                    service: service.clone(),
                    options,
                    bulk: bulk.clone(),
                    stopped: stopped.clone(),
                };
                tokio::spawn(connection.serve(stream));
            }
            Err(error) => {
                // Out of descriptors: open connections have to end before another can begin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
