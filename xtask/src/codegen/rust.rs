//! One schema as a Rust module: structs, their defaults, and how they are read and written.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result, bail};

use super::schema::{Field, Message, Type, Versions};

/// What stands at the top of each generated file.
pub(super) const BANNER: &str = "// Written by `cargo xtask codegen`; changes belong there.\n";

/// The whole module of a message.
pub(super) fn message(message: &Message) -> Result<String> {
    let mut out = format!(
        "//! `{}`, versions {}.\n\n{BANNER}\nuse bytes::{{BufMut, Bytes}};\n",
        message.name,
        clipped(message.versions, message.versions)
    );
    let mut body = String::new();
    structure(&mut body, message, &message.name, &message.fields)?;
    for (name, fields) in &message.structs {
        structure(&mut body, message, name, fields)?;
    }
    let all = message.fields.iter().chain(message.structs.values().flatten());
    let entities: BTreeSet<&str> = all.filter_map(entity).collect();
    let entities: Vec<&str> = entities.into_iter().collect();
    if !entities.is_empty() {
        writeln!(out, "use kafka_protocol::messages::{{{}}};", entities.join(", "))?;
    }
    if body.contains("Uuid") {
        out.push_str("use uuid::Uuid;\n");
    }
    out.push('\n');
    if body.contains("StrBytes") {
        out.push_str("use crate::StrBytes;\n");
    }
    let mut names = vec!["Field", "Form", "Schema", "SchemaError"];
    names.extend(["TagWriter", "read_tags"].iter().filter(|name| body.contains(**name)));
    names.extend(message.is_request_or_response().then_some(message.kind.as_str()));
    writeln!(out, "use crate::internal::codec::{{{}}};\n", names.join(", "))?;
    let (min, max) = (message.versions.min, message.versions.max);
    let first_flexible =
        if message.flexible.is_empty() { "i16::MAX".to_owned() } else { message.flexible.min.to_string() };
    writeln!(
        body,
        "impl Schema for {name} {{
            const NAME: &'static str = \"{name}\";
            const VERSIONS: std::ops::RangeInclusive<i16> = {min}..={max};
            const FIRST_FLEXIBLE: i16 = {first_flexible};
        }}",
        name = message.name
    )?;
    match (message.kind.as_str(), message.api_key) {
        ("request", Some(key)) => writeln!(
            body,
            "\nrequest!({} = {key} => super::{});",
            message.name,
            message.name.replace("Request", "Response")
        )?,
        ("response", _) => writeln!(body, "\nresponse!({});", message.name)?,
        _ => {}
    }
    Ok(out + &body)
}

/// What `kafka-protocol` has a type of its own for, by Kafka's `entityType`.
const ENTITIES: &[(&str, &str)] = &[
    ("brokerId", "BrokerId"),
    ("groupId", "GroupId"),
    ("producerId", "ProducerId"),
    ("topicName", "TopicName"),
    ("transactionalId", "TransactionalId"),
];

fn structure(out: &mut String, message: &Message, name: &str, fields: &[Field]) -> Result<()> {
    let eq = if has_float(message, fields) { "" } else { ", Eq" };
    let zero = fields.iter().map(default).collect::<Result<Vec<_>>>()?.iter().all(|default| is_zero(default));
    let derive = if zero { ", Default" } else { "" };
    let role = if name == message.name { "" } else { "A part of " };
    writeln!(
        out,
        "/// {role}`{}`.\n#[derive(Debug, Clone, PartialEq{eq}{derive})]\npub struct {name} {{",
        message.name
    )?;
    for field in fields {
        writeln!(out, "/// {}\npub {}: {},", about(field, message), snake(&field.name), rust_type(field)?)?;
    }
    writeln!(out, "}}\n")?;
    if !zero {
        writeln!(out, "impl Default for {name} {{\nfn default() -> Self {{\nSelf {{")?;
        for field in fields {
            writeln!(out, "{}: {},", snake(&field.name), default(field)?)?;
        }
        writeln!(out, "}}\n}}\n}}\n")?;
    }
    if message.is_request_or_response() {
        setters(out, name, fields)?;
    }
    writeln!(out, "impl Field for {name} {{")?;
    write_fn(out, message, name, fields)?;
    read_fn(out, message, fields)?;
    writeln!(out, "}}\n")?;
    let nullable = |field: &Field| is_nullable(field) && field.kind == Type::Struct(name.to_owned());
    let all = message.fields.iter().chain(message.structs.values().flatten());
    if all.into_iter().any(nullable) {
        nullable_struct(out, name)?;
    }
    Ok(())
}

