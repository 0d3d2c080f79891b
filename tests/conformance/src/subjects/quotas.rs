//! Client quotas: what may be set, how it is described, and what counts against it.

use klamm_wire::BatchBuilder;
use klamm_wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::describe_client_quotas_request::ComponentData;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::{
    AlterClientQuotasRequest, BrokerId, CreateTopicsRequest, DescribeClientQuotasRequest, FetchRequest,
};

use super::records::To;
use crate::Session;
use crate::session::{text, topic};

type Part<'a> = (&'a str, Option<&'a str>);

/// A type, how it is matched, and the name that it is matched with.
type Filter<'a> = (&'a str, i8, Option<&'a str>);

/// A key and its value; `None` removes it.
type Op<'a> = (&'a str, Option<f64>);

fn entry(parts: &[Part<'_>], ops: &[Op<'_>]) -> EntryData {
    let parts = parts.iter().map(|(kind, name)| {
        EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))
    });
    let ops = ops.iter().map(|(key, value)| {
        OpData::default()
            .with_key(text(key))
            .with_value(value.unwrap_or_default())
            .with_remove(value.is_none())
    });
    EntryData::default().with_entity(parts.collect()).with_ops(ops.collect())
}

fn alter(parts: &[Part<'_>], ops: &[Op<'_>]) -> AlterClientQuotasRequest {
    AlterClientQuotasRequest::default().with_entries(vec![entry(parts, ops)])
}

