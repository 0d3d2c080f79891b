//! A door for a cluster's owner: a TCP port, by which another process has the cluster made anew and does things to it.
//!
//! Both ways run recordings ([`klamm_world::recording`]). The visitor's says what is to happen: settings of the cluster, then
//! commands and times. The answer says what happened: the settings with the brokers' addresses, then every input, those of the
//! clients' connections among them. So the visitor's [`Mirror`](crate::Mirror) is the cluster, and can be looked at like one.
//!
//! What the door sends comes in frames: a byte that says what it is, a length (4 bytes, little end first), and so many bytes.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use klamm_node::Timestamp;
use klamm_world::recording::{RecordingReader, RecordingWriter};
use klamm_world::{Input, WorldSettings};
use parking_lot::Mutex;

use crate::follow::Followed;
use crate::server::Server;
use crate::settings::ServerSettings;

/// Whose door it is: the brokers as a `bootstrap.servers` value.
const GREETING: u8 = 0;
const INPUTS: u8 = 1;
const REACHED: u8 = 2;
/// Why the door does not do what it is asked, for a person; nothing follows.
const REFUSED: u8 = 3;
/// No frame is longer: one request and a little.
const MAX_FRAME: u32 = 1 << 30;
/// How long the cluster may take to be again what it was before a visit.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a greeting may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// A served cluster with a door.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    house: Arc<Mutex<House>>,
}

/// What the door leads to.
#[derive(Debug)]
struct House {
    /// How the cluster was started, which it is again when a visitor has gone.
    settings: ServerSettings,
    bootstrap: String,
    server: Option<Server>,
    /// Whether it is a visitor's cluster.
    visited: bool,
    /// No further cluster is started.
    closed: bool,
}

impl Door {
    /// Opens a door to a cluster that was started with `settings`.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn open(listener: TcpListener, server: Server, mut settings: ServerSettings) -> io::Result<Self> {
        settings.ports = server.brokers().iter().map(|endpoint| endpoint.port).collect();
        let bootstrap = server.bootstrap_servers();
        let house = House { settings, bootstrap, server: Some(server), visited: false, closed: false };
        let (address, house) = (listener.local_addr()?, Arc::new(Mutex::new(house)));
        let visited = house.clone();
        std::thread::Builder::new().name("klamm door".to_owned()).spawn(move || {
            for visitor in listener.incoming().filter_map(Result::ok) {
                // One after another: there is one cluster.
                if let Err(error) = visit(&visitor, &visited) {
                    tracing::warn!(%error, "a visitor at the control door is gone");
                }
                if visited.lock().closed {
                    return;
                }
            }
        })?;
        Ok(Self { address, house })
    }

    /// Where the door is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the cluster.
    pub fn stop(self) {
        let mut house = self.house.lock();
        house.closed = true;
        match house.server.take() {
            // A visitor's stands still: it would wait for time that does not pass.
            Some(server) if !house.visited => server.stop(),
            _ => {}
        }
    }
}

impl House {
    /// Replaces the cluster.
    fn start(&mut self, settings: ServerSettings, visited: bool) -> Result<(), String> {
        // Its ports are free when this returns.
        self.server = None;
        if self.closed {
            return Err("klamm serve is stopping".to_owned());
        }
        self.visited = visited;
        self.server = Some(Server::start(settings).map_err(|error| error.to_string())?);
        Ok(())
    }

    /// The settings that a visitor asks for, at this cluster's addresses.
    fn asked(&self, asked: &WorldSettings) -> Result<ServerSettings, String> {
        let count = |number: usize| u16::try_from(number).map_err(|error| error.to_string());
        let rack = |rack: Option<&str>| rack.unwrap_or_default().to_owned();
        let racks = asked.brokers.iter().map(|broker| rack(broker.rack.as_deref())).collect::<Vec<_>>();
        Ok(ServerSettings {
            brokers: count(asked.brokers.len())?,
            controllers: count(asked.controllers.len())?,
            host: self.settings.host.clone(),
            advertise: self.settings.advertise.clone(),
            ports: self.settings.ports.clone(),
            config: asked.config.clone(),
            kafka_version: Some(asked.kafka_version.to_string()),
            eras: asked
                .eras
                .old()
                .map(|(era, on)| format!("{era}={}", if on { "on" } else { "off" }))
                .collect(),
            racks: if racks.iter().all(String::is_empty) { Vec::new() } else { racks },
            seed: Some(asked.seed),
            link: asked.link,
            wall_epoch: Some(asked.wall_epoch),
            trace_capacity: asked.trace_capacity,
            paused: true,
            ..ServerSettings::default()
        })
    }
}

