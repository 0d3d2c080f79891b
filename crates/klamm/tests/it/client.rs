//! A client that says exactly what a test wants it to say.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use klamm_wire::api::{RequestHeader, decode_response, encode_request};
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::{
    ApiVersionsRequest, BrokerId, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, ResponseKind,
    TopicName,
};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{ApiKey, RecordBatch, Request, StrBytes};

/// How long a test waits for an answer before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    next: i32,
    asked: std::collections::VecDeque<(i32, ApiKey, i16)>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    pub(crate) fn try_connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, next: 1, asked: std::collections::VecDeque::new() })
    }

    /// The frame of a request, and notes that its answer is awaited.
    pub(crate) fn frame(&mut self, api_key: ApiKey, api_version: i16, request: &Request) -> Bytes {
        let correlation_id = self.next;
        self.next += 1;
        self.asked.push_back((correlation_id, api_key, api_version));
        let client_id = Some(StrBytes::from_static_str("test"));
        encode_request(&RequestHeader { api_key, api_version, correlation_id, client_id }, request).unwrap()
    }

    pub(crate) fn send(&mut self, api_key: ApiKey, api_version: i16, request: &Request) {
        let frame = self.frame(api_key, api_version, request);
        self.stream.write_all(&frame).unwrap();
    }

    /// The answer to the oldest request that is not answered.
    pub(crate) fn receive(&mut self) -> ResponseKind {
        let (expected, key, version) = self.asked.pop_front().expect("something was asked");
        let frame = self.receive_frame().unwrap();
        let (correlation_id, response) = decode_response(key, version, frame).unwrap();
        assert_eq!(correlation_id, expected);
        response
    }

    pub(crate) fn receive_frame(&mut self) -> std::io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    pub(crate) fn ask(&mut self, api_key: ApiKey, api_version: i16, request: &Request) -> ResponseKind {
        self.send(api_key, api_version, request);
        self.receive()
    }

    /// Whether the broker has closed the connection (and said nothing more).
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(0) => true,
            Ok(_) => panic!("the broker said something"),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => true,
            Err(error) => panic!("neither closed nor answered: {error}"),
        }
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    pub(crate) fn api_versions(&mut self) {
        let request = Request::ApiVersions(
            ApiVersionsRequest::default()
                .with_client_software_name("test".into())
                .with_client_software_version("1".into()),
        );
        let ResponseKind::ApiVersions(response) = self.ask(ApiKey::ApiVersions, 3, &request) else {
            panic!()
        };
        assert_eq!(response.error_code, 0);
        assert!(!response.api_keys.is_empty());
    }

    /// Produces one batch; its base offset, or the error code.
    pub(crate) fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        values: &[&str],
        acks: i16,
    ) -> Result<i64, i16> {
        let request = produce(topic, partition, batch(values), acks);
        let ResponseKind::Produce(response) = self.ask(ApiKey::Produce, 9, &request) else { panic!() };
        produced(&response)
    }

    /// Every value from `offset` on, as one Fetch brings them.
    pub(crate) fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Vec<String> {
        let ResponseKind::Fetch(response) =
            self.ask(ApiKey::Fetch, 12, &fetch(topic, partition, offset, 500))
        else {
            panic!()
        };
        fetched(&response)
    }
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from(topic.to_owned()))
}

pub(crate) fn batch(values: &[&str]) -> Bytes {
    // Of today: retention takes what is a week old.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let mut batch = BatchBuilder::new();
    for value in values {
        batch.push(now, None, Some(value.as_bytes()), &[]);
    }
    batch.build().unwrap().to_bytes()
}

pub(crate) fn produce(topic: &str, partition: i32, records: Bytes, acks: i16) -> Request {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(acks)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    Request::Produce(request)
}

pub(crate) fn produced(response: &ProduceResponse) -> Result<i64, i16> {
    let partition = &response.responses[0].partition_responses[0];
    match partition.error_code {
        0 => Ok(partition.base_offset),
        error => Err(error),
    }
}

pub(crate) fn fetch(topic: &str, partition: i32, offset: i64, max_wait_ms: i32) -> Request {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(10 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    Request::Fetch(request)
}

pub(crate) fn fetched(response: &FetchResponse) -> Vec<String> {
    assert_eq!(response.error_code, 0);
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let mut rest = partition.records.clone().unwrap_or_default();
    let mut values = Vec::new();
    while let Ok(Some(batch)) = RecordBatch::read(&rest) {
        rest = rest.slice(batch.to_bytes().len()..);
        for record in &batch.records(1 << 30).unwrap() {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
    }
    values
}
