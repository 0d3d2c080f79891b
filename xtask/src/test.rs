//! `cargo xtask test`: everything that must hold before a change goes in.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};
use klamm_tests::{toolchain, workspace};

use crate::tidy;

/// The crates without clock, thread, file or socket.
pub(crate) const CORE: &[&str] = &[
    "klamm-wire",
    "klamm-log",
    "klamm-node",
    "klamm-metadata",
    "klamm-controller",
    "klamm-broker",
    "klamm-world",
    "klamm-scenario",
    "klamm-sim",
];

/// Crates that would bring in a runtime, a clock or ambient randomness.
const IMPURE: &[&str] = &["getrandom", "mio", "parking_lot", "rand", "socket2", "tokio"];

/// A program that real-client tests need, and the Debian packages that bring it.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("kcat", &["kcat"]),
    ("java", &["default-jdk-headless"]),
    ("javac", &["default-jdk-headless"]),
    ("mvn", &["maven"]),
    ("python3", &["python3", "python3-venv"]),
    ("node", &["nodejs"]),
    ("npm", &["npm"]),
    ("go", &["golang-go"]),
    ("chromium", &["chromium"]),
    ("cc", &["build-essential"]),
    ("cmake", &["cmake"]),
];

/// A named part of the run.
type Step = (&'static str, fn(&Path) -> anyhow::Result<()>);

const STEPS: &[Step] = &[
    ("formatting", formatting),
    ("tidy", tidy_up),
    ("core crates are pure", purity),
    ("core crates build for wasm32-unknown-unknown", wasm),
    ("clippy", clippy),
    ("documentation", documentation),
];

/// How much is tested.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave out what needs other people's clients: the tests in `tests/it`
    #[arg(long)]
    fast: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let root = workspace::root();
    if !arguments.fast {
        toolchains()?;
    }
    let last: Step = if arguments.fast { ("tests without clients", fast_tests) } else { ("tests", tests) };
    let mut failed = Vec::new();
    for (name, step) in STEPS.iter().chain([&last]) {
        eprintln!("==> {name}");
        let started = Instant::now();
        if let Err(error) = step(&root) {
            eprintln!("==> {name}: FAILED: {error:#}");
            failed.push(*name);
        } else {
            eprintln!("==> {name}: ok after {:.0?}", started.elapsed());
        }
    }
    if failed.is_empty() {
        eprintln!("==> everything holds");
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

/// Says what is missing. In CI on Debian as root, installs it; a test that still misses its program fails there.
fn toolchains() -> anyhow::Result<()> {
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, _)| toolchain::find(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    eprintln!("==> not installed: {}", names.join(", "));
    if !toolchain::in_ci() {
        eprintln!("    the tests that need them are skipped; with CI=true they fail");
        return Ok(());
    }
    let root_on_debian = toolchain::find("apt-get").is_some() && is_root();
    if root_on_debian {
        let mut packages: Vec<_> = missing.iter().flat_map(|(_, packages)| *packages).copied().collect();
        packages.sort_unstable();
        packages.dedup();
        call(Command::new("apt-get").args(["update", "-qq"]))?;
        call(
            Command::new("apt-get").args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages),
        )?;
    }
    Ok(())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn formatting(root: &Path) -> anyhow::Result<()> {
    call(cargo(root).args(["fmt", "--all", "--check"]))
}

fn tidy_up(root: &Path) -> anyhow::Result<()> {
    tidy::check(root)
}

fn purity(root: &Path) -> anyhow::Result<()> {
    for krate in CORE {
        let mut command = cargo(root);
        command.args(["tree", "--edges", "normal", "--prefix", "none", "--package", krate]);
        let output = command.output().context("cargo tree")?;
        if !output.status.success() {
            bail!("cargo tree --package {krate}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let tree = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = || tree.lines().filter_map(|line| line.split_whitespace().next());
        if let Some(impure) = names().find(|name| IMPURE.contains(name)) {
            bail!("{krate} depends on {impure}");
        }
    }
    Ok(())
}

fn wasm(root: &Path) -> anyhow::Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().context("rustc")?;
    let sysroot = String::from_utf8(sysroot.stdout)?;
    if !Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir() {
        eprintln!("SKIPPED: the target {TARGET} is not installed (rustup target add {TARGET})");
        return Ok(());
    }
    let packages = CORE.iter().flat_map(|krate| ["--package", krate]);
    call(cargo(root).args(["check", "--locked", "--target", TARGET, "--no-default-features"]).args(packages))
}

fn clippy(root: &Path) -> anyhow::Result<()> {
    call(cargo(root).args(["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

/// Links lead somewhere, in private comments too.
fn documentation(root: &Path) -> anyhow::Result<()> {
    let mut doc = cargo(root);
    doc.args(["doc", "--locked", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
    call(doc.env("RUSTDOCFLAGS", "--deny warnings"))
}

/// Unit, property, integration and real-client tests.
fn tests(root: &Path) -> anyhow::Result<()> {
    // Tests that start the binary find it built.
    call(cargo(root).args(["build", "--locked", "--package", "klamm-cli"]))?;
    call(cargo(root).args(["test", "--locked", "--workspace", "--no-fail-fast"]))
}

/// Unit and property tests, and those of each crate's own doors.
fn fast_tests(root: &Path) -> anyhow::Result<()> {
    let all_others = ["--workspace", "--exclude", "klamm-tests", "--no-fail-fast"];
    call(cargo(root).args(["test", "--locked"]).args(all_others))
}

/// `cargo` in the workspace, as the one that runs this program.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

fn call(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| program.clone())?;
    if status.success() {
        return Ok(());
    }
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    bail!("{program} {} ended with {status}", arguments.join(" "))
}
