//! What every scripted client stands on: connections and metadata.

use klamm_node::{NodeId, Timestamp};
use klamm_wire::{ApiKey, Request};

use super::backoff::Backoff;
use super::channels::Channels;
use super::metadata::Metadata;
use super::settings::ClientSettings;
use crate::client::{Answer, ClientCtx};

#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) settings: ClientSettings,
    pub(super) channels: Channels,
    pub(super) metadata: Metadata,
    pub(super) backoff: Backoff,
}

impl Base {
    pub(super) fn new(settings: ClientSettings, auto_create: bool) -> Self {
        Self {
            channels: Channels::default(),
            metadata: Metadata::new(&settings, auto_create),
            backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
            settings,
        }
    }

    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        self.metadata.go_on(ctx, &mut self.channels);
    }

    /// Takes an answer to something that this asked; false when it is another's.
    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        correlation_id: i32,
        answer: &Answer,
    ) -> bool {
        self.channels.on_answer(correlation_id, answer)
            || self.metadata.on_answer(ctx, correlation_id, answer)
    }

    /// A connection broke: whatever was known of that broker may be out of date.
    pub(super) fn on_lost(&mut self, ctx: &mut ClientCtx<'_>, broker: NodeId) {
        self.channels.on_lost(ctx, broker);
        self.metadata.request_update();
    }

    /// Asks a broker in the newest version that both sides know, up to `newest`.
    pub(super) fn ask(
        &self,
        ctx: &mut ClientCtx<'_>,
        to: NodeId,
        key: ApiKey,
        newest: i16,
        request: impl FnOnce(i16) -> Request,
    ) -> i32 {
        let version = self.channels.version(to, key, newest);
        ctx.ask_within(to, key, version, request(version), self.settings.request_timeout)
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        self.channels.next_deadlines().chain(self.metadata.next_deadline())
    }
}
