//! The life of transactions: InitProducerId, AddPartitionsToTxn, EndTxn, and records within them.

use klamm_wire::messages::AddPartitionsToTxnRequest;
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::{BrokerId, ListOffsetsRequest};

use super::records::{To, batch};
use super::transactional::{
    OF_CLIENTS, Producer, coordinate, described, init, is_here, producers, transactional_id,
};
use crate::Session;
use crate::session::topic;

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    // So that the offsets' topic is there.
    s.coordinate("transacted-group")?;
    s.create("transacted", &[&[1, 2], &[2, 3], &[3, 1]], &[])?;
    initial(s)?;
    additions(s)?;
    verifications(s)?;
    ends(s)?;
    fences(s)?;
    records(s)
}

fn initial(s: &mut Session) -> anyhow::Result<()> {
    let name = "txn-init";
    coordinate(s, name)?;
    s.newest("described before", described(&[name]))?;
    s.all("init: in every version", |_| init(name))?;
    s.newest("described after", described(&[name]))?;
    for (label, timeout) in [("0", 0), ("-1", -1), ("the largest", 900_000), ("too large", 900_001)] {
        s.all(&format!("init: a timeout of {label}"), |_| init(name).with_transaction_timeout_ms(timeout))?;
    }
    s.newest("described with another timeout", described(&[name]))?;
    let current = Producer::new(s, name)?;
    s.at("init: an older epoch", 5, current.epoch_by(-3).init())?;
    s.at("init: a newer epoch", 5, current.epoch_by(3).init())?;
    s.at("init: another id", 5, current.other_id().init())?;
    s.at("init: an id and no epoch", 5, Producer { epoch: -1, ..current }.init())?;
    s.at("init: an epoch and no id", 5, Producer { id: -1, ..current }.init())?;
    s.at("init: as who it is", 5, current.init())?;
    s.at("init: as who it was just before", 5, current.init())?;
    s.at("init: as who it is, version 3", 3, current.epoch_by(1).init())?;
    s.at("init: an older epoch, version 3", 3, current.epoch_by(-3).init())?;
    s.newest("described after all that", described(&[name]))?;
    let unknown = Producer { name: "txn-init-claimed", ..current };
    coordinate(s, unknown.name)?;
    s.at("init: a new transactional id with an id and an epoch", 5, unknown.init())?;
    coordinate(s, name)?.elsewhere();
    s.all("elsewhere: init", |_| init(name))?;
    Ok(())
}

fn additions(s: &mut Session) -> anyhow::Result<()> {
    let name = "txn-add";
    let mut p = Producer::new(s, name)?;
    let one: &[(&str, &[i32])] = &[("transacted", &[0])];
    for version in 0..=5 {
        s.at(&format!("add: v{version}"), version, p.add(version, one))?;
        s.newest(&format!("add: v{version}, described"), described(&[name]))?;
        s.quiet(version, &p.end(false))?;
        p = p.settled(s, &format!("add: v{version}, aborted"))?;
    }
    s.all("add: no transactional id", |v| p.named("").add(v, one))?;
    s.all("add: another producer id", |v| p.other_id().add(v, one))?;
    s.all("add: an older epoch", |v| p.epoch_by(-1).add(v, one))?;
    s.all("add: a newer epoch", |v| p.epoch_by(1).add(v, one))?;
    s.all("add: an unknown topic", |v| p.add(v, &[("transacted-none", &[0])]))?;
    s.all("add: an unknown topic beside a known one", |v| {
        p.add(v, &[("transacted-none", &[0]), ("transacted", &[0, 9])])
    })?;
    s.all("add: an invalid topic", |v| p.add(v, &[("a b", &[0])]))?;
    s.all("add: a negative partition", |v| p.add(v, &[("transacted", &[-1])]))?;
    s.newest("add: described after refusals", described(&[name]))?;
    s.each("add: no partitions", 0..=OF_CLIENTS, |v| p.add(v, &[("transacted", &[])]))?;
    s.each("add: no topics", 0..=OF_CLIENTS, |v| p.add(v, &[]))?;
    s.newest("add: described after nothing", described(&[name]))?;
    s.all("add: partitions of several brokers", |v| p.add(v, &[("transacted", &[0, 1, 2])]))?;
    s.all("add: a partition twice", |v| p.add(v, &[("transacted", &[1, 1])]))?;
    s.newest("add: described with three", described(&[name]))?;
    s.all("add: the offsets' topic", |v| p.add(v, &[("__consumer_offsets", &[0])]))?;
    s.newest("add: described with four", described(&[name]))?;
    let other = "txn-add-none";
    coordinate(s, other)?;
    s.all("add: a transactional id that is not there", |v| p.named(other).add(v, one))?;
    coordinate(s, name)?.elsewhere();
    s.all("elsewhere: add", |v| p.add(v, one))?;
    coordinate(s, name)?;
    let beside = beside(s)?;
    s.each("add: one good transaction and two bad", 4..=5, |_| {
        AddPartitionsToTxnRequest::default().with_transactions(vec![
            p.transaction(one, false),
            p.named("").transaction(one, false),
            p.named(&beside).transaction(one, false),
        ])
    })?;
    s.each("add: one transaction added, another asked for", 4..=5, |_| {
        AddPartitionsToTxnRequest::default().with_transactions(vec![
            p.transaction(&[("transacted", &[1])], false),
            p.named(&beside).transaction(one, true),
        ])
    })?;
    s.at("add: end it", 5, p.end(true))?;
    p.settled(s, "add: committed")?;
    Ok(())
}

