//! Java: Apache Kafka's class path from Maven, and the program that stands on it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clients::once;
use crate::{process, workspace};

/// What has to be on `PATH` for anything here.
pub const PROGRAMS: [&str; 3] = ["java", "javac", "mvn"];

/// One resolution at a time: two Mavens writing one file would tear it.
static RESOLVING: Mutex<()> = Mutex::new(());

/// The class path of `tests/clients/java/pom.xml`: Kafka's client, tools and broker.
///
/// Resolved by Maven once per content of the pom, then read from `tests/clients/.cache/java`.
///
/// # Errors
/// When Maven is missing or cannot resolve.
pub fn classpath() -> Result<String> {
    resolve(None)
}

/// The same with another release of Kafka than the pom's, such as `3.9.1`.
///
/// # Errors
/// As [`classpath`].
pub fn classpath_of(release: &str) -> Result<String> {
    resolve(Some(release))
}

fn resolve(release: Option<&str>) -> Result<String> {
    let _one = RESOLVING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let pom = workspace::clients().join("java/pom.xml");
    let cache = workspace::cache().join("java");
    let name = release.map_or_else(|| "classpath".to_owned(), |release| format!("classpath-{release}"));
    let (resolved, resolved_for) = (cache.join(&name), cache.join(format!("{name}.pom.xml")));
    let wanted = std::fs::read_to_string(&pom).with_context(|| format!("cannot read {}", pom.display()))?;
    if std::fs::read_to_string(&resolved_for).is_ok_and(|had| had == wanted)
        && let Ok(path) = std::fs::read_to_string(&resolved)
        && path.split(':').all(|jar| std::path::Path::new(jar).is_file())
    {
        return Ok(path);
    }
    std::fs::create_dir_all(&cache)?;
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(&pom).arg("dependency:build-classpath");
    maven.arg(format!("-Dmdep.outputFile={}", resolved.display()));
    maven.args(release.map(|release| format!("-Dkafka.version={release}")));
    process::run("maven", maven, &workspace::cache().join("logs"), Duration::from_secs(300))?;
    let path = std::fs::read_to_string(&resolved).context("Maven wrote no class path")?.trim().to_owned();
    std::fs::write(&resolved, &path)?;
    std::fs::write(&resolved_for, wanted)?;
    Ok(path)
}

/// A `java` command with Kafka's class path, quiet logging, and a compiler tuned for short runs; add the main class.
///
/// # Errors
/// As [`classpath`].
pub fn command() -> Result<Command> {
    let mut java = Command::new("java");
    java.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"]);
    java.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    java.arg("-cp").arg(format!("{}:{}", classes().display(), classpath()?));
    Ok(java)
}

/// Where [`compile`] puts class files.
fn classes() -> PathBuf {
    workspace::cache().join("java/classes")
}

/// Compiles `tests/clients/java/*.java`; quick when that was done before.
///
/// # Errors
/// When javac is missing or finds fault.
pub fn compile() -> Result<()> {
    let folder = workspace::clients().join("java");
    let mut sources: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "java"))
        .collect();
    sources.sort();
    std::fs::create_dir_all(classes())?;
    let mut javac = Command::new("javac");
    javac.args(["-nowarn", "-cp"]).arg(classpath()?).arg("-d").arg(classes()).args(&sources);
    once(&workspace::cache().join("java.stamp"), &sources, || {
        process::run("javac", javac, &workspace::cache().join("logs"), Duration::from_secs(120)).map(drop)
    })
}
