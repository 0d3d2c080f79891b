//! Every word of the language, once: what may follow it, where it may stand, what it means, and an example.
//!
//! The parser, the suggestions for misspelt words and the reference in `docs/scenarios.md` all read this table.

mod expectations;
mod faults;
mod members;
mod reference;
mod setup;
mod share;
mod steps;

pub use reference::reference;

/// A word of the language.
#[derive(Debug)]
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// Where it may stand.
    pub place: Place,
    /// Its arguments, in order.
    pub args: &'static [Arg],
    /// Its properties.
    pub props: &'static [Prop],
    /// Whether any property with a dot in its name is taken too: configuration by Kafka's names.
    pub configs: bool,
    /// What its block holds, if it may have one.
    pub block: Option<Place>,
    /// What it means.
    pub doc: &'static str,
    /// A line or block that uses it.
    pub example: &'static str,
}

/// An argument.
#[derive(Debug)]
pub struct Arg {
    /// Its name, for people.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// How often it comes.
    pub count: Count,
}

/// How often an argument comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Once.
    One,
    /// Once or not at all.
    Optional,
    /// Any number of times, at least once.
    Some,
    /// Any number of times, or not at all.
    Any,
}

/// A property.
#[derive(Debug)]
pub struct Prop {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it means.
    pub doc: &'static str,
}

/// Where a word may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At the head of a file, before the first step.
    Head,
    /// Among the steps.
    Step,
    /// In a `cluster`'s block.
    Cluster,
    /// In a `topic`'s block.
    Topic,
    /// In a `power-loss`'s block.
    PowerLoss,
    /// In a block of expectations.
    Expect,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A name that the file gives: of a client, a topic, a group.
    Name,
    /// A whole number that is not negative.
    Count,
    /// A whole number.
    Int,
    /// A number between 0 and 1.
    Share,
    /// A time with its unit.
    Time,
    /// `#true` or `#false`.
    Flag,
    /// A node's id.
    Node,
    /// Node ids: `2`, `"1,2,3"`, or `none`.
    Nodes,
    /// A node's id, or `none`.
    NodeOrNone,
    /// A node's id, `clients` or `anyone`.
    Peer,
    /// A partition, such as `t-0`.
    Partition,
    /// 0, 1 or `all`.
    Acks,
    /// Kafka's name of an error, such as `NOT_LEADER_OR_FOLLOWER`.
    Error,
    /// A Kafka release, such as `"3.6"` or, where it is a condition, `">=3.7"`.
    Version,
    /// Any text, number or flag.
    Any,
}

impl Kind {
    /// What a value of this kind is, for a person.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Name => "a name",
            Self::Count => "a number from 0",
            Self::Int => "a whole number",
            Self::Share => "a number from 0 to 1",
            Self::Time => "a time with its unit, such as 30s or 250ms",
            Self::Flag => "#true or #false",
            Self::Node => "a node's id",
            Self::Nodes => "node ids, such as \"1,2,3\", or none",
            Self::NodeOrNone => "a node's id, or none",
            Self::Peer => "a node's id, clients or anyone",
            Self::Partition => "a partition, such as t-0",
            Self::Acks => "0, 1 or all",
            Self::Error => "Kafka's name of an error, such as NOT_LEADER_OR_FOLLOWER",
            Self::Version => "a Kafka release in quotes, such as \"3.6\"",
            Self::Any => "text, a number, #true or #false",
        }
    }
}

/// Every word, in the order in which the reference shows them.
pub fn words() -> impl Iterator<Item = &'static Word> {
    setup::WORDS
        .iter()
        .chain(steps::WORDS)
        .chain(members::WORDS)
        .chain(share::WORDS)
        .chain(faults::WORDS)
        .chain(expectations::WORDS)
}

/// The word called `name` in a place.
pub(crate) fn word(place: Place, name: &str) -> Option<&'static Word> {
    words().find(|word| word.name == name && stands(word.place, place))
}

/// Whether what belongs to `place` may stand in `at`: a file's lines are its head and its steps.
pub(crate) fn stands(place: Place, at: Place) -> bool {
    place == at || (place == Place::Head && at == Place::Step)
}

const fn arg(name: &'static str, kind: Kind) -> Arg {
    Arg { name, kind, count: Count::One }
}

const fn optional(name: &'static str, kind: Kind) -> Arg {
    Arg { name, kind, count: Count::Optional }
}

const fn some(name: &'static str, kind: Kind) -> Arg {
    Arg { name, kind, count: Count::Some }
}

const fn any(name: &'static str, kind: Kind) -> Arg {
    Arg { name, kind, count: Count::Any }
}

const fn prop(name: &'static str, kind: Kind, doc: &'static str) -> Prop {
    Prop { name, kind, doc }
}

/// What a word has unless it says otherwise.
const WORD: Word = Word {
    name: "",
    place: Place::Step,
    args: &[],
    props: &[],
    configs: false,
    block: None,
    doc: "",
    example: "",
};
