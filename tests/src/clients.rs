//! Other people's clients, each a program in `tests/clients`: how it is installed, started and judged.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{java, process, toolchain, workspace};

/// How long one program may take. It gives up by itself a little earlier, with a better message.
pub const DEADLINE: Duration = Duration::from_secs(440);

/// The variable that says after how many seconds a program gives up, and what it says here. By itself, a program gives up after 200.
const GIVES_UP: (&str, &str) = ("KLAMM_CLIENT_DEADLINE", "400");

/// How long installing one language's packages may take.
const INSTALL: Duration = Duration::from_secs(420);

/// A client program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its name, as `--only` takes it and as its last line gives it.
    pub name: &'static str,
    language: Language,
    /// What is started: a main class, a script, or a binary.
    program: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Go,
    Java,
    Kcat,
    Node,
    Python,
    Rust,
}

impl Language {
    /// Where its packages are under the cache.
    fn home(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Java => "java",
            Self::Node => "node",
            // kcat's program is a Python script.
            Self::Kcat | Self::Python => "python",
            Self::Rust => "rust",
        }
    }
}

/// Every client program there is.
pub const CLIENTS: [Client; 11] = [
    Client { name: "kcat", language: Language::Kcat, program: "kcat.py" },
    Client { name: "confluent-kafka", language: Language::Python, program: "confluent.py" },
    Client { name: "kafka-python", language: Language::Python, program: "kafka_python.py" },
    Client { name: "aiokafka", language: Language::Python, program: "aiokafka_program.py" },
    Client { name: "java", language: Language::Java, program: "JavaClient" },
    Client { name: "kafka-tools", language: Language::Java, program: "KafkaTools" },
    Client { name: "franz-go", language: Language::Go, program: "franz" },
    Client { name: "sarama", language: Language::Go, program: "sarama" },
    Client { name: "kafkajs", language: Language::Node, program: "kafkajs.js" },
    Client { name: "platformatic", language: Language::Node, program: "platformatic.js" },
    Client { name: "rdkafka", language: Language::Rust, program: "rdkafka" },
];

/// The program called `name`.
///
/// # Errors
/// When there is none; the error lists those there are.
pub fn find(name: &str) -> Result<Client> {
    let names = || CLIENTS.map(|client| client.name).join(", ");
    let found = CLIENTS.into_iter().find(|client| client.name == name);
    found.with_context(|| format!("no client program is called `{name}`; there are {}", names()))
}

impl Client {
    /// The programs that have to be on `PATH`.
    pub fn toolchain(self) -> &'static [&'static str] {
        match self.language {
            Language::Go => &["go"],
            Language::Java => &java::PROGRAMS,
            Language::Kcat => &["kcat", "python3"],
            Language::Node => &["node", "npm"],
            Language::Python => &["python3"],
            Language::Rust => &["cargo", "cc", "make"],
        }
    }

    /// Installs and builds what the program needs; quick when that was done before.
    ///
    /// # Errors
    /// When a toolchain is missing or an installation fails.
    pub fn prepare(self) -> Result<()> {
        if let Some(program) = toolchain::missing(self.toolchain()) {
            bail!("`{program}` is not installed");
        }
        let cache = workspace::cache();
        std::fs::create_dir_all(&cache)?;
        // Tests run side by side, in processes of their own too: one installation of a language at a time.
        let lock = std::fs::File::create(cache.join(format!("{}.lock", self.language.home())))?;
        lock.lock()?;
        match self.language {
            Language::Go => go(),
            Language::Java => java::compile(),
            Language::Kcat | Language::Python => python(),
            Language::Node => node(),
            Language::Rust => rust(),
        }
        .with_context(|| format!("cannot prepare {}", self.name))
    }

    /// The command that runs the program against `bootstrap` (`host:port,…`).
    ///
    /// # Errors
    /// When Kafka's class path cannot be resolved.
    pub fn command(self, bootstrap: &str) -> Result<Command> {
        command(self.language, self.program, bootstrap)
    }

    /// Prepares and runs the program; gives back its last line, which begins with `OK`.
    ///
    /// # Errors
    /// When it cannot be prepared, is not done by the deadline, or says anything but `OK`; with the end of its output.
    pub fn run(self, bootstrap: &str) -> Result<String> {
        self.run_with(bootstrap, &[])
    }

    /// As [`Client::run`], with environment variables: `KLAMM_CLIENT_KEEP=1` leaves topics and groups behind.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn run_with(self, bootstrap: &str, environment: &[(&str, &str)]) -> Result<String> {
        self.prepare()?;
        let started = Instant::now();
        let logs = workspace::cache().join("logs");
        let name = format!("{}-{}", self.name, unique());
        let mut command = self.command(bootstrap)?;
        command.envs(environment.iter().copied());
        let finished = process::Running::start(&name, command, &logs)?.finish(DEADLINE)?;
        judge(self.name, &finished, started.elapsed())
    }
}

