//! A group of the consumer protocol (KIP-848): one more member comes, and heartbeats carry partitions to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, RequestKind,
    ResponseKind, TopicName,
};
use klamm_wire::Uuid;

use super::{Kind, find, text, until};
use crate::wire::{Connection, Prepared};

/// Members choose their own ids from this version on.
const VERSION: i16 = 1;
const GROUP: &str = "bench-consumer-protocol";
const STABLE: Duration = Duration::from_secs(120);
/// How long a stable group rests before the newcomer comes: longer than `group.consumer.assignment.interval.ms` (a second), for which a
/// coordinator computes no further assignment after one. What is left of it is not what is measured.
const REST: Duration = Duration::from_millis(1_500);

/// Makes a group of `size` members stable over a topic of `partitions` partitions, lets one more join, and returns how long it takes
/// until each partition is with one member and all members are in one epoch. Nobody waits for a heartbeat interval.
pub(crate) fn rebalance(bootstrap: &str, topic: &str, partitions: usize, size: usize) -> Result<Duration> {
    let coordinator = find(bootstrap, GROUP, Kind::Group)?;
    let mut members: Vec<Member> = (0..=size).map(|i| Member::new(&coordinator, i)).collect::<Result<_>>()?;
    let newcomer = members.pop().context("a group without members")?;
    for member in &mut members {
        member.join(topic)?;
    }
    settle(&mut members, partitions)?;
    std::thread::sleep(REST);

    let start = Instant::now();
    members.push(newcomer);
    members.last_mut().context("a group without members")?.join(topic)?;
    settle(&mut members, partitions)?;
    Ok(start.elapsed())
}

/// Rounds of heartbeats, in each of which every member does what the last one told it, until nothing is left to do.
fn settle(members: &mut [Member], partitions: usize) -> Result<()> {
    let deadline = Instant::now() + STABLE;
    loop {
        for member in &mut *members {
            member.ask()?;
        }
        for member in &mut *members {
            member.answer()?;
        }
        let newest = members.iter().map(|m| m.epoch).max();
        let owned: usize = members.iter().map(Member::owned).sum();
        if owned == partitions && members.iter().all(|m| Some(m.epoch) == newest && m.owned() > 0) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the group is not stable: {owned} of {partitions} partitions are assigned");
        }
    }
}

struct Member {
    connection: Connection,
    id: String,
    epoch: i32,
    assigned: BTreeMap<Uuid, Vec<i32>>,
    /// Whether the coordinator is still to be told what is owned.
    changed: bool,
    asked: Option<Prepared>,
}

impl Member {
    fn new(coordinator: &str, number: usize) -> Result<Self> {
        Ok(Self {
            connection: Connection::small(coordinator)?,
            id: format!("bench-member-{number:04}"),
            epoch: 0,
            assigned: BTreeMap::new(),
            changed: false,
            asked: None,
        })
    }

    fn owned(&self) -> usize {
        self.assigned.values().map(Vec::len).sum()
    }

    fn heartbeat(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(GROUP)))
            .with_member_id(text(&self.id))
            .with_member_epoch(self.epoch)
    }

    fn join(&mut self, topic: &str) -> Result<()> {
        let request = self
            .heartbeat()
            .with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(vec![TopicName(text(topic))]))
            .with_server_assignor(Some(text("uniform")))
            .with_topic_partitions(Some(Vec::new()));
        let request = RequestKind::ConsumerGroupHeartbeat(request);
        let response =
            until(|| match self.connection.call(ApiKey::ConsumerGroupHeartbeat, VERSION, &request)? {
                ResponseKind::ConsumerGroupHeartbeat(r) if r.error_code == 0 => Ok(Ok(r)),
                ResponseKind::ConsumerGroupHeartbeat(r) => Ok(Err(r.error_code)),
                other => bail!("asked for a heartbeat, got {other:?}"),
            })?;
        self.take(response);
        Ok(())
    }

    fn ask(&mut self) -> Result<()> {
        let mut request = self.heartbeat();
        if std::mem::take(&mut self.changed) {
            let owned = self.assigned.iter().map(|(topic, partitions)| {
                TopicPartitions::default().with_topic_id(*topic).with_partitions(partitions.clone())
            });
            request = request.with_topic_partitions(Some(owned.collect()));
        }
        let request = Prepared::new(
            ApiKey::ConsumerGroupHeartbeat,
            VERSION,
            &RequestKind::ConsumerGroupHeartbeat(request),
        )?;
        self.connection.send(&[&request])?;
        self.asked = Some(request);
        Ok(())
    }

    fn answer(&mut self) -> Result<()> {
        let asked = self.asked.take().context("nothing was asked")?;
        let ResponseKind::ConsumerGroupHeartbeat(response) = self.connection.receive_for(&asked)? else {
            bail!("not a heartbeat's answer")
        };
        if response.error_code != 0 {
            bail!("a heartbeat failed with error {}", response.error_code);
        }
        self.take(response);
        Ok(())
    }

    fn take(&mut self, response: ConsumerGroupHeartbeatResponse) {
        self.epoch = response.member_epoch;
        if let Some(assignment) = response.assignment {
            self.assigned =
                assignment.topic_partitions.into_iter().map(|t| (t.topic_id, t.partitions)).collect();
            self.changed = true;
        }
    }
}
