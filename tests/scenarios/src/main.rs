//! `cargo xtask scenarios`: the files under `scenarios/` on Apache Kafka itself, in real time.
//!
//! Each run has a cluster of its own, started from the Maven jars: brokers and controllers are processes that are stopped, killed and
//! started again, and every connection between them and to them passes through this one, which holds and loses what the file says.
//! What is expected is looked up where Kafka keeps it: on the disks of its nodes.

mod door;
mod folder;
mod frames;
mod groups;
mod members;
mod nodes;
mod owner;
mod roads;
mod rules;
mod theatre;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use klamm_node::era::{Era, Eras};
use klamm_scenario::report::text;
use klamm_scenario::{Asked, Options, Report, Setting};

use crate::nodes::{NEWEST, has_jars, release};
use crate::theatre::Kafka;

#[derive(Parser)]
#[command(name = "cargo xtask scenarios", about = "Run scenario files on Apache Kafka itself, in real time")]
struct Arguments {
    /// Files, or folders of which every .kdl file is taken; scenarios/ when left out
    paths: Vec<PathBuf>,
    /// How many clusters at once
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Show every step, also of runs that held
    #[arg(long)]
    show: bool,
    /// Keep the folder of each run, with the disk and the output of every node, and say where it is
    #[arg(long)]
    keep: bool,
    /// Only say which runs Kafka can be driven through, and why not the others
    #[arg(long)]
    check: bool,
    /// Leave out runs in which more time than this goes by at a stretch, in seconds
    #[arg(long, default_value_t = 180)]
    longest: u64,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut files = Vec::new();
    if arguments.paths.is_empty() {
        find(&klamm_tests::workspace::root().join("scenarios"), &mut files)?;
    }
    for path in &arguments.paths {
        find(path, &mut files)?;
    }
    let next = AtomicUsize::new(0);
    let counts = Mutex::new([0_usize; 3]);
    std::thread::scope(|scope| {
        let work = || {
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = one(file, &arguments, &counts) {
                    say(&format!("{}: {error:#}", file.display()));
                    count(&counts, FAILED);
                }
            }
        };
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let [held, failed, cannot] = *counts.lock().unwrap_or_else(PoisonError::into_inner);
    say(&format!("{held} runs held on Kafka, {failed} did not, {cannot} it cannot be driven through"));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "the verdicts are this command's result")]
fn say(text: &str) {
    println!("{text}");
}

/// A file itself, or every .kdl file in a folder and in the folders in it, in order.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<_> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            find(&entry, files)?;
        } else if entry.extension().is_some_and(|extension| extension == "kdl") {
            files.push(entry);
        }
    }
    Ok(())
}

/// Runs every run of a file that Kafka can be driven through.
fn one(file: &Path, arguments: &Arguments, counts: &Mutex<[usize; 3]>) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let name = file.display().to_string();
    let mut reasons = Vec::new();
    let reports = klamm_scenario::run_in(&name, &text, Options::default(), |setting| {
        let reason = cannot(setting, Duration::from_secs(arguments.longest));
        reasons.push((reason.clone(), release(setting.cluster.release).unwrap_or(NEWEST)));
        match reason {
            Some(reason) => Err(reason),
            None if arguments.check => Err("can be driven".to_owned()),
            None => {
                let mut kafka = Kafka::new(setting).map_err(|error| format!("{error:#}"))?;
                if arguments.keep {
                    say(&format!("{name}: {}", kafka.keep().display()));
                }
                Ok(kafka)
            }
        }
    })
    .map_err(|mistakes| anyhow::anyhow!("{}", mistakes.render(false)))?;
    let style = text::Style::default();
    for (report, (reason, release)) in reports.iter().zip(reasons) {
        let name = named(report);
        if let Some(reason) = reason {
            say(&format!("cannot be driven {name}: {reason}"));
            count(counts, CANNOT);
        } else if arguments.check {
            say(&format!("can be driven   {name}"));
        } else if report.held() {
            let unseen = match report.unseen {
                0 => String::new(),
                unseen => format!(" ({unseen} expectations cannot be seen there)"),
            };
            let shown = if arguments.show { text::render(report, style) } else { String::new() };
            say(&format!("{shown}held on Kafka {release}   {name}{unseen}"));
            count(counts, HELD);
        } else {
            say(&format!("{}FAILED on Kafka {release} {name}", text::render(report, style)));
            count(counts, FAILED);
        }
    }
    Ok(())
}

/// Places in the counts of runs.
const HELD: usize = 0;
const FAILED: usize = 1;
const CANNOT: usize = 2;

fn count(counts: &Mutex<[usize; 3]>, what: usize) {
    counts.lock().unwrap_or_else(PoisonError::into_inner)[what] += 1;
}

fn named(report: &Report) -> String {
    match report.name() {
        name if name.is_empty() => report.id.clone(),
        name => format!("{} ({name})", report.id),
    }
}

/// Why Kafka cannot be driven through a run.
fn cannot(setting: &Setting<'_>, longest: Duration) -> Option<String> {
    let cluster = setting.cluster;
    if !has_jars(cluster.release) {
        return Some(format!("no jars of Kafka {} are known", cluster.release));
    }
    // Of all switches this is the one that Kafka has too.
    let differs = |era: Era| era != Era::Elr && cluster.eras.on(era) != Eras::of(cluster.release).on(era);
    if let Some(old) = Era::ALL.iter().find(|era| differs(era.era)) {
        return Some(format!("Kafka has no switch for `{}`", old.name));
    }
    if !cluster.latency.is_zero() || !cluster.jitter.is_zero() {
        return Some("its links are slow from the beginning".to_owned());
    }
    setting.asks.iter().find_map(|(line, asked)| {
        let reason = match asked {
            Asked::Fault(fault) => rules::check(fault).err().map(|error| format!("{error}: {fault}"))?,
            Asked::Link => return None,
            Asked::Time(time) if *time > longest => format!("{time:?} would have to go by"),
            Asked::Time(_) => return None,
        };
        Some(format!("line {line}: {reason}"))
    })
}
