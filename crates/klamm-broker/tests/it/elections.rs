//! Who leads, in whole clusters: clean and unclean elections, eligible leader replicas, controlled shutdown.

use std::time::Duration;

use klamm_node::{Era, Eras, NodeId, TraceKind};
use klamm_wire::ErrorCode;
use klamm_world::{Command, LinkSettings, WorldSettings};

use crate::cluster::Cluster;

const CONTROLLER: NodeId = NodeId(WorldSettings::FIRST_CONTROLLER);

fn slow(millis: u64) -> LinkSettings {
    LinkSettings { latency: Duration::from_millis(millis), jitter: Duration::ZERO }
}

/// Produces with acks=1 to `broker`, which must accept it.
fn write(c: &mut Cluster, broker: i32, count: usize) {
    for _ in 0..count {
        let sent = c.send_produce(broker, "t", 0, 1, "v");
        c.wait_for("an ack", Duration::from_secs(1), |c| c.outcome(sent).is_some());
        assert_eq!(c.produced(sent).error_code, 0);
    }
}

/// How `broker` cut its log: (from, to), oldest first.
fn truncations(c: &Cluster, broker: i32) -> Vec<(i64, i64)> {
    let events = c.world.trace().events().filter(|event| event.node == Some(NodeId(broker)));
    let cuts = events.filter_map(|event| match &event.kind {
        TraceKind::LogTruncated { from, to, .. } => Some((*from, *to)),
        _ => None,
    });
    cuts.collect()
}

#[test]
fn a_leader_that_crashes_is_replaced_when_its_session_ends() {
    let mut c = Cluster::start(3, &[("min.insync.replicas", "2")]);
    c.create_assigned("t", &[1, 2, 3], &[]);
    c.produce("t", 0, "a");
    assert_eq!(c.tuple("t"), "L=1 e=0 pe=0 isr=[1, 2, 3] elr=[] replicas=[1, 2, 3]");
    let crashed = c.now;
    c.command(Command::Crash(NodeId(1)));
    c.wait_for_tuple("t", 20, "L=2 e=1 pe=1 isr=[2, 3] elr=[] replicas=[1, 2, 3]");
    // The last heartbeat was up to 2 s ago, and the controller looks every 1,125 ms.
    let took = c.now - crashed;
    assert!((Duration::from_secs(7)..=Duration::from_millis(10_200)).contains(&took), "{took:?}");
    assert_eq!(c.produce("t", 0, "b"), 1);
}

#[test]
fn a_controlled_shutdown_moves_leadership_first() {
    let mut c = Cluster::start(3, &[("min.insync.replicas", "2")]);
    c.create_assigned("t", &[1, 2, 3], &[]);
    c.produce("t", 0, "a");
    c.command(Command::Stop(NodeId(1)));
    assert_eq!(c.tuple("t"), "L=2 e=1 pe=1 isr=[2, 3] elr=[] replicas=[1, 2, 3]");
    assert_eq!(c.produce("t", 0, "b"), 1);
    c.wait_for("the broker to stop", Duration::from_secs(5), |c| !c.world.is_up(NodeId(1)));
    // Fencing it takes nothing from the partition that it had not given up already.
    assert_eq!(c.tuple("t"), "L=2 e=1 pe=1 isr=[2, 3] elr=[] replicas=[1, 2, 3]");
}

#[test]
fn a_broker_may_go_only_when_every_other_knows_who_leads_now() {
    let mut c = Cluster::start(3, &[]);
    c.create_assigned("t", &[1, 2, 3], &[]);
    c.command(Command::SetLink { from: CONTROLLER, to: NodeId(3), link: slow(1_500) });
    c.run(Duration::from_millis(10));
    let asked = c.now;
    c.command(Command::Stop(NodeId(1)));
    assert_eq!(c.leader("t", 0), 2);
    let knows = |c: &Cluster| c.status("t", 0).logs[&NodeId(3)].leader_epoch == 1;
    c.wait_for("the last broker to know", Duration::from_secs(10), knows);
    assert!(c.world.is_up(NodeId(1)), "it waits for broker 3");
    c.wait_for("the broker to stop", Duration::from_secs(20), |c| !c.world.is_up(NodeId(1)));
    assert!(c.now - asked > Duration::from_millis(1_500));
}

