//! Lines about requests and their answers.

use klamm_wire::api::APIS;
use klamm_wire::{ErrorCode, StrBytes};
use klamm_world::fault::{Chance, RequestAction, RequestMatch, RequestOrigin};

use crate::error::Mistake;
use crate::line::{Line, Value};
use crate::plan::Planner;
use crate::plan::read::Read;
use crate::step::Step;

impl Planner<'_> {
    pub(super) fn request_fault(&mut self, line: &Line) -> Option<Step> {
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
        if let (Some(RequestOrigin::Node(from)), Some(to), Some(value)) = (on.from, on.to, line.get("to"))
            && from == to
        {
            self.wrong(format!("node {from} asks itself nothing"), value.span, "no request is hit");
        }
        on.topic = line.prop_text("topic").map(StrBytes::from);
        if let (Some(topic), Some(value)) = (line.prop_text("topic"), line.get("topic")) {
            self.ever_topic(&topic, value.span);
        }
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
}
