//! DeleteRecords, and what is there afterwards.

use klamm_wire::messages::DeleteRecordsRequest;
use klamm_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::{BrokerId, ListOffsetsRequest};

use super::fetch::{partition, request};
use super::records::{To, batch};
use crate::Session;
use crate::session::topic;

fn ask(name: &str, partition: i32, offset: i64) -> DeleteRecordsRequest {
    let asked = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
    let asked = DeleteRecordsTopic::default().with_name(topic(name)).with_partitions(vec![asked]);
    DeleteRecordsRequest::default().with_topics(vec![asked]).with_timeout_ms(10_000)
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let a = To("drop-a", s.create("drop-a", &[&[1, 2], &[1, 2], &[2, 1]], &[])?);
    let compacted =
        To("drop-compacted", s.create("drop-compacted", &[&[1]], &[("cleanup.policy", "compact")])?);
    s.on(1);
    a.fill(s, 0, batch(5).to_bytes())?;
    a.fill(s, 0, batch(5).to_bytes())?;
    compacted.fill(s, 0, batch(5).to_bytes())?;
    s.all("beyond the high watermark", |_| ask("drop-a", 0, 11))?;
    s.all("-2", |_| ask("drop-a", 0, -2))?;
    s.all("before 0", |_| ask("drop-a", 0, 0))?;
    s.all("before 3", |_| ask("drop-a", 0, 3))?;
    s.all("before 2, when it begins at 3", |_| ask("drop-a", 0, 2))?;
    s.all("an unknown partition", |_| ask("drop-a", 9, 0))?;
    s.all("another broker's partition", |_| ask("drop-a", 2, 0))?;
    s.all("an unknown topic", |_| ask("drop-none", 0, 0))?;
    s.all("an invalid topic", |_| ask("a b", 0, 0))?;
    s.all("a compacted topic", |_| ask("drop-compacted", 0, 1))?;
    s.all("an empty partition", |_| ask("drop-a", 1, -1))?;
    s.all("nothing", |_| DeleteRecordsRequest::default().with_timeout_ms(1000))?;
    s.each("a fetch from before", [4, 12, 18], |v| request(v, a, vec![partition(0, 0)]))?;
    s.each("a fetch from the start", [4, 12, 18], |v| request(v, a, vec![partition(0, 3)]))?;
    for timestamp in [-1, -2, 0] {
        let asked = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(timestamp);
        let asked = ListOffsetsTopic::default().with_name(topic("drop-a")).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
        s.at(&format!("the offset at {timestamp}"), 5, request)?;
    }
    s.all("everything", |_| ask("drop-a", 0, -1))?;
    s.each("a fetch from the end", [4, 12, 18], |v| request(v, a, vec![partition(0, 10)]))?;
    Ok(())
}
