//! Running a plan.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use klamm_node::{NodeId, Timestamp, TraceEvent, WallTime};
use klamm_world::fault::{
    Breakpoint, DiskFault, DiskOperation, DiskScope, Fate, Link, Messages, NetworkFault, NodeFault,
};
use klamm_world::invariant::{Checker, ExpectedLoss, Violation};
use klamm_world::scripted::{ConsumerOp, OpId};
use klamm_world::{
    BrokerSpec, ClientId, ClientSpec, Command, ConsumerSpec, Fault, FaultId, Input, LinkSettings, Output,
    World, WorldSettings,
};

use crate::admin::{self, Admin};
use crate::options::Topic;
use crate::plan::{Decision, Plan, WARM_UP, What, coordinators_topic};

/// How long the cluster has to become well once everything is healed: the longest session, lag and retry, several times over.
const RECOVERY: Duration = Duration::from_secs(240);
/// How long all takes to become equal once nobody sends anything more: what is on its way arrives, followers fetch twice.
const QUIET: Duration = Duration::from_secs(45);
/// How much later it is looked at once more: the controller moves leaders to the preferred replicas now and then, and one may be on its way.
const SECOND_LOOK: Duration = Duration::from_secs(3);
/// How long a group has to read and commit what there is once nobody sends anything more.
const SETTLE: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const SETTLES: u32 = 4;
/// The time from one checkpoint to the next.
const CHECKPOINT: Duration = Duration::from_secs(5);
/// How much of the trace is kept for a person.
const TRACE: usize = 60_000;
/// How much of what members did is kept: more than one step of one of them brings.
const HISTORY: usize = 2_048;
/// The most events of one run: a run that has more than this is cut short, and says so.
const MAX_EVENTS: u64 = 5_000_000;

/// How often a member reads and commits before it is told anew.
const READS: usize = 5;
/// How long it reads before it commits.
const READ: Duration = Duration::from_secs(1);

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What does not hold; the run ended with the first.
    pub violations: Vec<Violation>,
    /// What was lost and not promised.
    pub losses: Vec<ExpectedLoss>,
    /// Records that acks=1 acknowledged, and that are gone.
    pub lost_with_leader_acks: u64,
    /// The trace before the end.
    pub trace: Vec<TraceEvent>,
    /// A hash over every event of the run.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// How much time passed in the world.
    pub simulated: Duration,
    /// How many records of clients were committed.
    pub committed: i64,
    /// Whether it was cut short for its number of events.
    pub cut_short: bool,
}

impl Outcome {
    /// The id of the first invariant that does not hold.
    pub fn broken(&self) -> Option<&'static str> {
        self.violations.first().map(|violation| violation.invariant.id)
    }

    /// Whether every invariant held because nothing happened: no record of a client was committed.
    pub fn is_inert(&self) -> bool {
        self.violations.is_empty() && self.committed == 0
    }
}

/// Runs a plan, with the checker attached, until the first invariant breaks.
pub fn run(plan: &Plan) -> Outcome {
    run_for(plan, &[])
}

/// Runs a plan until one of these invariants breaks, whatever else does before; any, where none is named.
pub fn run_for(plan: &Plan, invariants: &'static [&'static str]) -> Outcome {
    let mut runner = Runner::new(plan, invariants);
    runner.warm_up();
    runner.safety();
    if runner.goes_on() {
        runner.heal();
    }
    runner.outcome()
}

/// What the runner does at its time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    Begin(usize),
    End(usize),
    Join(usize),
    Leave(usize),
    Checkpoint,
}

struct Runner<'a> {
    plan: &'a Plan,
    /// The invariants that end the run; every one, where none is named.
    invariants: &'static [&'static str],
    world: World,
    checker: Checker,
    out: Vec<Output>,
    events: u64,
    hash: u64,
    admin: Admin,
    healed: bool,
    /// How many decisions keep a node down, or a link slow.
    down: BTreeMap<NodeId, u32>,
    /// The members that are in the group, or want to be.
    present: BTreeSet<usize>,
    /// The coordinators that decisions brought down.
    coordinators: BTreeMap<u32, NodeId>,
}

