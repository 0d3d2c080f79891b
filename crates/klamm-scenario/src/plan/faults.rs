//! Lines that make something go wrong.

use std::time::Duration;

use klamm_node::pause::PausePoint;
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::api::APIS;
use klamm_wire::{ApiKey, ErrorCode, StrBytes};
use klamm_world::Fault;
use klamm_world::fault::{
    Breakpoint, Chance, ClusterFault, DiskFault, DiskOperation, DiskScope, Fate, Keep, Link, LogWork,
    Messages, NetworkFault, NodeFault, Peer, Place, RequestAction, RequestMatch, RequestOrigin,
};

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::line::{Line, Span, Value};
use crate::step::{Inject, Step};

/// What the held fetches of a broker are known by.
fn fetches_of(node: NodeId) -> String {
    format!("fetches of {node}")
}

impl Planner<'_> {
    pub(super) fn fault(&mut self, line: &Line) -> Option<Step> {
        Some(match line.word.as_str() {
            "start" => self.each_node(line, NodeFault::Start),
            "restart" => self.each_node(line, NodeFault::Restart),
            "stop" => match self.each_node(line, NodeFault::Stop) {
                Step::Inject(all) => {
                    Step::Stop(all.into_iter().filter_map(|inject| node_of(&inject.fault)).collect())
                }
                step => step,
            },
            "begin-stop" => self.each_node(line, NodeFault::Stop),
            "crash" => self.each_node(line, NodeFault::Crash),
            "pause" => self.each_node(line, NodeFault::Pause),
            "resume" => self.each_node(line, NodeFault::Resume),
            "power-loss" => self.power_loss(line)?,
            "expire-session" => self.each_node(line, NodeFault::ExpireSession),
            "fence" => {
                let node = self.broker(line, 0)?;
                self.one(line, Fault::Node { node, fault: NodeFault::Fence })?
            }
            "slow" | "jump" | "drift" | "skew" => self.clock_or_pace(line)?,
            "cut" => self.cut(line)?,
            "partition-network" => self.partition_network(line)?,
            "delay-link" => self.delay_link(line)?,
            "reset" => {
                let link = self.link_of(line)?;
                self.one(line, NetworkFault::Reset { link }.into())?
            }
            "hold-fetches" => self.hold_fetches(line),
            "release-fetches" => self.release_fetches(line),
            "fault" => self.request_fault(line)?,
            "disk" => self.disk(line)?,
            "move-leader" => {
                let (partition, to) = (self.partition_at(line, 0)?, self.broker(line, 1)?);
                self.one(line, ClusterFault::MoveLeader { partition, to }.into())?
            }
            "hold-isr" => {
                let partition = self.partition_at(line, 0)?;
                self.one(line, ClusterFault::HoldIsr { partition }.into())?
            }
            "set-isr" => self.set_isr(line)?,
            "roll" => self.log_work(line, LogWork::Roll)?,
            "apply-retention" => self.log_work(line, LogWork::ApplyRetention)?,
            "compact" => self.log_work(line, LogWork::Compact)?,
            "move-coordinator" => {
                let to = self.broker(line, 1)?;
                let group = self.known_group(line)?.into();
                self.one(line, ClusterFault::MoveCoordinator { group, to }.into())?
            }
            "force-rebalance" => {
                let group = self.known_group(line)?.into();
                self.one(line, ClusterFault::ForceRebalance { group }.into())?
            }
            "expire-member" => {
                let (group, member) = (self.known_group(line)?.into(), line.text(1).into());
                self.one(line, ClusterFault::ExpireMember { group, member }.into())?
            }
            "breakpoint" => self.breakpoint(line)?,
            "await-fired" => Step::AwaitFired {
                name: self.known_fault(line, 0)?,
                times: line.prop_int("times").and_then(|times| u64::try_from(times).ok()).unwrap_or(1),
                within: line.prop_time("within").unwrap_or(Duration::from_secs(60)),
            },
            "heal" => self.heal(line),
            // The head's words, which were read before.
            _ => return None,
        })
    }

    fn log_work(&mut self, line: &Line, work: LogWork) -> Option<Step> {
        let partition = self.partition_at(line, 0)?;
        self.one(line, ClusterFault::Log { partition, work }.into())
    }

    /// One fault, with the name that the line gives it.
    fn one(&mut self, line: &Line, fault: Fault) -> Option<Step> {
        let name = line.prop_text("as");
        if let Some(name) = &name {
            self.name_fault(name, line.get("as")?.span);
        }
        Some(Step::Inject(vec![Inject {
            name,
            fault,
            may_not_fire: line.prop_flag("may-not-fire").unwrap_or(false),
        }]))
    }

    fn name_fault(&mut self, name: &str, span: Span) {
        if !self.names.faults.insert(name.to_owned()) {
            self.wrong(format!("there was a fault `{name}` before"), span, "a name is one fault's for ever");
        }
        self.names.armed.insert(name.to_owned());
    }

    pub(super) fn known_fault(&mut self, line: &Line, at: usize) -> Option<String> {
        let name = line.text(at);
        if self.names.faults.contains(&name) {
            return Some(name);
        }
        let mistake =
            Mistake::new(format!("there is no fault `{name}`"), line.args.get(at)?.span, "unknown fault");
        self.mistakes.push(if self.names.faults.is_empty() {
            mistake.help("a fault is named with `as=`")
        } else {
            mistake.suggest(&name, self.names.faults.iter().map(String::as_str))
        });
        None
    }

    fn heal(&mut self, line: &Line) -> Step {
        let mut names = Vec::new();
        for (at, arg) in line.args.iter().enumerate() {
            let Some(name) = self.known_fault(line, at) else { continue };
            if !self.names.armed.remove(&name) {
                self.wrong(format!("fault `{name}` is healed already"), arg.span, "impossible");
            }
            names.push(name);
        }
        if line.args.is_empty() {
            self.names.armed.clear();
        }
        Step::Heal(names)
    }

    /// The same for each node; up, down and paused are kept account of, so that what cannot be is found here.
    fn each_node(&mut self, line: &Line, fault: NodeFault) -> Step {
        let nodes = self.nodes(line);
        for (at, node) in nodes.iter().enumerate() {
            let span = line.args.get(at).map_or(line.span, |arg| arg.span);
            self.turn(*node, fault, span);
        }
        let inject = |node| Inject { name: None, fault: Fault::Node { node, fault }, may_not_fire: false };
        Step::Inject(nodes.into_iter().map(inject).collect())
    }

    fn turn(&mut self, node: NodeId, fault: NodeFault, span: Span) {
        let (down, paused) = (self.names.down.contains(&node), self.names.paused.contains(&node));
        let start_first = format!("say `start {node}` before");
        let problem = match fault {
            NodeFault::Start if !down => Some(("runs already", "nothing to start", None)),
            NodeFault::Stop | NodeFault::Crash | NodeFault::PowerLoss | NodeFault::Pause if down => {
                Some(("is down already", "impossible", Some(start_first)))
            }
            NodeFault::Pause if paused => Some(("is paused already", "impossible", None)),
            NodeFault::Resume if !paused => Some(("is not paused", "nothing to resume", None)),
            NodeFault::ExpireSession if self.names.controllers.contains(&node) => {
                Some(("is a controller, which has no session", "name a broker", None))
            }
            _ => None,
        };
        if let Some((what, label, help)) = problem {
            let mut mistake = Mistake::new(format!("node {node} {what}"), span, label);
            mistake.help = help;
            self.mistakes.push(mistake);
        }
        match fault {
            NodeFault::Start | NodeFault::Restart => {
                self.names.down.remove(&node);
            }
            NodeFault::Stop | NodeFault::Crash | NodeFault::PowerLoss => {
                self.names.down.insert(node);
                self.names.paused.remove(&node);
            }
            NodeFault::Pause => {
                self.names.paused.insert(node);
            }
            NodeFault::Resume => {
                self.names.paused.remove(&node);
            }
            _ => {}
        }
    }

    fn power_loss(&mut self, line: &Line) -> Option<Step> {
        let mut all = Vec::new();
        let nodes = self.nodes(line);
        let disk = |node, scope, keep| Inject {
            name: None,
            fault: Fault::Disk { node, fault: DiskFault::AtPowerLoss { scope, keep } },
            // It fires only where something was not flushed.
            may_not_fire: true,
        };
        for child in &line.block {
            let partition = self.partition_at(child, 0)?;
            let Some(offset) = child.prop_int("below") else {
                self.wrong("`keeps` needs to know up to where", child.span, "for example below=5");
                continue;
            };
            let keep = match child.prop_int("torn-bytes").and_then(|bytes| u64::try_from(bytes).ok()) {
                Some(bytes) => Keep::Torn { offset, bytes },
                None => Keep::UpTo { offset },
            };
            all.extend(nodes.iter().map(|node| disk(*node, DiskScope::Partition(partition.clone()), keep)));
        }
        let keeps = match line.prop_text("keeps").as_deref() {
            None => None,
            Some("nothing") => Some(Keep::Nothing),
            Some("everything") => Some(Keep::Everything),
            Some(other) => {
                let span = line.get("keeps")?.span;
                let mistake = Mistake::new(format!("a power loss cannot keep `{other}`"), span, "unknown");
                self.mistakes.push(mistake.help("nothing or everything; or a block that says which records"));
                None
            }
        };
        if let Some(keep) = keeps {
            all.extend(nodes.iter().map(|node| disk(*node, DiskScope::Everything, keep)));
        }
        if let Step::Inject(losses) = self.each_node(line, NodeFault::PowerLoss) {
            all.extend(losses);
        }
        Some(Step::Inject(all))
    }

    fn clock_or_pace(&mut self, line: &Line) -> Option<Step> {
        let node = *self.nodes(line).first()?;
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let fault = match (line.word.as_str(), line.prop_time("by"), line.prop_int("ppm")) {
            ("slow", Some(by), _) => Some(NodeFault::Slow { by }),
            ("jump", Some(by), _) => Some(NodeFault::MonotonicClock { by }),
            ("drift", _, Some(ppm)) => {
                i32::try_from(ppm).ok().filter(|ppm| *ppm > -1_000_000).map(|ppm| NodeFault::Drift { ppm })
            }
            ("skew", ..) => match (line.prop_time("ahead"), line.prop_time("behind")) {
                (Some(ahead), None) => Some(NodeFault::WallClock { millis: millis(ahead) }),
                (None, Some(behind)) => Some(NodeFault::WallClock { millis: -millis(behind) }),
                _ => None,
            },
            _ => None,
        };
        let Some(fault) = fault else {
            let needs = match line.word.as_str() {
                "drift" => "`ppm`, above -1000000",
                "skew" => "either `ahead` or `behind`",
                _ => "`by`",
            };
            self.wrong(format!("`{}` needs {needs}", line.word), line.span, "how much?");
            return None;
        };
        self.one(line, Fault::Node { node, fault })
    }

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

    fn link_of(&mut self, line: &Line) -> Option<Link> {
        self.link_between(line, 0, 1)
    }

    fn cut(&mut self, line: &Line) -> Option<Step> {
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

    fn partition_network(&mut self, line: &Line) -> Option<Step> {
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

    fn delay_link(&mut self, line: &Line) -> Option<Step> {
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

    fn hold_fetches(&mut self, line: &Line) -> Step {
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

    fn release_fetches(&mut self, line: &Line) -> Step {
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

    fn request_fault(&mut self, line: &Line) -> Option<Step> {
        let mut on = RequestMatch::any();
        if let Some(arg) = line.args.first() {
            let name = line.text(0);
            let Some(api) = APIS.iter().find(|api| api.name == name) else {
                let mistake = Mistake::new(format!("Kafka has no API `{name}`"), arg.span, "unknown API");
                self.mistakes.push(mistake.suggest(&name, APIS.iter().map(|api| api.name)));
                return None;
            };
            if !api.served {
                self.wrong(format!("klamm does not serve `{name}`"), arg.span, "no request of it can be hit");
                return None;
            }
            on.api = Some(api.key);
        }
        if let Some(from) = line.prop_text("from") {
            let span = line.get("from")?.span;
            on.from = Some(match (from.as_str(), from.parse::<i64>()) {
                ("clients", _) => RequestOrigin::Clients,
                ("nodes", _) => RequestOrigin::Nodes,
                (_, Ok(id)) => RequestOrigin::Node(self.known_node(id, span)?),
                _ => {
                    let mistake = Mistake::new(format!("no request comes from `{from}`"), span, "unknown");
                    self.mistakes
                        .push(mistake.help("clients, nodes, or a node's id; a client is named with client="));
                    return None;
                }
            });
        }
        if let (Some(to), Some(value)) = (line.prop_int("to"), line.get("to")) {
            on.to = Some(self.known_node(to, value.span)?);
        }
        on.client_id = line.prop_text("client").map(StrBytes::from);
        on.topic = line.prop_text("topic").map(StrBytes::from);
        if line.get("of").is_some() {
            on = on.topic_partition(&self.partition_prop(line, "of")?);
        }
        let count = |name: &str| line.prop_int(name).and_then(|count| u32::try_from(count).ok());
        if let Some(nth) = count("nth") {
            on = on.nth(nth);
        }
        on.skip = count("skip").unwrap_or(on.skip);
        on.count = count("first").or(on.count);
        if on.count == Some(0) || count("nth") == Some(0) {
            self.wrong(
                "a fault that hits no request at all is no fault",
                line.span,
                "requests are counted from 1",
            );
        }
        on.chance = match line.get("chance").map(|value| &value.value) {
            Some(Value::Real(share)) => Some(Chance::millionths((share * 1e6) as u32)),
            Some(Value::Int(share)) => Some(Chance::percent(if *share > 0 { 100 } else { 0 })),
            _ => None,
        };
        let action = self.action(line)?;
        self.one(line, on.then(action).into())
    }

    fn action(&mut self, line: &Line) -> Option<RequestAction> {
        let count = |name: &str| line.prop_int(name).and_then(|count| u32::try_from(count).ok());
        let mut actions = Vec::new();
        if let Some(what) = line.prop_text("do") {
            actions.push(match what.as_str() {
                "drop" => RequestAction::Drop,
                "drop-answer" => RequestAction::DropAnswer,
                "hold" => RequestAction::Hold,
                "hold-answer" => RequestAction::HoldAnswer,
                "close-before" => RequestAction::CloseBefore,
                "close-after" => RequestAction::CloseAfter,
                _ => {
                    let mistake =
                        Mistake::new(format!("a fault cannot do `{what}`"), line.get("do")?.span, "unknown");
                    let known = ["drop", "drop-answer", "hold", "hold-answer", "close-before", "close-after"];
                    self.mistakes.push(mistake.suggest(&what, known));
                    return None;
                }
            });
        }
        actions.extend(
            line.prop_text("answer").and_then(|error| ErrorCode::from_name(&error)).map(RequestAction::Error),
        );
        actions.extend(line.prop_time("delay").map(RequestAction::Delay));
        actions.extend(line.prop_time("delay-answer").map(RequestAction::DelayAnswer));
        actions.extend(count("truncate").map(|bytes| RequestAction::Truncate { bytes }));
        actions.extend(count("corrupt").map(|byte| RequestAction::Corrupt { byte, mask: 0 }));
        actions.extend(line.prop_time("throttle").map(RequestAction::Throttle));
        if let [action] = actions[..] {
            return Some(action);
        }
        self.mistakes.push(
            Mistake::new("a fault does exactly one thing", line.span, format!("this does {}", actions.len()))
                .help("one of: do, answer, delay, delay-answer, truncate, corrupt, throttle"),
        );
        None
    }

    fn operation(&mut self, line: &Line, name: &str) -> Option<DiskOperation> {
        Some(match line.prop_text(name)?.as_str() {
            "read" => DiskOperation::Read,
            "write" => DiskOperation::Write,
            "flush" => DiskOperation::Flush,
            other => {
                let mistake =
                    Mistake::new(format!("a disk does not `{other}`"), line.get(name)?.span, "unknown");
                self.mistakes.push(mistake.suggest(other, ["read", "write", "flush"]));
                return None;
            }
        })
    }

    fn disk(&mut self, line: &Line) -> Option<Step> {
        let node = *self.nodes(line).first()?;
        let scope = match (line.get("of").is_some(), line.prop_text("path")) {
            (true, _) => DiskScope::Partition(self.partition_prop(line, "of")?),
            (false, Some(path)) => DiskScope::Path(path),
            (false, None) => DiskScope::Everything,
        };
        let count = |name: &str| line.prop_int(name).and_then(|count| u64::try_from(count).ok());
        let mut faults = Vec::new();
        if line.prop_flag("full") == Some(true) {
            faults.push(DiskFault::Full {
                scope: scope.clone(),
                after_bytes: count("after-bytes").unwrap_or(0),
            });
        }
        if line.get("error").is_some() {
            let on = self.operation(line, "error")?;
            let times = count("times").and_then(|times| u32::try_from(times).ok());
            faults.push(DiskFault::Error { scope: scope.clone(), on, times });
        }
        if let Some(by) = line.prop_time("slow") {
            let on =
                if line.get("on").is_some() { self.operation(line, "on")? } else { DiskOperation::Write };
            faults.push(DiskFault::Slow { scope: scope.clone(), on, by });
        }
        if line.prop_flag("lost") == Some(true) {
            faults.push(DiskFault::LostDirectory { scope });
        }
        if let Some(offset) = line.prop_int("rot") {
            let partition = self.partition_prop(line, "of")?;
            let byte = count("byte").and_then(|byte| u32::try_from(byte).ok()).unwrap_or(61);
            let mask = count("mask").and_then(|mask| u8::try_from(mask).ok()).unwrap_or(0);
            faults.push(DiskFault::BitRot { place: Place::Batch { partition, offset, byte }, mask });
        }
        if faults.len() != 1 {
            self.mistakes.push(
                Mistake::new(
                    "a disk's fault is exactly one thing",
                    line.span,
                    format!("this is {}", faults.len()),
                )
                .help("one of: full=#true, error=write, slow=2s, lost=#true, rot=5"),
            );
            return None;
        }
        let fault = faults.pop()?;
        self.one(line, Fault::Disk { node, fault })
    }

    fn set_isr(&mut self, line: &Line) -> Option<Step> {
        let partition: TopicPartition = self.partition_at(line, 0)?;
        let arg = line.args.get(1)?;
        let ids = crate::syntax::shape::nodes(&line.text(1)).unwrap_or_default();
        let mut isr = Vec::new();
        for id in ids {
            isr.push(self.known_broker(id.into(), arg.span)?);
        }
        if isr.is_empty() {
            self.wrong("an ISR has a member at least", arg.span, "the leader is always in it");
        }
        self.one(line, ClusterFault::SetIsr { partition, isr }.into())
    }

    fn breakpoint(&mut self, line: &Line) -> Option<Step> {
        let (name, point) = (line.text(0), line.text(1));
        let Ok(at) = point.parse::<PausePoint>() else {
            let mistake =
                Mistake::new(format!("there is no point `{point}`"), line.args.get(1)?.span, "unknown point");
            self.mistakes.push(mistake.suggest(&point, PausePoint::ALL.iter().map(|point| point.name())));
            return None;
        };
        let mut breakpoint = Breakpoint::at(at);
        if let (Some(id), Some(value)) = (line.prop_int("node"), line.get("node")) {
            breakpoint = breakpoint.node(self.known_node(id, value.span)?);
        }
        if line.get("of").is_some() {
            breakpoint = breakpoint.partition(self.partition_prop(line, "of")?);
        }
        match line.prop_int("nth").map(u32::try_from) {
            None => {}
            Some(Ok(nth)) if nth > 0 => breakpoint = breakpoint.nth(nth),
            Some(_) => self.wrong("arrivals are counted from 1", line.span, "`nth` is too small"),
        }
        self.name_fault(&name, line.args.first()?.span);
        let may_not_fire = line.prop_flag("may-not-fire").unwrap_or(false);
        Some(Step::Inject(vec![Inject { name: Some(name), fault: breakpoint.into(), may_not_fire }]))
    }
}

fn fate(line: &Line) -> Fate {
    if line.prop_flag("lost").unwrap_or(false) { Fate::Lost } else { Fate::Held }
}

const fn node_of(fault: &Fault) -> Option<NodeId> {
    match fault {
        Fault::Node { node, .. } => Some(*node),
        _ => None,
    }
}