/// Broker 2 has six records, broker 1 ten, of which the last four were committed while it was in sync alone.
fn leader_ahead(unclean: &'static str) -> Cluster {
    let mut c = Cluster::start(2, &[]);
    c.create_assigned("t", &[1, 2], &[("unclean.leader.election.enable", unclean)]);
    for _ in 0..6 {
        c.produce("t", 0, "v");
    }
    c.run(Duration::from_secs(1));
    c.command(Command::SetLink { from: NodeId(1), to: NodeId(2), link: slow(100_000) });
    write(&mut c, 1, 4);
    c.wait_for_tuple("t", 60, "L=1 e=0 pe=1 isr=[1] elr=[] replicas=[1, 2]");
    assert_eq!(c.log("t", 1), Some((0, 10, 10)));
    assert_eq!(c.log("t", 2), Some((0, 6, 6)));
    c
}

#[test]
fn an_unclean_election_loses_what_the_new_leader_does_not_have() {
    let mut c = leader_ahead("true");
    c.command(Command::Crash(NodeId(1)));
    c.wait_for_tuple("t", 20, "L=2 e=1 pe=2 isr=[2] elr=[] replicas=[1, 2] recovering");
    assert_eq!(c.log("t", 2), Some((0, 6, 6)));
    write(&mut c, 2, 2);
    c.command(Command::SetLink { from: NodeId(1), to: NodeId(2), link: LinkSettings::default() });
    c.command(Command::Start(NodeId(1)));
    // With its first follower the leader also says that it has recovered. (Messages on one link keep their order.)
    c.wait_for_tuple("t", 120, "L=2 e=1 pe=3 isr=[2, 1] elr=[] replicas=[1, 2]");
    assert_eq!(truncations(&c, 1), [(10, 6)]);
    c.run(Duration::from_secs(1));
    assert_eq!((c.log("t", 1), c.log("t", 2)), (Some((0, 8, 8)), Some((0, 8, 8))));
}

#[test]
fn a_flag_that_is_flipped_later_is_seen_by_the_next_sweep() {
    let mut c = leader_ahead("false");
    c.command(Command::Crash(NodeId(1)));
    let leaderless = "L=-1 e=1 pe=2 isr=[] elr=[1] replicas=[1, 2] last=[1]";
    // With KIP-966 the last in-sync replica leaves the ISR and stays eligible: min.insync.replicas is 1.
    c.wait_for_tuple("t", 20, leaderless);
    c.alter_config(2, "t", "unclean.leader.election.enable", Some("true"));
    let since = c.now;
    c.run(Duration::from_secs(1));
    assert_eq!(c.tuple("t"), leaderless);
    c.wait_for_tuple("t", 301, "L=2 e=2 pe=3 isr=[2] elr=[] replicas=[1, 2] recovering");
    assert_eq!(c.now.as_millis() % 300_000, 0, "{since}");
}

#[test]
fn an_unclean_election_can_be_asked_for() {
    let mut c = leader_ahead("false");
    assert_eq!(c.elect(2, "t", 1), ErrorCode::ElectionNotNeeded);
    c.command(Command::Crash(NodeId(1)));
    c.wait_for("no leader", Duration::from_secs(20), |c| c.status("t", 0).leader.is_none());
    assert_eq!(c.elect(2, "t", 0), ErrorCode::PreferredLeaderNotAvailable);
    assert_eq!(c.elect(2, "t", 1), ErrorCode::None);
    assert_eq!(c.tuple("t"), "L=2 e=2 pe=3 isr=[2] elr=[] replicas=[1, 2] recovering");
    write(&mut c, 2, 1);
    assert_eq!(c.log("t", 2), Some((0, 7, 7)));
}

fn without_elr() -> Eras {
    Eras::NEWEST.with_old(Era::Elr)
}

/// Stops brokers 3, 2 and 1 in order, and returns what the partition looked like after each.
fn one_after_another(c: &mut Cluster) -> Vec<String> {
    [3, 2, 1]
        .map(|broker| {
            c.command(Command::Crash(NodeId(broker)));
            let fenced = |c: &Cluster| {
                let image = c.world.metadata().expect("the controller runs");
                image.cluster.broker(NodeId(broker)).is_some_and(|broker| broker.fenced)
            };
            c.wait_for("the broker to be fenced", Duration::from_secs(20), fenced);
            c.tuple("t")
        })
        .into()
}

