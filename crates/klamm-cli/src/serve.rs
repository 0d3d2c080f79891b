//! `klamm serve`: a cluster with listeners, until a signal.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use klamm_node::config::validate_static_broker_config;
use klamm_server::{Door, Server, ServerSettings, StartError, TopicSpec, TraceStream};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::errors::Mistake;
use crate::trace::file::Writer;

/// Start a cluster and serve it until Ctrl-C or SIGTERM
#[derive(Args)]
pub(crate) struct Arguments {
    /// How many brokers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    brokers: u16,
    /// How many controllers: 1, or 3 for a quorum that survives the loss of one
    #[arg(long, default_value_t = 1, value_parser = controllers)]
    controllers: u16,
    /// The first broker's port, the others follow it; with 0 each takes any free port
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The host that clients are told to connect to [default: the address listened on]
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// A topic to create: NAME, NAME:PARTITIONS or NAME:PARTITIONS:REPLICATION; can be repeated
    #[arg(long, value_name = "SPEC")]
    topic: Vec<String>,
    /// A server property, as key=value; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// The release of Kafka to be, such as 3.6: its APIs, features, defaults and rules [default: the newest, 4.4]
    #[arg(long, value_name = "VERSION")]
    kafka_version: Option<String>,
    /// A rule to have as an older Kafka had it, or not, as NAME, NAME=on or NAME=off; can be repeated
    #[arg(long, value_name = "SWITCH")]
    era: Vec<String>,
    /// Keep the logs in this directory, as Kafka lays them out [default: in memory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Record the run into this file, for `klamm replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print every decision to stderr as it is made
    #[arg(long)]
    trace: bool,
    /// Write every decision into this file, for `klamm trace`
    #[arg(long, value_name = "FILE")]
    trace_file: Option<PathBuf>,
    /// Open a control door at this port of the loopback address, or at HOST:PORT, by which `klamm scenario run --bootstrap …
    /// --control …` has the cluster made anew and does things to it; with 0 at any free port
    #[arg(long, value_name = "PORT", conflicts_with_all = ["data_dir", "record", "trace", "trace_file"])]
    control: Option<String>,
    /// Print one line of JSON instead of words
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let started = Instant::now();
    let json = arguments.json;
    let (print, file) = (arguments.trace, arguments.trace_file.clone());
    let control = arguments.control.as_deref().map(listen).transpose()?;
    let settings = settings(arguments)?;
    let file = file.as_deref().map(Writer::create).transpose()?;
    // One thread is enough to wait for a signal; the cluster has its own runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    // Before the start, so that a signal during it is not lost.
    let mut signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    log_to_stderr();
    let server = Server::start(settings.clone()).map_err(mistake)?;
    let tracer = (print || file.is_some()).then(|| trace(server.trace(), print, file));
    let door = control.as_ref().map(TcpListener::local_addr).transpose()?;
    announce(&server, door, json, started)?;
    match control {
        None => {
            runtime.block_on(wait(&mut signals));
            server.stop();
        }
        Some(control) => {
            let door = Door::open(control, server, settings)?;
            runtime.block_on(wait(&mut signals));
            door.stop();
        }
    }
    match tracer.map(JoinHandle::join) {
        Some(Ok(written)) => written.context("the trace cannot be written"),
        _ => Ok(()),
    }
}

/// Writes a trace down until its cluster is gone.
fn trace(mut events: TraceStream, print: bool, mut file: Option<Writer>) -> JoinHandle<std::io::Result<()>> {
    std::thread::spawn(move || {
        loop {
            let event = match events.try_next() {
                Some(event) => event,
                None => {
                    // Nothing more for now: whoever reads the file sees all of it.
                    file.as_mut().map_or(Ok(()), Writer::flush)?;
                    let Some(event) = events.next() else { break };
                    event
                }
            };
            if print {
                writeln!(std::io::stderr(), "{event:#}")?;
            }
            if let Some(file) = &mut file {
                file.event(&event)?;
            }
        }
        if events.missed() > 0 {
            writeln!(std::io::stderr(), "klamm: {} events came too fast to be written", events.missed())?;
        }
        file.as_mut().map_or(Ok(()), Writer::flush)
    })
}

