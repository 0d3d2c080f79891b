//! Carries a scenario out, step by step, in virtual time.

mod ask;
mod consumer;
mod epochs;
mod faults;
mod groups;
mod hold;
mod look;
mod member;
pub(crate) use self::look::time;
mod pace;
mod producer;
mod quorum;
mod share;
mod stage;
mod told;
mod txn;

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{Rng, Timestamp, TraceEvent};
use klamm_world::{Command, Fault, LinkSettings};

use self::consumer::Consumer;
use self::faults::Injected;
use self::member::Members;
use self::producer::Producer;
use self::stage::Stage;
use crate::theatre::{Answer, Theatre};

use crate::plan::{ClusterSpec, Plan, Planned, Run};
use crate::report::{Failure, Report, Row};
use crate::step::{Admin, Step, Wait, When};

/// How a scenario is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The seed, instead of the file's.
    pub seed: Option<u64>,
    /// Varies latencies and interleavings: links between nodes are slower, by what is drawn from the seed.
    pub vary: bool,
}

/// The client that stands for the administrator.
const ADMINISTRATOR: u32 = 0;

/// Of as much time, idle stretches are passed over.
const LONG: Duration = Duration::from_secs(600);

/// What a run's cluster is made of, for whoever brings it up.
#[derive(Debug)]
pub struct Setting<'a> {
    /// What the file says.
    pub cluster: &'a ClusterSpec,
    /// The seed of this run.
    pub seed: u64,
    /// How much slower every link between nodes is than the file says.
    pub slower: LinkSettings,
    /// The variant of the file that is run.
    pub variant: Option<&'a str>,
    /// What the steps ask for beyond requests, each with its line.
    pub asks: Vec<(usize, Asked<'a>)>,
}

/// What a step asks for that not every theatre has.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// Something goes wrong.
    Fault(&'a Fault),
    /// A link becomes slower.
    Link,
    /// So much time goes by.
    Time(Duration),
}

/// What a step asks for beyond requests.
fn asked(step: &Step) -> Vec<Asked<'_>> {
    match step {
        Step::Inject(all) => all.iter().map(|inject| Asked::Fault(&inject.fault)).collect(),
        Step::Link { .. } => vec![Asked::Link],
        Step::Advance(time)
        | Step::Expect { when: When::Always(time), .. }
        | Step::Expect { when: When::Eventually { not_before: time, .. }, .. } => vec![Asked::Time(*time)],
        _ => Vec::new(),
    }
}

/// Runs every release and variant of a plan in virtual time.
pub(crate) fn run(file: &str, text: &str, plan: &Plan, options: Options) -> Vec<Report> {
    run_in(file, text, plan, options, |setting| Ok(Stage::new(setting.cluster, setting.seed, setting.slower)))
}

