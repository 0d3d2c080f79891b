//! Faults of requests and their answers.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use klamm_node::{Incoming, NodeId, Origin, ReplyTo, Rng, TopicPartition};
use klamm_wire::api::api_of;
use klamm_wire::error_response::error_response;
use klamm_wire::subject::{TopicRef, is_about};
use klamm_wire::throttle::set_throttle_time;
use klamm_wire::{ApiKey, FetchResponse, Request, Response};

use crate::client;
use crate::fault::{FaultId, RequestAction, RequestMatch, RequestOrigin};
use crate::input::{Damage, Output};
use crate::world::{Event, World};

/// A fault that is armed, and what it has seen.
#[derive(Debug, Clone)]
pub(crate) struct RequestRule {
    pub(crate) id: FaultId,
    on: RequestMatch,
    only: Only,
    action: RequestAction,
    /// How many requests fitted.
    seen: u32,
    /// How many of them were hit.
    hits: u32,
    rng: Rng,
    held: VecDeque<Held>,
}

/// What a match cannot say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Only {
    /// Nothing more.
    All,
    /// Fetches of brokers from brokers.
    ReplicaFetches,
    /// Answers with records to fetches of brokers from brokers, also such as wait already.
    ReplicaFetchAnswers,
    /// Answers with records to fetches of controllers from controllers, also such as wait already.
    QuorumFetchAnswers,
}

impl Only {
    /// Whether answers are looked at, not requests.
    pub(crate) const fn is_of_answers(self) -> bool {
        matches!(self, Self::ReplicaFetchAnswers | Self::QuorumFetchAnswers)
    }
}

/// What a rule holds until it is healed.
#[derive(Debug, Clone)]
enum Held {
    Request { node: NodeId, incarnation: u32, incoming: Box<Incoming> },
    Answer { node: NodeId, to: ReplyTo, response: Response },
}

/// What will happen to the answer of a request that was let through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struck {
    id: FaultId,
    action: RequestAction,
    api: ApiKey,
    /// The node that answers.
    node: NodeId,
}

impl RequestRule {
    pub(crate) fn new(seed: u64, id: FaultId, on: RequestMatch, only: Only, action: RequestAction) -> Self {
        let rng = Rng::stream(seed, &format!("fault {}", id.0));
        Self { id, on, only, action, seen: 0, hits: 0, rng, held: VecDeque::new() }
    }

    /// How many requests and answers it holds.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Counts a request that fits; whether it is hit.
    fn hits(&mut self) -> bool {
        self.seen = self.seen.saturating_add(1);
        if self.seen <= self.on.skip {
            return false;
        }
        let drawn =
            self.on.chance.is_none_or(|chance| self.rng.below(1_000_000) < u64::from(chance.as_millionths()));
        self.hits += u32::from(drawn);
        drawn
    }

    fn is_used_up(&self) -> bool {
        self.on.count.is_some_and(|count| self.hits >= count)
    }

    /// Whether it holds what it hits: it is over only when healed.
    const fn holds(&self) -> bool {
        matches!(self.action, RequestAction::Hold | RequestAction::HoldAnswer)
    }
}

impl World {
    /// Arms a fault of requests.
    pub(crate) fn arm_request(&mut self, id: FaultId, on: RequestMatch, only: Only, action: RequestAction) {
        let rule = RequestRule::new(self.settings.seed, id, on, only, action);
        self.faults.looks_at_answers |= only.is_of_answers();
        let at = self.faults.requests.partition_point(|other| other.id < id);
        self.faults.requests.insert(at, rule);
    }

    /// Ends a fault of requests; what it held goes on its way.
    pub(crate) fn disarm_request(&mut self, id: FaultId) {
        let Some(at) = self.faults.requests.iter().position(|rule| rule.id == id) else { return };
        let rule = self.faults.requests.remove(at);
        for held in rule.held {
            let event = match held {
                Held::Request { node, incarnation, incoming } => Event::Enter { node, incarnation, incoming },
                Held::Answer { node, to, response } => Event::Answer { node, to, response },
            };
            self.schedule.push(self.now(), self.now(), event);
        }
        self.faults.answers.retain(|_, struck| struck.id != id);
    }