impl<'a> Runner<'a> {
    fn new(plan: &'a Plan, invariants: &'static [&'static str]) -> Self {
        let options = &plan.options;
        let broker = |id: i32| BrokerSpec {
            node: NodeId(id),
            host: "localhost".into(),
            port: 9092_u16.saturating_add(id as u16),
            rack: None,
        };
        let settings = WorldSettings {
            seed: options.seed,
            brokers: (1..=options.brokers).map(broker).collect(),
            controllers: (0..options.controllers)
                .map(|i| NodeId(WorldSettings::FIRST_CONTROLLER + i))
                .collect(),
            config: options.config.clone(),
            link: options.link,
            wall_epoch: WallTime(1_700_000_000_000),
            trace_capacity: TRACE,
            client_history: HISTORY,
            eras: options.eras,
            ..WorldSettings::default()
        };
        let mut world = World::new(settings, BTreeMap::new());
        let checker = Checker::new(&mut world);
        Self {
            plan,
            invariants,
            world,
            checker,
            out: Vec::new(),
            events: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            admin: Admin::default(),
            healed: false,
            down: BTreeMap::new(),
            present: BTreeSet::new(),
            coordinators: BTreeMap::new(),
        }
    }

    fn ends(&self, violation: &Violation) -> bool {
        self.invariants.is_empty() || self.invariants.contains(&violation.invariant.id)
    }

    fn goes_on(&self) -> bool {
        let ends = self.checker.violations().iter().any(|violation| self.ends(violation));
        !ends && self.world.stall().is_none() && self.events < MAX_EVENTS
    }

    /// Looks at what a step did.
    fn look(&mut self) {
        self.events += 1;
        let node = self.world.stepped().map_or(0, |node| node.0 as u64 + 1);
        for value in [self.world.now().0, node, self.world.messages(), self.world.trace().hash()] {
            self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
        }
        self.checker.after_event(&mut self.world, &self.out);
        self.out.clear();
    }

    fn command(&mut self, command: Command) {
        self.world.input(Input::Command(command), &mut self.out);
        self.look();
    }

    fn ask(&mut self, broker: NodeId, (api, request): ((klamm_wire::ApiKey, i16), klamm_wire::Request)) {
        self.admin.ask(&mut self.world, broker, api, request, &mut self.out);
        self.look();
    }

    fn run_until(&mut self, end: Timestamp) {
        while self.goes_on() && self.world.step_next(end, &mut self.out) {
            self.look();
        }
    }

    fn any_broker(&self) -> NodeId {
        let up = (1..=self.plan.options.brokers).map(NodeId).find(|id| self.world.is_up(*id));
        up.unwrap_or(NodeId(1))
    }

    fn warm_up(&mut self) {
        for id in self.world.settings().controllers.clone() {
            self.command(Command::Start(id));
        }
        for id in 1..=self.plan.options.brokers {
            self.command(Command::Start(NodeId(id)));
        }
        self.run_until(Timestamp::ZERO + WARM_UP / 2);
        for topic in &self.plan.options.topics {
            self.ask(NodeId(1), admin::create(topic));
        }
        self.run_until(Timestamp::ZERO + WARM_UP);
        for (topic, life) in &self.plan.options.lives {
            self.ask(NodeId(1), admin::configure(topic, &life.config()));
        }
        for producer in &self.plan.options.producers {
            self.command(Command::AddClient(ClientSpec::Producer(producer.clone())));
        }
        for spec in &self.plan.options.transactional {
            self.command(Command::AddClient(ClientSpec::Transactional(spec.clone())));
        }
        let readers = self.plan.options.readers.iter().map(|topic| (topic, true));
        for (topic, read_committed) in self.plan.options.consumers.iter().map(|t| (t, false)).chain(readers) {
            let spec = ConsumerSpec { topic: topic.clone().into(), max_wait_ms: 500, read_committed };
            self.command(Command::AddClient(ClientSpec::Consumer(spec)));
        }
        for watcher in &self.plan.options.watchers {
            self.command(Command::AddClient(ClientSpec::Watcher(watcher.clone())));
        }
        for (i, member) in self.plan.options.members.iter().enumerate() {
            self.command(Command::AddClient(ClientSpec::ScriptedConsumer(member.spec(i))));
        }
    }

    fn member(&self, i: usize) -> ClientId {
        ClientId((self.plan.options.clients() - self.plan.options.members.len() + i) as u32)
    }

    /// Tells a member of the group what to do next.
    fn tell(&mut self, i: usize, op: ConsumerOp) {
        let client = self.member(i);
        self.command(Command::Client { client, op: Box::new(op.into()) });
    }

    /// Has every member that is done read on, and commit now and then.
    fn keep_reading(&mut self) {
        for i in self.present.clone() {
            let client = self.member(i);
            let last = self.world.next_client_op(client).and_then(|next| next.0.checked_sub(1));
            let last = last.and_then(|last| self.world.client_op(client, OpId(last)));
            if last.is_none_or(|op| op.ended.is_some()) {
                for _ in 0..READS {
                    self.tell(i, ConsumerOp::Consume { within: READ });
                    self.tell(i, ConsumerOp::Commit(None));
                }
            }
        }
    }

    fn join(&mut self, i: usize) {
        self.present.insert(i);
        self.tell(i, ConsumerOp::Subscribe(vec![self.plan.options.members[i].topic.clone().into()]));
        self.keep_reading();
    }

    fn leave(&mut self, i: usize) {
        self.present.remove(&i);
        if self.plan.options.members[i].vanishes {
            self.command(Command::StopClient(self.member(i)));
        } else {
            self.tell(i, ConsumerOp::Unsubscribe);
        }
    }

    /// Lets time pass, while members go on reading.
    fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.goes_on() && self.world.now() < end && !self.present.is_empty() {
            self.keep_reading();
            self.run_until(end.min(self.world.now() + CHECKPOINT));
        }
        self.run_until(end);
    }

