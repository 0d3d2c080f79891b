//! A classic group: every member of a stable group has to join again because one more came.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ApiKey, DescribeGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    RequestKind, ResponseKind, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use klamm_wire::ErrorCode;

use super::{Kind, READY, RETRY, find, text, until};
use crate::wire::{Connection, Prepared};

const JOIN: i16 = 5;
const SYNC: i16 = 3;
const HEARTBEAT: i16 = 3;
const GROUP: &str = "bench-classic";

/// Makes a group of `size` members stable, lets one more join, and returns how long it takes until all of them have what the
/// leader assigns. Nobody waits for a heartbeat interval: members ask as soon as they can.
pub(crate) fn rebalance(bootstrap: &str, topic: &str, size: usize) -> Result<Duration> {
    let coordinator = find(bootstrap, GROUP, Kind::Group)?;
    let mut members: Vec<Member> =
        (0..size).map(|_| Member::new(&coordinator, topic)).collect::<Result<_>>()?;
    settle(&coordinator, &mut members)?;
    // Not before: a group waits for everybody who has an id and has not joined.
    let newcomer = Member::new(&coordinator, topic)?;

    let start = Instant::now();
    members.push(newcomer);
    let (newcomer, others) = members.split_last_mut().context("a group without members")?;
    newcomer.ask_to_join()?;
    wait_for_rebalance(others)?;
    for member in others {
        member.ask_to_join()?;
    }
    finish(&mut members)?;
    Ok(start.elapsed())
}

struct Member {
    connection: Connection,
    id: StrBytes,
    generation: i32,
    subscription: Bytes,
    asked: Option<Prepared>,
}

impl Member {
    /// Connects, and fetches its member id (KIP-394).
    fn new(coordinator: &str, topic: &str) -> Result<Self> {
        let mut subscription = BytesMut::new();
        subscription.put_i16(0);
        subscription.put_i32(1);
        subscription.put_i16(i16::try_from(topic.len())?);
        subscription.put_slice(topic.as_bytes());
        subscription.put_i32(-1);
        let mut member = Self {
            connection: Connection::small(coordinator)?,
            id: StrBytes::default(),
            generation: -1,
            subscription: subscription.freeze(),
            asked: None,
        };
        let required = Some(ErrorCode::MemberIdRequired);
        member.id = until(|| {
            member.ask_to_join()?;
            let joined = member.joined()?;
            Ok(if ErrorCode::from_code(joined.error_code) == required {
                Ok(joined.member_id)
            } else {
                Err(joined.error_code)
            })
        })?;
        Ok(member)
    }

    fn ask(&mut self, api: ApiKey, version: i16, request: &RequestKind) -> Result<()> {
        let request = Prepared::new(api, version, request)?;
        self.connection.send(&[&request])?;
        self.asked = Some(request);
        Ok(())
    }

    fn answer(&mut self) -> Result<ResponseKind> {
        let asked = self.asked.take().context("nothing was asked")?;
        self.connection.receive_for(&asked)
    }

    fn ask_to_join(&mut self) -> Result<()> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(self.subscription.clone());
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(GROUP)))
            .with_session_timeout_ms(45_000)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(self.id.clone())
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        self.ask(ApiKey::JoinGroup, JOIN, &RequestKind::JoinGroup(request))
    }

    fn joined(&mut self) -> Result<JoinGroupResponse> {
        match self.answer()? {
            ResponseKind::JoinGroup(response) => Ok(response),
            other => bail!("asked to join, got {other:?}"),
        }
    }
}

/// Makes a stable group: the first member's join opens it, and it joins again once all others are waiting for it.
fn settle(coordinator: &str, members: &mut [Member]) -> Result<()> {
    let size = members.len();
    let (first, others) = members.split_first_mut().context("a group without members")?;
    first.ask_to_join()?;
    let opened = first.joined()?;
    ensure!(opened.error_code == 0, "the first join failed with error {}", opened.error_code);
    for member in others {
        member.ask_to_join()?;
    }
    wait_for_members(coordinator, size)?;
    first.ask_to_join()?;
    finish(members)
}

/// Waits until the coordinator knows that many members.
fn wait_for_members(coordinator: &str, size: usize) -> Result<()> {
    let mut connection = Connection::open(coordinator)?;
    let request =
        RequestKind::DescribeGroups(DescribeGroupsRequest::default().with_groups(vec![GroupId(text(GROUP))]));
    let deadline = Instant::now() + READY;
    while Instant::now() < deadline {
        let ResponseKind::DescribeGroups(response) = connection.call(ApiKey::DescribeGroups, 4, &request)?
        else {
            bail!("not the answer to DescribeGroups")
        };
        if response.groups.first().is_some_and(|group| group.members.len() == size) {
            return Ok(());
        }
        std::thread::sleep(RETRY);
    }
    bail!("the group did not reach {size} members")
}

/// Takes the answers to all joins, and syncs.
fn finish(members: &mut [Member]) -> Result<()> {
    let mut leader = None;
    let size = members.len();
    for (i, member) in members.iter_mut().enumerate() {
        let joined = member.joined()?;
        ensure!(joined.error_code == 0, "a join failed with error {}", joined.error_code);
        member.generation = joined.generation_id;
        if !joined.members.is_empty() {
            ensure!(joined.members.len() == size, "{} of {size} members are in it", joined.members.len());
            leader = Some(i);
        }
    }
    sync(members, leader.context("a group without a leader")?)
}

fn sync(members: &mut [Member], leader: usize) -> Result<()> {
    let mut assignments: Vec<SyncGroupRequestAssignment> = members
        .iter()
        .map(|m| {
            let assignment = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
            SyncGroupRequestAssignment::default().with_member_id(m.id.clone()).with_assignment(assignment)
        })
        .collect();
    for (i, member) in members.iter_mut().enumerate() {
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(text(GROUP)))
            .with_generation_id(member.generation)
            .with_member_id(member.id.clone())
            .with_assignments(if i == leader { std::mem::take(&mut assignments) } else { Vec::new() });
        member.ask(ApiKey::SyncGroup, SYNC, &RequestKind::SyncGroup(request))?;
    }
    for member in members {
        match member.answer()? {
            ResponseKind::SyncGroup(r) => {
                ensure!(r.error_code == 0, "a sync failed with error {}", r.error_code)
            }
            other => bail!("asked to sync, got {other:?}"),
        }
    }
    Ok(())
}

/// Every member asks until it hears that the group rebalances.
fn wait_for_rebalance(members: &mut [Member]) -> Result<()> {
    for member in &mut *members {
        loop {
            let request = HeartbeatRequest::default()
                .with_group_id(GroupId(text(GROUP)))
                .with_generation_id(member.generation)
                .with_member_id(member.id.clone());
            member.ask(ApiKey::Heartbeat, HEARTBEAT, &RequestKind::Heartbeat(request))?;
            let ResponseKind::Heartbeat(response) = member.answer()? else {
                bail!("not a heartbeat's answer")
            };
            match ErrorCode::from_code(response.error_code) {
                Some(ErrorCode::RebalanceInProgress) => break,
                Some(ErrorCode::None) => {}
                other => bail!("a heartbeat failed: {other:?}"),
            }
        }
    }
    Ok(())
}