    /// The request of a client whose connection is gone, or of a node that is: nobody waits for what is held of it.
    pub(crate) fn forget_struck(&mut self, gone: impl Fn(NodeId, &ReplyTo) -> bool) {
        self.faults.answers.retain(|to, struck| !gone(struck.node, to));
    }

    /// What a request runs into at a node's door. It is given back if the node is to handle it.
    pub(crate) fn strike_request(
        &mut self,
        node: NodeId,
        incoming: Box<Incoming>,
        out: &mut Vec<Output>,
    ) -> Option<Box<Incoming>> {
        let api = api_of(&incoming.request).key;
        let mut rules = std::mem::take(&mut self.faults.requests);
        let mut struck = None;
        for rule in &mut rules {
            if !rule.is_used_up()
                && !rule.only.is_of_answers()
                && self.fits(rule, node, api, &incoming)
                && rule.hits()
            {
                struck = Some(Struck { id: rule.id, action: rule.action, api, node });
                break;
            }
        }
        let used_up = |rule: &RequestRule| rule.is_used_up() && !rule.holds();
        for rule in rules.iter().filter(|rule| used_up(rule)) {
            self.faults.registry.disarm(rule.id);
        }
        rules.retain(|rule| !used_up(rule));
        self.faults.requests = rules;
        let Some(struck) = struck else { return Some(incoming) };
        self.act_on_request(struck, incoming, out)
    }

