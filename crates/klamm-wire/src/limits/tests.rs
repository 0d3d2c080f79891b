//! The tables agree with the decoder, and with them no bytes make it ask for much memory.
//!
//! Requests are generated from the tables themselves, so every request and version is covered.

use std::alloc::{GlobalAlloc, Layout as Shape, System};
use std::cell::Cell;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::Encodable;

use super::*;
use crate::api::{APIS, Request, RequestHeader, decode_request, encode_request};
use crate::record::inspect::inspect_produced;

/// Memory that one thread may hold while it decodes one request, in bytes.
const CAP: usize = 128 << 20;

/// Counts what each thread holds, and refuses what goes beyond [`CAP`]: the test then ends with "memory allocation of …
/// bytes failed", as a broker would.
struct Capped;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Capped = Capped;

// SAFETY: every call goes to the system's allocator as it came, or returns null, which the contract allows.
unsafe impl GlobalAlloc for Capped {
    unsafe fn alloc(&self, shape: Shape) -> *mut u8 {
        let held = HELD.try_with(|held| {
            held.set(held.get().saturating_add(shape.size()));
            held.get()
        });
        let held = held.unwrap_or(0);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held)));
        if held > CAP {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(shape) }
    }

    unsafe fn dealloc(&self, at: *mut u8, shape: Shape) {
        // Memory may be freed by another thread than the one that asked for it.
        let _ = HELD.try_with(|held| held.set(held.get().saturating_sub(shape.size())));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(at, shape) }
    }
}

fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get().saturating_sub(before))
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// How many elements an array gets, by its depth.
type Count = fn(&mut Random, usize) -> usize;

/// Writes requests that keep to the tables.
struct Writer<'a> {
    out: BytesMut,
    random: &'a mut Random,
    count: Count,
    /// Whether to write nulls and tagged fields.
    rich: bool,
}

impl Writer<'_> {
    fn run(&mut self, program: u16, depth: usize) {
        for op in table::PROGRAMS[usize::from(program)] {
            match *op {
                // Zeros and ones are valid whatever is fixed in size.
                Op::Skip(bytes) => {
                    let byte = if self.rich { self.random.below(2) as u8 } else { 0 };
                    self.out.put_bytes(byte, usize::from(bytes));
                }
                Op::Text(len) => {
                    if let Some(len) = self.len(len, true) {
                        self.out.put_bytes(b'x', len);
                    }
                }
                Op::Data(len) => {
                    if let Some(len) = self.len(len, false) {
                        self.out.put_bytes(0xff, len);
                    }
                }
                Op::Numbers(len, size) => {
                    if let Some(count) = self.len(len, false) {
                        self.out.put_bytes(1, count * usize::from(size));
                    }
                }
                Op::Array(len, element) => {
                    let count = (self.count)(self.random, depth);
                    self.put_len(len, count, false);
                    for _ in 0..count {
                        self.run(element, depth + 1);
                    }
                }
                Op::StructOrNull(content) => {
                    if self.rich && self.random.below(2) == 0 {
                        self.out.put_i8(1);
                        self.run(content, depth);
                    } else {
                        self.out.put_i8(-1);
                    }
                }
                Op::Tags(known) => self.tags(table::TAGS[usize::from(known)], depth),
            }
        }
    }

    fn tags(&mut self, known: &[Tag], depth: usize) {
        if !self.rich || depth > 4 {
            self.out.put_u8(0);
            return;
        }
        let fields: Vec<&Tag> = known.iter().filter(|_| self.random.below(2) == 0).collect();
        varint::write_unsigned(&mut self.out, fields.len() as u32 + 1);
        for field in fields {
            let outer = std::mem::take(&mut self.out);
            self.run(field.program, depth + 1);
            let content = std::mem::replace(&mut self.out, outer);
            varint::write_unsigned(&mut self.out, field.tag);
            varint::write_unsigned(&mut self.out, content.len() as u32);
            self.out.put_slice(&content);
        }
        // And one that nobody knows.
        self.out.put_slice(&[99, 2, 7, 7]);
    }

    fn len(&mut self, len: Len, short: bool) -> Option<usize> {
        let nullable = matches!(len, Len::PlainOrNull | Len::CompactOrNull);
        if self.rich && nullable && self.random.below(4) == 0 {
            match len {
                Len::PlainOrNull if short => self.out.put_i16(-1),
                Len::PlainOrNull => self.out.put_i32(-1),
                _ => self.out.put_u8(0),
            }
            return None;
        }
        let count = if self.rich { self.random.below(4) } else { 0 };
        self.put_len(len, count, short);
        Some(count)
    }

    fn put_len(&mut self, len: Len, count: usize, short: bool) {
        match len {
            Len::Plain | Len::PlainOrNull if short => self.out.put_i16(count as i16),
            Len::Plain | Len::PlainOrNull => self.out.put_i32(count as i32),
            Len::Compact | Len::CompactOrNull => varint::write_unsigned(&mut self.out, count as u32 + 1),
        }
    }
}

