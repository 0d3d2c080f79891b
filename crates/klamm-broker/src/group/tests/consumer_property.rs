//! Whatever consumers do: a partition has one owner, epochs are in order, and in the end everyone has its share.

use std::collections::BTreeMap;

use klamm_wire::{ErrorCode, StrBytes};
use proptest::prelude::*;

use super::consumer::Consumer;
use super::harness::{Harness, s};
use crate::group::modern::consumer::group::ConsumerGroup;

const MEMBERS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone)]
enum Action {
    /// A member sends a heartbeat with what it has (and joins if it has not).
    Beat(usize),
    /// … that says nothing but that it is alive.
    Alive(usize),
    /// … whose answer it never sees.
    Unheard(usize),
    Leave(usize),
    /// A member forgets everything and joins anew.
    Restart(usize),
    /// A member prefers an assignor from its next join on.
    Prefer(usize, bool),
    Grow,
    Wait(u64),
    /// Whether the log takes what it is given.
    Log(bool),
    /// The coordinator moves, and loads the log.
    Failover,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let member = 0..MEMBERS.len();
    let action = prop_oneof![
        8 => member.clone().prop_map(Action::Beat),
        2 => member.clone().prop_map(Action::Alive),
        2 => member.clone().prop_map(Action::Unheard),
        2 => member.clone().prop_map(Action::Leave),
        1 => member.clone().prop_map(Action::Restart),
        1 => (member, any::<bool>()).prop_map(|(member, range)| Action::Prefer(member, range)),
        1 => Just(Action::Grow),
        2 => (100_u64..20_000).prop_map(Action::Wait),
        1 => any::<bool>().prop_map(Action::Log),
        1 => Just(Action::Failover),
    ];
    proptest::collection::vec(action, 1..60)
}

struct Player {
    h: Harness,
    members: Vec<Consumer>,
    partitions: i32,
    /// The highest epochs seen: of the group, and of its target.
    epochs: (i32, i32),
}

impl Player {
    fn new() -> Self {
        let mut h = Harness::new();
        h.broker.set_topic("orders", 3);
        let member = |(i, id): (usize, &&str)| {
            let mut member = Consumer::new("g", id, "orders");
            // Every other one is a static member.
            member.instance = (i % 2 == 1).then_some(MEMBERS[i]);
            member
        };
        Self { h, members: MEMBERS.iter().enumerate().map(member).collect(), partitions: 3, epochs: (0, 0) }
    }

    fn play(&mut self, action: &Action) {
        let h = &mut self.h;
        match action {
            Action::Beat(i) => {
                let member = &mut self.members[*i];
                match member.beat(h) {
                    ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => {
                        member.epoch = 0;
                        member.owned.clear();
                    }
                    _ => {}
                }
            }
            Action::Alive(i) if self.members[*i].epoch > 0 && !self.members[*i].lost => {
                let request = self.members[*i].alive();
                let response = h.consumer_beat(request);
                self.members[*i].learn(&response);
            }
            Action::Alive(_) => {}
            Action::Unheard(i) => {
                self.members[*i].clone().beat(h);
                self.members[*i].lost = true;
            }
            Action::Leave(i) => {
                let member = &mut self.members[*i];
                let epoch = if member.instance.is_some() { -2 } else { -1 };
                let leaving = Consumer { epoch, ..member.clone() };
                h.consumer_beat(leaving.alive());
                member.epoch = 0;
                member.owned.clear();
            }
            Action::Restart(i) => {
                let member = &mut self.members[*i];
                member.epoch = 0;
                member.owned.clear();
            }
            Action::Prefer(i, range) => {
                self.members[*i].assignor = Some(if *range { "range" } else { "uniform" });
            }
            Action::Grow => {
                self.partitions += 1;
                h.broker.set_topic("orders", self.partitions);
            }
            Action::Wait(ms) => h.advance(*ms),
            Action::Log(takes) => {
                h.broker.append_error = (!takes).then_some(ErrorCode::NotEnoughReplicas);
            }
            Action::Failover => {
                h.resign();
                h.elect();
            }
        }
    }

    fn group(&self) -> Option<&ConsumerGroup> {
        self.h.has_group("g").then(|| self.h.consumer_group("g"))
    }

    fn check(&mut self) {
        let Some(group) = self.group().cloned() else { return };
        let mut owners: BTreeMap<i32, &StrBytes> = BTreeMap::new();
        for member in group.members() {
            for assigned in [&member.assigned, &member.revoking] {
                for partition in assigned.values().flat_map(BTreeMap::keys) {
                    let before = owners.insert(*partition, &member.id);
                    assert_eq!(before, None, "partition {partition} is {}'s too", member.id);
                    let topic = assigned.keys().next().unwrap();
                    assert_eq!(group.partition_epoch(topic, *partition), Some(member.epoch));
                }
            }
            assert!(member.epoch <= group.base.target.epoch, "{member:?} {:?}", group.base);
        }
        assert!(group.base.target.epoch <= group.base.epoch);
        let now = (group.base.epoch, group.base.target.epoch);
        assert!(now >= self.epochs, "{now:?} after {:?}", self.epochs);
        self.epochs = now;
        // What a new coordinator would know.
        let other = Harness::on_log(&[], self.h.broker.log.clone());
        let (mut live, mut loaded) = (group, other.consumer_group("g").clone());
        live.base.set_metadata_checked(0, 0);
        loaded.base.set_metadata_checked(0, 0);
        assert_eq!(live, loaded);
    }

    /// Everyone goes on in peace: then everyone has its share.
    fn settle(&mut self) {
        self.h.broker.append_error = None;
        for _ in 0..40 {
            for i in 0..self.members.len() {
                self.play(&Action::Beat(i));
                self.check();
            }
            self.h.advance(2_000);
        }
        let group = self.group().expect("everyone has joined");
        assert_eq!(group.state().name(), "Stable");
        let sizes: Vec<usize> = self.members.iter().map(|member| member.owned.len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), self.partitions as usize, "{sizes:?}");
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
        for member in &self.members {
            assert_eq!(group.member(&s(&member.id)).map(|known| known.epoch), Some(member.epoch));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_partition_has_one_owner_and_in_the_end_everyone_has_its_share(script in actions()) {
        let mut player = Player::new();
        for action in &script {
            player.play(action);
            player.check();
        }
        player.settle();
        prop_assert_eq!(player.h.requests_sent(), player.h.requests_answered());
    }
}
