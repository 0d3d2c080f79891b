//! FindCoordinator.

use klamm_wire::messages::FindCoordinatorRequest;

use crate::Session;
use crate::session::text;

fn one(version: i16, kind: i8, key: &str) -> FindCoordinatorRequest {
    let request = FindCoordinatorRequest::default();
    let request = if version == 0 { request } else { request.with_key_type(kind) };
    if version < 4 { request.with_key(text(key)) } else { request.with_coordinator_keys(vec![text(key)]) }
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.coordinate("find-a")?;
    s.on(1);
    s.all("a group", |v| one(v, 0, "find-a"))?;
    s.all("an empty group", |v| one(v, 0, ""))?;
    s.each("an unknown type", 1..=6, |v| one(v, 7, "find-a"))?;
    s.each("a negative type", 1..=6, |v| one(v, -1, "find-a"))?;
    s.each("a share group without a partition", 1..=5, |v| one(v, 2, "find-a"))?;
    s.each("no keys", 4..=6, |_| FindCoordinatorRequest::default())?;
    s.each("several groups", 4..=6, |_| {
        FindCoordinatorRequest::default()
            .with_coordinator_keys(["find-a", "find-b", "find-a"].map(text).to_vec())
    })?;
    Ok(())
}
