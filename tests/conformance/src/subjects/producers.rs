//! InitProducerId and idempotent producers.

use klamm_wire::BatchBuilder;
use klamm_wire::messages::{InitProducerIdRequest, ProducerId};

use super::records::{To, build};
use crate::Session;
use crate::session::text;

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let id = s.create("producers-a", &[&[1, 2, 3]], &[])?;
    let a = To("producers-a", id);
    s.on(1);
    s.all("a producer id", |_| InitProducerIdRequest::default().with_transaction_timeout_ms(60_000))?;
    s.all("a producer id, timeout 0", |_| InitProducerIdRequest::default())?;
    s.all("a producer id, negative timeout", |_| {
        InitProducerIdRequest::default().with_transaction_timeout_ms(-1)
    })?;
    let given = |id: i64, epoch: i16| {
        InitProducerIdRequest::default()
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
    };
    s.each("with an id and an epoch", 3..=5, |_| given(7, 3))?;
    s.each("with an id and no epoch", 3..=5, |_| given(7, -1))?;
    s.each("with an epoch and no id", 3..=5, |_| given(-1, 7))?;
    s.all("an empty transactional id", |_| {
        InitProducerIdRequest::default()
            .with_transactional_id(Some(klamm_wire::messages::TransactionalId(text(""))))
            .with_transaction_timeout_ms(60_000)
    })?;

    // Ids nobody else is given: what is recorded does not depend on what was asked before.
    let producer = 1_000_000;
    let send = |epoch: i16, sequence: i32, count: usize| {
        build(BatchBuilder::new().producer(producer, epoch, sequence), count).to_bytes()
    };
    a.send(s, "first: a sequence that is not 0", send(0, 5, 1))?;
    a.send(s, "then: the sequence that follows", send(0, 6, 2))?;
    a.send(s, "the same again", send(0, 6, 2))?;
    a.send(s, "a gap", send(0, 9, 1))?;
    a.send(s, "a sequence from before, of another length", send(0, 6, 1))?;
    a.send(s, "the first again", send(0, 5, 1))?;
    for sequence in 8..=13 {
        a.fill(s, 0, send(0, sequence, 1))?;
    }
    a.send(s, "one of the last five again", send(0, 9, 1))?;
    a.send(s, "one of before the last five again", send(0, 6, 2))?;
    a.send(s, "a newer epoch, not from 0", send(1, 5, 1))?;
    a.send(s, "a newer epoch, from 0", send(1, 0, 1))?;
    a.send(s, "the older epoch", send(0, 14, 1))?;
    a.send(s, "far ahead", send(1, 100, 1))?;
    a.send(s, "a negative sequence", send(1, -5, 1))?;
    a.send(s, "no sequence", send(1, -1, 1))?;
    a.send(s, "a negative epoch", send(-1, 0, 1))?;
    let mut two = bytes::BytesMut::from(&send(1, 1, 1)[..]);
    two.extend_from_slice(&send(1, 2, 1));
    a.send(s, "two batches at once", two.freeze())?;
    let over = build(BatchBuilder::new().producer(producer + 1, 0, i32::MAX - 1), 3).to_bytes();
    a.send(s, "a sequence about to begin again", over)?;
    let after = build(BatchBuilder::new().producer(producer + 1, 0, 1), 1).to_bytes();
    a.send(s, "a sequence that began again", after)?;
    s.all("a duplicate in every version", |v| {
        let records = build(BatchBuilder::new().producer(producer + 2, 0, 0), 1).to_bytes();
        a.produce(v, -1, 0, Some(records))
    })?;
    s.all("out of order in every version", |v| {
        let records = build(BatchBuilder::new().producer(producer + 2, 0, 7), 1).to_bytes();
        a.produce(v, -1, 0, Some(records))
    })?;
    let fenced = To("producers-b", s.create("producers-b", &[&[1]], &[])?);
    fenced.fill(s, 0, build(BatchBuilder::new().producer(producer, 5, 0), 1).to_bytes())?;
    s.all("an old epoch in every version", |v| {
        let records = build(BatchBuilder::new().producer(producer, 4, 1), 1).to_bytes();
        fenced.produce(v, -1, 0, Some(records))
    })?;
    s.all("acks 1 of an idempotent producer", |v| {
        let records = build(BatchBuilder::new().producer(producer + 3, 0, 0), 1).to_bytes();
        fenced.produce(v, 1, 0, Some(records))
    })?;
    Ok(())
}
