//! `mezz port-forward`: local ports that lead to ports in the container of a task.

use std::io::{self, BufReader, Read};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::exec::target;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::identify::task_id;
use crate::debug_args::PortForwardArgs;
use crate::exit::Exit;
use crate::output::show::{self, Reader};
use crate::output::talk;

/// A local port, 0 for any, and one of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    local: u16,
    remote: u16,
}

impl Pair {
    fn of(text: &str) -> Result<Self, ClientError> {
        let wrong = || {
            ClientError::Usage(format!(
                "'{text}' is no pair of ports: write LOCAL:REMOTE, PORT, or :REMOTE"
            ))
        };
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        let (local, remote) = match text.split_once(':') {
            Some(("", remote)) => (Some(0), port(remote)),
            Some((local, remote)) => (port(local), port(remote)),
            None => (port(text), port(text)),
        };
        match (local, remote) {
            (Some(local), Some(remote)) => Ok(Self { local, remote }),
            _ => Err(wrong()),
        }
    }
}

/// Forwards until it is interrupted.
pub(crate) fn forward(master: &str, args: &PortForwardArgs) -> Result<Exit, ClientError> {
    let pairs: Vec<Pair> = args
        .ports
        .iter()
        .map(|text| Pair::of(text))
        .collect::<Result<_, _>>()?;
    let mut api = Api::new(master)?;
    let id = task_id(&mut api, &args.task)?;
    let api = Arc::new(api);
    let mut listening = Vec::new();
    for pair in pairs {
        let listener = listen(args.address, pair.local)?;
        let local = listener.local_addr().map_err(ClientError::Output)?;
        let line = format!("Forwarding from {local} -> {}\n", pair.remote);
        if show::write(&line)? == Reader::Gone {
            return Ok(Exit::Ok);
        }
        let (api, target) = (
            Arc::clone(&api),
            target(&id, &format!("ports/{}", pair.remote)),
        );
        listening.push(thread::spawn(move || serve(&api, &target, &listener)));
    }
    for thread in listening {
        // None of them returns.
        let _ = thread.join();
    }
    Ok(Exit::Failed)
}

fn listen(address: IpAddr, port: u16) -> Result<TcpListener, ClientError> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).map_err(|error| {
        ClientError::Usage(format!(
            "{address} cannot be listened at: {error}; `:REMOTE` takes any free port"
        ))
    })
}

fn serve(api: &Arc<Api>, target: &str, listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        let (api, target) = (Arc::clone(api), target.to_owned());
        // A connection without a thread is closed.
        let _ = thread::Builder::new().spawn(move || match api.tunnel(&target, b"") {
            Ok(tunnel) => join(stream, tunnel),
            Err(error) => {
                talk::client_error(&error);
            }
        });
    }
}

/// Copies both ways until both have ended.
fn join(stream: TcpStream, tunnel: BufReader<TcpStream>) {
    let early = tunnel.buffer().to_vec();
    let tunnel = tunnel.into_inner();
    let _ = stream.set_nodelay(true);
    let (Ok(from), Ok(to)) = (stream.try_clone(), tunnel.try_clone()) else {
        return;
    };
    let sending = thread::spawn(move || pass(from, to));
    pass_with(&mut early.as_slice().chain(&tunnel), &stream);
    let _ = sending.join();
}

fn pass(from: TcpStream, to: TcpStream) {
    pass_with(&mut &from, &to);
}

/// Whoever breaks off ends its direction.
fn pass_with(from: &mut dyn Read, mut to: &TcpStream) {
    let _ = io::copy(from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_ports_are_read_in_three_forms() {
        let pair = |local, remote| Pair { local, remote };
        assert_eq!(Pair::of("8080:80").expect("a pair"), pair(8080, 80));
        assert_eq!(Pair::of("80").expect("a pair"), pair(80, 80));
        assert_eq!(Pair::of(":80").expect("a pair"), pair(0, 80));
        for wrong in ["", "a", "80:", "1:2:3", "0", "70000"] {
            Pair::of(wrong).expect_err(wrong);
        }
    }
}
