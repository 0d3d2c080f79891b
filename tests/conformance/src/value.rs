//! A response as a tree, read from its `Debug` text: every message has that, in every version, and nothing else that
//! names its fields.

use std::fmt::Debug;
use std::iter::Peekable;
use std::str::Chars;

/// A field's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    /// Named fields.
    Struct(Vec<(String, Self)>),
    /// An array.
    List(Vec<Self>),
    /// A string.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Anything else, as it is written.
    Plain(String),
}

impl Value {
    /// Reads a message.
    pub(crate) fn of(message: &impl Debug) -> Self {
        let text = format!("{message:?}");
        Parser { chars: text.chars().peekable() }.value()
    }

    /// A value as it is written.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::Plain(text.into())
    }

    fn one_line(&self) -> String {
        match self {
            Self::Struct(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| format!("{name}: {}", value.one_line())).collect();
                format!("{{{}}}", fields.join(", "))
            }
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::one_line).collect::<Vec<_>>().join(", "))
            }
            Self::Text(text) => format!("{text:?}"),
            Self::Bytes(bytes) => format!("b\"{}\"", bytes.escape_ascii()),
            Self::Plain(text) => text.clone(),
        }
    }

    /// The value as lines: what fits is on one.
    pub(crate) fn lines(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, depth: usize) {
        const WIDTH: usize = 120;
        let line = self.one_line();
        let indent = "  ".repeat(depth);
        let last = "  ".repeat(depth.saturating_sub(1));
        match self {
            Self::Struct(fields) if depth == 0 || line.len() + 2 * depth > WIDTH => {
                if depth > 0 {
                    out.push_str("{\n");
                }
                for (name, value) in fields {
                    let indent = if depth > 0 { &indent[..] } else { "" };
                    out.push_str(&format!("{indent}{name}: "));
                    value.write(out, if depth > 0 { depth + 1 } else { 1 });
                    out.push('\n');
                }
                if depth > 0 {
                    out.push_str(&format!("{last}}}"));
                }
            }
            Self::List(items) if line.len() + 2 * depth > WIDTH => {
                out.push_str("[\n");
                for item in items {
                    out.push_str(&indent);
                    item.write(out, depth + 1);
                    out.push('\n');
                }
                out.push_str(&format!("{last}]"));
            }
            _ => out.push_str(&line),
        }
    }
}

struct Parser<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn value(&mut self) -> Value {
        self.space();
        match self.chars.peek() {
            Some('"') => Value::Text(self.text()),
            Some('[') => {
                self.chars.next();
                Value::List(self.until(']', Self::value))
            }
            Some('{') => {
                self.chars.next();
                Value::List(self.until('}', |parser| {
                    let key = parser.value();
                    parser.skip(':');
                    Value::Struct(vec![("key".to_owned(), key), ("value".to_owned(), parser.value())])
                }))
            }
            _ => self.named(),
        }
    }

    /// A struct, a wrapper around one value, or a plain word.
    fn named(&mut self) -> Value {
        let mut word = String::new();
        while let Some(&c) = self.chars.peek() {
            if !(c.is_alphanumeric() || "_-.:+<>#".contains(c)) {
                break;
            }
            word.push(c);
            self.chars.next();
        }
        if word == "b" && self.chars.peek() == Some(&'"') {
            return Value::Bytes(self.bytes());
        }
        self.space();
        match self.chars.peek() {
            Some('(') => {
                self.chars.next();
                self.until(')', Self::value).pop().unwrap_or_else(|| Value::plain(word))
            }
            Some('{') => {
                self.chars.next();
                Value::Struct(self.until('}', |parser| {
                    parser.space();
                    let mut name = String::new();
                    while let Some(c) = parser.chars.next_if(|&c| c.is_alphanumeric() || c == '_') {
                        name.push(c);
                    }
                    parser.skip(':');
                    (name, parser.value())
                }))
            }
            _ => Value::Plain(if word == "None" { "null".to_owned() } else { word }),
        }
    }

    fn until<T>(&mut self, end: char, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        loop {
            self.space();
            match self.chars.peek() {
                Some(&c) if c == end => {
                    self.chars.next();
                    return items;
                }
                Some(',') => {
                    self.chars.next();
                }
                Some(_) => items.push(item(self)),
                None => return items,
            }
        }
    }

    fn space(&mut self) {
        while self.chars.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn skip(&mut self, expected: char) {
        self.space();
        self.chars.next_if_eq(&expected);
    }

    fn text(&mut self) -> String {
        self.chars.next();
        let mut text = String::new();
        while let Some(c) = self.chars.next() {
            match c {
                '"' => break,
                '\\' => match self.chars.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('0') => text.push('\0'),
                    Some('u') => {
                        let code: String = self.chars.by_ref().skip(1).take_while(|&c| c != '}').collect();
                        text.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                    }
                    Some(other) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        text
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.chars.next();
        let mut bytes = Vec::new();
        while let Some(c) = self.chars.next() {
            match c {
                '"' => break,
                '\\' => match self.chars.next() {
                    Some('n') => bytes.push(b'\n'),
                    Some('t') => bytes.push(b'\t'),
                    Some('r') => bytes.push(b'\r'),
                    Some('0') => bytes.push(0),
                    Some('x') => {
                        let code: String = self.chars.by_ref().take(2).collect();
                        bytes.extend(u8::from_str_radix(&code, 16));
                    }
                    Some(other) => bytes.push(other as u8),
                    None => break,
                },
                other => bytes.push(other as u8),
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[derive(Debug)]
    #[expect(dead_code, reason = "read through Debug")]
    struct Message {
        name: Option<&'static str>,
        none: Option<i32>,
        list: Vec<(i32,)>,
        bytes: Option<Bytes>,
        inner: Option<Inner>,
        map: std::collections::BTreeMap<i32, Bytes>,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "read through Debug")]
    struct Inner {
        id: uuid::Uuid,
        number: i64,
    }

    #[test]
    fn reads_what_debug_writes() {
        let value = Value::of(&Message {
            name: Some("a \"b\" {\n"),
            none: None,
            list: vec![(1,), (-2,)],
            bytes: Some(Bytes::from_static(b"\0\xff\"\\x\n")),
            inner: Some(Inner { id: uuid::Uuid::nil(), number: -7 }),
            map: std::collections::BTreeMap::new(),
        });
        let Value::Struct(fields) = value else { panic!("{value:?}") };
        let values: Vec<_> = fields.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values[0], Value::Text("a \"b\" {\n".to_owned()));
        assert_eq!(values[1], Value::plain("null"));
        assert_eq!(values[2], Value::List(vec![Value::plain("1"), Value::plain("-2")]));
        assert_eq!(values[3], Value::Bytes(b"\0\xff\"\\x\n".to_vec()));
        let inner = [("id", "00000000-0000-0000-0000-000000000000"), ("number", "-7")]
            .map(|(name, value)| (name.to_owned(), Value::plain(value)));
        assert_eq!(values[4], Value::Struct(inner.to_vec()));
        assert_eq!(values[5], Value::List(vec![]));
    }
}