/// `with_…` for each field, as `kafka-protocol` has it.
fn setters(out: &mut String, name: &str, fields: &[Field]) -> Result<()> {
    writeln!(out, "impl {name} {{")?;
    for field in fields {
        let snake = snake(&field.name);
        writeln!(
            out,
            "/// Sets `{snake}`.
            #[must_use]
            pub fn with_{snake}(mut self, value: {}) -> Self {{
                self.{snake} = value;
                self
            }}\n",
            rust_type(field)?
        )?;
    }
    writeln!(out, "}}\n")?;
    Ok(())
}

/// A byte in front tells whether the struct is there.
fn nullable_struct(out: &mut String, name: &str) -> Result<()> {
    writeln!(
        out,
        "impl Field for Option<{name}> {{
            fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {{
                match self {{
                    None => (-1i8).write(out, form),
                    Some(value) => {{
                        1i8.write(out, form)?;
                        value.write(out, form)
                    }}
                }}
            }}

            fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {{
                Ok(if i8::read(bytes, form)? < 0 {{ None }} else {{ Some({name}::read(bytes, form)?) }})
            }}
        }}\n"
    )?;
    Ok(())
}

fn write_fn(out: &mut String, message: &Message, name: &str, fields: &[Field]) -> Result<()> {
    let (plain, mut tagged): (Vec<_>, Vec<_>) = fields.iter().partition(|field| field.tag.is_none());
    let mut body = String::new();
    for field in plain {
        let snake = snake(&field.name);
        match condition(field.versions, message.versions) {
            None => writeln!(body, "self.{snake}.write(out, form)?;")?,
            Some(condition) => {
                writeln!(body, "if {condition} {{\nself.{snake}.write(out, form)?;\n}}")?;
                missing(&mut body, name, field)?;
            }
        }
    }
    if !message.flexible.is_empty() {
        tagged.sort_by_key(|field| field.tag);
        let mutable = if tagged.is_empty() { "" } else { "mut " };
        let mut tags = format!("let {mutable}tags = TagWriter::default();\n");
        for field in tagged {
            let (snake, set, tag) = (snake(&field.name), is_set(field)?, field.tag.unwrap_or_default());
            let put = format!("tags.put({tag}, &self.{snake}, form)?;");
            match condition(field.tagged.and(field.versions), message.versions) {
                None => writeln!(tags, "if {set} {{\n{put}\n}}")?,
                Some(condition) => {
                    writeln!(tags, "if {condition} && {set} {{\n{put}\n}}")?;
                    missing(&mut tags, name, field)?;
                }
            }
        }
        tags.push_str("tags.finish(out);\n");
        match condition(message.flexible, message.versions) {
            None => body.push_str(&tags),
            Some(_) => writeln!(body, "if form.flexible {{\n{tags}}}")?,
        }
    }
    let buffer = if body.contains("out") { "out" } else { "_" };
    let form = if body.contains("form") { "form" } else { "_" };
    writeln!(
        out,
        "fn write<B: BufMut>(&self, {buffer}: &mut B, {form}: Form) -> Result<(), SchemaError> {{\n{body}Ok(())\n}}\n"
    )?;
    Ok(())
}