/// A transactional id that nobody uses and that this broker coordinates, shown as `<beside>`.
fn beside(s: &mut Session) -> anyhow::Result<String> {
    for number in 0..1000 {
        let name = format!("txn-beside-{number}");
        if is_here(s, &name)? {
            s.name(&name, "beside");
            return Ok(name);
        }
    }
    anyhow::bail!("the broker coordinates no transaction")
}

/// What a partition's leader asks the coordinator before it appends.
fn verifications(s: &mut Session) -> anyhow::Result<()> {
    let name = "txn-verify";
    let p = Producer::new(s, name)?;
    let one: &[(&str, &[i32])] = &[("transacted", &[0])];
    s.each("verify: no transaction", 4..=5, |_| p.verify(one))?;
    s.quiet(3, &p.add(3, one))?;
    s.each("verify: in it", 4..=5, |_| p.verify(one))?;
    s.each("verify: not in it", 4..=5, |_| p.verify(&[("transacted", &[1])]))?;
    s.each("verify: some in it", 4..=5, |_| p.verify(&[("transacted", &[0, 1])]))?;
    s.each("verify: an unknown partition", 4..=5, |_| p.verify(&[("transacted", &[0, 9])]))?;
    s.each("verify: another producer id", 4..=5, |_| p.other_id().verify(one))?;
    s.each("verify: an older epoch", 4..=5, |_| p.epoch_by(-1).verify(one))?;
    s.each("verify: a newer epoch", 4..=5, |_| p.epoch_by(1).verify(one))?;
    s.each("verify: no transactional id", 4..=5, |_| p.named("").verify(one))?;
    s.newest("verify: described after", described(&[name]))?;
    s.quiet(4, &p.end(true))?;
    p.settled(s, "verify: committed")?;
    s.each("verify: committed, verified", 4..=5, |_| p.verify(one))?;
    coordinate(s, name)?.elsewhere();
    s.each("elsewhere: verify", 4..=5, |_| p.verify(one))?;
    Ok(())
}

fn ends(s: &mut Session) -> anyhow::Result<()> {
    let one: &[(&str, &[i32])] = &[("transacted", &[0])];
    for version in 0..=5 {
        let name = &format!("txn-end-{version}")[..];
        let label = |what: &str| format!("end: v{version}: {what}");
        let mut p = Producer::new(s, name)?;
        s.at(&label("commit what has not begun"), version, p.end(true))?;
        s.at(&label("abort what has not begun"), version, p.end(false))?;
        p = p.settled(s, &label("described after that"))?;
        for committed in [true, false] {
            let word = if committed { "commit" } else { "abort" };
            s.quiet(3, &p.add(3, one))?;
            s.at(&label(&format!("{word}, another producer id")), version, p.other_id().end(committed))?;
            s.at(&label(&format!("{word}, an older epoch")), version, p.epoch_by(-1).end(committed))?;
            s.at(&label(&format!("{word}, a newer epoch")), version, p.epoch_by(1).end(committed))?;
            s.newest(&label(&format!("{word}: described before")), described(&[name]))?;
            s.at(&label(word), version, p.end(committed))?;
            let then = p.settled(s, &label(&format!("{word}: described after")))?;
            s.at(&label(&format!("{word} again, as before")), version, p.end(committed))?;
            s.at(&label(&format!("the opposite of {word}, as before")), version, p.end(!committed))?;
            // What was put right by the answer: the same request from the producer as it is now.
            s.at(&label(&format!("{word} again")), version, then.end(committed))?;
            let then = then.settled(s, &label(&format!("{word} again: described after")))?;
            s.at(&label(&format!("the opposite of {word}")), version, then.end(!committed))?;
            p = then.settled(s, &label(&format!("the opposite of {word}: described after")))?;
        }
    }
    let name = "txn-end-none";
    coordinate(s, name)?;
    let nobody = Producer { name, id: 1_000_000, epoch: 0 };
    s.all("end: a transactional id that is not there", |_| nobody.end(true))?;
    s.all("end: no transactional id", |_| nobody.named("").end(true))?;
    let p = Producer::new(s, name)?;
    coordinate(s, name)?.elsewhere();
    s.all("elsewhere: end", |_| p.end(true))?;
    Ok(())
}

