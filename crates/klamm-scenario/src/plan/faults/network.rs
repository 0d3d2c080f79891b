//! Lines about the network between nodes, and what is on its way.

use klamm_node::NodeId;
use klamm_wire::ApiKey;
use klamm_world::fault::{Fate, Link, Messages, NetworkFault, Peer, RequestAction, RequestMatch};

use crate::error::Mistake;
use crate::line::{Line, Value};
use crate::plan::Planner;
use crate::plan::read::Read;
use crate::step::{Inject, Step};

impl Planner<'_> {
    fn peer(&mut self, line: &Line, at: usize) -> Option<Peer> {
        let arg = line.args.get(at)?;
        match &arg.value {
            Value::Int(id) => self.known_node(*id, arg.span).map(Peer::Node),
            Value::Text(text) if text == "clients" => Some(Peer::Clients),
            _ => Some(Peer::Anyone),
        }
    }

    fn link_between(&mut self, line: &Line, from: usize, to: usize) -> Option<Link> {
        let link = Link {
            from: self.peer(line, from)?,
            to: self.peer(line, to)?,
            both_ways: !line.prop_flag("one-way").unwrap_or(false),
        };
        if link.from == link.to && link.from != Peer::Anyone {
            self.wrong(format!("{} has no link to itself", link.from), line.args.get(to)?.span, "impossible");
            return None;
        }
        Some(link)
    }

    pub(super) fn link_of(&mut self, line: &Line) -> Option<Link> {
        self.link_between(line, 0, 1)
    }

    pub(super) fn cut(&mut self, line: &Line) -> Option<Step> {
        let messages = match line.prop_text("messages").as_deref() {
            None | Some("all") => Messages::All,
            Some("requests") => Messages::Requests,
            Some("answers") => Messages::Answers,
            Some(other) => {
                let span = line.get("messages")?.span;
                let mistake = Mistake::new(format!("there are no messages `{other}`"), span, "unknown");
                self.mistakes.push(mistake.suggest(other, ["all", "requests", "answers"]));
                return None;
            }
        };
        let name = line.prop_text("as");
        if let Some(name) = &name {
            self.name_fault(name, line.get("as")?.span);
        }
        let may_not_fire = line.prop_flag("may-not-fire").unwrap_or(false);
        let mut all = Vec::new();
        for to in 1..line.args.len() {
            let link = self.link_between(line, 0, to)?;
            let fault = NetworkFault::Cut { link, messages, fate: fate(line) }.into();
            all.push(Inject { name: name.clone(), fault, may_not_fire });
        }
        Some(Step::Inject(all))
    }

    pub(super) fn partition_network(&mut self, line: &Line) -> Option<Step> {
        let mut groups: Vec<Vec<Peer>> = Vec::new();
        for (at, arg) in line.args.iter().enumerate() {
            let ids = crate::syntax::shape::nodes(&line.text(at)).unwrap_or_default();
            let mut group = Vec::new();
            for id in ids {
                let peer = Peer::Node(self.known_node(id.into(), arg.span)?);
                if group.contains(&peer) || groups.iter().flatten().any(|other| *other == peer) {
                    self.wrong(format!("node {id} is in two groups"), arg.span, "it can be on one side only");
                }
                group.push(peer);
            }
            groups.push(group);
        }
        if groups.iter().filter(|group| !group.is_empty()).count() < 2 {
            self.wrong("a partition of the network has two groups at least", line.span, "from whom?");
        }
        self.one(line, NetworkFault::Partition { groups, fate: fate(line) }.into())
    }

    pub(super) fn delay_link(&mut self, line: &Line) -> Option<Step> {
        let link = self.link_of(line)?;
        let bytes = line.prop_int("bytes-per-second").and_then(|bytes| u64::try_from(bytes).ok());
        let fault = match (line.prop_time("latency"), line.prop_time("jitter"), bytes) {
            (Some(by), None, None) => NetworkFault::Latency { link, by },
            (None, Some(up_to), None) => NetworkFault::Jitter { link, up_to },
            (None, None, Some(bytes_per_second)) if bytes_per_second > 0 => {
                NetworkFault::Bandwidth { link, bytes_per_second }
            }
            _ => {
                self.mistakes.push(
                    Mistake::new(
                        "`delay-link` needs one of latency, jitter and bytes-per-second",
                        line.span,
                        "how slow?",
                    )
                    .help("a link with no bandwidth at all is a `cut`"),
                );
                return None;
            }
        };
        self.one(line, fault.into())
    }

    pub(super) fn hold_fetches(&mut self, line: &Line) -> Step {
        let may_not_fire = line.prop_flag("may-not-fire").unwrap_or(false);
        let mut all = Vec::new();
        for node in self.brokers(line) {
            let name = fetches_of(node);
            if !self.names.armed.insert(name.clone()) {
                self.wrong(format!("the fetches of broker {node} are held already"), line.span, "impossible");
            }
            for to in self.names.brokers.iter().filter(|to| **to != node) {
                // Its fetches of metadata go to controllers, and are not meant.
                let fault =
                    RequestMatch::api(ApiKey::Fetch).from_node(node).to(*to).then(RequestAction::Hold).into();
                all.push(Inject { name: Some(name.clone()), fault, may_not_fire });
            }
        }
        Step::Inject(all)
    }

    pub(super) fn release_fetches(&mut self, line: &Line) -> Step {
        let nodes = self.brokers(line);
        let mut names = Vec::new();
        let all: Vec<_> = self.names.brokers.iter().copied().collect();
        for node in if line.args.is_empty() { &all } else { &nodes } {
            let name = fetches_of(*node);
            if self.names.armed.remove(&name) {
                names.push(name);
            } else if !line.args.is_empty() {
                self.wrong(
                    format!("the fetches of broker {node} are not held"),
                    line.span,
                    "nothing to release",
                );
            }
        }
        if names.is_empty() && line.args.is_empty() {
            self.wrong("no broker's fetches are held", line.span, "nothing to release");
        }
        Step::Heal(names)
    }
}

/// What the held fetches of a broker are known by.
fn fetches_of(node: NodeId) -> String {
    format!("fetches of {node}")
}

fn fate(line: &Line) -> Fate {
    if line.prop_flag("lost").unwrap_or(false) { Fate::Lost } else { Fate::Held }
}