    /// Everything that the plan decides, each at its time.
    fn safety(&mut self) {
        let end = Timestamp::ZERO + WARM_UP + self.plan.options.duration;
        let mut acts: Vec<(Timestamp, u8, Act)> = Vec::new();
        for (i, decision) in self.plan.decisions.iter().enumerate() {
            acts.push((decision.at, 1, Act::Begin(i)));
            acts.push((decision.at + decision.lasts, 0, Act::End(i)));
        }
        for (i, member) in self.plan.options.members.iter().enumerate() {
            let from = Timestamp::ZERO + WARM_UP;
            acts.push((from + member.joins, 2, Act::Join(i)));
            acts.extend(member.leaves.map(|at| (from + at, 3, Act::Leave(i))));
        }
        let mut at = Timestamp::ZERO + WARM_UP;
        while at < end {
            acts.push((at, 4, Act::Checkpoint));
            at += CHECKPOINT;
        }
        acts.sort_by_key(|(at, order, _)| (*at, *order));
        let mut acts: VecDeque<_> = acts.into_iter().filter(|(at, _, _)| *at < end).collect();
        while let Some((at, _, act)) = acts.pop_front() {
            self.run_until(at);
            if !self.goes_on() {
                return;
            }
            let plan = self.plan;
            match act {
                Act::Begin(i) => self.begin(&plan.decisions[i]),
                Act::End(i) => self.end(&plan.decisions[i]),
                Act::Join(i) => self.join(i),
                Act::Leave(i) => self.leave(i),
                Act::Checkpoint => {
                    self.checker.checkpoint(&self.world);
                    self.keep_reading();
                }
            }
        }
        self.run_until(end);
    }

    /// Tells the checker what keeps controllers from talking to each other in time.
    fn disturb(&mut self, what: &What, begins: bool) {
        let now = self.world.now();
        let (nodes, alone) = match what {
            What::Isolate(node) => (vec![*node], true),
            What::Crash(node)
            | What::Power(node)
            | What::Stop(node)
            | What::Pause(node)
            | What::Disk(node, _)
            | What::Break(node, _) => (vec![*node], false),
            What::Cut { from, to, .. } | What::Slow { from, to, .. } => (vec![*from, *to], false),
            _ => return,
        };
        let controllers = self.world.settings().controllers.clone();
        for node in nodes.into_iter().filter(|node| controllers.contains(node)) {
            self.checker.disturbed(node, begins, alone, now);
        }
    }