/// Prepares and starts a program that is not one of [`CLIENTS`] but lies beside them: `JavaFailover` and the like.
///
/// # Errors
/// As [`Client::prepare`].
pub fn start_beside(neighbour: &str, program: &'static str, arguments: &[&str]) -> Result<process::Running> {
    start_beside_with(neighbour, program, arguments, &[])
}

/// As [`start_beside`], with environment variables: `KLAMM_CLIENT_DEADLINE` says after how many seconds it gives up.
///
/// # Errors
/// As [`Client::prepare`].
pub fn start_beside_with(
    neighbour: &str,
    program: &'static str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<process::Running> {
    let client = find(neighbour)?;
    client.prepare()?;
    let (first, rest) = arguments.split_first().context("a program needs at least the bootstrap address")?;
    let mut command = command(client.language, program, first)?;
    command.args(rest).envs(environment.iter().copied());
    process::Running::start(&format!("{program}-{}", unique()), command, &workspace::cache().join("logs"))
}

/// Reads the verdict of a program that has ended: its last line, unless that is anything but `OK`.
///
/// # Errors
/// When it says anything but `OK`; with the end of its output.
pub fn judge(name: &str, finished: &process::Finished, elapsed: Duration) -> Result<String> {
    let line = finished.stdout.lines().last().unwrap_or_default().to_owned();
    if finished.status.success() && line.starts_with("OK ") {
        return Ok(line);
    }
    bail!(
        "{name} ended with {} after {elapsed:.1?}: {line}\n{}\n{}",
        finished.status,
        process::tail(&finished.stdout),
        process::tail(&finished.stderr)
    );
}

fn command(language: Language, program: &str, bootstrap: &str) -> Result<Command> {
    let cache = workspace::cache();
    let mut command = match language {
        Language::Go => Command::new(cache.join("go").join(program)),
        Language::Java => {
            let mut java = java::command()?;
            java.arg(program);
            java
        }
        Language::Node => {
            let mut node = Command::new("node");
            node.arg("--no-warnings").arg(cache.join("node").join(program));
            node
        }
        Language::Kcat | Language::Python => {
            let mut python = Command::new(cache.join("python/bin/python"));
            python.arg("-B").arg(workspace::clients().join("python").join(program));
            python
        }
        Language::Rust => Command::new(cache.join("rust/debug").join(program)),
    };
    command.arg(bootstrap);
    if std::env::var_os(GIVES_UP.0).is_none() {
        command.env(GIVES_UP.0, GIVES_UP.1);
    }
    Ok(command)
}

/// Distinguishes runs of one program in one log folder.
pub(crate) fn unique() -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{}-{count}", std::process::id())
}

/// Runs `install` unless the last run was for the same content of `sources`.
pub(crate) fn once(stamp: &Path, sources: &[PathBuf], install: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut wanted = String::new();
    for source in sources {
        let text = std::fs::read_to_string(source).with_context(|| format!("{}", source.display()))?;
        wanted.push_str(&text);
    }
    if std::fs::read_to_string(stamp).is_ok_and(|had| had == wanted) {
        return Ok(());
    }
    install()?;
    Ok(std::fs::write(stamp, wanted)?)
}

fn run(name: &str, command: Command) -> Result<()> {
    process::run(name, command, &workspace::cache().join("logs"), INSTALL).map(drop)
}

/// A virtual environment with the pinned packages.
fn python() -> Result<()> {
    let (home, requirements) =
        (workspace::cache().join("python"), workspace::clients().join("python/requirements.txt"));
    once(&workspace::cache().join("python.stamp"), std::slice::from_ref(&requirements), || {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&home);
        run("venv", venv)?;
        let mut pip = Command::new(home.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
        run("pip", pip)
    })
}

/// Both Go programs; Go's own cache makes this quick the second time.
fn go() -> Result<()> {
    let home = workspace::cache().join("go");
    std::fs::create_dir_all(&home)?;
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&home).args(["./franz", "./franz-transactions", "./sarama"]);
    build.current_dir(workspace::clients().join("go"));
    run("go", build)
}

fn node() -> Result<()> {
    npm(&workspace::clients().join("node"), &workspace::cache().join("node"))
}

/// Copies the scripts in `sources` to `home`, beside their packages, since Node looks for packages where the script lies.
pub(crate) fn npm(sources: &Path, home: &Path) -> Result<()> {
    std::fs::create_dir_all(home)?;
    for entry in std::fs::read_dir(sources)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            std::fs::copy(&path, home.join(name))?;
        }
    }
    let pinned = ["package.json", "package-lock.json"].map(|name| sources.join(name));
    once(&home.with_extension("stamp"), &pinned, || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(home);
        run("npm", npm)
    })
}

/// A Cargo project of its own: librdkafka's C sources are nobody else's business.
fn rust() -> Result<()> {
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--locked", "--target-dir"]).arg(workspace::cache().join("rust"));
    build.current_dir(workspace::clients().join("rust"));
    run("cargo", build)
}