    fn fits(&self, rule: &RequestRule, node: NodeId, api: ApiKey, incoming: &Incoming) -> bool {
        let RequestMatch { client_id, connection, from, to, topic, partition, .. } = &rule.on;
        if rule.on.api.is_some_and(|wanted| wanted != api)
            || to.is_some_and(|to| to != node)
            || client_id.as_ref().is_some_and(|id| incoming.client_id.as_ref() != Some(id))
        {
            return false;
        }
        let sender = match &incoming.origin {
            Origin::Client { connection: over, .. } => {
                if connection.is_some_and(|wanted| wanted != *over) {
                    return false;
                }
                None
            }
            Origin::Node(node) if connection.is_none() => Some(*node),
            Origin::Node(_) => return false,
        };
        let from_there = match from {
            None => true,
            Some(RequestOrigin::Clients) => sender.is_none(),
            Some(RequestOrigin::Nodes) => sender.is_some(),
            Some(RequestOrigin::Node(node)) => sender == Some(*node),
        };
        let is_controller = |node: NodeId| self.settings.controllers.contains(&node);
        let is_only = match rule.only {
            Only::All => true,
            Only::ReplicaFetches => !is_controller(node) && sender.is_some_and(|node| !is_controller(node)),
            Only::ReplicaFetchAnswers | Only::QuorumFetchAnswers => false,
        };
        if !from_there || !is_only {
            return false;
        }
        if topic.is_none() && partition.is_none() {
            return true;
        }
        let metadata = self.metadata();
        let mut is = |named: TopicRef<'_>, index: Option<i32>| {
            let is_topic = topic.as_ref().is_none_or(|topic| match named {
                TopicRef::Name(name) => name == topic,
                TopicRef::Id(id) => metadata.and_then(|image| image.topics.id(topic)) == Some(id),
            });
            is_topic && (index.is_none() || partition.is_none_or(|wanted| index == Some(wanted)))
        };
        is_about(&incoming.request, &mut is)
            || self.session_is_about(node, &incoming.request, topic, *partition)
    }

    /// Whether an incremental fetch, which names only what changes, is about a partition of its session.
    fn session_is_about(
        &self,
        node: NodeId,
        request: &Request,
        topic: &Option<klamm_wire::StrBytes>,
        partition: Option<i32>,
    ) -> bool {
        let Request::Fetch(fetch) = request else { return false };
        let Some(broker) = self.broker(node).filter(|_| fetch.session_id != 0 && fetch.session_epoch > 0)
        else {
            return false;
        };
        broker.fetch_session_partitions(fetch.session_id).iter().any(|of: &TopicPartition| {
            topic.as_ref().is_none_or(|topic| *topic == of.topic)
                && partition.is_none_or(|partition| partition == of.partition)
        })
    }

    fn act_on_request(
        &mut self,
        struck: Struck,
        incoming: Box<Incoming>,
        out: &mut Vec<Output>,
    ) -> Option<Box<Incoming>> {
        let Struck { id, action, api, node } = struck;
        let Some(slot) = self.slot(node) else { return Some(incoming) };
        let incarnation = self.slots[slot].incarnation;
        let to = incoming.reply_to;
        match action {
            RequestAction::DelayAnswer(_)
            | RequestAction::DropAnswer
            | RequestAction::HoldAnswer
            | RequestAction::CloseAfter
            | RequestAction::Truncate { .. }
            | RequestAction::Corrupt { .. }
            | RequestAction::Throttle(_) => {
                self.faults.answers.insert(to, struck);
                return Some(incoming);
            }
            RequestAction::Error(error) => {
                let is_answered =
                    !matches!(&incoming.request, Request::Produce(produce) if produce.acks == 0);
                let response = error_response(&incoming.request, incoming.api_version, error);
                match response.filter(|_| is_answered) {
                    Some(response) => self.answer(node, to, response, None, out),
                    // As Kafka does with an error that it cannot tell.
                    None => self.close_reply(node, to, out),
                }
            }
            RequestAction::Delay(by) => {
                let at = self.now() + by;
                self.schedule.push(self.now(), at, Event::Enter { node, incarnation, incoming });
            }
            RequestAction::Hold => self.hold(id, Held::Request { node, incarnation, incoming }),
            RequestAction::CloseBefore => self.close_reply(node, to, out),
            RequestAction::Drop => {}
        }
        self.fired(id, Some(node), || format!("{api:?} {}: {action}", sender(&to)));
        None
    }

    /// What an answer runs into on its way out. It is given back if it is to be sent as it is.
    pub(crate) fn strike_answer(
        &mut self,
        node: NodeId,
        to: ReplyTo,
        mut response: Response,
        out: &mut Vec<Output>,
    ) -> Option<Response> {
        let struck =
            self.faults.answers.remove(&to).or_else(|| self.strike_fetch_answer(node, to, &response));
        let Some(struck) = struck else { return Some(response) };
        let Struck { id, action, api, node } = struck;
        match action {
            RequestAction::DelayAnswer(by) => {
                let at = self.now() + by;
                self.schedule.push(self.now(), at, Event::Answer { node, to, response });
            }
            RequestAction::HoldAnswer => {
                self.hold(id, Held::Answer { node, to, response });
            }
            RequestAction::CloseAfter => self.close_reply(node, to, out),
            RequestAction::Truncate { bytes } => match to {
                ReplyTo::Client { connection, .. } if client::owner(connection).is_none() => {
                    self.answer(node, to, response, Some(Damage::Truncate { bytes }), out);
                }
                // A message of the simulation has no bytes: what is cut off is what breaks its connection.
                _ => self.close_reply(node, to, out),
            },
            RequestAction::Corrupt { byte, mask } => {
                let mask = if mask == 0 { 0xff } else { mask };
                match to {
                    ReplyTo::Client { connection, .. } if client::owner(connection).is_none() => {
                        self.answer(node, to, response, Some(Damage::Corrupt { byte, mask }), out);
                    }
                    _ if corrupt_records(&mut response, byte, mask) => {
                        self.answer(node, to, response, None, out);
                    }
                    _ => self.close_reply(node, to, out),
                }
            }
            RequestAction::Throttle(by) => {
                if !set_throttle_time(&mut response, i32::try_from(by.as_millis()).unwrap_or(i32::MAX)) {
                    return Some(response);
                }
                match to {
                    ReplyTo::Node { node: caller, .. } => {
                        let until = self.now() + by;
                        self.faults.quiet.begin(caller, node, api, until);
                    }
                    ReplyTo::Client { .. } => self.mute(to, by),
                }
                self.answer(node, to, response, None, out);
            }
            RequestAction::DropAnswer
            | RequestAction::Error(_)
            | RequestAction::Delay(_)
            | RequestAction::Drop
            | RequestAction::Hold
            | RequestAction::CloseBefore => {}
        }
        self.fired(id, Some(node), || format!("{api:?} {}: {action}", sender(&to)));
        None
    }

    /// Whether a fault looks at answers, and hits this one.
    fn strike_fetch_answer(&mut self, node: NodeId, to: ReplyTo, response: &Response) -> Option<Struck> {
        let (Response::Fetch(fetch), ReplyTo::Node { node: fetcher, .. }) = (response, to) else {
            return None;
        };
        let is_controller = |node: NodeId| self.settings.controllers.contains(&node);
        let only = match (is_controller(fetcher), is_controller(node)) {
            (false, false) => Only::ReplicaFetchAnswers,
            (true, true) => Only::QuorumFetchAnswers,
            _ => return None,
        };
        let mut rules = std::mem::take(&mut self.faults.requests);
        let rule =
            rules.iter_mut().find(|rule| rule.only == only && self.fits_answer(rule, node, fetcher, fetch));
        let struck = rule.and_then(|rule| rule.hits().then_some((rule.id, rule.action)));
        self.faults.requests = rules;
        struck.map(|(id, action)| Struck { id, action, api: ApiKey::Fetch, node })
    }

    fn fits_answer(&self, rule: &RequestRule, node: NodeId, fetcher: NodeId, fetch: &FetchResponse) -> bool {
        let RequestMatch { from, to, topic, partition, .. } = &rule.on;
        if to.is_some_and(|to| to != node) || from.is_some_and(|from| from != RequestOrigin::Node(fetcher)) {
            return false;
        }
        let id = topic.as_ref().and_then(|topic| self.metadata()?.topics.id(topic));
        fetch.topics.iter().any(|of| {
            topic.as_ref().is_none_or(|topic| of.topic == *topic || id == Some(of.topic_id))
                && of.partitions.iter().any(|of| {
                    !of.records.is_empty() && partition.is_none_or(|partition| partition == of.partition)
                })
        })
    }

    /// A request that has no answer is done: whether its connection is to be closed all the same.
    pub(crate) fn strike_no_answer(&mut self, to: ReplyTo) -> bool {
        let Some(struck) = self.faults.answers.remove(&to) else { return false };
        let closes = struck.action == RequestAction::CloseAfter;
        if closes {
            self.fired(struck.id, Some(struck.node), || format!("{:?}: {}", struck.api, struck.action));
        }
        closes
    }

    fn hold(&mut self, id: FaultId, held: Held) {
        if let Some(rule) = self.faults.requests.iter_mut().find(|rule| rule.id == id) {
            rule.held.push_back(held);
        }
    }
}

fn sender(to: &ReplyTo) -> String {
    match to {
        ReplyTo::Node { node, .. } => format!("from node {node}"),
        ReplyTo::Client { connection, .. } => match client::owner(*connection) {
            Some(client) => format!("from client {}", client.0),
            None => format!("over connection {}", connection.0),
        },
    }
}

/// Flips bits of the first records in a fetch's answer; false when there are none.
fn corrupt_records(response: &mut Response, byte: u32, mask: u8) -> bool {
    let Response::Fetch(FetchResponse { topics, .. }) = response else { return false };
    let mut partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    let Some(partition) = partitions.find(|partition| partition.records_len() > 0) else { return false };
    let mut at = byte as usize % partition.records_len();
    for slice in &mut partition.records {
        if at < slice.len() {
            *slice = flipped(slice, at, mask);
            return true;
        }
        at -= slice.len();
    }
    false
}

fn flipped(bytes: &Bytes, at: usize, mask: u8) -> Bytes {
    let mut copy = BytesMut::from(&bytes[..]);
    copy[at] ^= mask;
    copy.freeze()
}
