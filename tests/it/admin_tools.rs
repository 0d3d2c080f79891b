//! Kafka's own tools for elections, reassignments, throttles, transactions and what is wrong with partitions, against klamm; what needs
//! no broker to die also against Apache Kafka.

use anyhow::Result;
use klamm::blocking::Cluster;
use klamm_tests::kafka::{ApacheKafka, KafkaSettings};
use klamm_tests::tools::{Tool, Tools};
use klamm_tests::{PATIENCE, java, toolchain};

/// The tools, and a folder for the files that they want.
struct Desk {
    tools: Tools,
    dir: tempfile::TempDir,
}

impl Desk {
    fn open(bootstrap: &str) -> Result<Self> {
        Ok(Self { tools: Tools::start(bootstrap)?, dir: tempfile::tempdir()? })
    }

    fn topics(&mut self, arguments: &[&str]) -> Result<String> {
        self.tools.ok(Tool::Topics, arguments)
    }

    fn configs(&mut self, kind: &str, name: &str, arguments: &[&str]) -> Result<String> {
        let entity = ["--entity-type", kind, "--entity-name", name];
        self.tools.ok(Tool::Configs, &[&entity[..], arguments].concat())
    }

    /// A topic of one partition with these replicas (`1:2:3`), which its leader serves.
    fn create(&mut self, topic: &str, replicas: &str, configs: &[&str]) -> Result<()> {
        let mut arguments = vec!["--create", "--topic", topic, "--replica-assignment", replicas];
        for config in configs {
            arguments.extend(["--config", config]);
        }
        self.topics(&arguments)?;
        let isr = format!("Isr: {}", replicas.replace(':', ","));
        self.tools.until(Tool::Topics, &["--describe", "--topic", topic], |text| text.contains(&isr))?;
        Ok(())
    }

    fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    fn plan(&self, topic: &str, replicas: &[i32]) -> Result<String> {
        let partition = format!(r#"{{"topic":"{topic}","partition":0,"replicas":{replicas:?}}}"#);
        self.file("plan.json", &format!(r#"{{"version":1,"partitions":[{partition}]}}"#))
    }

    fn reassign(&mut self, plan: &str, arguments: &[&str]) -> Result<String> {
        let file = ["--reassignment-json-file", plan];
        self.tools.ok(Tool::ReassignPartitions, &[&file[..], arguments].concat())
    }

    fn elect(&mut self, kind: &str, arguments: &[&str]) -> Result<String> {
        self.tools.ok(Tool::LeaderElection, &[&["--election-type", kind], arguments].concat())
    }
}

/// Panics unless `text` holds every one of `parts`.
#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

/// What holds for any cluster of brokers 1, 2 and 3 that are all up.
fn everything_that_needs_no_failure(bootstrap: &str) -> Result<()> {
    let desk = &mut Desk::open(bootstrap)?;
    versions(desk)?;
    a_plan_is_generated_executed_and_verified(desk)?;
    a_move_is_listed_and_cancelled(desk)?;
    leadership_is_given_back(desk)?;
    clients_get_quotas(desk)?;
    Ok(())
}

fn versions(desk: &mut Desk) -> Result<()> {
    let text = desk.tools.ok(Tool::BrokerApiVersions, &[])?;
    let served = [
        "ElectLeaders(43): 0 to 2",
        "AlterPartitionReassignments(45): 0 to 1",
        "ListPartitionReassignments(46): 0 [usable: 0]",
        "UnregisterBroker(64): 0 [usable: 0]",
    ];
    says(&text, &served);
    let text = desk.tools.ok(Tool::Cluster, &["cluster-id"])?;
    says(&text, &["Cluster ID: "]);
    Ok(())
}

fn a_plan_is_generated_executed_and_verified(desk: &mut Desk) -> Result<()> {
    desk.create("plan", "1:2", &[])?;
    let topics = desk.file("topics.json", r#"{"topics":[{"topic":"plan"}],"version":1}"#)?;
    let generate = ["--topics-to-move-json-file", &topics, "--broker-list", "2,3", "--generate"];
    let text = desk.tools.ok(Tool::ReassignPartitions, &generate)?;
    says(&text, &["Current partition replica assignment", r#""replicas":[1,2]"#]);
    let (_, proposed) = text.split_once("Proposed partition reassignment configuration").expect("a proposal");
    assert!(
        proposed.contains(r#""replicas":[2,3]"#) || proposed.contains(r#""replicas":[3,2]"#),
        "{proposed}"
    );

    let plan = desk.plan("plan", &[3, 2])?;
    let text = desk.reassign(&plan, &["--execute", "--throttle", "50000000"])?;
    let executed = [
        r#""replicas":[1,2]"#,
        "The inter-broker throttle limit was set to 50000000 B/s",
        "Successfully started partition reassignment for plan-0",
    ];
    says(&text, &executed);
    let text = desk.configs("topics", "plan", &["--describe"])?;
    let replicas =
        ["leader.replication.throttled.replicas=0:1,0:2", "follower.replication.throttled.replicas=0:3"];
    says(&text, &replicas);
    for broker in ["1", "2", "3"] {
        let text = desk.configs("brokers", broker, &["--describe"])?;
        let rates =
            ["leader.replication.throttled.rate=50000000", "follower.replication.throttled.rate=50000000"];
        says(&text, &rates);
    }
    let verify = ["--reassignment-json-file", &plan, "--verify"];
    let done = "Reassignment of partition plan-0 is completed.";
    let text = desk.tools.until(Tool::ReassignPartitions, &verify, |text| text.contains(done))?;
    says(
        &text,
        &["Clearing broker-level throttles on brokers", "Clearing topic-level throttles on topic plan"],
    );
    let moved = ["Leader: 3", "Replicas: 3,2"];
    let describe = ["--describe", "--topic", "plan"];
    desk.tools.until(Tool::Topics, &describe, |text| moved.iter().all(|part| text.contains(part)))?;
    let text = desk.configs("topics", "plan", &["--describe"])?;
    assert!(!text.contains("throttled"), "{text}");

    // Throttles can be set by hand, and a wrong one cannot.
    let rate = "leader.replication.throttled.rate";
    desk.configs("brokers", "1", &["--alter", "--add-config", &format!("{rate}=12345")])?;
    let describe = ["--entity-type", "brokers", "--entity-name", "1", "--describe"];
    desk.tools.until(Tool::Configs, &describe, |text| text.contains("throttled.rate=12345"))?;
    desk.configs("brokers", "1", &["--alter", "--delete-config", rate])?;
    desk.tools.until(Tool::Configs, &describe, |text| !text.contains("throttled.rate"))?;
    let wrong = ["--entity-type", "topics", "--entity-name", "plan", "--alter", "--add-config"];
    let wrong = [&wrong[..], &["leader.replication.throttled.replicas=x"]].concat();
    assert_eq!(desk.tools.run(Tool::Configs, &wrong)?.code, 1);
    let nowhere = desk.plan("plan", &[2, 9])?;
    let nowhere = ["--reassignment-json-file", &nowhere, "--execute"];
    let answer = desk.tools.run(Tool::ReassignPartitions, &nowhere)?;
    assert!(answer.code == 1 && answer.text.contains("9"), "{answer:?}");
    Ok(())
}

fn a_move_is_listed_and_cancelled(desk: &mut Desk) -> Result<()> {
    desk.create("slow", "1:2", &[])?;
    // More than one fetch takes, so that a byte a second keeps the move from ending.
    let load = ["--topic", "slow", "--num-records", "40", "--record-size", "100000", "--throughput", "-1"];
    desk.tools.ok(Tool::ProducerPerfTest, &[&load[..], &["--command-property", "acks=all"]].concat())?;
    let plan = desk.plan("slow", &[3, 2])?;
    let text = desk.reassign(&plan, &["--execute", "--throttle", "1"])?;
    says(&text, &["Successfully started partition reassignment for slow-0"]);
    let text = desk.tools.ok(Tool::ReassignPartitions, &["--list"])?;
    says(&text, &["Current partition reassignments:", "slow-0: replicas: 3,2,1. adding: 3. removing: 1."]);
    let text = desk.reassign(&plan, &["--verify", "--preserve-throttles"])?;
    says(&text, &["Reassignment of partition slow-0 is still in progress."]);
    // A replica that is being added is not missed yet.
    let text = desk.topics(&["--describe", "--under-replicated-partitions"])?;
    assert!(!text.contains("slow"), "{text}");
    let text = desk.reassign(&plan, &["--cancel"])?;
    says(&text, &["Successfully cancelled partition reassignment", "slow-0"]);
    let text = desk.tools.ok(Tool::ReassignPartitions, &["--list"])?;
    says(&text, &["No partition reassignments found."]);
    let back = |text: &str| text.contains("Leader: 1") && text.contains("Replicas: 2,1");
    desk.tools.until(Tool::Topics, &["--describe", "--topic", "slow"], back)?;
    let text = desk.configs("topics", "slow", &["--describe"])?;
    assert!(!text.contains("throttled"), "{text}");
    Ok(())
}

fn leadership_is_given_back(desk: &mut Desk) -> Result<()> {
    desk.create("lead", "1:2:3", &["min.insync.replicas=3"])?;
    let lead = ["--topic", "lead", "--partition", "0"];
    let text = desk.elect("preferred", &lead)?;
    says(&text, &["Valid replica already elected for partitions lead-0"]);
    let plan = desk.plan("lead", &[2, 3, 1])?;
    desk.reassign(&plan, &["--execute"])?;
    let describe = ["--describe", "--topic", "lead"];
    desk.tools.until(Tool::Topics, &describe, |text| text.contains("Replicas: 2,3,1"))?;
    let text = desk.elect("unclean", &lead)?;
    says(&text, &["Valid replica already elected for partitions lead-0"]);
    let text = desk.elect("preferred", &lead)?;
    says(&text, &["Successfully completed leader election (PREFERRED) for partitions lead-0"]);
    desk.tools.until(Tool::Topics, &describe, |text| text.contains("Leader: 2"))?;
    // Everywhere: what was cancelled before is led by 1 and prefers 2.
    let text = desk.elect("preferred", &["--all-topic-partitions"])?;
    says(&text, &["Successfully completed leader election (PREFERRED) for partitions slow-0"]);
    let file = desk.file("elect.json", r#"{"partitions":[{"topic":"lead","partition":0}]}"#)?;
    let text = desk.elect("preferred", &["--path-to-json-file", &file])?;
    says(&text, &["Valid replica already elected for partitions lead-0"]);
    let answer = desk.tools.run(
        Tool::LeaderElection,
        &["--election-type", "preferred", "--topic", "none", "--partition", "0"],
    )?;
    assert!(answer.code == 1 && answer.text.contains("none-0"), "{answer:?}");

    let text = desk.topics(&["--describe", "--at-min-isr-partitions"])?;
    assert!(text.contains("Topic: lead") && !text.contains("Topic: slow"), "{text}");
    for filter in ["--under-min-isr-partitions", "--unavailable-partitions", "--under-replicated-partitions"]
    {
        assert_eq!(desk.topics(&["--describe", filter])?, "", "{filter}");
    }
    Ok(())
}

/// Quotas are set, shown, felt by a producer, and removed.
fn clients_get_quotas(desk: &mut Desk) -> Result<()> {
    let slow = ["--entity-type", "clients", "--entity-name", "slow"];
    let rates = "producer_byte_rate=100000,controller_mutation_rate=5";
    desk.configs("clients", "slow", &["--alter", "--add-config", rates])?;
    let describe = [&slow[..], &["--describe"]].concat();
    let text = desk.tools.until(Tool::Configs, &describe, |text| text.contains("producer_byte_rate"))?;
    says(&text, &["client-id 'slow'", "producer_byte_rate=100000.0", "controller_mutation_rate=5.0"]);

    let alice =
        ["--entity-type", "users", "--entity-name", "alice", "--entity-type", "clients", "--entity-default"];
    desk.tools
        .ok(Tool::Configs, &[&alice[..], &["--alter", "--add-config", "consumer_byte_rate=2048"]].concat())?;
    let describe_alice = [&alice[..], &["--describe"]].concat();
    let text =
        desk.tools.until(Tool::Configs, &describe_alice, |text| text.contains("consumer_byte_rate"))?;
    says(&text, &["user-principal 'alice'", "the default client-id", "consumer_byte_rate=2048.0"]);
    let wrong = ["--alter", "--add-config", "producer_byte_rate=0"];
    let answer = desk.tools.run(Tool::Configs, &[&slow[..], &wrong].concat())?;
    assert!(answer.code == 1 && answer.text.contains("must be greater than 0"), "{answer:?}");

    // Ten seconds' worth is free: what is a tenth above it costs a second.
    desk.create("metered", "1", &[])?;
    let load = ["--topic", "metered", "--num-records", "1100", "--record-size", "1000", "--throughput", "-1"];
    let client = ["--command-property", "client.id=slow", "--print-metrics"];
    let is_throttled = |text: &str| {
        let line = text.lines().find(|line| line.contains(":produce-throttle-time-max:"));
        let value = line.and_then(|line| line.rsplit(':').next()?.trim().parse::<f64>().ok());
        value.is_some_and(|millis| millis > 0.0)
    };
    desk.tools.until(Tool::ProducerPerfTest, &[&load[..], &client].concat(), is_throttled)?;

    desk.configs("clients", "slow", &["--alter", "--delete-config", "producer_byte_rate"])?;
    let text = desk.tools.until(Tool::Configs, &describe, |text| !text.contains("producer_byte_rate"))?;
    says(&text, &["client-id 'slow'", "controller_mutation_rate=5.0"]);
    Ok(())
}

fn missing() -> bool {
    toolchain::skip("admin tools", &java::PROGRAMS)
}

#[test]
fn apache_kafka() {
    if missing() {
        return;
    }
    let kafka = ApacheKafka::start(&KafkaSettings::default()).unwrap();
    everything_that_needs_no_failure(kafka.bootstrap()).unwrap();
    kafka.stop().unwrap();
}

#[test]
fn klamm() {
    if missing() {
        return;
    }
    let cluster = Cluster::builder().brokers(3).start_blocking().unwrap();
    everything_that_needs_no_failure(&cluster.bootstrap_servers()).unwrap();
}

#[test]
fn replicas_move_between_log_directories() {
    if missing() {
        return;
    }
    let cluster = Cluster::builder().brokers(2).config("log.dirs", "/one,/two").start_blocking().unwrap();
    between_directories(&cluster.bootstrap_servers(), |_| true).unwrap();
}

/// The same on files, where one can see that it moves, and that it stays whole.
#[test]
fn replicas_move_between_log_directories_of_files() {
    if missing() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let builder = Cluster::builder().brokers(2).config("log.dirs", "/one,/two");
        builder.config("log.segment.bytes", "1048576").data_dir(dir.path()).start_blocking().unwrap()
    };
    let cluster = start();
    let lies = |log_dir: &str| dir.path().join("node-1").join(&log_dir[1..]).join("dirs-0").exists();
    let moved = |to: &str| ["/one", "/two"].iter().all(|log_dir| lies(log_dir) == (*log_dir == to));
    between_directories(&cluster.bootstrap_servers(), moved).unwrap();
    // Another run finds each replica where it was left, and each by itself has every record.
    cluster.stop();
    for leader in [1, 2] {
        let cluster = start();
        assert!(moved("/one"), "dirs-0 does not lie in /one alone");
        // The broker that stopped last is alone in the ISR at first.
        let whole = |world: &klamm::World| world.partition("dirs", 0).is_some_and(|it| it.isr.len() == 2);
        cluster.wait_until_for(PATIENCE, whole).unwrap();
        cluster.broker(3 - leader).unwrap().stop().unwrap();
        let mut tools = Tools::start(cluster.broker(leader).unwrap().address()).unwrap();
        let timeout = PATIENCE.as_millis().to_string();
        // Of a partition that is named, for which no group is asked: its coordinator may be the one that is gone.
        let all = ["--topic", "dirs", "--partition", "0", "--offset", "earliest", "--max-messages", "3000"];
        let all = [&all[..], &["--timeout-ms", &timeout]].concat();
        let text = tools.ok(Tool::ConsoleConsumer, &all).unwrap();
        says(&text, &["Processed a total of 3000 messages"]);
        cluster.stop();
    }
}

/// Moves broker 1's replica to the second directory and back to the first; `moved` says whether it is where it should be, and there alone.
fn between_directories(bootstrap: &str, moved: impl Fn(&str) -> bool) -> Result<()> {
    let desk = &mut Desk::open(bootstrap)?;
    desk.create("dirs", "1:2", &[])?;
    let load = ["--topic", "dirs", "--num-records", "3000", "--record-size", "1000", "--throughput", "-1"];
    desk.tools.ok(Tool::ProducerPerfTest, &[&load[..], &["--command-property", "acks=all"]].concat())?;
    let describe = ["--describe", "--topic-list", "dirs", "--broker-list", "1"];
    for to in ["/two", "/one"] {
        let partition =
            format!(r#"{{"topic":"dirs","partition":0,"replicas":[1,2],"log_dirs":["{to}","any"]}}"#);
        let plan = desk.file("dirs.json", &format!(r#"{{"version":1,"partitions":[{partition}]}}"#))?;
        let throttle = ["--execute", "--replica-alter-log-dirs-throttle", "100000000", "--additional"];
        desk.reassign(&plan, &throttle)?;
        let verify = ["--reassignment-json-file", &plan, "--verify"];
        let done = "Reassignment of replica dirs-0-1 completed successfully.";
        desk.tools.until(Tool::ReassignPartitions, &verify, |text| text.contains(done))?;
        let text = desk.tools.ok(Tool::LogDirs, &describe)?;
        let at = text.find("dirs-0").expect("the partition is somewhere");
        // A directory's name comes behind its partitions.
        let dir = at + text[at..].find("\"logDir\":\"").expect("in a directory");
        assert!(text[dir..].starts_with(&format!("\"logDir\":\"{to}\"")), "{text}");
        assert!(text[at..].contains("\"isFuture\":false"), "{text}");
        assert!(moved(to), "dirs-0 does not lie in {to} alone");
    }
    Ok(())
}

/// Crashes a broker and waits until the controller has noticed.
fn crash(cluster: &Cluster, broker: i32) {
    cluster.broker(broker).unwrap().crash().unwrap();
    cluster
        .wait_until_for(PATIENCE, |world| {
            let image = world.metadata();
            image.is_some_and(|image| {
                image.cluster.brokers().all(|known| known.id.0 != broker || known.fenced)
            })
        })
        .unwrap();
}

#[test]
fn brokers_die_one_by_one() {
    if missing() {
        return;
    }
    let cluster = Cluster::builder()
        .brokers(4)
        .config("broker.session.timeout.ms", "1000")
        .config("broker.heartbeat.interval.ms", "200")
        .start_blocking()
        .unwrap();
    one_by_one(&cluster).unwrap();
}

fn one_by_one(cluster: &Cluster) -> Result<()> {
    // Broker 4 is never stopped: the tools speak to it.
    let desk = &mut Desk::open(cluster.broker(4)?.address())?;
    desk.create("t", "1:2:3", &["min.insync.replicas=2"])?;
    desk.create("safe", "4", &[])?;
    let filters = [
        "--under-replicated-partitions",
        "--at-min-isr-partitions",
        "--under-min-isr-partitions",
        "--unavailable-partitions",
    ];
    let found = |desk: &mut Desk| -> Result<Vec<bool>> {
        filters.iter().map(|filter| Ok(desk.topics(&["--describe", filter])?.contains("Topic: t"))).collect()
    };
    let describe = ["--describe", "--topic", "t"];
    let shows = |desk: &mut Desk, parts: &[&str]| {
        desk.tools.until(Tool::Topics, &describe, |text| parts.iter().all(|part| text.contains(part)))
    };
    assert_eq!(found(desk)?, [false, false, false, false]);
    crash(cluster, 3);
    shows(desk, &["Leader: 1", "Isr: 1,2", "Elr: \t"])?;
    assert_eq!(found(desk)?, [true, true, false, false]);
    crash(cluster, 2);
    shows(desk, &["Leader: 1", "Isr: 1", "Elr: 2"])?;
    assert_eq!(found(desk)?, [true, false, true, false]);
    crash(cluster, 1);
    shows(desk, &["Leader: none", "Isr: \t", "Elr: 1,2", "LastKnownElr: 1"])?;
    assert_eq!(found(desk)?, [true, false, true, true]);

    let t = ["--topic", "t", "--partition", "0"];
    let nobody = desk.tools.run(Tool::LeaderElection, &[&["--election-type", "unclean"], &t[..]].concat())?;
    assert!(nobody.code == 1 && nobody.text.contains("ligible"), "{nobody:?}");
    // Broker 3 was not in the ISR for long: only an unclean election makes it lead.
    cluster.broker(3)?.restart()?;
    shows(desk, &["Leader: none"])?;
    let preferred =
        desk.tools.run(Tool::LeaderElection, &[&["--election-type", "preferred"], &t[..]].concat())?;
    assert!(
        preferred.code == 1 && preferred.text.contains("preferred leader was not available"),
        "{preferred:?}"
    );
    let text = desk.elect("unclean", &t)?;
    says(&text, &["Successfully completed leader election (UNCLEAN) for partitions t-0"]);
    shows(desk, &["Leader: 3", "Isr: 3", "Elr: \t"])?;
    assert_eq!(found(desk)?, [true, false, true, false]);

    // A broker that will not come back is moved away from, and taken out of the cluster.
    let plan = desk.plan("t", &[3, 4])?;
    desk.reassign(&plan, &["--execute"])?;
    shows(desk, &["Replicas: 3,4", "Isr: 3,4"])?;
    let text = desk.tools.ok(Tool::Cluster, &["unregister", "--id", "1"])?;
    says(&text, &["Broker 1 is no longer registered."]);
    let gone = cluster.look(|world| {
        world.metadata().is_some_and(|image| image.cluster.brokers().all(|known| known.id.0 != 1))
    });
    assert!(gone);
    Ok(())
}

#[test]
fn transactions_hang_and_are_aborted() {
    if missing() {
        return;
    }
    // As before 3.6: leaders ask nobody whether a transaction is one.
    let cluster = Cluster::builder()
        .brokers(3)
        .config("transaction.partition.verification.enable", "false")
        .start_blocking()
        .unwrap();
    let leader = cluster.broker(1).unwrap().address().to_owned();
    an_open_transaction(&leader).unwrap();
}

/// The words of each line of a table, without its head and without what a client may warn of (`[thread] WARN …`).
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with('[')).skip(1);
    lines.map(|line| line.split_whitespace().collect()).collect()
}

fn an_open_transaction(leader: &str) -> Result<()> {
    let desk = &mut Desk::open(leader)?;
    desk.create("t", "1:2:3", &[])?;
    let producers = ["describe-producers", "--topic", "t", "--partition", "0"];
    let describe = ["describe", "--transactional-id", "payments"];
    let hanging = ["find-hanging", "--topic", "t", "--max-transaction-timeout", "0"];

    desk.tools.ok(Tool::OpenTransaction, &["payments", "t"])?;
    let text = desk.tools.ok(Tool::Transactions, &["list"])?;
    let [listed] = &rows(&text)[..] else { panic!("one transaction in:\n{text}") };
    let [_, coordinator, producer, _] = listed[..] else { panic!("four columns in:\n{text}") };
    assert_eq!(listed[..], ["payments", coordinator, producer, "Ongoing"]);
    for nobody in [["--transactional-id-pattern", "pay"], ["--duration-filter", "3600000"]] {
        let text = desk.tools.ok(Tool::Transactions, &[&["list"], &nobody[..]].concat())?;
        assert!(rows(&text).is_empty(), "{nobody:?}: {text}");
    }
    let text = desk.tools.ok(Tool::Transactions, &["list", "--transactional-id-pattern", "pay.*"])?;
    assert_eq!(rows(&text).len(), 1, "{text}");

    let text = desk.tools.ok(Tool::Transactions, &describe)?;
    let described = rows(&text).swap_remove(0);
    assert_eq!(described[..6], [coordinator, "payments", producer, "0", "Ongoing", "600000"], "{text}");
    assert_eq!(described.last(), Some(&"t-0"), "{text}");
    let text = desk.tools.ok(Tool::Transactions, &producers)?;
    let active = rows(&text).swap_remove(0);
    assert_eq!((&active[..4], active[5]), (&[producer, "0", "-1", "0"][..], "0"), "{text}");
    // A follower tells the same.
    let of_a_follower =
        desk.tools.ok(Tool::Transactions, &[&producers[..], &["--broker-id", "2"]].concat())?;
    assert_eq!(rows(&of_a_follower), rows(&text));
    // Its coordinator knows of it: it does not hang.
    let text = desk.tools.ok(Tool::Transactions, &hanging)?;
    assert!(rows(&text).is_empty(), "{text}");

    desk.tools.ok(Tool::Transactions, &["forceTerminateTransaction", "--transactionalId", "payments"])?;
    let text = desk.tools.until(Tool::Transactions, &describe, |text| !text.contains("t-0"))?;
    let described = rows(&text).swap_remove(0);
    assert_eq!((described[2], described[4]), (producer, "Empty"), "{text}");
    assert_ne!(described[3], "0", "its producer is fenced: {text}");
    desk.tools.until(Tool::Transactions, &producers, |text| text.contains("None"))?;

    // The marker has offset 1.
    desk.tools.ok(Tool::OpenTransaction, &["late", "t", "4242"])?;
    let text = desk.tools.ok(Tool::Transactions, &hanging)?;
    let found = rows(&text);
    assert_eq!((found.len(), &found[0][..6]), (1, &["t", "0", "4242", "0", "-1", "2"][..]), "{text}");
    let abort = ["abort", "--topic", "t", "--partition", "0", "--start-offset", "2"];
    desk.tools.ok(Tool::Transactions, &abort)?;
    let text = desk.tools.ok(Tool::Transactions, &hanging)?;
    assert!(rows(&text).is_empty(), "{text}");

    let again = desk.tools.run(Tool::Transactions, &abort)?;
    let nothing = "Could not find any open transactions starting at offset 2 on partition t-0";
    assert!(again.code == 1 && again.text.contains(nothing), "{again:?}");
    let nobody = desk.tools.run(Tool::Transactions, &["describe", "--transactional-id", "nobody"])?;
    assert!(nobody.code == 1 && nobody.text.contains("transactional-id `nobody`"), "{nobody:?}");
    Ok(())
}
