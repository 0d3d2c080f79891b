//! The life of classic groups: members come, go, are replaced and fenced.

use klamm_wire::messages::join_group_request::JoinGroupRequestProtocol;
use klamm_wire::messages::leave_group_request::MemberIdentity;
use klamm_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use klamm_wire::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, ListGroupsRequest, SyncGroupRequest,
};

use crate::Session;
use crate::session::{BLOB, group, text};

/// A consumer's join with one protocol.
pub(super) fn join(version: i16, name: &str, member: &str) -> JoinGroupRequest {
    join_with(version, name, member, &["range"])
}

fn join_with(version: i16, name: &str, member: &str, protocols: &[&str]) -> JoinGroupRequest {
    let request = JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(30_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(
            protocols
                .iter()
                .map(|name| JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(BLOB))
                .collect(),
        );
    if version == 0 { request } else { request.with_rebalance_timeout_ms(30_000) }
}

fn sync(name: &str, generation: i32, member: &str, assigned: &[&str]) -> SyncGroupRequest {
    SyncGroupRequest::default()
        .with_group_id(group(name))
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_assignments(
            assigned
                .iter()
                .map(|member| {
                    SyncGroupRequestAssignment::default().with_member_id(text(member)).with_assignment(BLOB)
                })
                .collect(),
        )
}

fn heartbeat(name: &str, generation: i32, member: &str) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group(name))
        .with_generation_id(generation)
        .with_member_id(text(member))
}

fn leave(version: i16, name: &str, member: &str) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(group(name));
    if version < 3 {
        return request.with_member_id(text(member));
    }
    request.with_members(vec![MemberIdentity::default().with_member_id(text(member))])
}

/// Joins a group of which this is the only member; its id, shown as `<WORD>`.
pub(super) fn alone(s: &mut Session, name: &str, word: &str) -> anyhow::Result<String> {
    let answer = s.quiet(3, &join(3, name, ""))?;
    anyhow::ensure!(answer.error_code == 0, "cannot join {name}: {answer:?}");
    s.name(&answer.member_id, word);
    Ok(answer.member_id.to_string())
}

fn named(s: &mut Session, answer: Option<&JoinGroupResponse>, word: &str) -> String {
    let id = answer.map(|answer| answer.member_id.to_string()).unwrap_or_default();
    s.name(&id, word);
    id
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    for version in 0..=9 {
        life(s, version)?;
    }
    elsewhere(s)?;
    two_members(s)?;
    refusals(s)?;
    fixed_members(s)?;
    listings(s)
}

/// One member joins, syncs, beats and leaves.
fn life(s: &mut Session, version: i16) -> anyhow::Result<()> {
    let name = &format!("life-{version}")[..];
    s.coordinate(name)?;
    let label = |what: &str| format!("v{version}: {what}");
    // The member's id is only known once the answer has been recorded: this answer shows it masked.
    let first = s.at(&label("join without a member id"), version, join(version, name, ""))?;
    let mut member = named(s, first.as_ref(), &format!("member {version}"));
    if version >= 4 {
        let again = s.at(&label("join with it"), version, join(version, name, &member))?;
        member = named(s, again.as_ref(), &format!("member {version}"));
    }
    let beats = version.min(4);
    let syncs = version.min(5);
    let sync = |generation, member: &str, assigned: &[&str]| {
        let request = sync(name, generation, member, assigned);
        if syncs < 5 {
            request
        } else {
            request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")))
        }
    };
    s.at(&label("heartbeat before the sync"), beats, heartbeat(name, 1, &member))?;
    s.at(&label("sync in a wrong generation"), syncs, sync(7, &member, &[]))?;
    s.at(&label("sync of an unknown member"), syncs, sync(1, "nobody", &[]))?;
    s.at(&label("sync"), syncs, sync(1, &member, &[&member]))?;
    s.at(&label("sync again"), syncs, sync(1, &member, &[]))?;
    s.at(&label("heartbeat"), beats, heartbeat(name, 1, &member))?;
    s.at(&label("heartbeat in a wrong generation"), beats, heartbeat(name, 2, &member))?;
    s.at(&label("heartbeat of an unknown member"), beats, heartbeat(name, 1, "nobody"))?;
    s.each(&label("described"), 0..=6, |_| DescribeGroupsRequest::default().with_groups(vec![group(name)]))?;
    s.at(&label("the leader joins again"), version, join(version, name, &member))?;
    s.at(
        &label("described while it rebalances"),
        6,
        DescribeGroupsRequest::default().with_groups(vec![group(name)]),
    )?;
    s.at(&label("heartbeat while it rebalances"), beats, heartbeat(name, 2, &member))?;
    s.at(&label("sync without assignments"), syncs, sync(2, &member, &[]))?;
    s.at(&label("an unknown member leaves"), version.min(5), leave(version.min(5), name, "nobody"))?;
    s.at(&label("the member leaves"), version.min(5), leave(version.min(5), name, &member))?;
    s.at(&label("and again"), version.min(5), leave(version.min(5), name, &member))?;
    s.at(&label("heartbeat after that"), beats, heartbeat(name, 2, &member))?;
    s.at(&label("described when empty"), 6, DescribeGroupsRequest::default().with_groups(vec![group(name)]))?;
    Ok(())
}

