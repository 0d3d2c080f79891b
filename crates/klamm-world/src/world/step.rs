//! A step of a node: what comes in at its door, and what it asks for.

use std::time::Duration;

use klamm_log::disk::FlushOutcome;
use klamm_node::{CallId, Ctx, Effect, EventId, Incoming, NodeId, Origin, ReplyTo, SendError, TraceKind};
use klamm_wire::api::api_of;
use klamm_wire::{Request, Response};

use super::{End, Event, World};
use crate::fault::Messages;
use crate::input::{Damage, Output};
use crate::network::{Body, Message};
use crate::node::Node;
use crate::tap::Traffic;

impl World {
    /// A request is at a node's door, where faults may hit it.
    pub(super) fn reach(&mut self, node: NodeId, incoming: Incoming, out: &mut Vec<Output>) {
        if self.faults.requests.is_empty() {
            self.enter(node, incoming, out);
        } else if let Some(incoming) = self.strike_request(node, Box::new(incoming), out) {
            self.enter(node, *incoming, out);
        }
    }

    pub(super) fn enter(&mut self, node: NodeId, mut incoming: Incoming, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(node) else { return };
        if self.slots[slot].door.is_shut(self.now) {
            self.slots[slot].note_arrival(self.now, &mut incoming, self.trace.effect());
            let incarnation = self.slots[slot].incarnation;
            let event = Event::Enter { node, incarnation, incoming: Box::new(incoming) };
            self.slots[slot].door.wait(event, self.trace.effect());
            return;
        }
        let step = || match &incoming.origin {
            Origin::Client { .. } => format!("{} from a client to node {node}", name(&incoming.request)),
            Origin::Node(from) => format!("{} from node {from} to node {node}", name(&incoming.request)),
        };
        if !self.take_step(out, step) {
            return;
        }
        self.listen(node, incoming.reply_to, || Traffic::Request {
            api_version: incoming.api_version,
            request: incoming.request.clone(),
        });
        self.step(slot, out, |node, ctx| node.on_request(ctx, incoming));
    }

    /// Lets in one who waited at a node's door, if one can.
    pub(super) fn admit_one(&mut self, out: &mut Vec<Output>) -> bool {
        for slot in 0..self.slots.len() {
            if let Some((event, cause)) = self.slots[slot].admit(self.now) {
                self.trace.begin(cause);
                self.schedule.follow(cause);
                self.happen(event, out);
                self.slots[slot].door.admitted();
                return true;
            }
        }
        false
    }

    pub(super) fn arrive(&mut self, message: Message, out: &mut Vec<Output>) {
        let Message { from, to, body } = message;
        match body {
            Body::Request { call, incarnation, api_version, client_id, request } => {
                let slot = self.slot(to).filter(|slot| {
                    let slot = &self.slots[*slot];
                    slot.node.is_some() && incarnation.is_none_or(|sent_to| sent_to == slot.incarnation)
                });
                if slot.is_none() {
                    self.send(to, from, Body::Failure { call, error: SendError::Disconnected });
                    return;
                }
                let incoming = Incoming {
                    reply_to: ReplyTo::Node { node: from, call },
                    origin: Origin::Node(from),
                    api_version,
                    client_id,
                    request: *request,
                    inspected: None,
                    arrived: None,
                };
                self.reach(to, incoming, out);
            }
            body @ (Body::Response { .. } | Body::Failure { .. }) if self.is_shut(to) => {
                if let Some(slot) = self.slot(to) {
                    self.slots[slot]
                        .door
                        .wait(Event::Arrival(Message { from, to, body }), self.trace.effect());
                }
            }
            Body::Response { call, response } => self.respond_to(to, call, Ok(response), out),
            Body::Failure { call, error } => self.respond_to(to, call, Err(error), out),
        }
    }