/// Lets a visitor in until it goes.
fn visit(visitor: &TcpStream, house: &Arc<Mutex<House>>) -> io::Result<()> {
    visitor.set_nodelay(true)?;
    let mut out = visitor;
    frame(&mut out, GREETING, house.lock().bootstrap.as_bytes())?;
    let refuse = |mut out: &TcpStream, why: &str| frame(&mut out, REFUSED, why.as_bytes());
    // Who says nothing must not keep others out.
    visitor.set_read_timeout(Some(GREETING_TIMEOUT))?;
    let begun = RecordingReader::begin(BufReader::new(visitor));
    visitor.set_read_timeout(None)?;
    let mut reader = match begun {
        Ok(reader) => reader,
        // Who only knocks is gone by now.
        Err(error) => {
            let _ = refuse(visitor, &error.to_string());
            return Ok(());
        }
    };
    let (sender, told) = channel();
    let started = {
        let mut house = house.lock();
        house
            .asked(reader.settings())
            .and_then(|settings| house.start(ServerSettings { follow: Some(sender), ..settings }, true))
    };
    let outcome = match started {
        Ok(()) => std::thread::scope(|scope| {
            let teller = scope.spawn(move || tell(visitor, &told));
            let outcome = obey(&mut reader, house);
            // The teller ends when the cluster is gone.
            let restored = restore(house);
            if let Err(why) = outcome.and(restored) {
                let _ = refuse(visitor, &why);
            }
            teller.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))
        }),
        Err(why) => {
            let restored = restore(house);
            let refused = refuse(visitor, &why);
            restored.map_err(io::Error::other).and(refused)
        }
    };
    // Whatever the visitor still sends is not read.
    let _ = visitor.shutdown(std::net::Shutdown::Both);
    outcome
}

/// The cluster is again what it was before the visitor came.
fn restore(house: &Mutex<House>) -> Result<(), String> {
    let mut house = house.lock();
    if house.closed {
        return Ok(());
    }
    let settings = house.settings.clone();
    house
        .start(settings, false)
        .inspect_err(|error| tracing::error!(error, "the cluster does not start again"))
}

/// Does what the visitor says until it has no more to say.
fn obey(reader: &mut RecordingReader<impl Read>, house: &Mutex<House>) -> Result<(), String> {
    while let Ok(Some((at, input))) = reader.next_input() {
        if !matches!(input, Input::Tick | Input::Pass { .. } | Input::Command(_)) {
            return Err("clients go to the brokers' listeners, not to the door".to_owned());
        }
        match &house.lock().server {
            Some(server) => server.play(at, input),
            None => return Err("klamm serve is stopping".to_owned()),
        }
    }
    Ok(())
}

fn tell(mut visitor: &TcpStream, told: &Receiver<Followed>) -> io::Result<()> {
    while let Ok(followed) = told.recv() {
        let told = match followed {
            Followed::Inputs(bytes) => frame(&mut visitor, INPUTS, &bytes),
            Followed::Reached { events, hash } => {
                frame(&mut visitor, REACHED, &[events.to_le_bytes(), hash.to_le_bytes()].concat())
            }
        };
        if told.is_err() {
            // The visitor is gone, and who reads from it finds out too.
            break;
        }
    }
    Ok(())
}

fn frame(out: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(5 + bytes.len());
    frame.push(kind);
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(bytes);
    out.write_all(&frame)
}

/// The next frame; `None` when there is no other.
fn next_frame(source: &mut impl Read) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 5];
    match source.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let [kind, len @ ..] = head;
    let len = u32::from_le_bytes(len);
    if len > MAX_FRAME {
        return Err(io::Error::other(format!("a frame claims {len} bytes")));
    }
    let mut bytes = Vec::new();
    source.take(len.into()).read_to_end(&mut bytes)?;
    if bytes.len() < len as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind, bytes)))
}

