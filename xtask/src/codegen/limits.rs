//! The table that `klamm_wire::limits` walks a request with: for each request and version, what lies where.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, bail};

use super::rust::BANNER;
use super::schema::{Field, Message, Type, Versions};

/// The module `limits/table.rs`.
pub(super) fn table(messages: &[Message]) -> Result<String> {
    let mut table = Table::default();
    let mut requests: BTreeMap<i16, (Versions, Vec<usize>)> = BTreeMap::new();
    for message in messages.iter().filter(|message| message.kind == "request") {
        let key = message.api_key.context("a request without apiKey")?;
        let programs = (message.versions.min..=message.versions.max)
            .map(|version| table.program(message, &message.fields, version).map(|ops| table.index_of(ops)))
            .collect::<Result<Vec<_>>>()
            .with_context(|| message.name.clone())?;
        requests.insert(key, (message.versions, programs));
    }
    table.render(&requests)
}

/// The programs, each once.
#[derive(Default)]
struct Table {
    programs: BTreeMap<Vec<String>, usize>,
    tags: BTreeMap<Vec<(u32, usize)>, usize>,
}

impl Table {
    fn index_of(&mut self, ops: Vec<String>) -> usize {
        let next = self.programs.len();
        *self.programs.entry(ops).or_insert(next)
    }

    /// What the fields of a struct look like in one version.
    fn program(&mut self, message: &Message, fields: &[Field], version: i16) -> Result<Vec<String>> {
        let flexible = message.flexible.contains(version);
        let mut ops = Ops::default();
        for field in fields.iter().filter(|field| field.versions.contains(version)) {
            if field.tag.is_none() || !field.tagged.contains(version) {
                self.field(&mut ops, message, field, version)?;
            }
        }
        if flexible {
            let mut tags = Vec::new();
            for field in fields.iter().filter(|field| field.tagged.and(field.versions).contains(version)) {
                let mut content = Ops::default();
                self.field(&mut content, message, field, version)?;
                tags.push((
                    field.tag.context("a tagged field without a tag")?,
                    self.index_of(content.done()),
                ));
            }
            tags.sort_unstable();
            let next = self.tags.len();
            ops.push(format!("Tags({})", *self.tags.entry(tags).or_insert(next)));
        }
        Ok(ops.done())
    }

    fn field(&mut self, ops: &mut Ops, message: &Message, field: &Field, version: i16) -> Result<()> {
        let compact = message.flexible.contains(version) && !field.never_compact;
        let len = match (compact, field.nullable.contains(version)) {
            (false, false) => "Plain",
            (false, true) => "PlainOrNull",
            (true, false) => "Compact",
            (true, true) => "CompactOrNull",
        };
        match &field.kind {
            Type::Primitive(kind) => match kind.as_str() {
                "string" => ops.push(format!("Text({len})")),
                "bytes" | "records" => ops.push(format!("Data({len})")),
                fixed => ops.skip(size(fixed)?),
            },
            Type::Struct(name) => {
                let program = self.program(message, structure(message, name)?, version)?;
                if field.nullable.contains(version) {
                    let program = self.index_of(program);
                    ops.push(format!("StructOrNull({program})"));
                } else {
                    program.into_iter().for_each(|op| ops.push(op));
                }
            }
            Type::Array(element) => match element.as_ref() {
                Type::Array(_) => bail!("{}: arrays of arrays are not supported", field.name),
                Type::Struct(name) => {
                    let program = self.program(message, structure(message, name)?, version)?;
                    ops.push(format!("Array({len}, {})", self.index_of(program)));
                }
                Type::Primitive(kind) => match kind.as_str() {
                    "string" => {
                        let text = if compact { "Text(Compact)" } else { "Text(Plain)" };
                        ops.push(format!("Array({len}, {})", self.index_of(vec![text.to_owned()])));
                    }
                    "bytes" | "records" => bail!("{}: arrays of bytes are not supported", field.name),
                    fixed => ops.push(format!("Numbers({len}, {})", size(fixed)?)),
                },
            },
        }
        Ok(())
    }

    fn render(&self, requests: &BTreeMap<i16, (Versions, Vec<usize>)>) -> Result<String> {
        let mut out = format!(
            "//! What lies where in each request.\n\n{BANNER}\n
            use super::Len::{{Compact, CompactOrNull, Plain, PlainOrNull}};
            use super::Op::{{self, Array, Data, Numbers, Skip, StructOrNull, Tags, Text}};
            use super::{{Layout, Tag}};

            /// What the fields of a struct look like.
            pub(super) static PROGRAMS: &[&[Op]] = &["
        );
        let mut programs: Vec<_> = self.programs.iter().map(|(ops, index)| (*index, ops)).collect();
        programs.sort_unstable();
        for (_, ops) in programs {
            writeln!(out, "&[{}],", ops.join(", "))?;
        }
        writeln!(
            out,
            "];\n\n/// The tagged fields that a struct knows.\npub(super) static TAGS: &[&[Tag]] = &["
        )?;
        let mut tags: Vec<_> = self.tags.iter().map(|(tags, index)| (*index, tags)).collect();
        tags.sort_unstable();
        for (_, tags) in tags {
            let tags: Vec<_> = tags
                .iter()
                .map(|(tag, program)| format!("Tag {{ tag: {tag}, program: {program} }}"))
                .collect();
            writeln!(out, "&[{}],", tags.join(", "))?;
        }
        writeln!(
            out,
            "];\n\n/// Each request's programs, by version; the place is the API key.
            pub(super) static REQUESTS: &[Layout] = &["
        )?;
        let last = requests.keys().next_back().copied().unwrap_or_default();
        for key in 0..=last {
            match requests.get(&key) {
                Some((versions, programs)) => {
                    writeln!(out, "Layout {{ first_version: {}, programs: &{programs:?} }},", versions.min)?;
                }
                None => writeln!(out, "Layout {{ first_version: 0, programs: &[] }},")?,
            }
        }
        out.push_str("];\n");
        Ok(out)
    }
}

/// Ops in the making, fixed sizes joined.
#[derive(Default)]
struct Ops {
    done: Vec<String>,
    skip: usize,
}

impl Ops {
    const fn skip(&mut self, bytes: usize) {
        self.skip += bytes;
    }

    fn push(&mut self, op: String) {
        // An inlined struct may begin with a skip of its own.
        if let Some(bytes) = op.strip_prefix("Skip(").and_then(|rest| rest.strip_suffix(')')) {
            self.skip += bytes.parse::<usize>().unwrap_or_default();
            return;
        }
        self.flush();
        self.done.push(op);
    }

    fn flush(&mut self) {
        if self.skip > 0 {
            self.done.push(format!("Skip({})", std::mem::take(&mut self.skip)));
        }
    }

    fn done(mut self) -> Vec<String> {
        self.flush();
        self.done
    }
}

fn structure<'a>(message: &'a Message, name: &str) -> Result<&'a [Field]> {
    Ok(message.structs.get(name).with_context(|| format!("no struct {name}"))?)
}

fn size(kind: &str) -> Result<usize> {
    Ok(match kind {
        "bool" | "int8" => 1,
        "int16" | "uint16" => 2,
        "int32" | "uint32" => 4,
        "int64" | "float64" => 8,
        "uuid" => 16,
        other => bail!("unknown type {other:?}"),
    })
}
