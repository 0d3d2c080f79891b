//! Scenarios through the crate's own door: texts in, reports and diagnostics out.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod concepts;
mod diagnostics;
mod docs;
mod files;
mod properties;
mod reports;

/// Writes a page in one move: another test that reads it meanwhile sees the old one or the new one.
#[expect(
    clippy::disallowed_methods,
    reason = "a test of files in the repository, which it writes when it is told to"
)]
fn replace(path: &std::path::Path, text: &str) {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, path).unwrap();
}