/// A visit at a door, from the visitor's side.
#[derive(Debug)]
pub struct Visit {
    writer: RecordingWriter<TcpStream>,
    told: Receiver<Result<Followed, String>>,
}

impl Visit {
    /// Asks whose door it is: the brokers as a `bootstrap.servers` value.
    ///
    /// # Errors
    /// When nothing is there, or something else; for a person.
    pub fn knock(address: &str) -> Result<String, String> {
        Self::greeted(address).map(|(_, bootstrap)| bootstrap)
    }

    fn greeted(address: &str) -> Result<(TcpStream, String), String> {
        let nobody = |error: io::Error| format!("no klamm opens its control door at {address}: {error}");
        let stream = TcpStream::connect(address).map_err(nobody)?;
        stream.set_nodelay(true).map_err(nobody)?;
        stream.set_read_timeout(Some(GREETING_TIMEOUT)).map_err(nobody)?;
        let greeting = next_frame(&mut &stream).map_err(nobody)?;
        stream.set_read_timeout(None).map_err(nobody)?;
        match greeting {
            Some((GREETING, bootstrap)) => Ok((stream, String::from_utf8_lossy(&bootstrap).into_owned())),
            _ => Err(nobody(io::Error::other("something else listens there"))),
        }
    }

    /// Has the cluster made anew as `settings` say; its time stands still. The brokers' addresses are those of the cluster
    /// that was served, and what follows is told from its beginning.
    ///
    /// # Errors
    /// When nothing is there, or something else; for a person. A cluster that cannot be is told by [`Visit::next`].
    pub fn begin(address: &str, settings: &WorldSettings) -> Result<Self, String> {
        let (stream, _) = Self::greeted(address)?;
        let lost = |error: io::Error| format!("the control door at {address}: {error}");
        let mut source = BufReader::new(stream.try_clone().map_err(lost)?);
        let (sender, told) = channel();
        let listen = move || {
            let mut next = || -> io::Result<Option<Result<Followed, String>>> {
                Ok(match next_frame(&mut source)? {
                    None => None,
                    Some((INPUTS, bytes)) => Some(Ok(Followed::Inputs(bytes))),
                    Some((REACHED, bytes)) => {
                        let number = |at: usize| {
                            let bytes = bytes.get(at..at + 8)?;
                            Some(u64::from_le_bytes(bytes.try_into().ok()?))
                        };
                        let (Some(events), Some(hash)) = (number(0), number(8)) else {
                            return Err(io::ErrorKind::InvalidData.into());
                        };
                        Some(Ok(Followed::Reached { events, hash }))
                    }
                    Some((_, why)) => Some(Err(String::from_utf8_lossy(&why).into_owned())),
                })
            };
            while let Ok(Some(told)) = next() {
                if sender.send(told).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("klamm visit".to_owned()).spawn(listen).map_err(lost)?;
        Ok(Self { writer: RecordingWriter::begin(stream, settings).map_err(lost)?, told })
    }

    /// Lets time pass until `at`, and then `input` happen: a command, or nothing.
    ///
    /// # Errors
    /// When the door is gone.
    pub fn play(&mut self, at: Timestamp, input: &Input) -> io::Result<()> {
        self.writer.input(at, input)?;
        self.writer.flush()
    }

    /// What is told next; `None` when nothing is within `wait`.
    ///
    /// # Errors
    /// Why the door does not go on, for a person.
    pub fn next(&self, wait: Duration) -> Result<Option<Followed>, String> {
        match self.told.recv_timeout(wait) {
            Ok(told) => told.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err("klamm serve has closed its control door".to_owned()),
        }
    }
}

impl Drop for Visit {
    /// Waits, but not for ever, until the door hangs up: then the cluster is again what it was.
    fn drop(&mut self) {
        // The thread that listens has the socket as well: without a word the door would never learn that nobody says anything more.
        let _ = self.writer.get_ref().shutdown(std::net::Shutdown::Write);
        let until = Instant::now() + RESTORE_TIMEOUT;
        while self.told.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        let _ = self.writer.get_ref().shutdown(std::net::Shutdown::Both);
    }
}
