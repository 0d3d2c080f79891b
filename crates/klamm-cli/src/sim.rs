//! `klamm sim`: random clusters, loads and faults, with every invariant checked.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use klamm_node::era::{Era, Eras};
use klamm_sim::{
    FaultKind, File, Outcome, Plan, Profile, Range, Shrunk, Wanted, breaks_of_version, run, sensitivity,
    shrink, version_sensitivity,
};
use serde_json::json;

/// Prints a line; unlike the standard library's it does not panic when whoever reads (`| head`) has seen enough.
macro_rules! println {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($text)*);
    }};
}

/// Simulate random clusters under random faults and check every invariant after every event
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The seeds to run: `1..1000`, or one
    #[arg(long, default_value = "1..100")]
    seeds: Range,
    /// What runs are drawn from: default, replication, calm, small, pair, lossy, transactions
    #[arg(long, default_value = "default")]
    profile: Profile,
    /// Only these kinds of faults, separated by commas: crash, power, stop, pause, cut, slow, skew, disk, controller, admin, request,
    /// breakpoint
    #[arg(long, value_delimiter = ',')]
    faults: Option<Vec<FaultKind>>,
    /// How long faults happen in each run, in simulated minutes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// An old rule to bring back: `no_maximal_isr`, `strict_min_isr=false`; may be repeated
    #[arg(long)]
    era: Vec<String>,
    /// The `transaction.version` at which the profile `transactions` works: 0 verifies no transaction, 1 gives none an epoch of its own
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    transaction_version: u8,
    /// Threads to run seeds on; as many as there are processors where nothing is said
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The most runs that making a violation small may take
    #[arg(long, default_value_t = 300)]
    tries: u32,
    /// Where to write the smallest run that breaks an invariant
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the plan of each seed instead of running it
    #[arg(long)]
    plan: bool,
    /// Bring back each old rule in turn and print the table of what it breaks
    #[arg(long, conflicts_with_all = ["era", "plan", "faults", "transaction_version"])]
    sensitivity: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.sensitivity {
        return Ok(print_sensitivity(arguments));
    }
    let mut eras = Eras::NEWEST;
    for era in &arguments.era {
        if let Err(error) = eras.set(era) {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(2));
        }
    }
    if arguments.transaction_version < 2 && arguments.profile != Profile::Transactions {
        eprintln!("error: --transaction-version needs --profile transactions");
        return Ok(ExitCode::from(2));
    }
    let wanted = Wanted {
        profile: arguments.profile,
        transaction_version: arguments.transaction_version,
        faults: arguments.faults.clone(),
        minutes: arguments.minutes,
        eras,
    };
    if arguments.plan {
        for seed in arguments.seeds.first..=arguments.seeds.last {
            println!("{}", Plan::draw(seed, &wanted));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let begun = Instant::now();
    let (summary, failed) = run_all(arguments, &wanted);
    let seconds = begun.elapsed().as_secs_f64();
    if arguments.json {
        println!("{}", summary.json(seconds));
    } else {
        println!("{}", summary.text(seconds));
    }
    let Some((plan, outcome)) = failed else { return Ok(ExitCode::SUCCESS) };
    if !arguments.json {
        eprintln!("making seed {} small, in at most {} runs …", plan.options.seed, arguments.tries);
    }
    let shrunk = shrink(&plan, outcome.clone(), arguments.tries);
    report(arguments, &plan, &outcome, &shrunk)?;
    Ok(ExitCode::from(1))
}

#[derive(Default)]
struct Summary {
    seeds: u64,
    failed: u64,
    events: u64,
    simulated: f64,
    committed: i64,
    losses: u64,
    leader_ack_losses: u64,
    cut_short: u64,
    inert: u64,
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.failed += u64::from(!outcome.violations.is_empty());
        self.events += outcome.events;
        self.simulated += outcome.simulated.as_secs_f64();
        self.committed += outcome.committed;
        self.losses += outcome.losses.len() as u64;
        self.leader_ack_losses += outcome.lost_with_leader_acks;
        self.cut_short += u64::from(outcome.cut_short);
        self.inert += u64::from(outcome.is_inert());
    }

    fn text(&self, seconds: f64) -> String {
        let mut text = format!(
            "{} seeds, {} with a violation; {} events and {:.0} simulated seconds in {seconds:.1} s ({:.0} events/s, {:.0}× time); {} records \
             committed; {} expected losses, {} records lost that acks=1 acknowledged",
            self.seeds,
            self.failed,
            self.events,
            self.simulated,
            self.events as f64 / seconds,
            self.simulated / seconds,
            self.committed,
            self.losses,
            self.leader_ack_losses
        );
        if self.cut_short > 0 {
            let _ = write!(text, "; {} runs cut short for their number of events", self.cut_short);
        }
        if self.inert > 0 {
            let _ = write!(text, "; {} runs committed no record, and say nothing", self.inert);
        }
        text
    }

    fn json(&self, seconds: f64) -> serde_json::Value {
        json!({
            "type": "summary", "seeds": self.seeds, "violations": self.failed, "events": self.events,
            "simulated_seconds": self.simulated, "seconds": seconds, "committed": self.committed,
            "expected_losses": self.losses, "acks1_losses": self.leader_ack_losses, "cut_short": self.cut_short,
            "inert": self.inert,
        })
    }
}