/// Requests to a broker that does not coordinate the group.
fn elsewhere(s: &mut Session) -> anyhow::Result<()> {
    let name = "elsewhere";
    s.coordinate(name)?;
    let member = alone(s, name, "member elsewhere")?;
    s.elsewhere();
    s.all("elsewhere: join", |v| join(v, name, ""))?;
    s.all("elsewhere: join again", |v| join(v, name, &member))?;
    s.all("elsewhere: sync", |_| sync(name, 1, &member, &[]))?;
    s.all("elsewhere: heartbeat", |_| heartbeat(name, 1, &member))?;
    s.all("elsewhere: leave", |v| leave(v, name, &member))?;
    s.all("elsewhere: describe", |_| DescribeGroupsRequest::default().with_groups(vec![group(name)]))?;
    s.all("elsewhere: delete", |_| DeleteGroupsRequest::default().with_groups_names(vec![group(name)]))?;
    Ok(())
}

/// A second member comes and goes.
fn two_members(s: &mut Session) -> anyhow::Result<()> {
    let name = "two";
    s.coordinate(name)?;
    let in_protocol = |request: SyncGroupRequest| {
        request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")))
    };
    let first = alone(s, name, "member A")?;
    s.at("two: A syncs", 5, in_protocol(sync(name, 1, &first, &[&first])))?;
    let second = s.at("two: B joins", 9, join_with(9, name, "", &["sticky", "range"]))?;
    let second = named(s, second.as_ref(), "member B");
    let joining = s.begin(9, &join_with(9, name, &second, &["sticky", "range"]))?;
    let beat = heartbeat(name, 1, &first);
    klamm_tests::wait_until(klamm_tests::PATIENCE, || {
        (s.quiet(4, &beat).ok()?.error_code != 0).then_some(())
    });
    s.at("two: A hears of it", 4, beat)?;
    s.at("two: A syncs too late", 5, in_protocol(sync(name, 1, &first, &[])))?;
    s.at("two: described while B waits", 6, DescribeGroupsRequest::default().with_groups(vec![group(name)]))?;
    s.at("two: A joins again", 9, join(9, name, &first))?;
    s.finish_one("two: B has joined", joining)?;
    let syncing = s.begin(5, &in_protocol(sync(name, 2, &second, &[])))?;
    s.at("two: A assigns", 5, in_protocol(sync(name, 2, &first, &[&first, &second])))?;
    s.finish_one("two: B is assigned to", syncing)?;
    s.at("two: described", 6, DescribeGroupsRequest::default().with_groups(vec![group(name)]))?;
    s.at("two: B joins as it was", 9, join_with(9, name, &second, &["sticky", "range"]))?;
    let rejoining = s.begin(9, &join_with(9, name, &second, &["range"]))?;
    let beat = heartbeat(name, 2, &first);
    klamm_tests::wait_until(klamm_tests::PATIENCE, || {
        (s.quiet(4, &beat).ok()?.error_code != 0).then_some(())
    });
    s.at("two: A hears that B wants other protocols", 4, beat)?;
    s.at("two: A leaves", 5, leave(5, name, &first))?;
    s.finish_one("two: B leads now", rejoining)?;
    s.at("two: both leave", 5, {
        let both = [&first, &second].map(|member| MemberIdentity::default().with_member_id(text(member)));
        LeaveGroupRequest::default().with_group_id(group(name)).with_members(both.to_vec())
    })?;
    Ok(())
}