/// Refuses to lose a field which the version cannot carry, unless Kafka says that it may go.
fn missing(out: &mut String, name: &str, field: &Field) -> Result<()> {
    if field.ignorable {
        return Ok(());
    }
    let (snake, set) = (snake(&field.name), is_set(field)?);
    let absent = match (field.versions.min, field.versions.max) {
        (0, max) => format!("form.version > {max}"),
        (min, i16::MAX) => format!("form.version < {min}"),
        (min, max) => format!("!({min}..={max}).contains(&form.version)"),
    };
    writeln!(
        out,
        "if {absent} && {set} {{
            return Err(SchemaError::NotInVersion {{ field: \"{name}.{snake}\", version: form.version }});
        }}"
    )?;
    Ok(())
}

fn read_fn(out: &mut String, message: &Message, fields: &[Field]) -> Result<()> {
    let tagged: Vec<&Field> = fields.iter().filter(|field| field.tag.is_some()).collect();
    let mut body = String::new();
    for field in fields {
        let (name, default) = (snake(&field.name), default(field)?);
        let read = "Field::read(bytes, form)?";
        match condition(field.versions, message.versions) {
            _ if field.tag.is_some() => writeln!(body, "{name}: {default},")?,
            None => writeln!(body, "{name}: {read},")?,
            Some(condition) => writeln!(body, "{name}: if {condition} {{ {read} }} else {{ {default} }},")?,
        }
    }
    let mutable = if tagged.is_empty() { "" } else { "mut " };
    let mut body = format!("let {mutable}value = Self {{ {body} }};\n");
    if !message.flexible.is_empty() {
        let tags = tags(&tagged, message)?;
        match condition(message.flexible, message.versions) {
            None => writeln!(body, "{tags}")?,
            Some(_) => writeln!(body, "if form.flexible {{\n{tags}\n}}")?,
        }
    }
    let bytes = if body.contains("bytes") { "bytes" } else { "_" };
    let form = if body.contains("form") { "form" } else { "_" };
    writeln!(
        out,
        "fn read({bytes}: &mut Bytes, {form}: Form) -> Result<Self, SchemaError> {{\n{body}Ok(value)\n}}"
    )?;
    Ok(())
}

fn tags(tagged: &[&Field], message: &Message) -> Result<String> {
    if tagged.is_empty() {
        return Ok("read_tags(bytes, |_, _| Ok(false))?;".to_owned());
    }
    let mut arms = String::new();
    for field in tagged {
        let tag = field.tag.unwrap_or_default();
        let guard = condition(field.tagged.and(field.versions), message.versions)
            .map_or_else(String::new, |condition| format!(" if {condition}"));
        writeln!(arms, "{tag}{guard} => value.{} = Field::read(field, form)?,", snake(&field.name))?;
    }
    Ok(format!(
        "read_tags(bytes, |tag, field| {{ match tag {{ {arms} _ => return Ok(false) }}; Ok(true) }})?;"
    ))
}

/// The test that a version has the field; `None` when each valid version does.
fn condition(versions: Versions, valid: Versions) -> Option<String> {
    match (versions.min > valid.min, versions.max < valid.max) {
        (false, false) => None,
        (true, false) => Some(format!("form.version >= {}", versions.min)),
        (false, true) => Some(format!("form.version <= {}", versions.max)),
        (true, true) => Some(format!("({}..={}).contains(&form.version)", versions.min, versions.max)),
    }
}

fn about(field: &Field, message: &Message) -> String {
    let mut out = format!("`{}`, versions {}", field.name, clipped(field.versions, message.versions));
    if let Some(tag) = field.tag {
        let _ = write!(out, "; tag {tag}");
    }
    if let Some(default) = &field.default {
        let _ = write!(out, "; by default `{default}`");
    }
    out + "."
}

/// A range of versions as far as the message has them.
fn clipped(versions: Versions, valid: Versions) -> String {
    let versions = if versions.max > valid.max { Versions { max: valid.max, ..versions } } else { versions };
    versions.to_string()
}

fn rust_type(field: &Field) -> Result<String> {
    let plain = plain_type(field, &field.kind)?;
    Ok(if is_nullable(field) { format!("Option<{plain}>") } else { plain })
}

const fn is_nullable(field: &Field) -> bool {
    !field.nullable.is_empty()
}

fn entity(field: &Field) -> Option<&'static str> {
    let entity = field.entity.as_deref()?;
    ENTITIES.iter().find(|(name, _)| *name == entity).map(|(_, of)| *of)
}

fn plain_type(field: &Field, kind: &Type) -> Result<String> {
    if let (Type::Primitive(_), Some(entity)) = (kind, entity(field)) {
        return Ok(entity.to_owned());
    }
    Ok(match kind {
        Type::Array(element) => format!("Vec<{}>", plain_type(field, element)?),
        Type::Struct(name) => name.clone(),
        Type::Primitive(name) => match name.as_str() {
            "bool" => "bool",
            "int8" => "i8",
            "int16" => "i16",
            "uint16" => "u16",
            "int32" => "i32",
            "uint32" => "u32",
            "int64" => "i64",
            "float64" => "f64",
            "string" => "StrBytes",
            "bytes" | "records" => "Bytes",
            "uuid" => "Uuid",
            other => bail!("unknown type {other:?}"),
        }
        .to_owned(),
    })
}

