//! L8: after healing, groups come to rest and read everything.

use klamm_broker::GroupInspection;
use klamm_wire::StrBytes;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};
use crate::client::scripted::{MemberState, MemberStatus};

pub(super) const L8: Invariant = Invariant {
    id: "L8",
    name: "GroupsSettle",
    statement: "a group gets stable with everybody who wants to be in it as a member, is handed every record, and commits up to the end",
    when: When::Healed,
};

/// A group against those who want to be in it, and the topics that each subscribes to.
pub(super) fn members(
    name: &StrBytes,
    group: &GroupInspection,
    members: &[(MemberStatus, Vec<StrBytes>)],
    report: &mut Report,
) {
    if members.is_empty() {
        return;
    }
    if group.state != "Stable" {
        report.violation(L8, name, format!("it is {} in epoch {}", group.state, group.epoch));
    }
    for (status, _) in members {
        let known = group.member(&status.member_id);
        if status.state != MemberState::Stable || known.is_none() {
            let what = format!(
                "{} believes that it is {:?} in {}, its coordinator has {:?}",
                status.member_id,
                status.state,
                status.generation,
                known.map(|member| member.epoch)
            );
            report.violation(L8, name, what);
        }
    }
    if let Some(stranger) =
        group.members.iter().find(|member| !members.iter().any(|(status, _)| status.member_id == member.id))
    {
        report.violation(L8, name, format!("{} is a member, and nobody is it", stranger.id));
    }
}

/// How far a group has got in a partition that members read. `unseen` is a record below an offset that was handed to nobody.
pub(super) fn partition(
    name: &StrBytes,
    group: &GroupInspection,
    partition: &Partition,
    unseen: impl FnOnce(i64) -> Option<i64>,
    report: &mut Report,
) {
    let Some((_, leader)) = partition.true_leader() else { return };
    let end = leader.view.high_watermark;
    let committed = group.offsets.get(&partition.name).copied();
    if end > leader.view.log_start && committed.is_none_or(|committed| committed < end) {
        let what = format!("it has committed {committed:?} of {}, which ends at {end}", partition.name);
        report.violation(L8, name, what);
    } else if let Some(offset) = unseen(end) {
        report.violation(L8, name, format!("nobody was handed {offset} of {}", partition.name));
    }
}

#[cfg(test)]
mod tests {
    use klamm_broker::GroupMemberInspection;

    use super::*;
    use crate::invariant::fixture::{found, healthy};

    #[test]
    fn a_group_that_does_not_come_to_rest_is_found() {
        let name = StrBytes::from_static_str("g");
        let status = MemberStatus {
            state: MemberState::Stable,
            member_id: StrBytes::from_static_str("a"),
            generation: 4,
            leads: false,
            coordinator: None,
        };
        let known = GroupMemberInspection { id: status.member_id.clone(), ..Default::default() };
        let group = GroupInspection { state: "Stable", members: vec![known], ..Default::default() };
        let look = |group: &GroupInspection, status: &MemberStatus| {
            found(|report| members(&name, group, &[(status.clone(), Vec::new())], report))
        };
        assert!(look(&group, &status).is_empty());
        assert_eq!(look(&GroupInspection { state: "Reconciling", ..group.clone() }, &status), ["L8"]);
        assert_eq!(look(&GroupInspection { members: Vec::new(), ..group.clone() }, &status), ["L8"]);
        assert_eq!(look(&group, &MemberStatus { state: MemberState::Joining, ..status.clone() }), ["L8"]);
        let other = StrBytes::from_static_str("b");
        assert_eq!(look(&group, &MemberStatus { member_id: other, ..status }), ["L8"]);
    }

    #[test]
    fn a_lag_that_stays_is_found() {
        let (name, p) = (StrBytes::from_static_str("g"), healthy());
        let look = |offset: i64, unseen: Option<i64>| {
            let group = GroupInspection { offsets: [(p.name.clone(), offset)].into(), ..Default::default() };
            found(|report| partition(&name, &group, &p, |_| unseen, report))
        };
        assert!(look(10, None).is_empty());
        assert_eq!((look(9, None), look(10, Some(4))), (vec!["L8"], vec!["L8"]));
    }
}