/// A new producer of the same id while a transaction is open.
fn fences(s: &mut Session) -> anyhow::Result<()> {
    let name = "txn-fence";
    let one: &[(&str, &[i32])] = &[("transacted", &[0])];
    let p = Producer::new(s, name)?;
    s.quiet(3, &p.add(3, one))?;
    s.newest("fence: open", described(&[name]))?;
    s.at("fence: a new producer", 5, init(name))?;
    p.settled(s, "fence: aborted")?;
    s.at("fence: the new producer again", 5, init(name))?;
    s.newest("fence: the new producer described", described(&[name]))?;
    s.all("fence: the old one adds", |v| p.add(v, one))?;
    s.all("fence: the old one adds offsets", |_| p.add_offsets("txn-group"))?;
    s.all("fence: the old one commits", |_| p.end(true))?;
    s.all("fence: the old one aborts", |_| p.end(false))?;
    s.each("fence: the old one begins anew", 3..=5, |_| p.init())?;
    s.newest("fence: described at the end", described(&[name]))?;
    Ok(())
}

fn records(s: &mut Session) -> anyhow::Result<()> {
    let name = "txn-records";
    let stable = |isolation: i8| {
        let asked = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
        let asked =
            ListOffsetsTopic::default().with_name(topic("transacted-log")).with_partitions(vec![asked]);
        ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation)
            .with_topics(vec![asked])
    };
    let log = To("transacted-log", s.create("transacted-log", &[&[1, 2]], &[])?);
    let one: &[(&str, &[i32])] = &[("transacted-log", &[0])];
    let p = Producer::new(s, name)?;
    let produce = |v: i16, records| {
        log.produce(v, -1, 0, Some(records)).with_transactional_id(Some(transactional_id(name)))
    };
    s.on(1);
    s.each("produce: not in the transaction", 3..=11, |v| produce(v, p.batch(0, 1)))?;
    s.each("produce: with acks 1", [11, 13], |v| produce(v, p.batch(0, 1)).with_acks(1))?;
    s.each("produce: records without a transaction in a request with one", [11, 13], |v| {
        produce(v, batch(1).to_bytes())
    })?;
    s.each("produce: records of another transactional id", [11, 13], |v| {
        produce(v, p.batch(0, 1)).with_transactional_id(Some(transactional_id("txn-other")))
    })?;
    s.each("produce: records of a producer nobody was given", [11, 13], |v| {
        produce(v, p.other_id().batch(0, 1))
    })?;
    s.each("produce: a request without a transactional id", [11, 13], |v| {
        log.produce(v, -1, 0, Some(p.batch(0, 1)))
    })?;
    s.at("produce: the log is empty", 7, stable(0))?;
    coordinate(s, name)?;
    s.at("produce: add", 3, p.add(3, one))?;
    s.on(1);
    s.at("produce: v11, in the transaction", 11, produce(11, p.batch(0, 2)))?;
    s.at("produce: v11, again", 11, produce(11, p.batch(0, 2)))?;
    s.at("produce: v11, a gap", 11, produce(11, p.batch(7, 1)))?;
    s.at("produce: v11, an older epoch", 11, produce(11, p.epoch_by(-1).batch(2, 1)))?;
    s.at("produce: v11, a newer epoch", 11, produce(11, p.epoch_by(1).batch(0, 1)))?;
    s.newest("produce: open, its producers", producers("transacted-log", &[0]))?;
    s.at("produce: open, the end", 7, stable(0))?;
    s.at("produce: open, the stable end", 7, stable(1))?;
    coordinate(s, name)?;
    s.at("produce: v4, commit", 4, p.end(true))?;
    let p = p.settled(s, "produce: v4, committed")?;
    s.on(1);
    s.newest("produce: committed, its producers", producers("transacted-log", &[0]))?;
    s.at("produce: committed, the stable end", 7, stable(1))?;
    s.at("produce: v13, adds its partition by itself", 13, produce(13, p.batch(2, 1)))?;
    s.newest("produce: v13, its producers", producers("transacted-log", &[0]))?;
    coordinate(s, name)?;
    s.newest("produce: v13, described", described(&[name]))?;
    s.at("produce: v13, abort", 5, p.end(false))?;
    let then = p.settled(s, "produce: v13, aborted")?;
    s.on(1);
    s.newest("produce: aborted, its producers", producers("transacted-log", &[0]))?;
    s.at("produce: aborted, the end", 7, stable(0))?;
    s.at("produce: aborted, the stable end", 7, stable(1))?;
    s.at("produce: a record of the aborted transaction comes late", 13, produce(13, p.batch(3, 1)))?;
    s.at("produce: the next transaction begins in the middle", 13, produce(13, then.batch(3, 1)))?;
    s.at("produce: the next transaction", 13, produce(13, then.batch(0, 1)))?;
    s.newest("produce: the next transaction, its producers", producers("transacted-log", &[0]))?;
    coordinate(s, name)?;
    s.at("produce: the next transaction, commit", 5, then.end(true))?;
    then.settled(s, "produce: the next transaction, committed")?;
    Ok(())
}