/// What a field starts with: Kafka's default.
fn default(field: &Field) -> Result<String> {
    if is_nullable(field) {
        return match field.default.as_deref() {
            Some("null") => Ok("None".to_owned()),
            None if field.starts_null => Ok("None".to_owned()),
            None => Ok(format!("Some({})", value_default(field)?)),
            Some(other) => bail!("{}: default {other:?} of a nullable field", field.name),
        };
    }
    value_default(field)
}

/// What a field starts with where it is not null.
fn value_default(field: &Field) -> Result<String> {
    if let (Type::Primitive(_), Some(entity)) = (&field.kind, entity(field)) {
        return Ok(match field.default.as_deref() {
            None | Some("") => format!("{entity}::default()"),
            Some(text) => format!("{entity}({})", number(text)?),
        });
    }
    let Type::Primitive(kind) = &field.kind else {
        return Ok(
            if matches!(field.kind, Type::Array(_)) { "Vec::new()" } else { "Default::default()" }.to_owned()
        );
    };
    let default = field.default.as_deref().unwrap_or_default();
    Ok(match kind.as_str() {
        "bool" => default.eq_ignore_ascii_case("true").to_string(),
        "string" if default.is_empty() => "StrBytes::default()".to_owned(),
        "string" => format!("StrBytes::from_static_str({default:?})"),
        "bytes" | "records" => "Bytes::new()".to_owned(),
        "uuid" => "Uuid::nil()".to_owned(),
        "float64" => format!("{:?}", if default.is_empty() { 0.0 } else { default.parse::<f64>()? }),
        _ if default.is_empty() => "0".to_owned(),
        _ => number(default).with_context(|| format!("default of {}", field.name))?.to_string(),
    })
}

/// Whether `Default` of the field's type gives this.
fn is_zero(default: &str) -> bool {
    let is_entity = |of: &str| ENTITIES.iter().any(|(_, name)| *name == of);
    default.strip_suffix("::default()").is_some_and(is_entity)
        || matches!(
            default,
            "0" | "0.0"
                | "false"
                | "None"
                | "Vec::new()"
                | "Bytes::new()"
                | "Uuid::nil()"
                | "StrBytes::default()"
                | "Default::default()"
        )
}

fn number(text: &str) -> Result<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => Ok(i64::from_str_radix(hex, 16)?),
        None => Ok(text.parse()?),
    }
}

/// The test that a field has another value than its default.
fn is_set(field: &Field) -> Result<String> {
    let name = snake(&field.name);
    if is_nullable(field) && default(field)? == "None" {
        return Ok(format!("self.{name}.is_some()"));
    }
    if is_nullable(field) || (entity(field).is_some() && matches!(field.kind, Type::Primitive(_))) {
        return Ok(format!("self.{name} != {}", default(field)?));
    }
    Ok(match &field.kind {
        Type::Array(_) => format!("!self.{name}.is_empty()"),
        Type::Struct(of) => format!("self.{name} != {of}::default()"),
        Type::Primitive(kind) => match kind.as_str() {
            "bool" if default(field)? == "true" => format!("!self.{name}"),
            "bool" => format!("self.{name}"),
            "bytes" | "records" => format!("!self.{name}.is_empty()"),
            "uuid" => format!("!self.{name}.is_nil()"),
            "string" if is_zero(&default(field)?) => format!("!self.{name}.is_empty()"),
            _ => format!("self.{name} != {}", default(field)?),
        },
    })
}

fn has_float(message: &Message, fields: &[Field]) -> bool {
    fields.iter().any(|field| match field.kind.struct_name() {
        Some(name) => message.structs.get(name).is_some_and(|fields| has_float(message, fields)),
        None => field.kind == Type::Primitive("float64".to_owned()),
    })
}

/// `LastKnownElr` as `last_known_elr`.
pub(super) fn snake(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    if out == "type" { "r#type".to_owned() } else { out }
}
