//! Whatever happens, in whatever order: what the log says is what the coordinator knows, every request is answered once,
//! and the same inputs give the same outputs.

use klamm_wire::ErrorCode;
use klamm_wire::StrBytes;
use proptest::prelude::*;

use super::harness::{COMMIT, Harness, JOIN, LEAVE, Token, commit_request, join_request, protocols, s};
use crate::group::offsets::View;
use crate::group::records::GroupValue;
use crate::group::state::ClassicState;

const GROUPS: [&str; 2] = ["g", "h"];
const TOPICS: [&str; 2] = ["orders", "other"];
const INSTANCES: [&str; 2] = ["i0", "i1"];

/// Something that happens. Members are named by position among the ids that were given out.
#[derive(Debug, Clone)]
enum Action {
    JoinNew { group: usize, version: i16, instance: Option<usize>, rebalance_timeout: i32 },
    JoinAgain { group: usize, member: usize, changed: bool },
    Sync { group: usize, member: usize, stale: bool },
    Heartbeat { group: usize, member: usize },
    Leave { group: usize, member: usize },
    LeaveInstance { group: usize, instance: usize },
    Commit { group: usize, member: Option<usize>, topic: usize, offset: i64, retention: i64 },
    DeleteGroup { group: usize },
    Advance { millis: u64 },
    HoldCommits,
    Commits,
    FailAppends,
    Appends,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let group = 0..GROUPS.len();
    let member = 0..6_usize;
    let rebalance_timeout =
        prop_oneof![6 => Just(60_000), 1 => Just(0), 1 => Just(i32::MIN), 1 => Just(i32::MAX)];
    let retention = prop_oneof![6 => Just(-1), 1 => Just(0), 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let action = prop_oneof![
        4 => (group.clone(), 3_i16..=9, proptest::option::weighted(0.4, 0..INSTANCES.len()), rebalance_timeout)
            .prop_map(|(group, version, instance, rebalance_timeout)| {
                Action::JoinNew { group, version, instance, rebalance_timeout }
            }),
        6 => (group.clone(), member.clone(), any::<bool>())
            .prop_map(|(group, member, changed)| Action::JoinAgain { group, member, changed }),
        8 => (group.clone(), member.clone(), proptest::bool::weighted(0.1))
            .prop_map(|(group, member, stale)| Action::Sync { group, member, stale }),
        4 => (group.clone(), member.clone()).prop_map(|(group, member)| Action::Heartbeat { group, member }),
        2 => (group.clone(), member.clone()).prop_map(|(group, member)| Action::Leave { group, member }),
        1 => (group.clone(), 0..INSTANCES.len())
            .prop_map(|(group, instance)| Action::LeaveInstance { group, instance }),
        4 => (group.clone(), proptest::option::of(member), 0..TOPICS.len(), -2..100_i64, retention)
            .prop_map(|(group, member, topic, offset, retention)| {
                Action::Commit { group, member, topic, offset, retention }
            }),
        1 => group.prop_map(|group| Action::DeleteGroup { group }),
        4 => (0..30_000_u64).prop_map(|millis| Action::Advance { millis }),
        1 => Just(Action::Advance { millis: 8 * 24 * 60 * 60 * 1000 }),
        2 => Just(Action::HoldCommits),
        3 => Just(Action::Commits),
        1 => Just(Action::FailAppends),
        2 => Just(Action::Appends),
    ];
    proptest::collection::vec(action, 1..120)
}

/// Plays a script and remembers the ids that were given out.
struct Player {
    h: Harness,
    ids: [Vec<(StrBytes, Option<usize>)>; 2],
    joins: Vec<(usize, Token, Option<usize>)>,
}

impl Player {
    fn new(delay_ms: &str) -> Self {
        let h = Harness::with(&[("group.initial.rebalance.delay.ms", delay_ms)]);
        Self { h, ids: [Vec::new(), Vec::new()], joins: Vec::new() }
    }

