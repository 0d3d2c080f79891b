//! `klamm replay`: plays a recording to its end and prints where the cluster ended.

use std::path::PathBuf;

use crate::errors::Mistake;
use crate::output;

/// Replay a recorded run (`klamm serve --record FILE`) and print the state it ended in
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The recording
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let file = &arguments.file;
    if !file.is_file() {
        return Err(Mistake(format!("there is no recording at {}", file.display())).into());
    }
    let state = klamm_server::replay(file)
        .map_err(|error| Mistake(format!("the recording {} cannot be replayed: {error}", file.display())))?;
    output::line(state.trim_end())
}
