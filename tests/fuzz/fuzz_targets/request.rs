//! Frames: whatever comes in, decoding ends in a request or an error, and in little memory.

#![no_main]

use bytes::Bytes;
use klamm_wire::api::{ApiKey, Request, decode_request, encode_request};
use klamm_wire::limits;
use klamm_wire::record::inspect::inspect_produce;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let frame = Bytes::copy_from_slice(data);
    if let Ok(decoded) = decode_request(frame.clone()) {
        if let Request::Produce(produce) = &decoded.request {
            let _ = inspect_produce(produce, decoded.header.api_version);
        }
        let _ = encode_request(&decoded.header, &decoded.request);
    }
    // Requests that are not served yet, too: key, version, body.
    if let [key, version, body @ ..] = data
        && let Ok(key) = ApiKey::try_from(i16::from(*key))
        && limits::check(key, i16::from(*version), body).is_ok()
    {
        let _ = Request::decode(key, &mut Bytes::copy_from_slice(body), i16::from(*version));
    }
});
