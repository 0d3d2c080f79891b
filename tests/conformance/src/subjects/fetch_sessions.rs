//! Incremental fetch sessions (KIP-227).

use klamm_wire::messages::FetchRequest;
use klamm_wire::messages::fetch_request::ForgottenTopic;

use super::fetch::{partition, request};
use super::records::{To, batch};
use crate::Session;
use crate::session::topic;

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    for version in [7, 11, 12, 13, 17, 18] {
        let name = format!("sessions-{version}");
        let id = s.create(&name, &[&[1, 2], &[1, 2], &[2, 1]], &[])?;
        one(s, To(&name, id), version)?;
    }
    Ok(())
}

fn one(s: &mut Session, a: To<'_>, version: i16) -> anyhow::Result<()> {
    s.on(1);
    a.fill(s, 0, batch(2).to_bytes())?;
    let label = |what: &str| format!("v{version}: {what}");
    let in_session =
        |request: FetchRequest, id: i32, epoch: i32| request.with_session_id(id).with_session_epoch(epoch);
    let full = |id, epoch| in_session(request(version, a, vec![partition(0, 0), partition(1, 0)]), id, epoch);
    let nothing = |id, epoch| in_session(request(version, a, vec![]).with_topics(vec![]), id, epoch);

    let opened = s.at(&label("a new session"), version, full(0, 0))?;
    let Some(id) = opened.map(|answer| answer.session_id) else { anyhow::bail!("no session") };
    s.at(&label("asked again, nothing new"), version, nothing(id, 1))?;
    let moved = in_session(request(version, a, vec![partition(0, 2)]), id, 2);
    s.at(&label("moved on in one partition"), version, moved)?;
    s.at(&label("nothing new again"), version, nothing(id, 3))?;
    a.fill(s, 1, batch(1).to_bytes())?;
    s.at(&label("something new"), version, nothing(id, 4))?;
    let forget = ForgottenTopic::default().with_partitions(vec![1]);
    let forget = if version < 13 { forget.with_topic(topic(a.0)) } else { forget.with_topic_id(a.1) };
    s.at(&label("forget a partition"), version, nothing(id, 5).with_forgotten_topics_data(vec![forget]))?;
    a.fill(s, 1, batch(1).to_bytes())?;
    s.at(&label("and hear no more of it"), version, nothing(id, 6))?;
    let wrong = in_session(request(version, a, vec![partition(9, 0), partition(2, 0)]), id, 7);
    s.at(&label("add partitions that are not here"), version, wrong)?;
    s.at(&label("which are told again"), version, nothing(id, 8))?;
    s.at(&label("an epoch from before"), version, nothing(id, 8))?;
    s.at(&label("an epoch too far"), version, nothing(id, 99))?;
    s.at(&label("an unknown session"), version, nothing(id ^ 0x55, 1))?;
    s.at(&label("session 0 with epoch 1"), version, nothing(0, 1))?;
    s.at(&label("a negative epoch"), version, nothing(id, -5))?;
    s.at(&label("closed"), version, nothing(id, -1))?;
    s.at(&label("and gone"), version, nothing(id, 9))?;
    let again = s.at(&label("a session of nothing"), version, nothing(0, 0))?;
    let Some(id) = again.map(|answer| answer.session_id) else { anyhow::bail!("no session") };
    s.at(
        &label("that gets a partition"),
        version,
        in_session(request(version, a, vec![partition(0, 1)]), id, 1),
    )?;
    s.at(&label("replaced by a new one"), version, full(id, 0))?;
    s.at(&label("and gone too"), version, nothing(id, 2))?;
    s.at(&label("no session at all"), version, full(0, -1))?;
    Ok(())
}
