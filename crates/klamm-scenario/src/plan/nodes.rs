//! Node ids in a line, which must be nodes of the cluster.

use klamm_node::NodeId;

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::line::{Line, Span, Value};

impl Planner<'_> {
    pub(super) fn broker(&mut self, line: &Line, at: usize) -> Option<NodeId> {
        let arg = line.args.get(at)?;
        let Value::Int(id) = arg.value else { return None };
        self.known_broker(id, arg.span)
    }

    pub(super) fn known_broker(&mut self, id: i64, span: Span) -> Option<NodeId> {
        let node = i32::try_from(id).ok().map(NodeId).filter(|node| self.names.brokers.contains(node));
        if node.is_none() {
            let brokers = self.names.brokers.len();
            let message = format!("there is no broker {id}");
            self.mistakes.push(
                Mistake::new(message, span, "unknown broker").help(format!("the brokers are 1 to {brokers}")),
            );
        }
        node
    }

    pub(super) fn known_node(&mut self, id: i64, span: Span) -> Option<NodeId> {
        let node = i32::try_from(id).ok().map(NodeId);
        let node =
            node.filter(|node| self.names.brokers.contains(node) || self.names.controllers.contains(node));
        if node.is_none() {
            let (brokers, controllers) = (self.names.brokers.len(), self.names.controllers.len());
            let help = match controllers {
                1 => format!("the brokers are 1 to {brokers}, the controller is 100"),
                _ => format!("the brokers are 1 to {brokers}, the controllers 100 to {}", 99 + controllers),
            };
            self.mistakes
                .push(Mistake::new(format!("there is no node {id}"), span, "unknown node").help(help));
        }
        node
    }

    pub(super) fn broker_prop(&mut self, line: &Line, name: &str) -> Option<NodeId> {
        let (id, span) = (line.prop_int(name)?, line.get(name)?.span);
        self.known_broker(id, span)
    }

    /// Known nodes in the arguments.
    pub(super) fn nodes(&mut self, line: &Line) -> Vec<NodeId> {
        let ids = line.args.iter().filter_map(|arg| match arg.value {
            Value::Int(id) => Some((id, arg.span)),
            _ => None,
        });
        let ids: Vec<_> = ids.collect();
        ids.into_iter().filter_map(|(id, span)| self.known_node(id, span)).collect()
    }

    /// Known brokers in the arguments.
    pub(super) fn brokers(&mut self, line: &Line) -> Vec<NodeId> {
        let ids = line.args.iter().filter_map(|arg| match arg.value {
            Value::Int(id) => Some((id, arg.span)),
            _ => None,
        });
        let ids: Vec<_> = ids.collect();
        ids.into_iter().filter_map(|(id, span)| self.known_broker(id, span)).collect()
    }

    /// Known brokers in a property: `"1,2,3"`, `2` or `none`.
    pub(super) fn brokers_prop(&mut self, line: &Line, name: &str) -> Option<Vec<NodeId>> {
        let value = line.get(name)?;
        let ids = match &value.value {
            Value::Int(id) => vec![*id],
            Value::Text(text) => crate::syntax::shape::nodes(text)?.into_iter().map(i64::from).collect(),
            _ => return None,
        };
        let span = value.span;
        let twice = ids.iter().enumerate().find(|(at, id)| ids[..*at].contains(id));
        if let Some((_, id)) = twice {
            self.wrong(format!("broker {id} is named twice"), span, "once is enough");
        }
        Some(ids.into_iter().filter_map(|id| self.known_broker(id, span)).collect())
    }
}
