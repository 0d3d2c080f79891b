//! G8: who is silent is not a member for long.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_broker::GroupInspection;
use klamm_node::Timestamp;
use klamm_wire::StrBytes;

use super::report::{Invariant, Report, When};

pub(super) const G8: Invariant = Invariant {
    id: "G8",
    name: "SilentMembersGo",
    statement: "a member that the coordinator has not heard of for its session timeout is a member no more",
    when: When::Checkpoint,
};

/// How often in a row a member has to be found overdue: what a node did not get to while it stood still, it does next.
const STRIKES: u32 = 3;

/// When members were last heard of.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions {
    heard: BTreeMap<(StrBytes, StrBytes), Timestamp>,
    /// The coordinator that was last looked at, and since when.
    coordinators: BTreeMap<StrBytes, (i32, Timestamp)>,
    overdue: BTreeMap<(StrBytes, StrBytes), u32>,
}

impl Sessions {
    /// A coordinator hears of a member.
    pub(super) fn heard(&mut self, group: &StrBytes, member: &StrBytes, at: Timestamp) {
        self.heard.insert((group.clone(), member.clone()), at);
    }

    /// Looks at a group as its coordinator has it; with `excused`, it cannot do what it should.
    pub(super) fn check(
        &mut self,
        name: &StrBytes,
        coordinator: i32,
        group: &GroupInspection,
        excused: bool,
        now: Timestamp,
        report: &mut Report,
    ) {
        let since = self.coordinators.entry(name.clone()).or_insert((coordinator, now));
        if since.0 != coordinator {
            *since = (coordinator, now);
        }
        let since = since.1;
        let mut overdue = BTreeMap::new();
        for member in group.members.iter().filter(|member| !member.waits && !excused) {
            let key = (name.clone(), member.id.clone());
            let heard = self.heard.get(&key).copied().unwrap_or_default().max(since);
            let session = Duration::from_millis(u64::try_from(member.session_timeout_ms).unwrap_or(0));
            if now.since(heard) <= session {
                continue;
            }
            let strikes = self.overdue.get(&key).copied().unwrap_or(0) + 1;
            if strikes >= STRIKES {
                let what =
                    format!("{} was last heard of at {heard}, and has a session of {session:?}", member.id);
                report.violation(G8, name, what);
            }
            overdue.insert(key, strikes);
        }
        self.overdue.retain(|(of, _), _| of != name);
        self.overdue.append(&mut overdue);
        self.heard.retain(|(of, id), at| {
            of != name || group.member(id).is_some() || now.since(*at) < Duration::from_secs(60)
        });
    }
}

#[cfg(test)]
mod tests {
    use klamm_broker::GroupMemberInspection;

    use super::*;
    use crate::invariant::fixture::found;

    #[test]
    fn a_member_that_is_silent_for_too_long_is_found() {
        let (name, id) = (StrBytes::from_static_str("g"), StrBytes::from_static_str("a"));
        let member =
            GroupMemberInspection { id: id.clone(), session_timeout_ms: 10_000, ..Default::default() };
        let group = GroupInspection { members: vec![member], ..GroupInspection::default() };
        let mut sessions = Sessions::default();
        let mut look = |seconds: u64, coordinator, excused| {
            let now = Timestamp::from_millis(seconds * 1_000);
            if seconds == 12 {
                sessions.heard(&name, &id, now);
            }
            found(|report| sessions.check(&name, coordinator, &group, excused, now, report))
        };
        for at in [1, 6, 11, 12, 17, 22, 27, 32] {
            assert!(look(at, 0, false).is_empty(), "{at}");
        }
        assert!(look(37, 0, true).is_empty(), "it cannot");
        assert!(look(42, 0, false).is_empty() && look(47, 0, false).is_empty());
        assert_eq!(look(52, 0, false), ["G8"]);
        assert!(look(57, 1, false).is_empty(), "the next coordinator waits for a session");
    }
}
