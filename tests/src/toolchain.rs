//! Which languages this machine has.
//!
//! On a person's machine a missing toolchain skips the tests that need it, by name. Under `CI=true` it fails them: a
//! machine that is set up wrong must not look like a green run.

use std::path::PathBuf;

/// The full path of `program` on `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

/// Whether this run is a continuous-integration run (`CI=true`).
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// The first of `programs` that is not on `PATH`.
pub fn missing<'a>(programs: &[&'a str]) -> Option<&'a str> {
    programs.iter().copied().find(|program| find(program).is_none())
}

/// Tells a test whether to skip itself because one of `programs` is missing, and says so on stderr.
///
/// # Panics
/// Under `CI=true`, where a missing toolchain is a failure.
pub fn skip(test: &str, programs: &[&str]) -> bool {
    let Some(program) = missing(programs) else { return false };
    assert!(!in_ci(), "{test}: `{program}` is not installed, and CI=true asks for every toolchain");
    eprintln!("SKIPPED {test}: `{program}` is not installed");
    true
}
