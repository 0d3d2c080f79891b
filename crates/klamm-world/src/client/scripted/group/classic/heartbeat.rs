//! Staying in the group: heartbeats, and the time between polls (`Heartbeat`, `HeartbeatThread`).

use klamm_node::Timestamp;
use klamm_wire::messages::{HeartbeatRequest, ResponseKind};
use klamm_wire::{ApiKey, ErrorCode, Request, Response};

use super::{Classic, MemberState};
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::scripted::group::group_id;
use crate::client::{Answer, ClientCtx};

const VERSION: i16 = 4;

/// When the next heartbeat is due, and what runs out without one.
#[derive(Debug, Clone, Default)]
pub(super) struct Heartbeat {
    next_at: Timestamp,
    asked: Option<(i32, i32)>,
    failures: u32,
    session_until: Timestamp,
    pub(super) poll_until: Timestamp,
}

impl Classic {
    /// A generation was joined: all clocks start anew.
    pub(super) fn reset_heartbeat(&mut self, now: Timestamp) {
        self.heartbeat = Heartbeat {
            next_at: now + self.settings.heartbeat_interval,
            asked: None,
            failures: 0,
            session_until: now + self.settings.session_timeout,
            poll_until: now + self.settings.max_poll_interval,
        };
    }

    /// The application polls.
    pub(in super::super) fn polled(&mut self, now: Timestamp) {
        self.heartbeat.poll_until = now + self.settings.max_poll_interval;
    }

    /// Sends a heartbeat when one is due.
    pub(super) fn go_on_heartbeat(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        if !matches!(self.state, MemberState::CompletingRebalance | MemberState::Stable) {
            return;
        }
        if self.heartbeat.session_until <= ctx.now {
            // Perhaps the coordinator is another by now.
            self.coordinator.forget();
            self.heartbeat.session_until = ctx.now + self.settings.session_timeout;
        }
        if self.heartbeat.poll_until <= ctx.now {
            self.leave(ctx, base, "the time between two polls was longer than max.poll.interval.ms");
            self.rejoin();
            return;
        }
        if self.heartbeat.asked.is_some() || self.heartbeat.next_at > ctx.now {
            return;
        }
        let Some(to) = self.coordinator.ready(ctx, base) else { return };
        let request = HeartbeatRequest::default()
            .with_group_id(group_id(&self.settings))
            .with_generation_id(self.generation.id)
            .with_member_id(self.generation.member_id.clone());
        let instance = self.settings.instance_id.clone();
        let call = base.ask(ctx, to, ApiKey::Heartbeat, VERSION, |version| {
            Request::Heartbeat(if version >= 3 { request.with_group_instance_id(instance) } else { request })
        });
        self.heartbeat.asked = Some((call, self.generation.id));
        self.heartbeat.next_at = ctx.now + self.settings.heartbeat_interval;
    }

    /// Takes an answer to a heartbeat; false when it is another's.
    pub(super) fn on_heartbeat(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &Base,
        correlation_id: i32,
        answer: &Answer,
    ) -> bool {
        let Some((call, generation)) = self.heartbeat.asked.filter(|(call, _)| *call == correlation_id)
        else {
            return false;
        };
        debug_assert_eq!(call, correlation_id);
        self.heartbeat.asked = None;
        let unchanged = generation == self.generation.id;
        let error = error(answer);
        let beaten = match error {
            Some(ErrorCode::None) => true,
            Some(ErrorCode::RebalanceInProgress) => {
                if self.state == MemberState::Stable {
                    self.request_rejoin();
                }
                true
            }
            Some(error @ (ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId)) => {
                if unchanged {
                    self.reset_generation(error != ErrorCode::IllegalGeneration);
                    self.rejoin();
                }
                !unchanged
            }
            Some(ErrorCode::FencedInstanceId) if unchanged => {
                self.fail(ClientError::Broker(ErrorCode::FencedInstanceId));
                false
            }
            Some(ErrorCode::FencedInstanceId) => true,
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) | None => {
                self.coordinator.forget();
                false
            }
            Some(error) => {
                self.fail(ClientError::Broker(error));
                false
            }
        };
        if beaten {
            self.heartbeat.failures = 0;
            self.heartbeat.session_until = ctx.now + self.settings.session_timeout;
        } else {
            self.heartbeat.next_at = ctx.now + base.backoff.wait(ctx.rng, self.heartbeat.failures);
            self.heartbeat.failures += 1;
        }
        true
    }

    pub(super) fn heartbeat_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let beats = matches!(self.state, MemberState::CompletingRebalance | MemberState::Stable);
        let Heartbeat { next_at, session_until, poll_until, .. } = self.heartbeat;
        [next_at, session_until, poll_until].into_iter().filter(move |_| beats)
    }
}

fn error(answer: &Answer) -> Option<ErrorCode> {
    let Answer::Response(Response::Other(response)) = answer else { return None };
    let ResponseKind::Heartbeat(response) = &**response else { return None };
    ErrorCode::from_code(response.error_code)
}
