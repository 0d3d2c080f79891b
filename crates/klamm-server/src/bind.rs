//! Which addresses the brokers listen on, and what clients are told.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::listener::Port;
use crate::server::BrokerEndpoint;
use crate::settings::{ServerSettings, StartError};

/// The first broker's node id; the others follow.
pub(crate) const FIRST_BROKER: i32 = 1;

/// Binds a port for each broker. Nobody is listened to yet.
pub(crate) fn bind(settings: &ServerSettings) -> Result<Vec<(BrokerEndpoint, Port)>, StartError> {
    let ip = resolve(&settings.host)?;
    let host = match &settings.advertise {
        Some(host) => host.clone(),
        // "Everywhere" is nothing that a client could connect to.
        None if ip.is_unspecified() => "localhost".to_owned(),
        None => settings.host.clone(),
    };
    (0..settings.brokers)
        .map(|i| {
            let port = match (settings.ports.get(usize::from(i)), settings.port) {
                (Some(port), _) => *port,
                (None, 0) => 0,
                (None, first) => first.checked_add(i).ok_or_else(|| {
                    StartError::Settings(format!(
                        "{} brokers do not fit between port {first} and port 65535",
                        settings.brokers
                    ))
                })?,
            };
            let address = SocketAddr::new(ip, port);
            let bound = Port::bind(address).map_err(|source| StartError::Bind { address, source })?;
            let endpoint = BrokerEndpoint {
                id: FIRST_BROKER + i32::from(i),
                host: host.clone(),
                port: bound.address.port(),
            };
            Ok((endpoint, bound))
        })
        .collect()
}

fn resolve(host: &str) -> Result<IpAddr, StartError> {
    let bad = |source| StartError::Host { host: host.to_owned(), source };
    let mut addresses = (host, 0).to_socket_addrs().map_err(bad)?;
    addresses
        .next()
        .map(|address| address.ip())
        .ok_or_else(|| bad(std::io::Error::new(std::io::ErrorKind::NotFound, "it has no address")))
}
