//! What ties the schemas of a folder together: the module list, and the enums that dispatch on a record's type.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};

use super::rust::{BANNER, snake};
use super::schema::Message;

/// The kind of dispatch a folder needs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Index {
    /// None.
    None,
    /// Keys of a coordinator's topic, in an enum of this name.
    Keys(&'static str),
    /// Metadata records, framed.
    Metadata,
    /// Requests and responses, each in its own module beside those of `kafka-protocol`, which they stand before.
    Messages,
}

/// The folder's `mod.rs`.
pub(super) fn index(about: &str, messages: &[Message], index: Index) -> Result<String> {
    let mut out = format!("//! {about}.\n\n{BANNER}\n");
    for message in messages {
        writeln!(out, "pub mod {};", snake(&message.name))?;
    }
    let imports = match index {
        Index::Messages => return Ok(out + &messages_beside(messages)),
        Index::None => "",
        Index::Keys(_) => "use bytes::{Buf, BufMut, Bytes, BytesMut};\n",
        Index::Metadata => "use bytes::{Bytes, BytesMut};\n",
    };
    writeln!(out, "\n{imports}\n{}", reexports(messages)?)?;
    match index {
        Index::None | Index::Messages => {}
        Index::Keys(name) => keys(&mut out, name, messages)?,
        Index::Metadata => metadata(&mut out, messages)?,
    }
    Ok(out)
}

fn messages_beside(messages: &[Message]) -> String {
    let mut out = "\npub use kafka_protocol::messages::*;\n\n".to_owned();
    for message in messages {
        out.push_str(&format!("pub use {}::{};\n", snake(&message.name), message.name));
    }
    out
}

/// Top-level structs, and the nested ones whose name is theirs alone in the folder.
fn reexports(messages: &[Message]) -> Result<String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for name in messages.iter().flat_map(|message| message.structs.keys()) {
        *count.entry(name).or_default() += 1;
    }
    let mut out = String::new();
    for message in messages {
        let nested = message.structs.keys().filter(|name| count.get(name.as_str()) == Some(&1));
        let names: Vec<&str> =
            std::iter::once(message.name.as_str()).chain(nested.map(String::as_str)).collect();
        writeln!(out, "pub use {}::{{{}}};", snake(&message.name), names.join(", "))?;
    }
    Ok(out)
}

fn keys(out: &mut String, name: &str, messages: &[Message]) -> Result<()> {
    let mut keys: Vec<(i16, &str)> = Vec::new();
    for message in messages.iter().filter(|message| message.kind == "coordinator-key") {
        // The legacy offset key has the fields of its successor and no writer left.
        keys.push((message.api_key.context("a key without apiKey")?, &message.name));
    }
    keys.sort_unstable();
    writeln!(
        out,
        "use crate::internal::codec::{{Schema, SchemaError, no_more}};

        /// The key of a record: its type, as two bytes, then the fields of that type.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum {name} {{"
    )?;
    let variant = |name: &str| name.trim_end_matches("Key").to_owned();
    for (key, schema) in &keys {
        writeln!(out, "/// Type {key}.\n{}({schema}),", variant(schema))?;
    }
    writeln!(
        out,
        "}}

        impl {name} {{
            /// The key's bytes.
            pub fn encode(&self) -> Result<Bytes, SchemaError> {{
                let mut out = BytesMut::new();
                match self {{"
    )?;
    for (key, schema) in &keys {
        writeln!(
            out,
            "Self::{}(key) => {{ out.put_i16({key}); key.encode(0, &mut out)? }}",
            variant(schema)
        )?;
    }
    writeln!(
        out,
        "}}
                Ok(out.freeze())
            }}

            /// Reads a key; [`SchemaError::UnknownType`] when its type is not known here.
            pub fn decode(bytes: &Bytes) -> Result<Self, SchemaError> {{
                let mut bytes = bytes.clone();
                let key = match bytes.try_get_i16().map_err(|_| SchemaError::TooShort)? {{"
    )?;
    for (key, schema) in &keys {
        writeln!(out, "{key} => Self::{}({schema}::decode(0, &mut bytes)?),", variant(schema))?;
    }
    writeln!(
        out,
        "unknown => return Err(SchemaError::UnknownType(unknown)),
                }};
                no_more(&bytes)?;
                Ok(key)
            }}
        }}
        "
    )?;
    for (_, schema) in &keys {
        writeln!(
            out,
            "impl From<{schema}> for {name} {{
                fn from(key: {schema}) -> Self {{
                    Self::{}(key)
                }}
            }}\n",
            variant(schema)
        )?;
    }
    Ok(())
}

