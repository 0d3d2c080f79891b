//! `klamm scenario`: run, check and begin scenario files.

use std::fs;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use klamm_scenario::report::{html, json, text};
use klamm_scenario::syntax;
use klamm_scenario::{Mistakes, Options};
use klamm_server::Visit;

use klamm_theatre::{Remote, Served};

use crate::errors::Mistake;

/// A file is wrong: nothing of it was run.
const WRONG: u8 = 2;

#[derive(clap::Args)]
#[command(about = "Run scenario files: what happens to a cluster, and what must hold")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenarios in virtual time. Exit code: 0 all held, 1 an expectation failed, 2 a file is wrong
    Run(Run),
    /// Check scenario files without running them
    Check {
        /// Files, or folders of which every .kdl file is taken
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Check as well whether they run against a cluster of which one is no more than a client (`run --bootstrap`)
        #[arg(long)]
        portable: bool,
    },
    /// Write a scenario to begin with
    New {
        /// The file to write; it must not exist yet
        path: PathBuf,
    },
}

#[derive(clap::Args)]
struct Run {
    /// Files, or folders of which every .kdl file is taken
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The root of every random draw, instead of the file's; links are slower, by what is drawn from it
    #[arg(long)]
    seed: Option<u64>,
    /// Run so many times, with the seeds that follow, each with other latencies and interleavings
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Run on real listeners, over sockets, in a time that the scenario moves
    #[arg(long)]
    live: bool,
    /// Run against a cluster that is there, in real time; files that need more than a client's requests are refused
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "live")]
    bootstrap: Option<String>,
    /// The control door of the klamm that serves the cluster (`klamm serve --control`): each file has it made anew, and
    /// can do everything to it
    #[arg(long, value_name = "HOST:PORT", requires = "bootstrap")]
    control: Option<String>,
    /// Show what was decided in each step
    #[arg(long)]
    trace: bool,
    /// Print every step, expectation and trace event as JSON
    #[arg(long)]
    json: bool,
    /// Write a page to step through
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Run(run) => run_all(&run),
        Command::Check { paths, portable } => check_all(&paths, portable),
        Command::New { path } => new(&path),
    }
}

/// A scenario to begin with.
const TEMPLATE: &str = include_str!("scenario.kdl");

fn new(path: &Path) -> anyhow::Result<ExitCode> {
    let mut file = match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) => {
            say_error(&format!("{}: {error}", path.display()));
            return Ok(ExitCode::from(WRONG));
        }
    };
    file.write_all(TEMPLATE.as_bytes())?;
    say(&format!("wrote {}; run it with: klamm scenario run {}", path.display(), path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The files, read; `None` when one cannot be, which has been said.
fn read(paths: &[PathBuf]) -> Option<Vec<(String, String)>> {
    let mut files = Vec::new();
    let mut all = true;
    for path in paths {
        match scenario_files(path) {
            Ok(found) if found.is_empty() => {
                say_error(&format!("{} holds no .kdl file", path.display()));
                all = false;
            }
            Ok(found) => files.extend(found),
            Err(error) => {
                say_error(&format!("{}: {error}", path.display()));
                all = false;
            }
        }
    }
    let mut texts = Vec::new();
    for file in files {
        match read_text(&file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(error) => {
                say_error(&format!("{}: {error}", file.display()));
                all = false;
            }
        }
    }
    all.then_some(texts)
}

/// A file's text, of which no more is read than shows that it is too long.
fn read_text(file: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(syntax::MAX_LEN as u64 + 1).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let text =
            String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let line = 1 + text.matches('\n').count();
        std::io::Error::other(format!("line {line} is not text: a scenario is UTF-8"))
    })
}

/// A file itself, or every .kdl file in a folder and in the folders in it, in order.
fn scenario_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            files.extend(scenario_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "kdl") {
            files.push(path);
        }
    }
    Ok(files)
}

fn check_all(paths: &[PathBuf], portable: bool) -> anyhow::Result<ExitCode> {
    let Some(files) = read(paths) else { return Ok(ExitCode::from(WRONG)) };
    let check = if portable { klamm_scenario::check_portable } else { klamm_scenario::check };
    let mistakes: Vec<_> = files.iter().filter_map(|(name, text)| check(name, text).err()).collect();
    for mistakes in &mistakes {
        say_mistakes(mistakes);
    }
    if mistakes.is_empty() {
        say(&format!("{} can be run", count(files.len(), "scenario file")))?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(WRONG))
}

