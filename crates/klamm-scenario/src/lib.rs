//! Scenarios: text files that say what happens to a cluster and what must hold, and the runner that finds out.
//!
//! [`parse`] reads a text into a [`Scenario`], which can as well be put together by a program and written back with
//! [`Scenario::to_kdl`]. [`run()`] checks the whole of it first, so that a wrong file has no effect at all, and then carries
//! it out in virtual time.

mod error;
mod expect;
mod line;
mod plan;
pub mod report;
mod run;
mod step;
pub mod syntax;
pub mod theatre;

pub use error::{Mistake, Mistakes};
pub use line::{Line, Scenario, Span, Spanned, Value};
pub use plan::ClusterSpec;
pub use report::Report;
pub use run::{Asked, Options, Setting};
pub use syntax::parse;

/// Checks a scenario's text without running it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(name: &str, text: &str) -> Result<(), Mistakes> {
    let scenario = parse(name, text)?;
    plan::plan(name, text, &scenario).map(drop)
}

/// Checks whether a scenario's text can be run against a cluster that klamm does not own: nothing in it may need more
/// than a client's requests.
///
/// # Errors
/// Everything that is wrong with it, and every line that needs more.
pub fn check_portable(name: &str, text: &str) -> Result<(), Mistakes> {
    let scenario = parse(name, text)?;
    plan::plan(name, text, &scenario)?;
    plan::portable::check(name, text, &scenario)
}

/// Runs a scenario's text, each of its runs in a theatre of the caller's.
///
/// # Errors
/// Everything that is wrong with the text; nothing of it was run then.
pub fn run_in<T: theatre::Theatre>(
    name: &str,
    text: &str,
    options: Options,
    open: impl FnMut(&Setting<'_>) -> Result<T, String>,
) -> Result<Vec<Report>, Mistakes> {
    let scenario = parse(name, text)?;
    let plan = plan::plan(name, text, &scenario)?;
    Ok(run::run_in(name, text, &plan, options, open))
}

/// Runs a scenario's text, once for each release and variant that it names.
///
/// # Errors
/// Everything that is wrong with the text; nothing of it was run then.
pub fn run(name: &str, text: &str, options: Options) -> Result<Vec<Report>, Mistakes> {
    let scenario = parse(name, text)?;
    let plan = plan::plan(name, text, &scenario)?;
    Ok(run::run(name, text, &plan, options))
}