    fn member(&self, group: usize, member: usize) -> (StrBytes, Option<usize>) {
        let ids = &self.ids[group];
        match ids.len() {
            0 => (s("stranger"), None),
            len => ids[len - 1 - member % len].clone(),
        }
    }

    fn play(&mut self, action: &Action) {
        match *action {
            Action::JoinNew { group, version, instance, rebalance_timeout } => {
                let version = if instance.is_some() { version.max(5) } else { version };
                let request = join_request(GROUPS[group], "")
                    .with_rebalance_timeout_ms(rebalance_timeout)
                    .with_group_instance_id(instance.map(|i| s(INSTANCES[i])));
                let token = self.h.send_join(version, request);
                self.joins.push((group, token, instance));
            }
            Action::JoinAgain { group, member, changed } => {
                let (id, instance) = self.member(group, member);
                let mut request = join_request(GROUPS[group], &id)
                    .with_group_instance_id(instance.map(|i| s(INSTANCES[i])));
                if changed {
                    request.protocols = protocols(&[("range", "other"), ("sticky", "orders")]);
                }
                self.h.send_join(JOIN, request);
            }
            Action::Sync { group, member, stale } => {
                if !self.h.has_group(GROUPS[group]) {
                    return;
                }
                let (id, _) = self.member(group, member);
                let generation = self.h.generation(GROUPS[group]) - i32::from(stale);
                let members: Vec<StrBytes> = self.h.member_ids(GROUPS[group]);
                let members: Vec<&str> = members.iter().map(|m| m.as_str()).collect();
                self.h.sync_leader(GROUPS[group], generation, &id, &members);
            }
            Action::Heartbeat { group, member } => {
                if self.h.has_group(GROUPS[group]) {
                    let (id, _) = self.member(group, member);
                    let generation = self.h.generation(GROUPS[group]);
                    self.h.send_heartbeat(GROUPS[group], generation, &id, None);
                }
            }
            Action::Leave { group, member } => {
                let (id, _) = self.member(group, member);
                self.h.send_leave(LEAVE, GROUPS[group], &[(&id, None)]);
            }
            Action::LeaveInstance { group, instance } => {
                self.h.send_leave(LEAVE, GROUPS[group], &[("", Some(INSTANCES[instance]))]);
            }
            Action::Commit { group, member, topic, offset, retention } => {
                let (id, generation) = match member {
                    Some(member) if self.h.has_group(GROUPS[group]) => {
                        (self.member(group, member).0, self.h.generation(GROUPS[group]))
                    }
                    _ => (s(""), -1),
                };
                let request = commit_request(GROUPS[group], generation, &id, TOPICS[topic], offset, "")
                    .with_retention_time_ms(retention);
                self.h.send_commit_request(COMMIT, request);
            }
            Action::DeleteGroup { group } => {
                let rc = self.h.rc(2);
                let groups = vec![klamm_wire::messages::GroupId(s(GROUPS[group]))];
                self.h.step(|c, broker, ctx| c.delete_groups(broker, ctx, &rc, groups));
            }
            Action::Advance { millis } => self.h.advance(millis),
            Action::HoldCommits => self.h.broker.commits = false,
            Action::Commits => {
                self.h.broker.commits = true;
                self.h.commit_log();
            }
            Action::FailAppends => self.h.broker.append_error = Some(ErrorCode::NotEnoughReplicas),
            Action::Appends => self.h.broker.append_error = None,
        }
        self.collect_ids();
    }

    fn collect_ids(&mut self) {
        let (h, ids) = (&self.h, &mut self.ids);
        self.joins.retain(|(group, token, instance)| {
            if !h.is_answered(*token) {
                return true;
            }
            let id = h.joined(*token).member_id;
            if !id.is_empty() {
                ids[*group].push((id, *instance));
            }
            false
        });
    }