    /// Ends a call with its result, if it has not ended (timed out, or died with its caller's process).
    pub(super) fn respond_to(
        &mut self,
        caller: NodeId,
        call: CallId,
        result: Result<Response, SendError>,
        out: &mut Vec<Output>,
    ) {
        if let Some(slot) = self.slot(caller)
            && self.slots[slot].calls.close(call)
        {
            self.respond(slot, call, result, out);
        }
    }

    pub(super) fn respond(
        &mut self,
        slot: usize,
        call: CallId,
        result: Result<Response, SendError>,
        out: &mut Vec<Output>,
    ) {
        let caller = self.slots[slot].id;
        if self.take_step(out, || format!("a response to node {caller}")) {
            self.step(slot, out, |node, ctx| node.on_response(ctx, call, result));
        }
    }

    /// Runs one step of a node, then does what it asked for.
    pub(crate) fn step(
        &mut self,
        slot: usize,
        out: &mut Vec<Output>,
        step: impl FnOnce(&mut Node, &mut Ctx<'_>),
    ) {
        let mut effects = std::mem::take(&mut self.effects);
        self.stepped = Some(self.slots[slot].id);
        self.slots[slot].step(self.now, &mut self.trace, &mut effects, step);
        let (turns, last) = (self.trace.take_turns(), self.trace.effect());
        self.schedule.follow(last);
        if self.faults.doors
            && let Some(done) = self.slow_down(slot)
        {
            let (node, incarnation) = (self.slots[slot].id, self.slots[slot].incarnation);
            for (mut effects, cause) in parts(&mut effects, turns, last) {
                self.schedule.follow(cause);
                let effects = std::mem::take(&mut effects);
                self.schedule.push(self.now, done, Event::Effects { node, incarnation, effects });
            }
        } else if turns.is_empty() {
            self.perform(slot, &mut effects, out);
        } else {
            for (mut effects, cause) in parts(&mut effects, turns, last) {
                self.schedule.follow(cause);
                self.perform(slot, &mut effects, out);
            }
        }
        self.effects = effects;
    }

    pub(super) fn is_shut(&self, node: NodeId) -> bool {
        self.slot(node).is_some_and(|slot| self.slots[slot].door.is_shut(self.now))
    }

    /// Puts off a request over a connection that was told to keep quiet; gives back everything else.
    fn send_later(&mut self, slot: usize, effect: Effect) -> Option<Effect> {
        let (node, incarnation) = (self.slots[slot].id, self.slots[slot].incarnation);
        let until = match &effect {
            Effect::Send { to, request, .. } => {
                self.faults.quiet.until(node, *to, || api_of(request).key, self.now)
            }
            _ => None,
        };
        let Some(until) = until else { return Some(effect) };
        self.schedule.push(self.now, until, Event::Effects { node, incarnation, effects: vec![effect] });
        None
    }

    pub(super) fn perform(&mut self, slot: usize, effects: &mut Vec<Effect>, out: &mut Vec<Output>) {
        let node = self.slots[slot].id;
        for effect in effects.drain(..) {
            let Some(effect) = self.send_later(slot, effect) else { continue };
            self.listen_to_effect(node, &effect);
            match effect {
                Effect::Send { to, call, api_version, request, timeout_ms, client_id } => {
                    let times_out = self.now + Duration::from_millis(u64::from(timeout_ms));
                    self.slots[slot].calls.open(call, to, times_out, self.schedule.cause());
                    let incarnation = self.slot(to).and_then(|to| {
                        let to = &self.slots[to];
                        to.node.is_some().then_some(to.incarnation)
                    });
                    let body = Body::Request { call, incarnation, api_version, client_id, request };
                    self.send(node, to, body);
                }
                Effect::Reply { to, response } if !self.faults.hit_answers() => {
                    self.answer(node, to, response, None, out);
                }
                Effect::Reply { to, response } => {
                    if let Some(response) = self.strike_answer(node, to, response, out) {
                        self.answer(node, to, response, None, out);
                    }
                }
                Effect::Throttle { to, by } => self.mute(to, by),
                Effect::NoReply { to } => {
                    if !self.faults.answers.is_empty() && self.strike_no_answer(to) {
                        self.close_reply(node, to, out);
                    } else if let ReplyTo::Client { connection, ordinal } = to {
                        self.finish(connection, ordinal, None, None, out);
                    }
                }
                Effect::Close { to } => {
                    self.faults.answers.remove(&to);
                    self.close_reply(node, to, out);
                }
                Effect::Reached { fault, at, partition } => self.reached(node, fault, at, &partition),
                Effect::Halt => self.end(node, End::Shutdown, out),
            }
        }
    }

    pub(super) fn on_flushed(&mut self, node: NodeId, outcome: FlushOutcome, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(node) else { return };
        if self.slots[slot].door.is_shut(self.now) {
            self.slots[slot].door.wait(Event::Flushed { node, outcome }, self.trace.effect());
        } else {
            self.step(slot, out, |node, ctx| node.on_flushed(ctx, &outcome));
        }
    }

    /// Sends an answer to whom it is for. Only a client outside can be sent a damaged one.
    pub(crate) fn answer(
        &mut self,
        node: NodeId,
        to: ReplyTo,
        response: Response,
        damage: Option<Damage>,
        out: &mut Vec<Output>,
    ) {
        match to {
            ReplyTo::Node { node: caller, call } => {
                self.send(node, caller, Body::Response { call, response })
            }
            ReplyTo::Client { connection, ordinal } => {
                self.finish(connection, ordinal, Some(response), damage, out);
            }
        }
    }

    /// Closes the connection that a request came over.
    pub(crate) fn close_reply(&mut self, node: NodeId, to: ReplyTo, out: &mut Vec<Output>) {
        match to {
            ReplyTo::Node { node: caller, call } => {
                self.send(node, caller, Body::Failure { call, error: SendError::Disconnected });
            }
            ReplyTo::Client { connection, ordinal } => {
                if self.connections.get(connection).is_some_and(|open| open.end(ordinal).is_some()) {
                    self.connections.close(connection);
                    self.emit(node, Output::Close { connection }, out);
                }
            }
        }
    }

    pub(super) fn send(&mut self, from: NodeId, to: NodeId, body: Body) {
        let kind = if matches!(body, Body::Request { .. }) { Messages::Requests } else { Messages::Answers };
        self.depart(from, to, kind, Event::Arrival(Message { from, to, body }));
    }

    /// Sends a message on its way.
    pub(super) fn depart(&mut self, from: NodeId, to: NodeId, kind: Messages, event: Event) {
        if self.faults.network.is_armed() {
            self.travel(from, to, kind, event);
            return;
        }
        let at = self.network.arrival(self.now, from, to);
        self.schedule.push(self.now, at, event);
    }

    /// Counts a step; false when the budget is used up, which stops the world.
    pub(super) fn take_step(&mut self, out: &mut Vec<Output>, name: impl FnOnce() -> String) -> bool {
        match self.budget.take(self.now, name) {
            Ok(()) => true,
            Err(stall) => {
                self.schedule.clear();
                self.trace.record(self.now, None, TraceKind::Stalled { cause: stall.to_string() });
                self.stall = Some(stall.clone());
                out.push(Output::Stalled(stall));
                false
            }
        }
    }
}

/// What a step asked for, in parts that each follow from something else: up to each of `turns`, and what came after the last.
fn parts(
    effects: &mut Vec<Effect>,
    turns: Vec<(usize, Option<EventId>)>,
    last: Option<EventId>,
) -> Vec<(Vec<Effect>, Option<EventId>)> {
    let mut done = 0;
    let mut parts = Vec::with_capacity(turns.len() + 1);
    for (end, cause) in turns {
        // A controller may have kept what it asked for to itself, for later.
        let count = end.saturating_sub(done).min(effects.len());
        parts.push((effects.drain(..count).collect(), cause));
        done += count;
    }
    parts.push((std::mem::take(effects), last));
    parts
}

/// A request's kind, for a person.
fn name(request: &Request) -> &'static str {
    api_of(request).name
}
