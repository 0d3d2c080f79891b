//! A minute of mixed troubles, drawn from a seed. None of them makes Kafka lose what it acknowledged: at most one broker at a
//! time is away, and no log loses what was written to it.

use std::time::{Duration, Instant, SystemTime};

use klamm::World;
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::{ApiKey, ErrorCode, StrBytes};
use klamm_world::FaultId;
use klamm_world::fault::{
    ClusterFault, Fate, Fault, Link, Messages, NetworkFault, NodeFault, Peer, RequestAction, RequestMatch,
};

use crate::history_stage::{GROUPS, PARTITIONS, Stage, TOPIC};

/// How long there are troubles.
const LENGTH: Duration = Duration::from_secs(60);
const BROKERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const CONTROLLERS: [NodeId; 3] = [NodeId(100), NodeId(101), NodeId(102)];

/// What happens to the cluster, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    LeaderCrash,
    LeaderPause,
    LeaderDeaf,
    LeaderAlone,
    LeaderMove,
    BrokerRestart,
    LeaderUnreachable,
    LeaderMute,
    BrokerExpired,
    ControllerCrash,
    CoordinatorMove,
    CoordinatorCrash,
    TransactionCoordinatorCrash,
}

/// What happens to requests and links meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pinprick {
    LostAcks,
    SilentAck,
    LostCommit,
    LostEnd,
    LateEnd,
    LostMarkers,
    WrongErrors,
    SlowFollower,
    SlowClients,
    Resets,
    Rebalance,
}

const BLOWS: [Blow; 13] = [
    Blow::LeaderCrash,
    Blow::LeaderPause,
    Blow::LeaderDeaf,
    Blow::LeaderAlone,
    Blow::LeaderMove,
    Blow::BrokerRestart,
    Blow::LeaderUnreachable,
    Blow::LeaderMute,
    Blow::BrokerExpired,
    Blow::ControllerCrash,
    Blow::CoordinatorMove,
    Blow::CoordinatorCrash,
    Blow::TransactionCoordinatorCrash,
];

const PINPRICKS: [Pinprick; 11] = [
    Pinprick::LostAcks,
    Pinprick::SilentAck,
    Pinprick::LostCommit,
    Pinprick::LostEnd,
    Pinprick::LateEnd,
    Pinprick::LostMarkers,
    Pinprick::WrongErrors,
    Pinprick::SlowFollower,
    Pinprick::SlowClients,
    Pinprick::Resets,
    Pinprick::Rebalance,
];

/// The troubles of one run.
pub(crate) struct Troubles {
    seed: u64,
    draw: u64,
    pinpricks: Vec<Pinprick>,
}