fn describe(filter: &[Filter<'_>], strict: bool) -> DescribeClientQuotasRequest {
    let components = filter.iter().map(|(kind, match_type, name)| {
        ComponentData::default()
            .with_entity_type(text(kind))
            .with_match_type(*match_type)
            .with_match(name.map(text))
    });
    DescribeClientQuotasRequest::default().with_components(components.collect()).with_strict(strict)
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    refused(s)?;
    described(s)?;
    counted(s)
}

fn refused(s: &mut Session) -> anyhow::Result<()> {
    let user: &[Part<'_>] = &[("user", Some("quota-u"))];
    let cases: &[(&str, &[Part<'_>], &[Op<'_>])] = &[
        ("no entity", &[], &[("producer_byte_rate", Some(1.0))]),
        ("an unknown type", &[("group", Some("g"))], &[("producer_byte_rate", Some(1.0))]),
        ("an empty type", &[("", Some("g"))], &[("producer_byte_rate", Some(1.0))]),
        ("an empty name", &[("user", Some(""))], &[("producer_byte_rate", Some(1.0))]),
        ("an unknown key", user, &[("bytes", Some(1.0))]),
        ("an unknown key removed", user, &[("bytes", None)]),
        ("an address's key", user, &[("connection_creation_rate", Some(1.0))]),
        ("a client's key of an address", &[("ip", Some("1.2.3.4"))], &[("producer_byte_rate", Some(1.0))]),
        (
            "an address and a user",
            &[("ip", Some("1.2.3.4")), ("user", None)],
            &[("producer_byte_rate", Some(1.0))],
        ),
        ("zero", user, &[("producer_byte_rate", Some(0.0))]),
        ("less than zero", user, &[("controller_mutation_rate", Some(-1.0))]),
        ("a fraction of a byte", user, &[("consumer_byte_rate", Some(1.5))]),
        ("too many bytes", user, &[("consumer_byte_rate", Some(1e19))]),
        ("a key twice", user, &[("producer_byte_rate", Some(1.0)), ("producer_byte_rate", Some(2.0))]),
        ("what is not there is removed", user, &[("producer_byte_rate", None)]),
        ("nothing of somebody", user, &[]),
        ("request time", user, &[("request_percentage", Some(50.0))]),
    ];
    for (label, parts, ops) in cases {
        s.all(label, |_| alter(parts, ops).with_validate_only(true))?;
    }
    s.all("nothing at all", |_| AlterClientQuotasRequest::default())?;
    let twice = vec![entry(user, &[("producer_byte_rate", Some(1.0))]), entry(user, &[("bytes", Some(1.0))])];
    s.newest(
        "an entity twice",
        AlterClientQuotasRequest::default().with_entries(twice).with_validate_only(true),
    )?;
    s.all("nothing was set", |_| describe(&[], false))?;
    Ok(())
}

fn described(s: &mut Session) -> anyhow::Result<()> {
    let rate = |value| [("producer_byte_rate", Some(value)), ("consumer_byte_rate", Some(value))];
    let (user, client) = (Some("quota-u"), Some("quota-c"));
    let set: &[(&str, &[Part<'_>])] = &[
        ("a user", &[("user", user)]),
        ("the default client id", &[("client-id", None)]),
        ("a client id of a user", &[("client-id", client), ("user", user)]),
        ("the default client id of a user", &[("client-id", None), ("user", user)]),
    ];
    for (at, (label, parts)) in set.iter().enumerate() {
        s.newest(&format!("set: {label}"), alter(parts, &rate(1e6 + at as f64)))?;
    }
    // What comes behind it in the metadata is known: so is it.
    s.create("quota-known", &[&[1, 2, 3]], &[])?;
    let filters: &[(&str, &[Filter<'_>])] = &[
        ("everything", &[]),
        ("a user", &[("user", 0, user)]),
        ("the default user", &[("user", 1, None)]),
        ("any user", &[("user", 2, None)]),
        ("a user's default client id", &[("user", 0, user), ("client-id", 1, None)]),
        ("any of both", &[("user", 2, None), ("client-id", 2, None)]),
        ("nobody", &[("user", 0, Some("quota-none"))]),
        ("any address", &[("ip", 2, None)]),
        ("an address and a user", &[("ip", 2, None), ("user", 2, None)]),
        ("a type twice", &[("user", 2, None), ("user", 1, None)]),
        ("an unknown type", &[("group", 2, None)]),
        ("an empty type", &[("", 2, None)]),
        ("no name", &[("user", 0, None)]),
        ("a name for the default", &[("user", 1, user)]),
        ("a name for any", &[("user", 2, user)]),
        ("an unknown match", &[("user", 3, None)]),
    ];
    for (label, filter) in filters {
        s.all(&format!("describe: {label}"), |_| describe(filter, false))?;
        s.all(&format!("describe strictly: {label}"), |_| describe(filter, true))?;
    }
    for (label, parts) in set {
        let keys = [("producer_byte_rate", None), ("consumer_byte_rate", None)];
        s.newest(&format!("removed: {label}"), alter(parts, &keys))?;
    }
    Ok(())
}

/// The first request that is counted is over its quota by what it has beyond ten seconds' worth: just how long it is tells what
/// is counted.
fn counted(s: &mut Session) -> anyhow::Result<()> {
    let me: &[Part<'_>] = &[("client-id", Some("conformance"))];
    let id = s.create("quota-fetched", &[&[1]], &[])?;
    let mut builder = BatchBuilder::new();
    builder.push(1_700_000_000_000, None, Some(&[b'v'; 10_100]), &[]);
    let records = builder.build().map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    s.on(1);
    s.quiet(13, &To("quota-fetched", id).produce(13, -1, 0, Some(records.clone())))?;
    s.newest(
        "so many bytes",
        alter(me, &[("producer_byte_rate", Some(1e3)), ("consumer_byte_rate", Some(1e3))]),
    )?;
    let id = s.create("quota-produced", &[&[1]], &[])?;
    s.on(1);
    let produced = s.quiet(13, &To("quota-produced", id).produce(13, -1, 0, Some(records)))?;
    s.note("the throttle of a Produce", &produced.throttle_time_ms);
    let partition = FetchPartition::default()
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(1 << 20);
    let fetched = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![
            FetchTopic::default().with_topic(topic("quota-fetched")).with_partitions(vec![partition]),
        ]);
    let fetched = s.at("a Fetch above the quota", 12, fetched)?;
    s.note("the throttle of a Fetch", &fetched.map_or(-1, |fetched| fetched.throttle_time_ms));
    s.newest(
        "so many partitions",
        alter(
            me,
            &[
                ("producer_byte_rate", None),
                ("consumer_byte_rate", None),
                ("controller_mutation_rate", Some(1.0)),
            ],
        ),
    )?;
    // The controller knows it too by then.
    s.create("quota-debt", &[&[1]], &[])?;
    s.on(1);
    let create = |name: &str, partitions: i32| {
        let wanted = CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        CreateTopicsRequest::default()
            .with_topics(vec![wanted])
            .with_timeout_ms(30_000)
            .with_validate_only(true)
    };
    // The connection that is told to wait is one of its own.
    s.quiet(7, &create("quota-many", 200))?;
    let refused = s.begin(7, &create("quota-one", 1))?;
    s.finish_one("in debt", refused)?;
    s.newest("no more", alter(me, &[("controller_mutation_rate", None)]))?;
    Ok(())
}
