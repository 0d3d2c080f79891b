//! DeleteTopics.

use klamm_wire::Uuid;
use klamm_wire::messages::DeleteTopicsRequest;
use klamm_wire::messages::delete_topics_request::DeleteTopicState;

use crate::Session;
use crate::session::topic;

fn request(version: i16, names: &[&str]) -> DeleteTopicsRequest {
    let request = DeleteTopicsRequest::default().with_timeout_ms(30_000);
    if version < 6 {
        return request.with_topic_names(names.iter().map(|name| topic(name)).collect());
    }
    request.with_topics(
        names.iter().map(|name| DeleteTopicState::default().with_name(Some(topic(name)))).collect(),
    )
}

fn ids(states: &[(Option<&str>, Uuid)]) -> DeleteTopicsRequest {
    let states = states
        .iter()
        .map(|(name, id)| DeleteTopicState::default().with_name(name.map(topic)).with_topic_id(*id))
        .collect();
    DeleteTopicsRequest::default().with_timeout_ms(30_000).with_topics(states)
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let a = s.create("delete-a", &[&[1, 2, 3]], &[])?;
    let b = s.create("delete-b", &[&[1]], &[])?;
    s.all("an unknown topic", |v| request(v, &["delete-none"]))?;
    s.all("an unknown topic twice", |v| request(v, &["delete-none", "delete-none"]))?;
    s.all("a name that no topic may have", |v| request(v, &["a b", ""]))?;
    s.all("nothing", |v| request(v, &[]))?;
    s.at("an unknown id", 6, ids(&[(None, Uuid::from_u128(7))]))?;
    s.at("no id and no name", 6, ids(&[(None, Uuid::nil())]))?;
    s.at("an id and a name", 6, ids(&[(Some("delete-a"), a)]))?;
    s.at("an id and another's name", 6, ids(&[(Some("delete-b"), a)]))?;
    s.at("an id twice", 6, ids(&[(None, a), (None, a)]))?;
    s.at("an id and its name", 6, ids(&[(None, a), (Some("delete-a"), Uuid::nil())]))?;
    s.at("a name twice", 6, request(6, &["delete-a", "delete-a"]))?;
    s.at("they are still there", 6, ids(&[(None, Uuid::from_u128(7)), (None, b)]))?;
    s.forget("delete-b")?;
    for version in 1..=6 {
        let name = "delete-c";
        s.create(name, &[&[2, 3]], &[])?;
        s.each(&format!("a topic, v{version}"), [version], |v| request(v, &[name]))?;
        s.forget(name)?;
    }
    s.at("an id of a topic that was", 6, ids(&[(None, b)]))?;
    s.at("with a timeout of 0", 6, request(6, &["delete-a"]).with_timeout_ms(0))?;
    s.at("an internal topic that is not there", 6, request(6, &["__transaction_state"]))?;
    Ok(())
}