    fn begin(&mut self, decision: &Decision) {
        self.disturb(&decision.what, true);
        let topics = &self.plan.options.topics;
        let asked = self.any_broker();
        let name = |topic: usize| topics.get(topic).map_or("", |topic| topic.name.as_str());
        match &decision.what {
            What::Crash(node) => self.take_down(*node, Command::Crash(*node)),
            What::Power(node) => self.take_down(*node, Command::PowerLoss(*node)),
            What::Stop(node) => self.take_down(*node, Command::Stop(*node)),
            What::Pause(node) => self.inject(decision, Fault::Node { node: *node, fault: NodeFault::Pause }),
            What::Cut { from, to, both, lost } => {
                let link = Link { from: (*from).into(), to: (*to).into(), both_ways: *both };
                let fate = if *lost { Fate::Lost } else { Fate::Held };
                self.inject(decision, NetworkFault::Cut { link, messages: Messages::All, fate }.into());
            }
            What::Isolate(node) => {
                let all = self.world.nodes();
                let others = all.iter().map(|other| other.node).filter(|other| other != node);
                let groups = vec![vec![(*node).into()], others.map(Into::into).collect()];
                self.inject(decision, NetworkFault::Partition { groups, fate: Fate::Lost }.into());
            }
            What::Slow { from, to, by } => {
                let latency = self.plan.options.link.latency + *by;
                let link = LinkSettings { latency, ..self.plan.options.link };
                self.command(Command::SetLink { from: *from, to: *to, link });
            }
            What::Skew(node, millis) => self.command(Command::SetWallSkew { node: *node, millis: *millis }),
            What::Disk(node, full) => {
                let scope = DiskScope::Everything;
                let fault = match full {
                    true => DiskFault::Full { scope, after_bytes: 0 },
                    false => DiskFault::Error { scope, on: DiskOperation::Write, times: Some(1) },
                };
                self.inject(decision, Fault::Disk { node: *node, fault });
            }
            What::Topic(id) => {
                let replicas = self.plan.options.brokers.min(3) as i16;
                let name = format!("x{id}");
                let topic =
                    Topic { name, partitions: 2, replicas, min_isr: 1, unclean: false, segment_bytes: None };
                self.ask(asked, admin::create(&topic));
            }
            What::MinIsr { topic, value } => self.ask(asked, admin::min_isr(name(*topic), *value)),
            What::Elect => self.ask(asked, admin::elect()),
            What::Reassign { topic, partition, replicas } => {
                self.ask(asked, admin::reassign(name(*topic), *partition, replicas));
            }
            What::Request(hit) => self.inject(decision, hit.fault().into()),
            What::Break(node, at) => {
                self.checker.held(*node, true);
                self.inject(decision, Breakpoint::at(*at).node(*node).into());
            }
            What::Coordinator { transactions, partition, pause } => {
                let status = self.world.partition(coordinators_topic(*transactions), *partition);
                let Some(node) = status.and_then(|status| status.leader) else { return };
                self.coordinators.insert(decision.id, node);
                match pause {
                    true => self.inject(decision, Fault::Node { node, fault: NodeFault::Pause }),
                    false => self.take_down(node, Command::Crash(node)),
                }
            }
            What::DeleteRecords { topic, partition } => {
                let leader = self.world.partition(name(*topic), *partition).and_then(|status| status.leader);
                self.ask(leader.unwrap_or(asked), admin::delete_records(name(*topic), *partition));
            }
        }
    }

