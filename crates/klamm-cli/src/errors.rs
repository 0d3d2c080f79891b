//! What a failed command says, and its exit code.

use std::io;
use std::process::ExitCode;

/// A mistake in what the person asked for, or an obstacle that only a person can remove: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Mistake(pub(crate) String);

/// Prints an error as one line on stderr, and chooses the exit code: 0 for success, 2 for a [`Mistake`], 1 otherwise.
pub(crate) fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let closed_pipe =
        error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe);
    if closed_pipe {
        // Whoever was reading (`| head`) has seen enough.
        return ExitCode::SUCCESS;
    }
    let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
    eprintln!("klamm: {line}");
    if error.is::<Mistake>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}
