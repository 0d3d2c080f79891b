//! klamm beside its peers, on one machine, in one run, under one load generator.
//!
//! Started by `cargo xtask bench`, which builds this and `klamm` for release.

mod cases;
mod cluster;
mod compaction;
mod coordinators;
mod in_process;
mod load;
mod memory;
mod perf_test;
mod report;
mod sim;
mod target;
mod wire;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;

use cases::{Part, Scale};
use report::Samples;
use target::{Peers, Target};

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measure klamm beside its peers")]
struct Arguments {
    /// What to measure; everything when left out.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Target>,
    /// Which groups of rows; all when left out.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "write")]
    parts: Vec<Part>,
    /// How often each target is started and measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// A tenth of the load: to see that everything runs, not to compare.
    #[arg(long)]
    quick: bool,
    /// Measure the simulator instead, and no peer.
    #[arg(long, conflicts_with_all = ["only", "parts", "write"])]
    sim: bool,
    /// Put the table into docs/performance.md.
    #[arg(long)]
    write: bool,
}

#[expect(clippy::print_stdout, reason = "the table is this program's result")]
fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.sim {
        println!("{}", sim::measure(arguments.quick));
        return Ok(());
    }
    let root = klamm_tests::workspace::root();
    let targets = if arguments.only.is_empty() { Target::ALL.to_vec() } else { arguments.only };
    let peers = Peers::build(
        root.join("xtask/bench/peers"),
        &klamm_tests::workspace::cache().join("bench"),
        &targets,
    )?;
    let scale = if arguments.quick { Scale::QUICK } else { Scale::FULL };
    let mut samples = Samples::default();
    for round in 1..=arguments.rounds {
        for target in &targets {
            eprintln!("round {round} of {}: {}", arguments.rounds, target.name());
            if let Err(error) = cases::round(*target, &peers, scale, &arguments.parts, &mut samples) {
                eprintln!("{}: {error:#}", target.name());
            }
        }
        // After each round, so that a run that is cut short has not measured for nothing.
        if arguments.write {
            write(&root.join("docs/performance.md"), &samples.markdown(&targets))?;
        }
    }
    println!("{}", samples.table(&targets));
    Ok(())
}

/// Replaces what stands between the marks in the document.
fn write(path: &Path, table: &str) -> Result<()> {
    const BEGIN: &str = "<!-- table: cargo xtask bench --write -->\n";
    const END: &str = "<!-- end of table -->";
    let path = PathBuf::from(path);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (before, rest) =
        text.split_once(BEGIN).context("docs/performance.md has no mark where the table begins")?;
    let (_, after) = rest.split_once(END).context("docs/performance.md has no mark where the table ends")?;
    std::fs::write(&path, format!("{before}{BEGIN}\n{table}\n{END}{after}"))?;
    Ok(())
}
