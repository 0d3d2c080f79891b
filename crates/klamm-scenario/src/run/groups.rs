//! What must hold of a group and of its members.

use super::Runner;
use super::hold::{Check, node, or_empty};
use crate::expect::{GroupFact, MemberFact};
use crate::report::Failure;
use crate::theatre::Theatre;

impl<T: Theatre> Runner<T> {
    pub(super) fn check_member(&self, client: &str, facts: &[MemberFact]) -> Vec<Failure> {
        let mut check = Check::new(format!("member {client}"));
        let id = self.member_id(client);
        let Some(member) = id.and_then(|id| self.stage.client_member(id)) else {
            return check.unless(false, "it is in a group".to_owned(), "it never joined one".to_owned());
        };
        for fact in facts {
            match fact {
                MemberFact::Generation(generation) => {
                    check.number("generation", *generation, Some(member.generation.into()));
                }
                MemberFact::Leads(leads) => check.flag("leads", *leads, member.leads),
                MemberFact::Coordinator(broker) => {
                    check.text("coordinator", &node(*broker), &node(member.coordinator));
                }
                MemberFact::Assigned(expected) => {
                    let actual = id.map(|id| self.stage.client_positions(id)).unwrap_or_default();
                    let names = |partitions: Vec<String>| or_empty(partitions.join(" "));
                    let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
                    let mut actual: Vec<_> = actual.keys().map(ToString::to_string).collect();
                    expected.sort();
                    actual.sort();
                    check.text("assigned", &names(expected), &names(actual));
                }
            }
        }
        check.failures
    }

    pub(super) fn check_group(&self, group: &str, facts: &[GroupFact]) -> Vec<Failure> {
        let groups = self.stage.groups();
        let mut check = Check::new(format!("group {group}"));
        let Some(status) = groups.get(group.as_bytes()) else {
            return check.unless(false, "it exists".to_owned(), "no coordinator knows it".to_owned());
        };
        for fact in facts {
            match fact {
                GroupFact::State(state) => check.text("state", state, status.group.state),
                GroupFact::Generation(generation) => {
                    check.number("generation", *generation, Some(status.group.generation.into()));
                }
                GroupFact::Members(members) => {
                    check.number("members", *members, i64::try_from(status.group.members.len()).ok());
                }
                GroupFact::Coordinator(broker) => {
                    check.text("coordinator", &broker.to_string(), &status.coordinator.to_string());
                }
            }
        }
        check.failures
    }
}