impl Troubles {
    /// Those of `KLAMM_HISTORY_SEED`, or of a seed that nobody has had. With `late_ends`, a request to end a transaction may come
    /// when its producer has asked again, been answered, and begun another one; only clients of `transaction.version` 2
    /// (KIP-890) live through that.
    pub(crate) fn new(late_ends: bool) -> Self {
        let given = std::env::var("KLAMM_HISTORY_SEED").ok().map(|seed| seed.parse().unwrap());
        let drawn = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64 % 1_000_000_000;
        let seed = given.unwrap_or_else(drawn);
        eprintln!("KLAMM_HISTORY_SEED={seed}");
        let pinpricks = PINPRICKS.into_iter().filter(|it| late_ends || *it != Pinprick::LateEnd).collect();
        Self { seed, draw: seed, pinpricks }
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// A number below `limit` (SplitMix64).
    fn below(&mut self, limit: usize) -> usize {
        self.draw = self.draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.draw;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn shuffled<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        let mut all = of.to_vec();
        for i in (1..all.len()).rev() {
            let j = self.below(i + 1);
            all.swap(i, j);
        }
        all
    }

    /// Lets everything happen at least once, and go on for a minute.
    pub(crate) fn befall(mut self, stage: &mut Stage) {
        let started = Instant::now();
        let all = std::mem::take(&mut self.pinpricks);
        let (mut blows, mut pinpricks) = (self.shuffled(&BLOWS), self.shuffled(&all));
        let mut round = 0;
        while round < BLOWS.len() || started.elapsed() < LENGTH {
            if blows.is_empty() {
                blows = self.shuffled(&BLOWS);
            }
            if pinpricks.is_empty() {
                pinpricks = self.shuffled(&all);
            }
            let (Some(blow), Some(pinprick)) = (blows.pop(), pinpricks.pop()) else { break };
            round += 1;
            let when = format!("{:.1?}: after {blow:?} with {pinprick:?}", started.elapsed());
            eprintln!("{:.1?}: {blow:?} with {pinprick:?}", started.elapsed());
            let pricks = self.prick(stage, pinprick);
            self.strike(stage, blow);
            for prick in pricks {
                stage.fired(prick);
                stage.heal(prick);
            }
            stage.whole();
            stage.flows(&when);
        }
        stage.cluster.faults().heal_all();
        stage.cluster.faults().assert_all_fired();
        stage.whole();
        stage.flows("in the end");
    }

    fn strike(&mut self, stage: &mut Stage, blow: Blow) {
        let (leader, partition) = self.leader(stage);
        let broker = BROKERS[self.below(BROKERS.len())];
        match blow {
            Blow::LeaderCrash => self.crash(stage, leader),
            Blow::LeaderPause => {
                let pause = stage.to_node(leader, NodeFault::Pause);
                self.linger(stage);
                stage.heal(pause);
            }
            // It hears everybody, and nobody hears it: it is deposed, and for a while does not know.
            Blow::LeaderDeaf => {
                let controller = active_controller(stage);
                self.cut(stage, vec![cut(Link::one_way(leader, controller))]);
            }
            Blow::LeaderAlone => {
                let others = BROKERS.iter().chain(&CONTROLLERS).filter(|it| **it != leader);
                let groups = vec![vec![leader.into()], others.map(|it| Peer::from(*it)).collect()];
                self.cut(stage, vec![NetworkFault::Partition { groups, fate: Fate::Held }]);
            }
            Blow::LeaderMove => {
                let followers: Vec<_> = BROKERS.into_iter().filter(|it| *it != leader).collect();
                let to = followers[self.below(2)];
                let partition = TopicPartition::new(StrBytes::from_static_str(TOPIC), partition);
                // The balancer may have been there first.
                stage.try_inject(ClusterFault::MoveLeader { partition, to });
            }
            Blow::BrokerRestart => {
                stage.to_node(broker, NodeFault::Restart);
            }
            Blow::LeaderUnreachable => {
                self.cut(stage, vec![cut(Link::between(Peer::Clients, leader))]);
            }
            // Requests arrive and are handled, and no answer comes.
            Blow::LeaderMute => {
                let link = Link::one_way(leader, Peer::Clients);
                self.cut(stage, vec![NetworkFault::Cut { link, messages: Messages::All, fate: Fate::Lost }]);
                stage.inject(reset(leader));
            }
            Blow::BrokerExpired => {
                stage.to_node(broker, NodeFault::ExpireSession);
            }
            Blow::ControllerCrash => {
                let active = active_controller(stage);
                self.crash(stage, active);
            }
            Blow::CoordinatorMove => {
                let group = self.group();
                let old = coordinator(stage, &group);
                let to = NodeId(old.0 % 3 + 1);
                stage.try_inject(ClusterFault::MoveCoordinator { group, to });
            }
            Blow::TransactionCoordinatorCrash => {
                let states =
                    |world: &World| world.partition("__transaction_state", 0).and_then(|it| it.leader);
                stage.wait("a transaction coordinator", |world| states(world).is_some());
                let coordinator = stage.cluster.look(states).unwrap_or(broker);
                self.crash(stage, coordinator);
            }
            Blow::CoordinatorCrash => {
                let coordinator = coordinator(stage, &self.group());
                self.crash(stage, coordinator);
            }
        }
    }

    fn prick(&mut self, stage: &Stage, pinprick: Pinprick) -> Vec<FaultId> {
        let on = |api| RequestMatch::api(api).from_clients();
        let millis = 50 + 10 * self.below(30) as u64;
        let by = Duration::from_millis(millis);
        let fault: Fault = match pinprick {
            Pinprick::LostAcks => on(ApiKey::Produce).first(3).then(RequestAction::CloseAfter).into(),
            Pinprick::SilentAck => on(ApiKey::Produce).nth(2).then(RequestAction::DropAnswer).into(),
            Pinprick::LostCommit => on(ApiKey::OffsetCommit).first(2).then(RequestAction::CloseAfter).into(),
            Pinprick::LostEnd => on(ApiKey::EndTxn).first(2).then(RequestAction::CloseAfter).into(),
            // By the time it arrives, its producer has long asked again over another connection.
            Pinprick::LateEnd => {
                let late = RequestAction::Delay(Duration::from_secs(4));
                on(ApiKey::EndTxn).first(1).then(late).into()
            }
            Pinprick::LostMarkers => {
                let markers = RequestMatch::api(ApiKey::WriteTxnMarkers).from_nodes();
                markers.first(2).then(RequestAction::CloseAfter).into()
            }
            Pinprick::WrongErrors => {
                let error = RequestAction::Error(ErrorCode::NotLeaderOrFollower);
                on(ApiKey::Produce).first(3).then(error).into()
            }
            Pinprick::SlowFollower => {
                let (leader, _) = self.leader(stage);
                let follower = NodeId(leader.0 % 3 + 1);
                NetworkFault::Latency { link: Link::one_way(follower, leader), by }.into()
            }
            Pinprick::SlowClients => {
                let link = Link::between(Peer::Clients, Peer::Anyone);
                NetworkFault::Jitter { link, up_to: by }.into()
            }
            Pinprick::Resets => {
                let resets = BROKERS.map(|broker| stage.inject(reset(broker)));
                return resets.into();
            }
            Pinprick::Rebalance => {
                // Those of the consumer protocol have none to force.
                let group = StrBytes::from_static_str(GROUPS[0]);
                coordinator(stage, &group);
                return stage.try_inject(ClusterFault::ForceRebalance { group }).into_iter().collect();
            }
        };
        vec![stage.inject(fault)]
    }

    fn group(&mut self) -> StrBytes {
        StrBytes::from_static_str(GROUPS[self.below(GROUPS.len())])
    }

    /// A partition that is drawn, and its leader.
    fn leader(&mut self, stage: &Stage) -> (NodeId, i32) {
        let partition = self.below(PARTITIONS as usize) as i32;
        (stage.leader(partition), partition)
    }

    fn crash(&mut self, stage: &mut Stage, node: NodeId) {
        stage.to_node(node, NodeFault::Crash);
        self.linger(stage);
        stage.to_node(node, NodeFault::Start);
    }

    /// Cuts, and heals when something was held up.
    fn cut(&mut self, stage: &mut Stage, cuts: Vec<NetworkFault>) {
        let cuts: Vec<_> = cuts.into_iter().map(|cut| stage.inject(cut)).collect();
        self.linger(stage);
        let any = |world: &World| cuts.iter().any(|cut| world.fault(*cut).is_some_and(|it| it.fired > 0));
        stage.wait("a message for the cut", any);
        for cut in cuts {
            stage.heal(cut);
        }
    }

    /// Lets a trouble be felt: between one and three sessions of a broker, by the cluster's clock.
    fn linger(&mut self, stage: &Stage) {
        let felt = Duration::from_millis(1000 + 100 * self.below(20) as u64);
        let end = stage.cluster.look(World::now) + felt;
        stage.wait("time", |world| world.now() >= end);
    }
}

/// The active controller, once there is one.
fn active_controller(stage: &Stage) -> NodeId {
    stage.wait("an active controller", |world| world.active_controller().is_some());
    stage.cluster.active_controller().unwrap_or(CONTROLLERS[0])
}

/// Who coordinates a group, once somebody does.
fn coordinator(stage: &Stage, group: &StrBytes) -> NodeId {
    let coordinator = |world: &World| world.groups().get(group).map(|it| it.coordinator);
    stage.wait("a coordinator", |world| coordinator(world).is_some());
    stage.cluster.look(coordinator).unwrap_or(NodeId(1))
}

fn cut(link: Link) -> NetworkFault {
    NetworkFault::cut(link)
}

fn reset(broker: NodeId) -> NetworkFault {
    NetworkFault::Reset { link: Link::between(Peer::Clients, broker) }
}