fn metadata(out: &mut String, messages: &[Message]) -> Result<()> {
    let mut records: Vec<(i16, &str)> = Vec::new();
    for message in messages {
        records.push((message.api_key.context("a record without apiKey")?, &message.name));
    }
    records.sort_unstable();
    let variant = |name: &str| name.trim_end_matches("Record").to_owned();
    let mut arms = [String::new(), String::new(), String::new(), String::new(), String::new()];
    let [variants, names, api_keys, writes, reads] = &mut arms;
    for (key, schema) in &records {
        let variant = variant(schema);
        writeln!(variants, "/// Type {key}.\n{variant}({schema}),")?;
        writeln!(names, "Self::{variant}(_) => {schema}::NAME,")?;
        writeln!(api_keys, "Self::{variant}(_) => {key},")?;
        writeln!(writes, "Self::{variant}(record) => record.encode(version, &mut out)?,")?;
        writeln!(reads, "{key} => Self::{variant}({schema}::decode(version, &mut bytes)?),")?;
    }
    writeln!(
        out,
        "use crate::internal::codec::{{Schema, SchemaError, no_more, read_varint}};
        use crate::record::varint::write_unsigned;

        /// The frame that Kafka puts around each record (`AbstractApiMessageSerde`).
        const FRAME_VERSION: u32 = 1;

        /// One record of the metadata log (`MetadataRecordType`).
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum MetadataRecord {{
            {variants}
        }}

        impl MetadataRecord {{
            /// Kafka's name for the record's type.
            pub const fn name(&self) -> &'static str {{
                match self {{
                    {names}
                }}
            }}

            /// The number that stands for the type in the log.
            pub const fn api_key(&self) -> i16 {{
                match self {{
                    {api_keys}
                }}
            }}

            /// The framed record, laid out as `version` has it (`MetadataRecordSerde.write`).
            pub fn encode(&self, version: i16) -> Result<Bytes, SchemaError> {{
                let mut out = BytesMut::new();
                write_unsigned(&mut out, FRAME_VERSION);
                write_unsigned(&mut out, u32::from(self.api_key().unsigned_abs()));
                write_unsigned(&mut out, u32::from(version.unsigned_abs()));
                match self {{
                    {writes}
                }}
                Ok(out.freeze())
            }}

            /// Reads a framed record and its version (`MetadataRecordSerde.read`).
            pub fn decode(bytes: &Bytes) -> Result<(Self, i16), SchemaError> {{
                let mut bytes = bytes.clone();
                let frame = read_varint(&mut bytes)?;
                if frame != FRAME_VERSION {{
                    return Err(SchemaError::UnknownFrame(frame));
                }}
                let number = |value: u32| i16::try_from(value).map_err(|_| SchemaError::InvalidLength(i64::from(value)));
                let api_key = number(read_varint(&mut bytes)?)?;
                let version = number(read_varint(&mut bytes)?)?;
                let record = match api_key {{
                    {reads}
                    unknown => return Err(SchemaError::UnknownType(unknown)),
                }};
                no_more(&bytes)?;
                Ok((record, version))
            }}
        }}
        "
    )?;
    for (_, schema) in &records {
        writeln!(
            out,
            "impl From<{schema}> for MetadataRecord {{
                fn from(record: {schema}) -> Self {{
                    Self::{}(record)
                }}
            }}\n",
            variant(schema)
        )?;
    }
    Ok(())
}