fn program(key: ApiKey, version: i16) -> u16 {
    let layout = &table::REQUESTS[key as usize];
    layout.programs[(version - layout.first_version) as usize]
}

fn every_version() -> impl Iterator<Item = (ApiKey, i16)> {
    APIS.iter().flat_map(|api| (api.min..=api.max).map(|version| (api.key, version)))
}

#[test]
fn what_the_tables_describe_is_what_the_decoder_reads() {
    let mut random = Random(1);
    for (key, version) in every_version() {
        for _ in 0..30 {
            let mut writer = Writer {
                out: BytesMut::new(),
                random: &mut random,
                count: |random, depth| random.below(if depth < 3 { 4 } else { 2 }),
                rich: true,
            };
            writer.run(program(key, version), 0);
            let bytes = writer.out.freeze();
            check(key, version, &bytes).unwrap_or_else(|error| panic!("{key:?} v{version}: {error}"));
            let mut rest = bytes.clone();
            Request::decode(key, &mut rest, version)
                .unwrap_or_else(|error| panic!("{key:?} v{version}: {error:#}\n{bytes:?}"));
            assert!(rest.is_empty(), "{key:?} v{version} leaves {rest:?} of {bytes:?}");
        }
    }
}

#[test]
fn damaged_requests_cost_little() {
    let mut random = Random(2);
    for (key, version) in every_version() {
        let header = RequestHeader { api_key: key, api_version: version, correlation_id: 1, client_id: None };
        for _ in 0..40 {
            let mut writer = Writer {
                out: BytesMut::new(),
                random: &mut random,
                count: |random, _| random.below(3),
                rich: true,
            };
            writer.run(program(key, version), 0);
            let mut body = writer.out.to_vec();
            match random.below(4) {
                0 => body.truncate(random.below(body.len() + 1)),
                1 => body = (0..random.below(60)).map(|_| random.next() as u8).collect(),
                _ => {}
            }
            for _ in 0..random.below(4).min(body.len()) {
                let at = random.below(body.len());
                body[at] = match random.below(3) {
                    0 => 0xff,
                    1 => 0x7f,
                    _ => random.next() as u8,
                };
            }
            let body = Bytes::from(body);
            let decode =
                || check(key, version, &body).map(|()| Request::decode(key, &mut body.clone(), version));
            let (_, peak) = peak_of(decode);
            assert!(peak < 1 << 20, "{key:?} v{version}: {peak} bytes for {body:?}");
            let mut frame = BytesMut::new();
            frame.put_i16(key as i16);
            frame.put_i16(header.api_version);
            frame.put_i32(header.correlation_id);
            frame.put_i16(random.below(8) as i16 - 2);
            frame.put_u8(random.next() as u8);
            frame.put_slice(&body);
            let _ = decode_request(frame.freeze());
        }
    }
}

