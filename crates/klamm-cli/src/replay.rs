//! `klamm replay`: plays a recording to its end and prints where the cluster ended.

use std::path::{Path, PathBuf};

use klamm_server::Extent;
use klamm_world::recording::RecordingError;

use crate::errors::Mistake;
use crate::output;

/// Replay a recorded run (`klamm serve --record FILE`) and print the state it ended in
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The recording
    file: PathBuf,
    /// Replay what is whole of a recording that is cut short, as that of a process that was killed
    #[arg(long)]
    cut_short: bool,
}

/// How much of a recording is wanted.
pub(crate) const fn extent(cut_short: bool) -> Extent {
    if cut_short { Extent::WhatIsWhole } else { Extent::All }
}

/// What is wrong with a recording, and what would be right.
pub(crate) fn mistake(file: &Path, error: &RecordingError) -> Mistake {
    let advice = match error {
        RecordingError::CutShort { entry, .. } if *entry > 0 => "; --cut-short replays what is whole of it",
        _ => "",
    };
    Mistake(format!("the recording {} cannot be replayed: {error}{advice}", file.display()))
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let file = &arguments.file;
    if !file.is_file() {
        return Err(Mistake(format!("there is no recording at {}", file.display())).into());
    }
    let state =
        klamm_server::replay(file, extent(arguments.cut_short)).map_err(|error| mistake(file, &error))?;
    output::line(state.trim_end())
}
