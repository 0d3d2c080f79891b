//! ApiVersions: what is served, versions nobody knows, names of clients.

use klamm_wire::messages::ApiVersionsRequest;

use crate::Session;
use crate::session::text;

fn named(name: &str, version: &str) -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(text(name))
        .with_client_software_version(text(version))
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    // The lists differ as long as klamm serves less; what one entry looks like is behaviour.
    for version in 0..=4 {
        let request = if version < 3 { ApiVersionsRequest::default() } else { named("a", "1") };
        let mut answer = s.quiet(version, &request)?;
        answer.api_keys.retain(|api| [0, 3, 18, 19].contains(&api.api_key));
        answer.supported_features.clear();
        answer.finalized_features.clear();
        answer.finalized_features_epoch = 0;
        // ApiVersions 5 is a line of docs/differences.md.
        for api in answer.api_keys.iter_mut().filter(|api| api.api_key == 18) {
            api.max_version = 4;
        }
        s.note(&format!("four of the entries, v{version}"), &answer);
    }
    for (name, version) in [("", "1"), ("a", ""), ("-a", "1"), ("a", "1-"), ("a b", "1"), ("a.b-c", "1.0-x")]
    {
        let mut last = None;
        for api_version in 3..=4 {
            let mut answer = s.quiet(api_version, &named(name, version))?;
            answer.api_keys.clear();
            answer.supported_features.clear();
            answer.finalized_features.clear();
            answer.finalized_features_epoch = 0;
            last = Some(answer);
        }
        s.note(&format!("a client called {name:?} {version:?}"), &last);
    }
    // A version that nobody knows is answered in version 0 (KIP-511).
    s.raw("version 99 of another request", 3, 99, 2, &[0, 0, 0, 0])?;
    s.raw("an unknown request", 999, 0, 1, &[])?;
    s.raw("a negative version", 3, -1, 1, &[])?;
    s.raw("Produce 2", 0, 2, 1, &[0, 1, 0, 0, 0, 9, 0, 0, 0, 0])?;
    s.raw("a body that is cut off", 3, 9, 2, &[])?;
    s.raw("a string longer than the body", 3, 1, 1, &[0, 0, 0, 1, 0, 9, b'a'])?;
    s.raw("a null topic name", 3, 1, 1, &[0, 0, 0, 1, 0xff, 0xff])?;
    Ok(())
}