    /// Checks what must hold after every step.
    fn check(&self) {
        for group in GROUPS.iter().filter(|group| self.h.has_group(group)) {
            let group = self.h.shard_group(group);
            let waiting = group.members().filter(|m| m.joining.is_some()).count();
            assert_eq!(waiting, group.awaiting_join());
            if group.members().len() == 0 {
                assert!(!matches!(group.state(), ClassicState::Stable | ClassicState::CompletingRebalance));
            } else {
                assert_ne!(group.state(), ClassicState::Empty);
                assert!(group.leader().is_some_and(|leader| group.has_member(leader)));
            }
            if group.state() == ClassicState::Stable {
                assert!(group.members().all(|m| m.syncing.is_none()));
            }
        }
    }

    /// Checks that a coordinator that loads the log knows what this one knows.
    fn check_failover(&self) {
        let reloaded = Harness::on_log(&[], self.h.broker.log.clone());
        let live = &self.h.coordinator.shards[&0];
        let other = &reloaded.coordinator.shards[&0];
        for group in GROUPS.map(s) {
            let offsets = |shard: &crate::group::shard::Shard| {
                let all = shard.offsets.of_group(View::Latest, &group);
                all.map(|(t, p, v)| (t.clone(), p, v.clone())).collect::<Vec<_>>()
            };
            assert_eq!(offsets(live), offsets(other));
            let Some(known) = live.groups.classic(&group) else {
                assert!(!other.groups.contains(&group));
                continue;
            };
            let loaded = other.groups.classic(&group).expect("it is loaded");
            if matches!(known.state(), ClassicState::Stable | ClassicState::Empty)
                && known.state() == loaded.state()
                && known.generation() == loaded.generation()
            {
                let value = |g| GroupValue::of(g, |m| m.assignment.clone()).without_timestamp();
                assert_eq!(value(known), value(loaded));
            } else {
                // The live group is on its way to a generation that is not written yet, or could not be.
                assert!(known.generation() >= loaded.generation());
            }
            if known.state() == ClassicState::Stable {
                assert_eq!(loaded.state(), ClassicState::Stable);
                assert_eq!(known.generation(), loaded.generation());
            }
        }
    }

    /// Lets everything come to its end.
    fn finish(&mut self) {
        self.h.broker.append_error = None;
        self.play(&Action::Commits);
        self.h.advance(10 * 60 * 1000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_log_says_what_the_coordinator_knows(script in actions(), delayed in any::<bool>()) {
        let mut player = Player::new(if delayed { "500" } else { "0" });
        for action in &script {
            player.play(action);
            player.check();
        }
        player.check_failover();
        player.finish();
        player.check();
        player.check_failover();
        prop_assert_eq!(player.h.requests_sent(), player.h.requests_answered());
        prop_assert_eq!(player.h.coordinator.gathers.len(), 0);
        prop_assert_eq!(player.h.coordinator.shards[&0].waiting(), 0);
    }

    #[test]
    fn a_resignation_leaves_nobody_waiting(script in actions()) {
        let mut player = Player::new("0");
        for action in &script {
            player.play(action);
        }
        player.h.resign();
        prop_assert_eq!(player.h.requests_sent(), player.h.requests_answered());
        prop_assert_eq!(player.h.coordinator.gathers.len(), 0);
        let left: Vec<_> = std::iter::from_fn(|| player.h.broker.timers.pop_due(klamm_node::Timestamp::MAX))
            .map(|(timer, _)| timer)
            .collect();
        prop_assert!(left.iter().all(|t| matches!(t, crate::group::GroupTimer::Session { .. })), "{:?}", left);
    }

    #[test]
    fn the_same_inputs_give_the_same_history(script in actions()) {
        let run = || {
            let mut player = Player::new("100");
            script.iter().for_each(|action| player.play(action));
            (player.h.trace.hash(), player.h.broker.log)
        };
        prop_assert_eq!(run(), run());
    }
}
