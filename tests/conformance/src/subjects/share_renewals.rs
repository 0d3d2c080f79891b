//! What version 2 of ShareFetch and ShareAcknowledge brought: locks that are renewed (KIP-1222), and a strict limit of records (KIP-1206).

use klamm_wire::messages::ShareFetchRequest;

use super::records::{To, batch};
use super::share_groups::joined;
use super::share_member::{ACCEPT, GAP, Member, REJECT, RELEASE, RENEW, Said};
use super::share_records::configure;
use crate::Session;

const NAME: &str = "share-renewals";
const TOPIC: &str = "share-renewals-topic";
const RECORD_LIMIT: i8 = 1;

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let id = s.create(TOPIC, &[&[1], &[1]], &[])?;
    s.on(1);
    let to = To(TOPIC, id);
    for count in [4, 6] {
        to.fill(s, 0, batch(count).to_bytes())?;
    }
    configure(s, "from the beginning", NAME, "share.auto.offset.reset", "earliest")?;
    s.coordinate(NAME)?;
    joined(s, NAME, "m-1", &[TOPIC], 2)?;
    s.on(1);

    let mut one = Member::new(NAME, "m-1", 2, id);
    let mut two = Member::new(NAME, "m-2", 2, id);
    announced(s, &one)?;
    one.fetch(s, "open", &[(0, &[])])?;
    two.nothing(s, "another member", &[(0, &[])])?;
    renewed(s, &mut one, &mut two)?;
    with_a_fetch(s, to, &mut one)?;
    refused_by_the_group(s, &mut one)?;
    one.say(s, "accepted in the end", &[(0, 0, &[ACCEPT]), (4, 12, &[ACCEPT])])?;
    limited(s, to, &mut one, &mut two)
}

/// As a request that announces renewals has to be.
fn for_renewals(request: ShareFetchRequest) -> ShareFetchRequest {
    request
        .with_is_renew_ack(true)
        .with_max_bytes(0)
        .with_min_bytes(0)
        .with_max_records(0)
        .with_max_wait_ms(0)
}

/// Fetches that announce renewals, and ask for records all the same. They come before there is a session.
fn announced(s: &mut Session, one: &Member) -> anyhow::Result<()> {
    let fetching = || for_renewals(one.fetching(&[(0, &[])]));
    for (label, request) in [
        ("bytes", fetching().with_max_bytes(1)),
        ("a least number of bytes", fetching().with_min_bytes(1)),
        ("records", fetching().with_max_records(1)),
        ("a wait", fetching().with_max_wait_ms(1)),
        ("a negative wait", fetching().with_max_wait_ms(-1)),
        ("everything", one.fetching(&[(0, &[])]).with_is_renew_ack(true)),
    ] {
        s.at(&format!("announced: with {label}"), 2, request)?;
    }
    s.at(
        "announced: a renewal in the first request",
        2,
        for_renewals(one.fetching(&[(0, &[(0, 3, &[RENEW])])])),
    )?;
    s.at("announced: epoch 1 without a session", 2, fetching().with_share_session_epoch(1)).map(drop)
}