/// What the operator should know, such as a connection that was closed for what it sent: a line each, stdout stays free.
fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

fn settings(arguments: Arguments) -> Result<ServerSettings, Mistake> {
    let config = arguments.config.iter().map(|pair| config(pair)).collect::<Result<BTreeMap<_, _>, _>>()?;
    let topics =
        arguments.topic.iter().map(|spec| topic(spec, arguments.brokers)).collect::<Result<_, _>>()?;
    Ok(ServerSettings {
        brokers: arguments.brokers,
        controllers: arguments.controllers,
        host: arguments.host,
        advertise: arguments.advertise,
        port: arguments.port,
        topics,
        config,
        kafka_version: arguments.kafka_version,
        eras: arguments.era,
        data_dir: arguments.data_dir,
        record: arguments.record,
        listen: arguments.trace || arguments.trace_file.is_some(),
        ..ServerSettings::default()
    })
}

/// Reads 1 or 3.
fn controllers(text: &str) -> Result<u16, String> {
    match text.trim() {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("a cluster has 1 or 3 controllers".to_owned()),
    }
}

/// Reads `key=value`.
fn config(pair: &str) -> Result<(String, String), Mistake> {
    let Some((key, value)) = pair.split_once('=') else {
        return Err(Mistake(format!("--config takes key=value, not {pair:?}")));
    };
    let key = key.trim();
    validate_static_broker_config(key, value).map_err(|error| Mistake(error.to_string()))?;
    Ok((key.to_owned(), value.trim().to_owned()))
}

/// Reads `NAME[:PARTITIONS[:REPLICATION]]`. A replication that is not given is 3, or all brokers where there are fewer.
pub(crate) fn topic(spec: &str, brokers: u16) -> Result<TopicSpec, Mistake> {
    let bad =
        |why: &str| Mistake(format!("bad topic {spec:?}: {why}; write NAME[:PARTITIONS[:REPLICATION]]"));
    let mut parts = spec.split(':');
    let name = parts.next().unwrap_or_default();
    if let Some(why) = bad_name(name) {
        return Err(bad(why));
    }
    let partitions = match parts.next() {
        None => -1,
        Some(text) => match text.parse::<i32>() {
            Ok(count) if count > 0 => count,
            _ => return Err(bad("the number of partitions must be 1 or more")),
        },
    };
    let replication = match parts.next() {
        None => i16::try_from(brokers.min(3)).unwrap_or(3),
        Some(text) => match text.parse::<i16>() {
            Ok(count) if count > 0 && i32::from(count) <= i32::from(brokers) => count,
            Ok(count) if count > 0 => {
                return Err(bad(&format!("{count} replicas need {count} brokers, and there are {brokers}")));
            }
            _ => return Err(bad("the number of replicas must be 1 or more")),
        },
    };
    if parts.next().is_some() {
        return Err(bad("there are too many colons"));
    }
    Ok(TopicSpec::new(name, partitions, replication))
}

/// Why Kafka would refuse a topic's name (`Topic.validate`).
fn bad_name(name: &str) -> Option<&'static str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Some("the name is empty"),
        "." | ".." => Some("the name cannot be . or .."),
        _ if name.len() > 249 => Some("the name is longer than 249 characters"),
        _ if !name.bytes().all(legal) => Some("a name has ASCII letters, digits, '.', '_' and '-' only"),
        _ => None,
    }
}

/// Most of what stops a start is something that a person can change.
fn mistake(error: StartError) -> anyhow::Error {
    match error {
        StartError::Bind { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            Mistake(format!(
                "port {} of {} is in use; choose another --port, or --port 0 for any free one",
                address.port(),
                address.ip()
            ))
            .into()
        }
        StartError::Node { .. } | StartError::NotReady { .. } => error.into(),
        StartError::Settings(_)
        | StartError::Host { .. }
        | StartError::Bind { .. }
        | StartError::DataDir { .. }
        | StartError::Record { .. }
        | StartError::Topic { .. } => Mistake(error.to_string()).into(),
    }
}