fn refusals(s: &mut Session) -> anyhow::Result<()> {
    let name = "refused";
    s.coordinate("")?;
    s.all("join: an empty group id", |v| join(v, "", ""))?;
    s.coordinate(name)?;
    s.all("join: an unknown member of a group that is not there", |v| join(v, name, "nobody"))?;
    s.all("join: a session timeout too small", |v| join(v, name, "").with_session_timeout_ms(1))?;
    s.all("join: a session timeout too large", |v| join(v, name, "").with_session_timeout_ms(i32::MAX))?;
    s.all("join: no protocols", |v| join_with(v, name, "", &[]))?;
    s.all("join: no protocol type", |v| join(v, name, "").with_protocol_type(text("")))?;
    s.coordinate("negative")?;
    s.each("join: a negative rebalance timeout", [9], |v| {
        join(v, "negative", "").with_rebalance_timeout_ms(-1)
    })?;
    s.coordinate("refused-none")?;
    s.all("sync: a group that is not there", |_| sync("refused-none", 1, "m", &[]))?;
    s.coordinate("")?;
    s.all("sync: an empty group id", |_| sync("", 1, "m", &[]))?;
    s.coordinate("refused-none")?;
    s.all("heartbeat: a group that is not there", |_| heartbeat("refused-none", 1, "m"))?;
    s.coordinate("")?;
    s.all("heartbeat: an empty group id", |_| heartbeat("", 1, "m"))?;
    s.coordinate("refused-none")?;
    s.all("leave: a group that is not there", |v| leave(v, "refused-none", "m"))?;
    s.coordinate("")?;
    s.all("leave: an empty group id", |v| leave(v, "", "m"))?;
    s.coordinate("refused-none")?;
    s.each("leave: nobody", 3..=5, |_| LeaveGroupRequest::default().with_group_id(group("refused-none")))?;

    s.coordinate(name)?;
    let member = alone(s, name, "first member")?;
    s.all("join: other protocols than the group's", |v| join_with(v, name, "", &["sticky"]))?;
    s.all("join: another protocol type than the group's", |v| {
        join(v, name, "").with_protocol_type(text("connect"))
    })?;
    s.all("join: an unknown member of a group", |v| join(v, name, "nobody"))?;
    s.each("sync: another protocol type", [5], |_| {
        sync(name, 1, &member, &[])
            .with_protocol_type(Some(text("connect")))
            .with_protocol_name(Some(text("range")))
    })?;
    s.each("sync: another protocol", [5], |_| {
        sync(name, 1, &member, &[])
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("sticky")))
    })?;
    s.each("sync: no protocol", [5], |_| sync(name, 1, &member, &[]))?;
    s.each("sync: with an instance id that is unknown", [3, 5], |v| {
        let request = sync(name, 1, &member, &[]).with_group_instance_id(Some(text("i")));
        if v < 5 {
            request
        } else {
            request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")))
        }
    })?;
    s.each("heartbeat: with an instance id that is unknown", [3, 4], |_| {
        heartbeat(name, 1, &member).with_group_instance_id(Some(text("i")))
    })?;
    s.all("delete: a group with members", |_| {
        DeleteGroupsRequest::default().with_groups_names(vec![group(name)])
    })?;
    s.coordinate("refused-none")?;
    s.all("delete: a group that is not there", |_| {
        DeleteGroupsRequest::default().with_groups_names(vec![group("refused-none")])
    })?;
    s.all("delete: a group twice", |_| {
        DeleteGroupsRequest::default().with_groups_names(vec![group("refused-none"), group("refused-none")])
    })?;
    s.coordinate("")?;
    s.all("delete: an empty group id", |_| {
        DeleteGroupsRequest::default().with_groups_names(vec![group("")])
    })?;
    s.coordinate(name)?;
    s.all("delete: nothing", |_| DeleteGroupsRequest::default())?;
    s.quiet(2, &leave(2, name, &member))?;
    s.at(
        "delete: a group that is empty",
        2,
        DeleteGroupsRequest::default().with_groups_names(vec![group(name)]),
    )?;
    s.at("delete: a group that was", 2, DeleteGroupsRequest::default().with_groups_names(vec![group(name)]))?;
    s.coordinate("refused-none")?;
    s.all("describe: groups that are not there", |_| {
        DescribeGroupsRequest::default().with_groups(vec![group("refused-none")])
    })?;
    s.coordinate("")?;
    s.all("describe: an empty group id", |_| DescribeGroupsRequest::default().with_groups(vec![group("")]))?;
    s.all("describe: nothing", |_| DescribeGroupsRequest::default())?;
    Ok(())
}