#[test]
fn with_nobody_left_the_last_in_the_isr_is_waited_for() {
    let mut c = Cluster::with_eras(3, &[("min.insync.replicas", "2")], without_elr());
    c.create_assigned("t", &[1, 2, 3], &[]);
    assert_eq!(
        one_after_another(&mut c),
        [
            "L=1 e=0 pe=1 isr=[1, 2] elr=[] replicas=[1, 2, 3]",
            "L=1 e=0 pe=2 isr=[1] elr=[] replicas=[1, 2, 3]",
            "L=-1 e=1 pe=3 isr=[1] elr=[] replicas=[1, 2, 3]",
        ]
    );
    c.command(Command::Start(NodeId(2)));
    c.run(Duration::from_secs(10));
    assert_eq!(c.tuple("t"), "L=-1 e=1 pe=3 isr=[1] elr=[] replicas=[1, 2, 3]");
    c.command(Command::Start(NodeId(1)));
    c.wait_for_tuple("t", 20, "L=1 e=2 pe=5 isr=[1, 2] elr=[] replicas=[1, 2, 3]");
}

#[test]
fn with_eligible_leader_replicas_the_last_two_are_as_good() {
    for (returning, expected) in [
        // A crash is not a clean shutdown: who comes back from one is not eligible any more.
        (2, "L=-1 e=1 pe=4 isr=[] elr=[1] replicas=[1, 2, 3] last=[1]"),
        (1, "L=-1 e=1 pe=4 isr=[] elr=[2] replicas=[1, 2, 3] last=[1]"),
    ] {
        let mut c = Cluster::start(3, &[("min.insync.replicas", "2")]);
        c.create_assigned("t", &[1, 2, 3], &[]);
        assert_eq!(
            one_after_another(&mut c),
            [
                "L=1 e=0 pe=1 isr=[1, 2] elr=[] replicas=[1, 2, 3]",
                "L=1 e=0 pe=2 isr=[1] elr=[2] replicas=[1, 2, 3]",
                "L=-1 e=1 pe=3 isr=[] elr=[1, 2] replicas=[1, 2, 3] last=[1]",
            ]
        );
        c.command(Command::Start(NodeId(returning)));
        c.wait_for_tuple("t", 20, expected);
        c.run(Duration::from_secs(10));
        assert_eq!(c.tuple("t"), expected);
    }
}

#[test]
fn without_anybody_eligible_the_last_leader_is_elected_though_unclean_elections_are_off() {
    let mut c = Cluster::start(2, &[("min.insync.replicas", "2")]);
    c.create_assigned("t", &[1, 2], &[]);
    c.produce("t", 0, "a");
    for broker in [2, 1] {
        c.command(Command::Crash(NodeId(broker)));
        c.run(Duration::from_secs(12));
    }
    assert_eq!(c.tuple("t"), "L=-1 e=1 pe=2 isr=[] elr=[1, 2] replicas=[1, 2] last=[1]");
    c.command(Command::Start(NodeId(2)));
    c.wait_for_tuple("t", 20, "L=-1 e=1 pe=3 isr=[] elr=[1] replicas=[1, 2] last=[1]");
    c.command(Command::SetLink { from: NodeId(2), to: NodeId(1), link: slow(50) });
    c.command(Command::Start(NodeId(1)));
    // Broker 1 leaves the ELR when it registers, and leads as the last known leader when it is unfenced.
    let elected = "L=1 e=2 pe=5 isr=[1] elr=[] replicas=[1, 2] recovering";
    c.wait_for_tuple("t", 20, elected);
    c.wait_for_tuple("t", 20, "L=1 e=2 pe=6 isr=[1, 2] elr=[] replicas=[1, 2]");
    assert_eq!(c.produce("t", 0, "b"), 1);
}

/// Six records are on broker 1's platter, ten in its memory; all ten on brokers 2 and 3, which stop in order, the
/// third first. Then broker 1 takes one more with acks=1 and loses power.
fn last_replica_standing(eras: Eras) -> Cluster {
    let mut c = Cluster::with_eras(3, &[("min.insync.replicas", "2")], eras);
    c.create_assigned("t", &[1, 2, 3], &[("flush.messages", "6")]);
    for _ in 0..10 {
        c.produce("t", 0, "v");
    }
    c.run(Duration::from_secs(1));
    for broker in [3, 2] {
        c.command(Command::Stop(NodeId(broker)));
        c.wait_for("the broker to stop", Duration::from_secs(5), |c| !c.world.is_up(NodeId(broker)));
    }
    write(&mut c, 1, 1);
    assert_eq!(c.log("t", 1), Some((0, 11, 10)));
    c.command(Command::PowerLoss(NodeId(1)));
    c.wait_for("no leader", Duration::from_secs(20), |c| c.status("t", 0).leader.is_none());
    c
}