/// Listens at a port of the loopback address, or at an address.
fn listen(control: &str) -> Result<TcpListener, Mistake> {
    let bound = match control.parse::<u16>() {
        Ok(port) => TcpListener::bind(("127.0.0.1", port)),
        Err(_) => TcpListener::bind(control),
    };
    bound.map_err(|error| {
        Mistake(format!("--control takes a port, or HOST:PORT; nobody can listen at {control}: {error}"))
    })
}

fn announce(server: &Server, door: Option<SocketAddr>, json: bool, started: Instant) -> anyhow::Result<()> {
    let bootstrap = server.bootstrap_servers();
    let mut stdout = std::io::stdout().lock();
    if json {
        let brokers: Vec<_> = server
            .brokers()
            .iter()
            .map(|broker| serde_json::json!({ "id": broker.id, "host": broker.host, "port": broker.port }))
            .collect();
        let mut line =
            serde_json::json!({ "bootstrap": bootstrap, "brokers": brokers, "pid": std::process::id() });
        if let Some(door) = door {
            line["control"] = door.to_string().into();
        }
        writeln!(stdout, "{line}")?;
    } else {
        let count = server.brokers().len();
        let brokers = if count == 1 { "1 broker".to_owned() } else { format!("{count} brokers") };
        let first = bootstrap.split(',').next().unwrap_or_default();
        writeln!(
            stdout,
            "klamm: {brokers} up after {:.1} ms\n\n  bootstrap.servers = {bootstrap}\n\nTry, in another terminal:\n\n  \
             klamm topics --bootstrap {first} create hello:3\n  \
             echo world | klamm produce --bootstrap {first} hello\n  \
             klamm consume --bootstrap {first} hello\n\nCtrl-C stops the cluster.",
            started.elapsed().as_secs_f64() * 1_000.0
        )?;
        if let Some(door) = door {
            writeln!(
                stdout,
                "\nScenarios:\n  klamm scenario run --bootstrap {first} --control {door} scenarios/"
            )?;
        }
    }
    stdout.flush()?;
    Ok(())
}

async fn wait(signals: &mut [Signal; 2]) {
    let [interrupt, terminate] = signals;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_topic_spec() {
        assert_eq!(topic("orders", 3).unwrap(), TopicSpec::new("orders", -1, 3));
        assert_eq!(topic("orders:6", 1).unwrap(), TopicSpec::new("orders", 6, 1));
        assert_eq!(topic("orders:6:2", 3).unwrap(), TopicSpec::new("orders", 6, 2));
        for (spec, why) in [
            ("", "the name is empty"),
            ("a b", "a name has ASCII letters"),
            ("a:0", "the number of partitions must be 1 or more"),
            ("a:x", "the number of partitions must be 1 or more"),
            ("a:1:4", "4 replicas need 4 brokers, and there are 3"),
            ("a:1:0", "the number of replicas must be 1 or more"),
            ("a:1:1:1", "there are too many colons"),
        ] {
            let Mistake(message) = topic(spec, 3).unwrap_err();
            assert!(message.contains(why), "{message}");
        }
    }

    #[test]
    fn reads_a_server_property() {
        assert_eq!(
            config("min.insync.replicas=2").unwrap(),
            ("min.insync.replicas".to_owned(), "2".to_owned())
        );
        let error = |pair| config(pair).unwrap_err().0;
        assert_eq!(error("nonsense"), "--config takes key=value, not \"nonsense\"");
        assert_eq!(
            error("min.insync.replica=2"),
            "unknown config key min.insync.replica; did you mean min.insync.replicas?"
        );
        assert_eq!(
            error("min.insync.replicas=0"),
            "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1"
        );
    }
}