fn run_all(run: &Run) -> anyhow::Result<ExitCode> {
    let Some(files) = read(&run.paths) else { return Ok(ExitCode::from(WRONG)) };
    if let [(name, text)] = &files[..]
        && klamm_sim::File::is_one(text)
    {
        return Ok(crate::sim::replay(name, text));
    }
    // Every file is checked before any is run.
    let owned = run.bootstrap.is_none() || run.control.is_some();
    let check = if owned { klamm_scenario::check } else { klamm_scenario::check_portable };
    let mistakes: Vec<_> = files.iter().filter_map(|(name, text)| check(name, text).err()).collect();
    if !mistakes.is_empty() {
        for mistakes in &mistakes {
            say_mistakes(mistakes);
        }
        return Ok(ExitCode::from(WRONG));
    }
    if let Err(message) = reach(run) {
        say_error(&message);
        return Ok(ExitCode::from(WRONG));
    }
    let style = text::Style { colour: std::io::stdout().is_terminal(), trace: run.trace };
    let alone = files.len() == 1 && run.repeat == 1;
    let mut failed = 0_usize;
    let mut runs = 0_usize;
    let mut kept = Vec::new();
    let keeps = run.json || run.html.is_some();
    for (name, text) in &files {
        for round in 0..run.repeat {
            let seed = match run.seed {
                Some(seed) => Some(seed.wrapping_add(round)),
                None => (round > 0).then_some(round),
            };
            let options = Options { seed, vary: seed.is_some() };
            let reports = match (&run.bootstrap, &run.control) {
                (Some(_), Some(door)) => {
                    klamm_scenario::run_in(name, text, options, |setting| Served::behind(door, setting))
                }
                (Some(bootstrap), None) => {
                    klamm_scenario::run_in(name, text, options, |_| Remote::open(bootstrap))
                }
                (None, _) if run.live => klamm_scenario::run_in(name, text, options, Served::here),
                (None, _) => klamm_scenario::run(name, text, options),
            };
            let reports = match reports {
                Ok(reports) => reports,
                Err(mistakes) => {
                    say_mistakes(&mistakes);
                    return Ok(ExitCode::from(WRONG));
                }
            };
            for report in &reports {
                runs += 1;
                failed += usize::from(!report.held());
                if run.json {
                    continue;
                }
                if alone || !report.held() {
                    say(&text::render(report, style))?;
                    if round > 0 {
                        say(&format!(
                            "seed {}: run it again with --seed {} --repeat 1",
                            report.seed, report.seed
                        ))?;
                    }
                } else if round == 0 {
                    say(&text::summary(report, style))?;
                }
            }
            if keeps {
                kept.extend(reports);
            }
        }
    }
    if let Some(path) = &run.html {
        fs::write(path, html::render(&kept))
            .map_err(|error| Mistake(format!("cannot write a page to {}: {error}", path.display())))?;
    }
    if run.json {
        say(&json::render(&kept).to_string())?;
    } else if !alone {
        say(&format!("{}: {} held, {failed} failed", count(runs, "run"), runs - failed))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the cluster that `--bootstrap` and `--control` name is there.
fn reach(run: &Run) -> Result<(), String> {
    let Some(bootstrap) = &run.bootstrap else { return Ok(()) };
    let Some(door) = &run.control else {
        if run.seed.is_some() {
            return Err("--seed draws latencies of klamm's own links: it needs --control".to_owned());
        }
        return Remote::open(bootstrap).map(drop);
    };
    // Nobody's cluster is to be made anew by mistake.
    let serves = Visit::knock(door)?;
    let known: Vec<_> = serves.split(',').collect();
    if bootstrap.split(',').any(|address| known.contains(&address.trim())) {
        return Ok(());
    }
    Err(format!("the control door at {door} is that of the cluster at {serves}, not of {bootstrap}"))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")
}

fn say_error(text: &str) {
    eprintln!("klamm: {text}");
}

fn say_mistakes(mistakes: &Mistakes) {
    eprint!("{}", mistakes.render(std::io::stderr().is_terminal()));
}
