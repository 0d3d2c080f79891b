//! Record number n, and the checker of what comes back. The same records in every language: see ../../README.md.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

pub const PER_CODEC: usize = 20_000;
const WAIT: Duration = Duration::from_secs(100);

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Outcome<T = ()> = Result<T, Failure>;

/// Fails with a message unless a condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($message:tt)*) => { if !$condition { return Err(format!($($message)*).into()); } };
}

/// Polls `condition` until it gives a value.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let end = Instant::now() + WAIT;
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        check!(Instant::now() < end, "waited {WAIT:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub struct Records {
    pub codecs: Vec<&'static str>,
    pub base: i64,
}

impl Records {
    pub fn new(codecs: &[&'static str]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { codecs: codecs.to_vec(), base: now.as_millis() as i64 - 600_000 }
    }

    pub fn total(&self) -> usize {
        self.codecs.len() * PER_CODEC
    }

    pub fn key(&self, n: usize) -> Vec<u8> {
        format!("key-{:03}", n % 997).into_bytes()
    }

    pub fn value(&self, n: usize) -> Option<Vec<u8>> {
        match n % 1000 {
            999 => None,
            500 => Some(Vec::new()),
            _ => Some((0..16 + n % 113).map(|j| (n + 31 * j) as u8).collect()),
        }
    }

    pub fn headers(&self, n: usize) -> Vec<(&'static str, Option<Vec<u8>>)> {
        let codec = self.codecs[(n / PER_CODEC).min(self.codecs.len() - 1)];
        vec![
            ("seq", Some(n.to_string().into_bytes())),
            ("codec", Some(codec.into())),
            ("bin", Some(vec![0, 255, n as u8])),
            ("empty", Some(Vec::new())),
            ("null", None),
            ("twice", Some(vec![1])),
            ("twice", Some(vec![2])),
        ]
    }

    pub fn timestamp(&self, n: usize) -> i64 {
        self.base + n as i64
    }
}

pub fn number(message: &BorrowedMessage<'_>) -> Outcome<usize> {
    let headers = message.headers().ok_or("a record without headers")?;
    let seq = headers.iter().find(|header| header.key == "seq").and_then(|header| header.value);
    Ok(std::str::from_utf8(seq.ok_or("a record without a number")?)?.parse()?)
}

/// Every record once, byte for byte, in order within its key and without a gap within its partition.
#[derive(Default)]
pub struct Checker {
    pub first: usize,
    pub expected: usize,
    seen: BTreeSet<usize>,
    pub next: BTreeMap<i32, i64>,
    last_of_key: BTreeMap<Vec<u8>, (usize, i32)>,
    pub place: BTreeMap<(i32, i64), usize>,
}

impl Checker {
    pub fn new(first: usize, last: usize) -> Self {
        Self { first, expected: last - first, ..Self::default() }
    }

    pub fn accept(&mut self, records: &Records, message: &BorrowedMessage<'_>) -> Outcome {
        let n = number(message)?;
        let (partition, offset) = (message.partition(), message.offset());
        let key = message.key().unwrap_or_default().to_vec();
        check!(key == records.key(n), "record {n}: key {key:?}");
        check!(message.payload() == records.value(n).as_deref(), "record {n}: value {:?}", message.payload());
        let headers: Vec<_> = message.headers().into_iter().flat_map(|headers| headers.iter()).collect();
        let wanted = records.headers(n);
        let same = headers.len() == wanted.len()
            && headers.iter().zip(&wanted).all(|(a, b)| (a.key, a.value) == (b.0, b.1.as_deref()));
        check!(same, "record {n}: headers {headers:?}");
        check!(
            message.timestamp().to_millis() == Some(records.timestamp(n)),
            "record {n}: {:?}",
            message.timestamp()
        );
        check!(n >= self.first, "record {n} belongs to what was committed before");
        check!(self.seen.insert(n), "record {n} came twice ({partition}-{offset})");
        let next = *self.next.get(&partition).unwrap_or(&offset);
        check!(offset == next, "partition {partition}: offset {offset}, not {next}");
        self.next.insert(partition, offset + 1);
        if let Some((before, home)) = self.last_of_key.insert(key, (n, partition)) {
            check!(
                before < n && home == partition,
                "record {n} in {partition} after {before} in {home}, of one key"
            );
        }
        self.place.insert((partition, offset), n);
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// The first offset of a partition whose record is `n` or later.
    pub fn offset_at(&self, partition: i32, n: usize) -> Option<i64> {
        self.place
            .range((partition, 0)..(partition + 1, 0))
            .find(|(_, m)| **m >= n)
            .map(|((_, offset), _)| *offset)
    }
}
