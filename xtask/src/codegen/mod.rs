//! `cargo xtask codegen KAFKA`: reads the message schemas in a Kafka source tree and writes what `kafka-protocol` does
//! not have: the schemas of the internal topics, requests and responses in versions newer than its own, and the table that
//! bounds requests before they are decoded.
//!
//! Only names, types, versions and defaults are taken over. The tree itself is never committed.

mod limits;
mod records;
mod rust;
mod schema;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use schema::Message;

/// Where the schemas come from.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The root of a Kafka source tree.
    kafka: PathBuf,
    /// The folder to write to.
    #[arg(long, default_value = "crates/klamm-wire/src")]
    out: PathBuf,
}

/// The requests of which `kafka-protocol` lacks a version that klamm serves. They and their responses are written whole.
const BESIDE: &[&str] =
    &["OffsetCommit", "OffsetFetch", "ShareAcknowledge", "ShareFetch", "TxnOffsetCommit", "WriteTxnMarkers"];

/// A folder of generated modules, and where its schemas lie in Kafka's tree.
struct Room {
    /// Where it is, below the folder that is written to.
    folder: &'static str,
    about: &'static str,
    source: &'static str,
    /// Which schemas to take.
    wanted: fn(&str) -> bool,
    /// What ties the schemas together.
    index: records::Index,
}

const ROOMS: &[Room] = &[
    Room {
        folder: "internal/offsets",
        about: "The records of `__consumer_offsets`",
        source: "group-coordinator/src/main/resources/common/message",
        // The Streams protocol is not served.
        wanted: |name| !name.starts_with("Streams"),
        index: records::Index::Keys("GroupRecordKey"),
    },
    Room {
        folder: "internal/txn",
        about: "The records of `__transaction_state`",
        source: "transaction-coordinator/src/main/resources/common/message",
        wanted: |_| true,
        index: records::Index::Keys("TransactionRecordKey"),
    },
    Room {
        folder: "internal/share",
        about: "The records of `__share_group_state`",
        source: "share-coordinator/src/main/resources/common/message",
        wanted: |_| true,
        index: records::Index::Keys("ShareRecordKey"),
    },
    Room {
        folder: "internal/metadata",
        about: "The records of `__cluster_metadata`",
        source: "metadata/src/main/resources/common/metadata",
        wanted: |_| true,
        index: records::Index::Metadata,
    },
    Room {
        folder: "internal/storage",
        about: "Files beside the log segments",
        source: "storage/src/main/resources/message",
        wanted: |name| name == "ProducerSnapshot",
        index: records::Index::None,
    },
    Room {
        folder: "messages/schemas",
        about: "Requests and responses that `kafka-protocol` does not have in the newest version that is served",
        source: "clients/src/main/resources/common/message",
        wanted: |name| {
            let request = name.strip_suffix("Request").or_else(|| name.strip_suffix("Response"));
            request.is_some_and(|request| BESIDE.contains(&request))
        },
        index: records::Index::Messages,
    },
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for room in ROOMS {
        let mut messages = read_messages(&arguments.kafka.join(room.source))?;
        messages.retain(|message| (room.wanted)(&message.name));
        let out = arguments.out.join(room.folder);
        fs::create_dir_all(&out)?;
        for message in &messages {
            let file = out.join(format!("{}.rs", rust::snake(&message.name)));
            write(&file, &rust::message(message)?)?;
        }
        write(&out.join("mod.rs"), &records::index(room.about, &messages, room.index)?)?;
    }
    let requests = read_messages(&arguments.kafka.join("clients/src/main/resources/common/message"))?;
    write(&arguments.out.join("limits/table.rs"), &limits::table(&requests)?)
}

fn read_messages(folder: &Path) -> Result<Vec<Message>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    if files.is_empty() {
        bail!("{} holds no schemas", folder.display());
    }
    let read = |file: &PathBuf| -> Result<Option<Message>> {
        schema::parse(&fs::read_to_string(file)?).with_context(|| format!("in {}", file.display()))
    };
    Ok(files.iter().map(read).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let status = Command::new("rustfmt").args(["--edition", "2024"]).arg(file).status()?;
    if !status.success() {
        bail!("rustfmt refused {}", file.display());
    }
    Ok(())
}