/// Runs every release and variant of a plan, each in a theatre that `open` builds.
pub(crate) fn run_in<T: Theatre>(
    file: &str,
    text: &str,
    plan: &Plan,
    options: Options,
    mut open: impl FnMut(&Setting<'_>) -> Result<T, String>,
) -> Vec<Report> {
    let mut reports = Vec::new();
    for run in &plan.runs {
        let seed = options.seed.unwrap_or(run.cluster.seed);
        let slower = if options.vary { varied(seed) } else { LinkSettings::default() };
        let mut report = Report {
            file: file.to_owned(),
            id: plan.id.clone(),
            title: plan.title.clone(),
            version: run.version.clone(),
            variant: run.variant.clone(),
            seed,
            unseen: 0,
            rows: Vec::new(),
        };
        let asks = run.steps.iter().flat_map(|planned| {
            let line = line_of(text, planned);
            asked(&planned.step).into_iter().map(move |asked| (line, asked))
        });
        let variant = run.variant.as_deref();
        match open(&Setting { cluster: &run.cluster, seed, slower, variant, asks: asks.collect() }) {
            Ok(theatre) => play(text, run, Runner::new(theatre), &mut report),
            Err(message) => report.rows.push(Row::failed(not_up(message))),
        }
        reports.push(report);
    }
    reports
}

fn not_up(message: String) -> Failure {
    Failure::new("the cluster before the first step", "it is up, and has its topics", message)
}

/// Carries one run out.
fn play<T: Theatre>(text: &str, run: &Run, mut runner: Runner<T>, report: &mut Report) {
    if let Err(message) = runner.set_up(run) {
        report.rows.push(runner.row(text, None, vec![not_up(message)]));
        return;
    }
    for planned in &run.steps {
        runner.line = line_of(text, planned);
        let failures = runner.step(&planned.step);
        report.unseen = runner.unseen;
        let failed = !failures.is_empty();
        report.rows.push(runner.row(text, Some(planned), failures));
        if failed {
            return;
        }
    }
    let inert = runner.inert();
    // In real time it is chance whether a request falls into the moment before the next step.
    if !inert.is_empty() && runner.stage.leeway().is_zero() {
        report.rows.push(runner.row(text, None, inert));
    }
}

/// Links that are slower by up to a few milliseconds, as the seed says.
fn varied(seed: u64) -> LinkSettings {
    let mut rng = Rng::stream(seed, "varied links");
    LinkSettings {
        latency: Duration::from_micros(rng.below(2_000)),
        jitter: Duration::from_micros(rng.below(3_000)),
    }
}

/// The line of the file that a step stands in, from 1.
fn line_of(text: &str, planned: &Planned) -> usize {
    let before = &text.as_bytes()[..planned.span.start.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

struct Runner<T> {
    stage: T,
    began: Timestamp,
    /// How many trace events there were when the first step began.
    trace_before: u64,
    /// How many trace events the rows so far have told of.
    traced: u64,
    producers: BTreeMap<String, Producer>,
    consumers: BTreeMap<String, Consumer>,
    next_client: u32,
    told: Vec<String>,
    faults: Vec<Injected>,
    /// The line of the step that is carried out.
    line: usize,
    /// How many expectations could not be checked, for nobody sees here what they are about.
    unseen: usize,
    members: Members,
    share: BTreeMap<String, share::ShareMember>,
}

impl Failure {
    fn new(what: impl Into<String>, expected: impl Into<String>, actual: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), actual: actual.into() }
    }
}

impl<T: Theatre> Runner<T> {
    fn new(stage: T) -> Self {
        Self {
            stage,
            began: Timestamp::ZERO,
            trace_before: 0,
            traced: 0,
            producers: BTreeMap::new(),
            consumers: BTreeMap::new(),
            next_client: ADMINISTRATOR + 1,
            told: Vec::new(),
            faults: Vec::new(),
            line: 0,
            unseen: 0,
            members: Members::default(),
            share: BTreeMap::new(),
        }
    }

    /// Everything that is there before the first step.
    fn set_up(&mut self, run: &Run) -> Result<(), String> {
        self.stage.boot()?;
        for topic in &run.topics {
            let (error, message) = self.admin(&Admin::CreateTopic(topic.clone()));
            if error != "NONE" {
                return Err(format!("topic `{}`: {error} {}", topic.name, message.unwrap_or_default()));
            }
            let ready = |runner: &Self| runner.stage.is_topic_ready(&topic.name);
            if !self.wait(Duration::from_secs(60), ready) {
                return Err(format!("topic `{}` does not become ready", topic.name));
            }
        }
        // Whole seconds make times readable.
        self.pass(10 * self.stage.breath());
        self.began = self.stage.now();
        self.trace_before = self.recorded();
        self.traced = self.trace_before;
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Vec<Failure> {
        let now = self.stage.now();
        match step {
            Step::Note(_) => {}
            Step::Producer(spec) => {
                self.stage.name_client(self.next_client, &spec.name);
                self.producers.insert(spec.name.clone(), Producer::new(self.next_client, spec.clone()));
                self.next_client += 1;
            }
            Step::Consumer(spec) => {
                self.declare_member(spec);
                self.stage.name_client(self.next_client, &spec.name);
                self.consumers.insert(spec.name.clone(), Consumer::new(self.next_client, spec.clone()));
                self.next_client += 1;
            }
            Step::Send { send, wait } => {
                if let Some(producer) = self.producers.get_mut(&send.client) {
                    producer.send(send, now);
                }
                self.clients();
                if let Some(wait) = wait {
                    return self.await_results(&send.client, &send.records, wait);
                }
            }
            Step::Await { client, records, wait } => {
                let pending = || self.producers.get(client).map(Producer::pending).unwrap_or_default();
                let records = if records.is_empty() { pending() } else { records.clone() };
                return self.await_results(client, &records, wait);
            }
            Step::Transaction(transaction) => {
                let failures = self.transaction(transaction);
                if !failures.is_empty() {
                    return failures;
                }
            }
            Step::Consume(what) => {
                if let Some(consumer) = self.consumers.get_mut(&what.client) {
                    consumer.consume(what, now);
                }
                self.clients();
                if !what.wait {
                    return Vec::new();
                }
                let reads = |runner: &Self| {
                    runner.consumers.get(&what.client).is_none_or(|consumer| !consumer.is_reading())
                };
                self.wait(Duration::from_secs(120), reads);
                let position =
                    self.consumers.get(&what.client).and_then(|consumer| consumer.position(&what.partition));
                let error = position
                    .and_then(|position| position.error.clone())
                    .unwrap_or_else(|| "PENDING".to_owned());
                if error != what.error {
                    return vec![Failure::new(
                        format!("{} reads {}", what.client, what.partition),
                        what.error.clone(),
                        error,
                    )];
                }
            }
            Step::Member { client, op, error, wait, patience } => {
                return self.ask_member(client, op, error, *wait, *patience);
            }
            Step::ShareConsumer { name, group } => self.declare_share(name, group),
            Step::Share(step) => {
                let failures = self.share(step);
                if !failures.is_empty() {
                    return failures;
                }
            }
            Step::EndMember(client) => self.end_member(client),
            Step::Advance(time) if *time >= LONG => self.pass_over(*time),
            Step::Advance(time) => self.pass(*time),
            Step::AdvanceTo(time) => {
                let at = self.began + *time;
                if at < now {
                    return vec![Failure::new(
                        "time",
                        format!("it is at most {time:?}"),
                        format!("it is {:?}", now.since(self.began)),
                    )];
                }
                self.pass(at.since(now));
            }
            Step::Settle(within) => {
                if !self.wait(*within + self.stage.leeway(), Self::is_settled) {
                    let unsettled = self.unsettled();
                    return vec![Failure::new("all replicas", "in sync and equal", unsettled)];
                }
            }
            Step::Inject(all) => {
                let failures = self.inject(all);
                if !failures.is_empty() {
                    return failures;
                }
            }
            Step::Heal(names) => self.heal(names),
            Step::AwaitFired { name, times, within } => {
                if !self.wait(*within + self.stage.leeway(), |runner| runner.fired(name) >= *times) {
                    let actual = format!("{} times", self.fired(name));
                    return vec![Failure::new(
                        format!("fault `{name}`"),
                        format!("it fires {times} times"),
                        actual,
                    )];
                }
            }
            Step::Stop(nodes) => {
                nodes.iter().for_each(|node| self.stage.command(Command::Stop(*node)));
                let stopped = |runner: &Self| nodes.iter().all(|node| !runner.stage.is_up(*node));
                if !self.wait(Duration::from_secs(300), stopped) {
                    return vec![Failure::new("stop", "it ends within 5 minutes", "a node still runs")];
                }
            }
            Step::Link { from, to, latency, jitter, one_way } => {
                let link = LinkSettings { latency: *latency, jitter: *jitter };
                self.stage.command(Command::SetLink { from: *from, to: *to, link });
                if !one_way {
                    self.stage.command(Command::SetLink { from: *to, to: *from, link });
                }
            }
            Step::Admin { ask, error } => {
                let (actual, message) = self.admin(ask);
                let message = message.map(|message| format!(": {message}")).unwrap_or_default();
                self.told.push(format!("{actual}{message}"));
                if actual != *error {
                    return vec![Failure::new("the result", error.clone(), format!("{actual}{message}"))];
                }
                // What was changed is known everywhere before the next step, unless a node cannot know it.
                self.pass(self.stage.breath());
            }
            Step::Expect { when, all } => return self.expect(*when, all),
        }
        self.clients();
        self.stage
            .take_trouble()
            .into_iter()
            .map(|trouble| Failure::new("the cluster", "it runs on", trouble))
            .collect()
    }

    /// Waits for results, which must be as expected.
    fn await_results(&mut self, client: &str, records: &[String], wait: &Wait) -> Vec<Failure> {
        let patience = self
            .producers
            .get(client)
            .map_or(Duration::from_secs(120), |producer| producer.spec().delivery_timeout);
        let done = |runner: &Self| {
            runner
                .producers
                .get(client)
                .is_none_or(|producer| records.iter().all(|record| producer.outcome(record).is_some()))
        };
        // A little more, for the client's own timeout to end first.
        let within = wait.within.map(|within| within + self.stage.leeway());
        self.wait(within.unwrap_or(patience + Duration::from_secs(1)), done);
        self.check_results(client, records, Some(&wait.error), wait.offset)
    }

    /// Asks for something as an administrator, of the first broker that is there.
    fn admin(&mut self, ask: &Admin) -> (String, Option<String>) {
        let (key, version, request) = ask::admin(ask);
        let mut brokers = self.stage.brokers();
        if let Admin::DeleteRecords { partition, .. } = ask {
            // Only the leader deletes records.
            let status = self.stage.partition(&partition.topic, partition.partition);
            let leader = status.and_then(|status| status.leader);
            brokers.sort_by_key(|broker| Some(*broker) != leader);
        }
        if let Admin::Metadata { broker: Some(asked), .. } = ask {
            brokers.retain(|broker| broker == asked);
        }
        for broker in brokers {
            let ticket = self.stage.ask(ADMINISTRATOR, broker, key, version, request.clone());
            if let Some(answer) = self.answer(ticket)
                && !matches!(answer, Answer::Closed)
            {
                return ask::admin_result(&answer);
            }
        }
        ("DISCONNECTED".to_owned(), Some("no broker answers".to_owned()))
    }

    /// Lets a long time pass, without what happens in all of it.
    fn pass_over(&mut self, time: Duration) {
        let until = self.stage.now() + time;
        loop {
            let limit = self.next_client(until).unwrap_or(until);
            self.stage.skip(limit);
            if !self.tick(until) {
                return;
            }
        }
    }

    /// When the first client wants to do something before `until`.
    fn next_client(&self, until: Timestamp) -> Option<Timestamp> {
        let clients = self.producers.values().filter_map(Producer::next_deadline);
        let clients = clients.chain(self.consumers.values().filter_map(Consumer::next_deadline));
        let now = self.stage.now();
        // What a client could do now, it has done: what is left of it waits for something else.
        clients.filter(|at| *at > now && *at < until).min()
    }

    /// What the trace has recorded since the first step, and from the `from`th event on.
    fn trace_from(&self, from: u64) -> Vec<TraceEvent> {
        let events = self.stage.look(|world| {
            let trace = world.trace();
            let kept = trace.events().len() as u64;
            let skip = from.saturating_sub(trace.recorded() - kept);
            trace.events().skip(usize::try_from(skip).unwrap_or(usize::MAX)).cloned().collect()
        });
        events.unwrap_or_default()
    }

    /// How many trace events there were.
    fn recorded(&self) -> u64 {
        self.stage.look(|world| world.trace().recorded()).unwrap_or(0)
    }

    /// What clients were told since the last row.
    fn take_told(&mut self) -> Vec<String> {
        let mut told: Vec<_> = self.producers.values_mut().flat_map(Producer::take_told).collect();
        told.append(&mut self.told);
        told
    }

    fn row(&mut self, text: &str, planned: Option<&Planned>, failures: Vec<Failure>) -> Row {
        let trace = self.trace_from(self.traced);
        self.traced = self.recorded();
        Row {
            at: self.stage.now().since(self.began),
            began: self.began,
            line: planned.map_or(0, |planned| line_of(text, planned)),
            text: match planned.map(|planned| (&planned.step, &planned.text)) {
                Some((Step::Note(prose), _)) => prose.clone(),
                Some((_, text)) => text.clone(),
                None => String::new(),
            },
            block: planned.map(|planned| planned.block.clone()).unwrap_or_default(),
            prose: planned.is_some_and(|planned| matches!(planned.step, Step::Note(_))),
            expects: planned.is_some_and(|planned| matches!(planned.step, Step::Expect { .. })),
            told: self.take_told(),
            failures,
            trace,
            state: self.look(),
        }
    }
}
