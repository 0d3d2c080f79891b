//! Kafka's own command-line tools, many in one Java process: `tests/clients/java/ToolServer.java`.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{PATIENCE, clients, java, process, wait_until, workspace};

/// A tool of Kafka's, by the script that starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the scripts' names say it")]
pub enum Tool {
    BrokerApiVersions,
    Cluster,
    Configs,
    ConsoleConsumer,
    LeaderElection,
    LogDirs,
    /// None of Kafka's: `tests/clients/java/OpenTransaction.java`, in the same process.
    OpenTransaction,
    ProducerPerfTest,
    ReassignPartitions,
    Topics,
    Transactions,
}

impl Tool {
    const fn class(self) -> &'static str {
        match self {
            Self::BrokerApiVersions => "org.apache.kafka.tools.BrokerApiVersionsCommand",
            Self::Cluster => "org.apache.kafka.tools.ClusterTool",
            Self::Configs => "kafka.admin.ConfigCommand",
            Self::ConsoleConsumer => "org.apache.kafka.tools.consumer.ConsoleConsumer",
            Self::LeaderElection => "org.apache.kafka.tools.LeaderElectionCommand",
            Self::LogDirs => "org.apache.kafka.tools.LogDirsCommand",
            Self::OpenTransaction => "OpenTransaction",
            Self::ProducerPerfTest => "org.apache.kafka.tools.ProducerPerformance",
            Self::ReassignPartitions => "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
            Self::Topics => "org.apache.kafka.tools.TopicCommand",
            Self::Transactions => "org.apache.kafka.tools.TransactionsCommand",
        }
    }
}

/// A process that runs tools against one cluster; killed when dropped.
#[derive(Debug)]
pub struct Tools {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<Answer>,
    bootstrap: String,
}

/// How a tool ended, and what it printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// What it printed, errors included.
    pub text: String,
}

impl Tools {
    /// Compiles what is needed and starts the process.
    ///
    /// # Errors
    /// When Java or Maven is missing.
    pub fn start(bootstrap: &str) -> Result<Self> {
        clients::find("java")?.prepare()?;
        let logs = workspace::cache().join("logs");
        std::fs::create_dir_all(&logs)?;
        let port = bootstrap.rsplit(':').next().unwrap_or_default();
        let log = File::create(logs.join(format!("tools-{}-{port}.err", std::process::id())))?;
        let mut command = java::command()?;
        command.arg("ToolServer").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        process::die_with_parent(&mut command);
        let mut child = command.spawn().context("cannot start java")?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let (send, answers) = channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            while let Ok(answer) = read(&mut stdout) {
                if send.send(answer).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, stdin, answers, bootstrap: bootstrap.to_owned() })
    }

    /// Runs a tool as its script does.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn run(&mut self, tool: Tool, arguments: &[&str]) -> Result<Answer> {
        let mut words = vec![tool.class()];
        match (tool, arguments.split_first()) {
            // Its first word is what to do.
            (Tool::Cluster, Some((verb, rest))) => {
                words.extend([verb, "--bootstrap-server", &self.bootstrap]);
                words.extend(rest);
            }
            _ => {
                words.extend(["--bootstrap-server", &self.bootstrap]);
                words.extend(arguments);
            }
        }
        ensure!(!words.iter().any(|word| word.contains(['\t', '\n'])), "no tabs or lines in {words:?}");
        writeln!(self.stdin, "{}", words.join("\t"))?;
        self.stdin.flush()?;
        self.answers.recv_timeout(PATIENCE).with_context(|| format!("{tool:?} {arguments:?} does not end"))
    }

    /// Runs a tool that must end well, and gives back what it printed.
    ///
    /// # Errors
    /// When it ends with another code than 0; with what it printed.
    pub fn ok(&mut self, tool: Tool, arguments: &[&str]) -> Result<String> {
        let Answer { code, text } = self.run(tool, arguments)?;
        if code != 0 {
            bail!("{tool:?} {} ended with {code}:\n{text}", arguments.join(" "));
        }
        Ok(text)
    }

    /// Runs a tool until what it prints satisfies `condition`, and gives that back.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`]; with what it printed last.
    pub fn until(
        &mut self,
        tool: Tool,
        arguments: &[&str],
        mut condition: impl FnMut(&str) -> bool,
    ) -> Result<String> {
        let mut last = Ok(String::new());
        let found = wait_until(PATIENCE, || {
            last = self.ok(tool, arguments);
            last.as_ref().ok().filter(|text| condition(text)).cloned()
        });
        match found {
            Some(text) => Ok(text),
            None => bail!("{tool:?} {} never printed what it should:\n{}", arguments.join(" "), last?),
        }
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(from: &mut impl std::io::BufRead) -> Result<Answer> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let (code, length) = line.trim_end().split_once(' ').context("no answer")?;
    let mut bytes = vec![0; length.parse()?];
    from.read_exact(&mut bytes)?;
    Ok(Answer { code: code.parse()?, text: String::from_utf8_lossy(&bytes).into_owned() })
}
