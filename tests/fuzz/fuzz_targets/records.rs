//! Records as a producer sends them. The checksum is made to hold, so that damage reaches what lies behind it.

#![no_main]

use bytes::Bytes;
use klamm_wire::Compression;
use klamm_wire::RecordBatch;
use klamm_wire::record::inspect::{inspect_batches, inspect_produced, recompress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let _ = inspect_produced(&bytes, 13);
    let _ = inspect_batches(&bytes);
    let Ok(Some(batch)) = RecordBatch::read(&bytes) else { return };
    let sealed = RecordBatch::seal(batch.header, batch.body);
    if let Ok(inspected) = inspect_produced(&sealed.to_bytes(), 13) {
        assert!(inspected.batch.crc_holds());
        let again = recompress(&inspected.batch, Compression::Lz4, None)
            .expect("records that were read can be packed");
        assert_eq!(inspect_batches(&again.to_bytes()).expect("and read again")[0].facts, inspected.facts);
    }
});