/// Members with an instance id.
fn fixed_members(s: &mut Session) -> anyhow::Result<()> {
    let name = "fixed";
    s.coordinate(name)?;
    let instance = || Some(text("instance"));
    let join = |member: &str| join(9, name, member).with_group_instance_id(instance());
    let synced = |generation: i32, member: &str, assigned: &[&str]| {
        sync(name, generation, member, assigned)
            .with_group_instance_id(instance())
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
    };
    let first = s.at("fixed: join", 9, join(""))?;
    let first = named(s, first.as_ref(), "first instance");
    s.at("fixed: sync", 5, synced(1, &first, &[&first]))?;
    s.at("fixed: described", 6, DescribeGroupsRequest::default().with_groups(vec![group(name)]))?;
    let second = s.at("fixed: replaced", 9, join(""))?;
    let second = named(s, second.as_ref(), "second instance");
    s.at("fixed: the replacement syncs", 5, synced(1, &second, &[]))?;
    s.at("fixed: the first beats", 4, heartbeat(name, 1, &first).with_group_instance_id(instance()))?;
    s.at("fixed: the first beats without its instance id", 4, heartbeat(name, 1, &first))?;
    s.at("fixed: the first syncs", 5, synced(1, &first, &[]))?;
    s.at("fixed: the first joins", 9, join(&first))?;
    s.at("fixed: the second beats", 4, heartbeat(name, 1, &second).with_group_instance_id(instance()))?;
    s.at("fixed: the second joins again", 9, join(&second))?;
    let replaced = s.at("fixed: replaced in version 4 of join", 5, join("").with_reason(None))?;
    let third = named(s, replaced.as_ref(), "third instance");
    let leave = |member: &str, instance: &str| {
        let gone = MemberIdentity::default()
            .with_member_id(text(member))
            .with_group_instance_id(Some(text(instance)));
        LeaveGroupRequest::default().with_group_id(group(name)).with_members(vec![gone])
    };
    s.each("fixed: the second leaves", [3, 5], |_| leave(&second, "instance"))?;
    s.each("fixed: an unknown instance leaves", [3, 5], |_| leave("", "other"))?;
    s.each("fixed: an unknown instance with a member id leaves", [3, 5], |_| leave(&third, "other"))?;
    s.at("fixed: leave by instance id alone", 5, leave("", "instance"))?;
    s.at("fixed: leave again", 5, leave("", "instance"))?;
    s.at("fixed: described at the end", 6, DescribeGroupsRequest::default().with_groups(vec![group(name)]))?;
    Ok(())
}

fn listings(s: &mut Session) -> anyhow::Result<()> {
    // All on one broker: the listing of a group does not depend on who coordinates it.
    let name = "listed";
    s.coordinate(name)?;
    let member = alone(s, name, "listed member")?;
    let list =
        |s: &mut Session, label: &str, version: i16, request: ListGroupsRequest| -> anyhow::Result<()> {
            let mut answer = s.quiet(version, &request)?;
            answer.groups.retain(|found| &*found.group_id.0 == name);
            s.note(&format!("list: {label}, v{version}"), &answer);
            Ok(())
        };
    // A coordinator lists what its log has committed.
    klamm_tests::wait_until(klamm_tests::PATIENCE, || {
        let answer = s.quiet(5, &ListGroupsRequest::default()).ok()?;
        answer.groups.iter().any(|found| &*found.group_id.0 == name).then_some(())
    });
    for version in 0..=5 {
        list(s, "all", version, ListGroupsRequest::default())?;
    }
    let states = |states: &[&str]| {
        ListGroupsRequest::default().with_states_filter(states.iter().map(|state| text(state)).collect())
    };
    for (label, filter) in [
        ("stable", &["Stable"][..]),
        ("rebalancing", &["CompletingRebalance"]),
        ("in lower case", &["completingrebalance"]),
        ("two states", &["Empty", "CompletingRebalance"]),
        ("an unknown state", &["Lost"]),
        ("an empty state", &[""]),
    ] {
        for version in 4..=5 {
            list(s, label, version, states(filter))?;
        }
    }
    s.quiet(2, &sync(name, 1, &member, &[&member]))?;
    list(s, "stable now", 5, states(&["Stable"]))?;
    for (label, filter) in [
        ("classic", &["classic"][..]),
        ("Classic", &["Classic"]),
        ("consumer", &["consumer"]),
        ("an unknown type", &["lost"]),
    ] {
        let types = filter.iter().map(|kind| text(kind)).collect();
        list(s, label, 5, ListGroupsRequest::default().with_types_filter(types))?;
    }
    list(s, "type and state", 5, states(&["Stable"]).with_types_filter(vec![text("classic")]))?;
    list(s, "type and another state", 5, states(&["Empty"]).with_types_filter(vec![text("classic")]))
}