#[test]
fn the_emptiest_elements_take_little_memory_each() {
    const MANY: usize = 4_000;
    // What MAX_ELEMENTS of them would take is then still below CAP.
    const BYTES_EACH: usize = CAP / MAX_ELEMENTS;
    let mut random = Random(3);
    // A layout changes little between versions; its oldest and newest form stand for the rest.
    for (key, version) in APIS.iter().flat_map(|api| [(api.key, api.min), (api.key, api.max)]) {
        let shapes: [(usize, Count); 4] = [
            (1, |_, depth| [MANY, 0, 0, 0, 0, 0][depth]),
            (1, |_, depth| [1, MANY, 0, 0, 0, 0][depth]),
            (1, |_, depth| [1, 1, MANY, 0, 0, 0][depth]),
            (4, |_, depth| [MANY, 3, 0, 0, 0, 0][depth]),
        ];
        for (share, count) in shapes {
            let mut writer = Writer { out: BytesMut::new(), random: &mut random, count, rich: false };
            writer.run(program(key, version), 0);
            let body = writer.out.freeze();
            check(key, version, &body).unwrap();
            let (_, peak) = peak_of(|| Request::decode(key, &mut body.clone(), version));
            // A request may have a few arrays side by side.
            let most = MANY * share * 3 * BYTES_EACH;
            assert!(peak < most, "{key:?} v{version}: {peak} bytes for {} elements", MANY * share);
        }
    }
}

#[test]
fn absurd_counts_are_refused() {
    // These abort the process when they reach the decoder.
    assert_eq!(check(ApiKey::Metadata, 1, b"\x7f\xff\xff\xff"), Err(CUT_OFF));
    assert_eq!(check(ApiKey::Metadata, 12, b"\xff\xff\xff\xff\x0f"), Err(CUT_OFF));
    assert_eq!(check(ApiKey::Produce, 9, b"\0\0\x01\0\0\0\x10\xff\xff\xff\xff\x0f"), Err(CUT_OFF));
    let mut body = vec![0x00, 0x0f, 0x42, 0x40];
    body.extend(vec![0; 3_000_000]);
    assert_eq!(check(ApiKey::Metadata, 4, &body), Err(TOO_MANY));
    // Null, where the version has no null.
    assert_eq!(check(ApiKey::Metadata, 0, b"\xff\xff\xff\xff"), Err(NULL));
    assert_eq!(check(ApiKey::Metadata, 1, b"\xff\xff\xff\xff"), Ok(()));
    assert_eq!(check(ApiKey::Metadata, 99, b""), Err("its layout is not known"));
}

#[test]
fn random_records_cost_little() {
    let mut random = Random(4);
    for _ in 0..20_000 {
        let len = random.below(120);
        let mut bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        if len > 61 {
            bytes[..16].copy_from_slice(&[0; 16]);
            bytes[8..12].copy_from_slice(&(len as u32 - 12).to_be_bytes());
            bytes[16] = 2;
            bytes[21] = 0;
            bytes[22] &= 0x1f;
            let crc = crate::record::crc::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            bytes[23..27].copy_from_slice(&[0; 4]);
            bytes[57..61].copy_from_slice(&[0, 0, 0, 1]);
            let crc = crate::record::crc::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let bytes = Bytes::from(bytes);
        let (_, peak) = peak_of(|| inspect_produced(&bytes, 13));
        assert!(peak < 10 << 20, "{peak} bytes for {bytes:?}");
    }
}

#[test]
fn a_request_of_our_own_passes() {
    let header = RequestHeader {
        api_key: ApiKey::Fetch,
        api_version: 18,
        correlation_id: 1,
        client_id: Some("c".to_owned().into()),
    };
    let request = Request::Fetch(Default::default());
    let frame = encode_request(&header, &request).unwrap();
    assert_eq!(decode_request(frame.slice(4..)).unwrap().request, request);
}

/// Compact lengths could count further than Kafka lets a string go.
#[test]
fn a_string_is_never_longer_than_two_bytes_of_length_can_say() {
    let checked = |len: usize| {
        let mut body = BytesMut::new();
        crate::messages::ShareGroupHeartbeatRequest::default()
            .with_member_id("m".repeat(len).into())
            .encode(&mut body, 1)
            .unwrap();
        check(ApiKey::ShareGroupHeartbeat, 1, &body)
    };
    assert_eq!(checked(0x7fff), Ok(()));
    assert_eq!(checked(0x8000), Err(TOO_LONG));
}
