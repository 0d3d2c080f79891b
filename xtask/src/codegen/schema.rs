//! Kafka's schema files: JSON with `//` comments.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// One schema file.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) api_key: Option<i16>,
    pub(super) versions: Versions,
    pub(super) flexible: Versions,
    pub(super) fields: Vec<Field>,
    /// Every struct that fields name, nested or common.
    pub(super) structs: BTreeMap<String, Vec<Field>>,
}

/// One field of a message or of a struct in it.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) versions: Versions,
    pub(super) nullable: Versions,
    /// Versions in which the field is tagged, and its tag.
    pub(super) tagged: Versions,
    pub(super) tag: Option<u32>,
    pub(super) ignorable: bool,
    pub(super) default: Option<String>,
    /// What a field of a request or response names, such as `topicName`.
    pub(super) entity: Option<String>,
    /// Whether a nullable field starts as null.
    pub(super) starts_null: bool,
    /// Overrides whether lengths are compact; only the header's client id does.
    pub(super) never_compact: bool,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    Primitive(String),
    Struct(String),
    Array(Box<Self>),
}

/// A range of versions; empty when `min > max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) min: i16,
    pub(super) max: i16,
}

impl Versions {
    pub(super) const NONE: Self = Self { min: i16::MAX, max: -1 };

    fn parse(text: &str) -> Result<Self> {
        let number = |text: &str| text.trim().parse::<i16>().with_context(|| format!("version {text:?}"));
        if text == "none" {
            return Ok(Self::NONE);
        }
        if let Some(min) = text.strip_suffix('+') {
            return Ok(Self { min: number(min)?, max: i16::MAX });
        }
        match text.split_once('-') {
            Some((min, max)) => Ok(Self { min: number(min)?, max: number(max)? }),
            None => Ok(Self { min: number(text)?, max: number(text)? }),
        }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.min > self.max
    }

    pub(super) const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self { min, max: i16::MAX } => write!(f, "{min}+"),
            Self { min, max } if min == max => write!(f, "{min}"),
            Self { min, max } => write!(f, "{min}–{max}"),
        }
    }
}

/// Reads a schema; `None` when it has no versions any more.
pub(super) fn parse(text: &str) -> Result<Option<Message>> {
    let json: Value = serde_json::from_str(&without_comments(text)).context("not JSON")?;
    let versions = Versions::parse(string(&json, "validVersions")?)?;
    if versions.is_empty() {
        return Ok(None);
    }
    let mut structs = BTreeMap::new();
    for common in json["commonStructs"].as_array().into_iter().flatten() {
        let fields = fields(common, &mut structs)?;
        structs.insert(string(common, "name")?.to_owned(), fields);
    }
    let mut fields = fields(&json, &mut structs)?;
    let kind = string(&json, "type")?.to_owned();
    if !is_request_or_response(&kind) {
        for field in structs.values_mut().flatten().chain(&mut fields) {
            // What Kafka writes for itself has neither types for what is named, nor empty values where null may stand.
            field.entity = None;
            field.starts_null = true;
        }
    }
    Ok(Some(Message {
        name: string(&json, "name")?.to_owned(),
        kind,
        api_key: json["apiKey"].as_i64().and_then(|key| key.try_into().ok()),
        versions,
        flexible: Versions::parse(json["flexibleVersions"].as_str().unwrap_or("none"))?,
        fields,
        structs,
    }))
}

fn is_request_or_response(kind: &str) -> bool {
    matches!(kind, "request" | "response")
}

impl Message {
    /// Whether it goes over the wire on its own, and not into a log.
    pub(super) fn is_request_or_response(&self) -> bool {
        is_request_or_response(&self.kind)
    }
}

fn fields(json: &Value, structs: &mut BTreeMap<String, Vec<Field>>) -> Result<Vec<Field>> {
    let list = json["fields"].as_array().ok_or_else(|| anyhow!("no fields"))?;
    list.iter().map(|json| field(json, structs)).collect()
}

fn field(json: &Value, structs: &mut BTreeMap<String, Vec<Field>>) -> Result<Field> {
    let name = string(json, "name")?.to_owned();
    let range = |key: &str| json[key].as_str().map_or(Ok(Versions::NONE), Versions::parse);
    let kind = kind(string(json, "type")?);
    if json["fields"].is_array() {
        let Some(of) = kind.struct_name().map(str::to_owned) else {
            bail!("{name} has fields but no struct type")
        };
        let inner = fields(json, structs)?;
        structs.insert(of, inner);
    }
    let default = match &json["default"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    // A tagged field may leave its versions out: it exists where it is tagged.
    let tagged = range("taggedVersions")?;
    Ok(Field {
        kind,
        versions: json["versions"].as_str().map_or(Ok(tagged), Versions::parse)?,
        nullable: range("nullableVersions")?,
        tagged,
        tag: json["tag"].as_u64().and_then(|tag| tag.try_into().ok()),
        ignorable: json["ignorable"].as_bool().unwrap_or(false),
        starts_null: default.as_deref() == Some("null"),
        default,
        entity: json["entityType"].as_str().map(str::to_owned),
        never_compact: json["flexibleVersions"].as_str() == Some("none"),
        name,
    })
}

fn kind(text: &str) -> Type {
    if let Some(element) = text.strip_prefix("[]") {
        return Type::Array(Box::new(kind(element)));
    }
    if text.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Type::Struct(text.to_owned());
    }
    Type::Primitive(text.to_owned())
}

impl Type {
    /// The struct that a field holds, alone or in an array.
    pub(super) fn struct_name(&self) -> Option<&str> {
        match self {
            Self::Primitive(_) => None,
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.struct_name(),
        }
    }
}

fn string<'a>(json: &'a Value, key: &str) -> Result<&'a str> {
    json[key].as_str().ok_or_else(|| anyhow!("no {key:?}"))
}

/// No string in a schema holds `//` except in words about URLs, which stand behind a quote on the same line.
fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}
