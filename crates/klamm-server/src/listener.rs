//! One broker's listener: it accepts while the broker is up, and keeps its port while the broker is down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::StrBytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::connection::{self, Limits};
use crate::driver::Driver;

/// Connections that the kernel may hold for a listener before it accepts them.
const BACKLOG: i32 = 1024;

/// A port that is ours whether or not anybody listens on it.
#[derive(Debug)]
pub(crate) struct Port {
    /// Bound and never listening: connections are refused while nothing else listens, and nobody else gets the port.
    reservation: Option<Socket>,
    /// The address, with the port that the kernel chose.
    pub(crate) address: SocketAddr,
}

impl Port {
    /// Binds `address`; with port 0 the kernel chooses.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let reservation = socket(address)?;
        let address = reservation.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self { reservation: Some(reservation), address })
    }

    /// Begins to listen; the kernel completes connections from here on.
    pub(crate) fn open(mut self) -> io::Result<Listening> {
        let socket = self.listen()?;
        Ok(Listening { port: self, socket })
    }

    fn listen(&mut self) -> io::Result<Socket> {
        // Linux lets a second socket have the address as long as none listens. Elsewhere it is given up for a moment.
        if !cfg!(target_os = "linux") {
            self.reservation = None;
        }
        let listening = socket(self.address)?;
        listening.listen(BACKLOG)?;
        Ok(listening)
    }

    /// Keeps the port while nobody listens.
    fn reserve(&mut self) {
        if self.reservation.is_none() {
            self.reservation = socket(self.address).ok();
        }
    }
}

/// A port with a socket that listens on it and that nobody accepts from yet.
#[derive(Debug)]
pub(crate) struct Listening {
    port: Port,
    socket: Socket,
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the broker's earlier life may linger in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Accepts for one broker until `listening` is closed. It follows what `listening` says, and tells `is_listening`.
pub(crate) async fn run(
    driver: Arc<Driver>,
    broker: NodeId,
    Listening { mut port, mut socket }: Listening,
    mut listening: watch::Receiver<bool>,
    is_listening: watch::Sender<bool>,
    limits: Limits,
    alive: mpsc::Sender<()>,
) {
    let address = port.address;
    loop {
        match TcpListener::from_std(socket.into()) {
            Ok(listener) => {
                is_listening.send_replace(true);
                accept(&driver, broker, listener, &mut listening, limits, &alive).await;
            }
            Err(error) => tracing::error!(%address, %error, "cannot listen"),
        }
        // The listener is closed now.
        port.reserve();
        is_listening.send_replace(false);
        if listening.has_changed().is_err() || listening.wait_for(|up| *up).await.is_err() {
            return;
        }
        socket = match port.listen() {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%address, %error, "cannot listen again");
                return;
            }
        };
    }
}

/// Accepts until the broker goes down.
async fn accept(
    driver: &Arc<Driver>,
    broker: NodeId,
    listener: TcpListener,
    listening: &mut watch::Receiver<bool>,
    limits: Limits,
    alive: &mpsc::Sender<()>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = listening.wait_for(|up| !*up) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (driver, alive) = (driver.clone(), alive.clone());
                let host = StrBytes::from(peer.ip().to_string());
                // On the server's own thread, where this runs.
                tokio::spawn(async move {
                    connection::serve(driver, stream, broker, host, limits).await;
                    drop(alive);
                });
            }
            Err(error) => {
                // Out of descriptors, or a connection that broke before it was accepted: neither ends the listener.
                tracing::warn!(broker = broker.0, %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