#[test]
fn a_last_replica_that_lost_power_makes_everybody_lose_without_eligible_leader_replicas() {
    let mut c = last_replica_standing(without_elr());
    assert_eq!(c.tuple("t"), "L=-1 e=1 pe=3 isr=[1] elr=[] replicas=[1, 2, 3]");
    c.command(Command::Start(NodeId(1)));
    c.wait_for_tuple("t", 20, "L=1 e=2 pe=4 isr=[1] elr=[] replicas=[1, 2, 3]");
    c.command(Command::Start(NodeId(2)));
    c.wait_for_tuple("t", 20, "L=1 e=2 pe=5 isr=[1, 2] elr=[] replicas=[1, 2, 3]");
    assert_eq!(truncations(&c, 2), [(10, 6)]);
    // Four records that were acknowledged with acks=all by two replicas and more are gone.
    assert_eq!(c.status("t", 0).log_end(), Some(6));
}

#[test]
fn a_last_replica_that_lost_power_is_not_elected_with_eligible_leader_replicas() {
    let mut c = last_replica_standing(Eras::NEWEST);
    assert_eq!(c.tuple("t"), "L=-1 e=1 pe=3 isr=[] elr=[1, 2] replicas=[1, 2, 3] last=[1]");
    c.command(Command::Start(NodeId(1)));
    let waiting = "L=-1 e=1 pe=4 isr=[] elr=[2] replicas=[1, 2, 3] last=[1]";
    c.wait_for_tuple("t", 20, waiting);
    c.run(Duration::from_secs(10));
    assert_eq!(c.tuple("t"), waiting);
    c.command(Command::SetLink { from: NodeId(1), to: NodeId(2), link: slow(50) });
    c.command(Command::Start(NodeId(2)));
    c.wait_for_tuple("t", 20, "L=2 e=2 pe=5 isr=[2] elr=[] replicas=[1, 2, 3]");
    assert_eq!(c.log("t", 2), Some((0, 10, 10)));
    c.wait_for_tuple("t", 20, "L=2 e=2 pe=6 isr=[2, 1] elr=[] replicas=[1, 2, 3]");
    c.run(Duration::from_secs(1));
    assert_eq!((c.log("t", 1), c.log("t", 2)), (Some((0, 10, 10)), Some((0, 10, 10))));
}

#[test]
fn leadership_goes_back_to_a_preferred_replica_by_itself_or_when_asked() {
    for asked in [false, true] {
        let mut c = Cluster::start(3, &[]);
        c.create_assigned("t", &[1, 2, 3], &[]);
        c.produce("t", 0, "a");
        assert_eq!(c.elect(2, "t", 0), ErrorCode::ElectionNotNeeded);
        c.command(Command::Stop(NodeId(1)));
        c.wait_for("the broker to stop", Duration::from_secs(5), |c| !c.world.is_up(NodeId(1)));
        assert_eq!(c.elect(2, "t", 0), ErrorCode::PreferredLeaderNotAvailable);
        c.command(Command::Start(NodeId(1)));
        c.wait_for_tuple("t", 20, "L=2 e=1 pe=2 isr=[2, 3, 1] elr=[] replicas=[1, 2, 3]");
        // What waits for an acknowledgement when leadership moves is not acknowledged.
        for follower in [1, 3] {
            c.command(Command::SetLink { from: NodeId(follower), to: NodeId(2), link: slow(5_000) });
        }
        c.run(Duration::from_secs(1));
        let waiting = c.send_produce(2, "t", 0, -1, "b");
        if asked {
            assert_eq!(c.elect(3, "t", 0), ErrorCode::None);
        }
        c.wait_for_tuple("t", 300, "L=1 e=2 pe=3 isr=[2, 3, 1] elr=[] replicas=[1, 2, 3]");
        if asked {
            c.wait_for("an answer", Duration::from_secs(1), |c| c.outcome(waiting).is_some());
            let error = ErrorCode::from_code(c.produced(waiting).error_code);
            assert_eq!(error, Some(ErrorCode::NotLeaderOrFollower));
        } else {
            assert_eq!(c.now.as_millis(), 300_000);
        }
    }
}
