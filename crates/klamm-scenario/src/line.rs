//! A scenario as text means it: lines of a word, its arguments, its properties, and the lines in its block.
//!
//! A scenario can be read from text, and as well be put together by a program; either way [`Scenario::to_kdl`] gives the
//! text, and reading that gives an equal scenario.

use std::fmt;
use std::time::Duration;

/// A whole scenario.
#[derive(Debug, Clone, Default)]
pub struct Scenario {
    /// Its lines, in order.
    pub lines: Vec<Line>,
}

/// Where something stands in the text: bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// How many bytes.
    pub len: usize,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is about: `crash`, `expect`, `topic`.
    pub word: String,
    /// Where the word stands.
    pub span: Span,
    /// Its arguments, in order.
    pub args: Vec<Spanned>,
    /// Its properties, in order.
    pub props: Vec<(String, Spanned)>,
    /// The lines of its block, in order.
    pub block: Vec<Self>,
}

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub struct Spanned {
    /// The value.
    pub value: Value,
    /// Where it stands; for a property, its name included.
    pub span: Span,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text: `t-0`, `"two words"`.
    Text(String),
    /// A whole number: `3`.
    Int(i64),
    /// A number with a fraction: `0.5`.
    Real(f64),
    /// `#true` or `#false`.
    Flag(bool),
    /// A time: `30s`, `250ms`.
    Time(Duration),
}

impl PartialEq for Scenario {
    /// Where things stand in the text makes no difference.
    fn eq(&self, other: &Self) -> bool {
        self.lines == other.lines
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        (&self.word, &self.args, &self.props, &self.block)
            == (&other.word, &other.args, &other.props, &other.block)
    }
}

impl PartialEq for Spanned {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Line {
    /// A line of nothing but a word.
    pub fn new(word: impl Into<String>) -> Self {
        Self {
            word: word.into(),
            span: Span::default(),
            args: Vec::new(),
            props: Vec::new(),
            block: Vec::new(),
        }
    }

    /// The line with one more argument.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.args.push(Spanned { value: value.into(), span: Span::default() });
        self
    }

    /// The line with one more property.
    #[must_use]
    pub fn prop(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.props.push((name.into(), Spanned { value: value.into(), span: Span::default() }));
        self
    }

    /// The line with one more line in its block.
    #[must_use]
    pub fn child(mut self, line: Self) -> Self {
        self.block.push(line);
        self
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl fmt::Display for Value {
    /// The value as it reads in a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&crate::syntax::render::text(text)),
            Self::Int(number) => number.fmt(f),
            Self::Real(number) => write!(f, "{number:?}"),
            Self::Flag(flag) => write!(f, "#{flag}"),
            Self::Time(time) => f.write_str(&crate::syntax::time::show(*time)),
        }
    }
}