/// Runs every seed, several at a time; stops early once one has failed. The failing run with the smallest seed.
fn run_all(arguments: &Arguments, wanted: &Wanted) -> (Summary, Option<(Plan, Outcome)>) {
    let threads = arguments
        .threads
        .map(usize::from)
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let next = AtomicU64::new(arguments.seeds.first);
    let stop = AtomicU64::new(u64::MAX);
    let failed: Mutex<Option<(Plan, Outcome)>> = Mutex::new(None);
    let (sender, receiver) = mpsc::channel();
    let mut summary = Summary::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, stop, failed) = (&next, &stop, &failed);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > arguments.seeds.last || seed > stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let plan = Plan::draw(seed, wanted);
                    let mut outcome = run(&plan);
                    if outcome.violations.is_empty() {
                        outcome.trace.clear();
                    } else {
                        stop.fetch_min(seed, Ordering::Relaxed);
                        let mut failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        if failed.as_ref().is_none_or(|(before, _)| before.options.seed > seed) {
                            *failed = Some((plan, outcome.clone()));
                        }
                        outcome.trace.clear();
                    }
                    if sender.send((seed, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let total = (arguments.seeds.last - arguments.seeds.first).saturating_add(1);
        for (seed, outcome) in receiver {
            summary.add(&outcome);
            progress(arguments, &summary, seed, total, &outcome);
        }
    });
    (summary, failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn progress(arguments: &Arguments, summary: &Summary, seed: u64, total: u64, outcome: &Outcome) {
    if arguments.json {
        let losses: Vec<_> = outcome.losses.iter().map(ToString::to_string).collect();
        println!(
            "{}",
            json!({
                "type": "seed", "seed": seed, "hash": format!("{:016x}", outcome.hash), "events": outcome.events,
                "simulated_seconds": outcome.simulated.as_secs_f64(), "committed": outcome.committed,
                "violation": outcome.broken(), "expected_losses": losses,
            })
        );
    } else if summary.seeds.is_multiple_of(50) || outcome.broken().is_some() {
        let verdict = outcome.broken().map_or_else(|| "ok".to_owned(), |id| format!("{id} does not hold"));
        eprintln!("{}/{total} seed {seed}: {verdict}", summary.seeds);
    }
    if outcome.is_inert() {
        eprintln!("warning: seed {seed} committed no record: no invariant of records was tried");
    }
}

fn report(arguments: &Arguments, plan: &Plan, outcome: &Outcome, shrunk: &Shrunk) -> anyhow::Result<()> {
    let file = arguments.output.clone();
    let file = file.unwrap_or_else(|| format!("klamm-sim-{}.kdl", plan.options.seed).into());
    let breaks = shrunk.outcome.broken().map(str::to_owned);
    std::fs::write(&file, File { plan: shrunk.plan.clone(), breaks }.render())?;
    let tail = |outcome: &Outcome| -> Vec<String> {
        let from = outcome.trace.len().saturating_sub(60);
        outcome.trace[from..].iter().map(ToString::to_string).collect()
    };
    if arguments.json {
        let violations: Vec<_> = outcome.violations.iter().map(ToString::to_string).collect();
        println!(
            "{}",
            json!({
                "type": "violation", "seed": plan.options.seed, "invariant": outcome.broken(), "violations": violations,
                "options": plan.options.to_string(), "trace": tail(&shrunk.outcome), "minimised": shrunk.plan.to_string(),
                "tries": shrunk.tries, "file": file.display().to_string(),
            })
        );
        return Ok(());
    }
    println!("\nseed {}:", plan.options.seed);
    for violation in &outcome.violations {
        println!("{violation}");
    }
    println!("\nthe options that it was drawn with:\n{}", plan.options);
    println!(
        "the smallest run that breaks {} ({}; {} tries):\n{}",
        outcome.broken().unwrap_or(""),
        shrunk.plan.size(),
        shrunk.tries,
        shrunk.plan
    );
    for violation in &shrunk.outcome.violations {
        println!("{violation}");
    }
    println!("\nits trace before the end:\n{}", tail(&shrunk.outcome).join("\n"));
    println!("\nwritten to {0}; run it again with: klamm scenario run {0}", file.display());
    Ok(())
}

/// Runs a file that `klamm sim` wrote. Exit code: 0 every invariant held, 1 one did not, 2 the file is wrong.
pub(crate) fn replay(name: &str, text: &str) -> ExitCode {
    let file = match File::parse(text) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("klamm: {name}: {error}");
            return ExitCode::from(2);
        }
    };
    let outcome = run(&file.plan);
    let from = outcome.trace.len().saturating_sub(60);
    for event in &outcome.trace[from..] {
        println!("{event}");
    }
    for violation in &outcome.violations {
        println!("{violation}");
    }
    for loss in &outcome.losses {
        println!("{loss}");
    }
    match (outcome.broken(), file.breaks) {
        (Some(_), _) => ExitCode::from(1),
        (None, Some(before)) => {
            println!("{name}: every invariant holds; {before} did not when the file was written");
            ExitCode::SUCCESS
        }
        (None, None) => {
            println!("{name}: every invariant holds");
            ExitCode::SUCCESS
        }
    }
}

fn print_sensitivity(arguments: &Arguments) -> ExitCode {
    let seeds = arguments.seeds.last.max(1);
    println!("| switch | invariant | a seed that finds it | smallest run |\n|---|---|---|---|");
    let mut blind = false;
    let mut row = |name: String, found: Option<(u64, Shrunk)>| match found {
        Some((seeds, shrunk)) => {
            println!(
                "| {name} | {} | {seeds} | {} |",
                shrunk.outcome.broken().unwrap_or(""),
                shrunk.plan.size()
            );
        }
        None => {
            blind = true;
            println!("| {name} | nothing in {seeds} seeds | | |");
        }
    };
    for era in Era::ALL.iter().filter(|era| !era.breaks.is_empty()) {
        let found = sensitivity(era.era, seeds, arguments.tries);
        let name = if era.newest { format!("`{}=false`", era.name) } else { format!("`{}`", era.name) };
        row(name, found.seeds.zip(found.shrunk));
    }
    for version in (0..=2).filter(|version| !breaks_of_version(*version).is_empty()) {
        let found = version_sensitivity(version, seeds, arguments.tries);
        row(format!("`transaction.version={version}`"), found);
    }
    if blind { ExitCode::from(1) } else { ExitCode::SUCCESS }
}