/// What may be renewed of ten records that the first member has, and what may not.
fn renewed(s: &mut Session, one: &mut Member, two: &mut Member) -> anyhow::Result<()> {
    let all: &[Said<'_>] = &[(0, 3, &[RENEW])];
    one.say(s, "not announced", all)?;
    one.say(s, "not announced, beside others", &[(0, 3, &[RENEW]), (4, 9, &[ACCEPT])])?;
    one.version = 1;
    one.say(s, "in version 1", all)?;
    one.version = 2;
    let cases: &[(&str, &[Said<'_>])] = &[
        ("a batch", all),
        ("again", all),
        ("all that it has", &[(0, 9, &[RENEW])]),
        ("a part", &[(1, 2, &[RENEW])]),
        ("one by one", &[(0, 3, &[RENEW, RENEW, RENEW, RENEW])]),
        ("never acquired", &[(100, 101, &[RENEW])]),
        ("some of them never acquired", &[(8, 12, &[RENEW])]),
        ("from before the beginning", &[(-1, 3, &[RENEW])]),
        ("reversed", &[(3, 0, &[RENEW])]),
        ("fewer types than records", &[(0, 3, &[RENEW, RENEW])]),
        ("beside a wrong batch", &[(0, 3, &[RENEW]), (100, 101, &[RENEW])]),
        ("an unknown type", &[(0, 3, &[5])]),
        ("an unknown type among others", &[(0, 3, &[RENEW, 5, RENEW, RENEW])]),
        ("nothing", &[]),
        ("beside what is accepted, rejected and a gap", &[(0, 3, &[RENEW, ACCEPT, REJECT, GAP])]),
        ("what was accepted", &[(1, 1, &[RENEW])]),
        ("all, of which some were accepted", &[(0, 3, &[RENEW])]),
        ("announced, and none among them", &[(4, 4, &[RELEASE])]),
        ("what was released", &[(4, 4, &[RENEW])]),
    ];
    for (label, said) in cases {
        let request = one.saying(one.topic, 0, said).with_is_renew_ack(true);
        one.send(s, &format!("renewed: {label}"), request)?;
    }
    let request = two.saying(two.topic, 0, &[(5, 9, &[RENEW])]).with_is_renew_ack(true);
    two.send(s, "renewed: what another member has", request)?;
    let request = one.saying(one.topic, 9, all).with_is_renew_ack(true);
    one.send(s, "renewed: an unknown partition", request)?;
    let request = one.saying(one.topic, 1, all).with_is_renew_ack(true);
    one.send(s, "renewed: a partition without records", request)
}

/// Renewals that come with a fetch, which is given nothing for it.
fn with_a_fetch(s: &mut Session, to: To<'_>, one: &mut Member) -> anyhow::Result<()> {
    to.fill(s, 0, batch(3).to_bytes())?;
    one.nothing_renewed(s, "with a fetch: nothing to renew", &[])?;
    one.nothing_renewed(s, "with a fetch: a renewal", &[(0, &[(0, 0, &[RENEW]), (5, 9, &[RENEW])])])?;
    one.nothing_renewed(s, "with a fetch: a wrong one", &[(0, &[(1, 3, &[RENEW])])])?;
    one.nothing_renewed(s, "with a fetch: of an unknown partition", &[(9, &[(0, 0, &[RENEW])])])?;
    one.fetch(s, "with a fetch: not announced", &[(0, &[(0, 0, &[RENEW])])])?;
    one.nothing(s, "with a fetch: not announced, and nothing there", &[(0, &[(0, 0, &[RENEW])])])
}

impl Member {
    fn nothing_renewed(
        &mut self,
        s: &mut Session,
        label: &str,
        partitions: &[(i32, &[Said<'_>])],
    ) -> anyhow::Result<()> {
        let request = for_renewals(self.fetching(partitions));
        self.get(s, label, request)
    }
}

/// A group that has no renewals.
fn refused_by_the_group(s: &mut Session, one: &mut Member) -> anyhow::Result<()> {
    const KEY: &str = "share.renew.acknowledge.enable";
    configure(s, "a value that is none", NAME, KEY, "maybe")?;
    let renewal: &[Said<'_>] = &[(5, 9, &[RENEW])];
    for (value, label) in [("false", "not enabled"), ("TRUE", "enabled again")] {
        configure(s, &format!("configured: {value}"), NAME, KEY, value)?;
        // The leader knows by the time this has waited in vain.
        one.nothing(s, &format!("{label}: nothing new"), &[])?;
        for (what, said) in [("a batch", renewal), ("one record", &[(0, 0, &[RENEW])])] {
            let request = one.saying(one.topic, 0, said).with_is_renew_ack(true);
            one.send(s, &format!("{label}: {what}"), request)?;
        }
        let request =
            one.saying(one.topic, 0, &[(4, 4, &[ACCEPT]), (5, 9, &[RENEW])]).with_is_renew_ack(true);
        one.send(s, &format!("{label}: beside what is accepted"), request)?;
        one.nothing_renewed(s, &format!("{label}: with a fetch"), &[(0, renewal)])?;
    }
    Ok(())
}

/// Fetches of no more records than they say. Batches of the log are divided.
fn limited(s: &mut Session, to: To<'_>, one: &mut Member, two: &mut Member) -> anyhow::Result<()> {
    for count in [5, 3, 4] {
        to.fill(s, 1, batch(count).to_bytes())?;
    }
    let limited = |member: &Member, records: i32| {
        let request = member.fetching(&[(1, &[])]).with_max_records(records).with_max_wait_ms(5_000);
        request.with_share_acquire_mode(RECORD_LIMIT)
    };
    one.get(s, "limit: three of five", limited(one, 3))?;
    two.get(s, "limit: the rest, and one more", limited(two, 3))?;
    let request = one.saying(one.topic, 1, &[(0, 2, &[RELEASE])]);
    one.send(s, "limit: released", request)?;
    one.get(s, "limit: two of what was released", limited(one, 2))?;
    one.get(s, "limit: what is left, and new ones", limited(one, 4).with_batch_size(1))?;
    two.get(s, "limit: more than there is", limited(two, 100).with_batch_size(2))?;
    for mode in [2, -1] {
        let request = limited(one, 3).with_share_acquire_mode(mode);
        s.at(&format!("limit: mode {mode}"), 2, request)?;
        one.next(true);
    }
    let request = limited(one, 3).with_share_acquire_mode(2).with_topics(vec![]);
    s.at("limit: mode 2 of the session's partitions", 2, request)?;
    one.next(true);
    to.fill(s, 1, batch(5).to_bytes())?;
    let request = one.fetching(&[(1, &[])]).with_max_records(2).with_max_wait_ms(5_000);
    one.get(s, "no limit: a whole batch", request)
}