    fn end(&mut self, decision: &Decision) {
        self.disturb(&decision.what, false);
        match &decision.what {
            What::Crash(node) | What::Power(node) | What::Stop(node) => self.bring_up(*node),
            What::Pause(_) | What::Cut { .. } | What::Isolate(_) | What::Disk(..) | What::Request(_) => {
                self.command(Command::Heal(FaultId(decision.id)))
            }
            What::Coordinator { pause: true, .. } => self.command(Command::Heal(FaultId(decision.id))),
            What::Coordinator { .. } => {
                if let Some(node) = self.coordinators.remove(&decision.id) {
                    self.bring_up(node);
                }
            }
            What::Break(node, _) => {
                self.command(Command::Heal(FaultId(decision.id)));
                self.checker.held(*node, false);
            }
            What::Slow { from, to, .. } => {
                self.command(Command::SetLink { from: *from, to: *to, link: self.plan.options.link });
            }
            What::Skew(node, _) => self.command(Command::SetWallSkew { node: *node, millis: 0 }),
            What::Topic(id) => self.ask(self.any_broker(), admin::delete(&format!("x{id}"))),
            What::MinIsr { .. } | What::Elect | What::Reassign { .. } | What::DeleteRecords { .. } => {}
        }
        // A disk that failed stays offline until its broker starts again.
        if let What::Disk(node, _) = decision.what {
            self.take_down(node, Command::Crash(node));
            self.bring_up(node);
        }
    }

    fn take_down(&mut self, node: NodeId, command: Command) {
        *self.down.entry(node).or_default() += 1;
        if self.world.is_up(node) {
            self.command(command);
        }
    }

    fn bring_up(&mut self, node: NodeId) {
        let down = self.down.entry(node).or_default();
        *down = down.saturating_sub(1);
        if *down == 0 && !self.world.is_up(node) {
            self.command(Command::Start(node));
        }
    }

    fn inject(&mut self, decision: &Decision, fault: Fault) {
        if let Fault::Node { node, .. } = &fault {
            self.checker.excuse_waiting(*node);
        }
        self.command(Command::Inject { id: FaultId(decision.id), fault: Box::new(fault) });
    }

    /// Ends every fault, lets producers finish, gives the cluster the time that recovery may take, and looks whether all is well.
    fn heal(&mut self) {
        self.healed = true;
        self.command(Command::HealAll);
        self.checker.calm(self.world.now());
        self.keep_reading();
        let nodes: Vec<_> = self.world.nodes().iter().map(|node| node.node).collect();
        for from in &nodes {
            self.command(Command::SetWallSkew { node: *from, millis: 0 });
            for to in nodes.iter().filter(|to| *to != from) {
                self.command(Command::SetLink { from: *from, to: *to, link: self.plan.options.link });
            }
        }
        // Twice: a broker may still be stopping in order.
        for part in [1, 3] {
            for node in &nodes {
                if !self.world.is_up(*node) {
                    self.command(Command::Start(*node));
                }
            }
            self.pass(RECOVERY * part / 4);
        }
        if !self.goes_on() {
            return;
        }
        self.checker.checkpoint(&self.world);
        self.checker.delivered(&self.world);
        let (clients, members) = (self.plan.options.clients(), self.plan.options.members.len());
        for client in 0..clients - members {
            self.command(Command::StopClient(ClientId(client as u32)));
        }
        if !self.present.is_empty() {
            for _ in 0..SETTLES {
                self.pass(SETTLE / SETTLES);
                if !self.goes_on() {
                    return;
                }
                if self.checker.has_settled(&self.world) {
                    break;
                }
            }
            self.checker.settled(&self.world);
        }
        for client in clients - members..clients {
            self.command(Command::StopClient(ClientId(client as u32)));
        }
        self.run_until(self.world.now() + QUIET);
        if self.goes_on() && !self.checker.is_well(&self.world) {
            self.run_until(self.world.now() + SECOND_LOOK);
        }
        if self.goes_on() {
            self.checker.healed(&self.world);
        }
    }

    fn outcome(self) -> Outcome {
        Outcome {
            violations: self.checker.violations().iter().filter(|v| self.ends(v)).cloned().collect(),
            losses: self.checker.losses().to_vec(),
            lost_with_leader_acks: self.checker.lost_with_leader_acks(),
            trace: self.world.trace().events().cloned().collect(),
            hash: self.hash,
            events: self.events,
            simulated: Duration::from_nanos(self.world.now().0),
            committed: self.checker.committed(),
            cut_short: self.events >= MAX_EVENTS,
        }
    }
}
