//! Kafka's own `kafka-dump-log` decodes the metadata log that klamm's controller writes, record by record.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use klamm_controller::{Controller, ControllerSettings};
use klamm_log::FileDisk;
use klamm_metadata::SUPPORTED_FEATURES;
use klamm_node::{CallId, Ctx, Effect, Incoming, NodeId, Origin, ReplyTo, Rng, Timestamp, Trace, WallTime};
use klamm_tests::{java, toolchain};
use klamm_wire::messages::broker_registration_request::{Feature, Listener};
use klamm_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use klamm_wire::messages::delete_topics_request::DeleteTopicState;
use klamm_wire::messages::{
    AllocateProducerIdsRequest, BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateTopicsRequest,
    DeleteTopicsRequest,
};
use klamm_wire::{Request, Uuid};

struct Driver {
    effects: Vec<Effect>,
    trace: Trace,
    rng: Rng,
    calls: u64,
}

impl Driver {
    fn step<T>(&mut self, step: impl FnOnce(&mut Ctx<'_>) -> T) -> T {
        let mut ctx = Ctx {
            now: Timestamp::ZERO,
            wall: WallTime(1_700_000_000_000),
            node: NodeId(100),
            rng: &mut self.rng,
            trace: &mut self.trace,
            effects: &mut self.effects,
            next_call: &mut self.calls,
        };
        step(&mut ctx)
    }

    fn ask(&mut self, controller: &mut Controller, api_version: i16, request: impl Into<Request>) {
        let incoming = Incoming {
            reply_to: ReplyTo::Node { node: NodeId(1), call: CallId(0) },
            origin: Origin::Node(NodeId(1)),
            api_version,
            client_id: None,
            request: request.into(),
            inspected: None,
            arrived: None,
        };
        self.step(|ctx| controller.on_request(ctx, incoming));
        self.flush(controller);
    }

    /// Performs the fsyncs that the controller waits for.
    fn flush(&mut self, controller: &mut Controller) {
        loop {
            let jobs = controller.disk_mut().take_flush_jobs();
            if jobs.is_empty() {
                return;
            }
            for job in jobs {
                let outcome = job.run();
                self.step(|ctx| controller.on_flushed(ctx, &outcome));
            }
        }
    }

    fn heartbeat(&mut self, controller: &mut Controller, broker: i32, fence: bool, shut_down: bool) {
        let epoch = controller.image().cluster.epoch(NodeId(broker)).unwrap();
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(broker.into())
            .with_broker_epoch(epoch)
            .with_current_metadata_offset(controller.high_watermark() - 1)
            .with_want_fence(fence)
            .with_want_shut_down(shut_down);
        self.ask(controller, 1, request);
    }
}

/// A life of a cluster that leaves every kind of record.
fn live(controller: &mut Controller, driver: &mut Driver) {
    for broker in 1..=3 {
        let feature = |feature: &klamm_metadata::SupportedFeature| {
            Feature::default()
                .with_name(feature.name.into())
                .with_min_supported_version(feature.min)
                .with_max_supported_version(feature.max)
        };
        let listener =
            Listener::default().with_name("PLAINTEXT".into()).with_host("h".into()).with_port(9092);
        let request = BrokerRegistrationRequest::default()
            .with_broker_id(broker.into())
            .with_cluster_id("cluster".into())
            .with_incarnation_id(Uuid::from_u128(7000 + broker as u128))
            .with_listeners(vec![listener])
            .with_features(SUPPORTED_FEATURES.iter().map(feature).collect())
            .with_rack(Some("rack".into()))
            .with_log_dirs(vec![Uuid::from_u128(8000 + broker as u128)]);
        driver.ask(controller, 4, request);
        driver.heartbeat(controller, broker, false, false);
    }
    let config =
        CreatableTopicConfig::default().with_name("min.insync.replicas".into()).with_value(Some("2".into()));
    let topic = |name: &'static str| {
        CreatableTopic::default()
            .with_name(klamm_wire::StrBytes::from_static_str(name).into())
            .with_num_partitions(4)
            .with_replication_factor(3)
            .with_configs(vec![config.clone()])
    };
    driver.ask(controller, 7, CreateTopicsRequest::default().with_topics(vec![topic("a"), topic("b")]));
    let epoch = controller.image().cluster.epoch(NodeId(2)).unwrap();
    driver.ask(
        controller,
        0,
        AllocateProducerIdsRequest::default().with_broker_id(2.into()).with_broker_epoch(epoch),
    );
    driver.heartbeat(controller, 2, true, false);
    driver.heartbeat(controller, 3, false, true);
    let id = controller.image().topics.id("b").unwrap();
    let gone = DeleteTopicState::default().with_name(None).with_topic_id(id);
    driver.ask(controller, 6, DeleteTopicsRequest::default().with_topics(vec![gone]));
}

#[test]
fn kafkas_tool_decodes_the_metadata_log() {
    if toolchain::skip("dump-log", &java::PROGRAMS) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut driver = Driver { effects: Vec::new(), trace: Trace::new(0), rng: Rng::from_seed(1), calls: 0 };
    let settings = ControllerSettings::new(NodeId(100), "cluster");
    let disk = Box::new(FileDisk::open(dir.path()).unwrap());
    let mut controller = driver.step(|ctx| Controller::boot(settings.clone(), disk, ctx)).unwrap();
    driver.flush(&mut controller);
    live(&mut controller, &mut driver);
    driver.step(|ctx| controller.shut_down(ctx));
    // Another leader's epoch begins, on what the first one left.
    let disk = controller.into_disk();
    let mut controller = driver.step(|ctx| Controller::boot(settings, disk, ctx)).unwrap();
    driver.flush(&mut controller);
    let records = controller.high_watermark();
    driver.step(|ctx| controller.shut_down(ctx));
    drop(controller);

    let log = dir.path().join("logs/__cluster_metadata-0/00000000000000000000.log");
    let mut tool = java::command().unwrap();
    tool.arg("org.apache.kafka.tools.DumpLogSegments")
        .arg("--cluster-metadata-decoder")
        .arg("--files")
        .arg(log);
    let output = tool.output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}");
    assert_eq!(out.lines().filter(|line| line.starts_with("| offset: ")).count() as i64, records, "{out}");
    assert!(!out.contains("isvalid: false") && !out.contains("Error at "), "{out}");
    assert_eq!(out.matches("LeaderChange: ").count(), 2);
    for (kind, count) in [
        ("BEGIN_TRANSACTION_RECORD", 1),
        ("FEATURE_LEVEL_RECORD", SUPPORTED_FEATURES.len()),
        ("END_TRANSACTION_RECORD", 1),
        ("REGISTER_BROKER_RECORD", 3),
        ("TOPIC_RECORD", 3),
        ("REMOVE_TOPIC_RECORD", 1),
        ("CONFIG_RECORD", 3),
        ("CLEAR_ELR_RECORD", 2),
        ("PRODUCER_IDS_RECORD", 1),
    ] {
        assert_eq!(out.matches(kind).count(), count, "{kind}\n{out}");
    }
    for text in [
        r#""fenced":-1"#,
        r#""fenced":1"#,
        r#""inControlledShutdown":1"#,
        r#""eligibleLeaderReplicas":"#,
        r#""partitionEpoch":0,"directories":["#,
    ] {
        assert!(out.contains(text), "{text}\n{out}");
    }
}
