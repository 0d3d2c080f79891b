//! Child processes with a deadline, whose output can be shown when they fail.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A process whose stdout and stderr go to two files; killed with all that it started when dropped; what it leaves
/// behind when it ends by itself is killed too.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Running {
    /// Starts `command` in a process group of its own, its output in `LOGS/NAME.out` and `LOGS/NAME.err`.
    ///
    /// # Errors
    /// When the program cannot be started or its output files cannot be made.
    pub fn start(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        std::fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let out = logs.join(format!("{name}.out"));
        let err = logs.join(format!("{name}.err"));
        command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?).process_group(0);
        die_with_parent(&mut command);
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self { child, name: name.to_owned(), out, err })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        read_lossy(&self.out)
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        read_lossy(&self.err)
    }

    /// The exit status, if it has ended. What it had started and left behind is ended with it.
    ///
    /// # Errors
    /// When the operating system refuses to tell.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        // Until it is asked for, its group cannot become another's.
        if has_ended(self.child.id()) {
            signal_group(self.child.id(), libc::SIGKILL);
        }
        Ok(self.child.try_wait()?)
    }

    /// Waits for it to end; past `deadline` it is killed, and that is the error, with the tail of its output.
    ///
    /// # Errors
    /// When the deadline passes.
    pub fn finish(mut self, deadline: Duration) -> Result<Finished> {
        let Some(status) = self.wait(deadline)? else {
            let (stdout, stderr) = (self.stdout(), self.stderr());
            bail!("{} was still running after {deadline:?}\n{}\n{}", self.name, tail(&stdout), tail(&stderr));
        };
        Ok(Finished { status, stdout: self.stdout(), stderr: self.stderr() })
    }

    /// Asks it to end (SIGTERM) and waits; past `deadline` it is killed, and the answer is `None`.
    ///
    /// # Errors
    /// When the operating system refuses to tell how it ended.
    pub fn terminate(mut self, deadline: Duration) -> Result<Option<ExitStatus>> {
        signal(self.child.id(), libc::SIGTERM);
        self.wait(deadline)
    }

    /// Asks it to end (SIGTERM), and does not wait.
    pub fn ask_to_end(&self) {
        signal(self.child.id(), libc::SIGTERM);
    }

    /// Kills it and everything that it started (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// When the operating system refuses to tell how it ended.
    pub fn kill(mut self) -> Result<()> {
        signal_group(self.child.id(), libc::SIGKILL);
        self.child.wait()?;
        Ok(())
    }

    /// Lets it do nothing until it is resumed (SIGSTOP).
    pub fn pause(&self) {
        signal_group(self.child.id(), libc::SIGSTOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        signal_group(self.child.id(), libc::SIGCONT);
    }

    fn wait(&mut self, deadline: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.try_wait(), Ok(None)) {
            signal_group(self.child.id(), libc::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

impl Finished {
    /// An error with the tail of the output, unless it ended with exit code 0.
    ///
    /// # Errors
    /// When it ended otherwise.
    pub fn success(self, name: &str) -> Result<Self> {
        if !self.status.success() {
            bail!("{name} ended with {}\n{}\n{}", self.status, tail(&self.stdout), tail(&self.stderr));
        }
        Ok(self)
    }
}

/// Runs `command` to its end and gives back its stdout.
///
/// # Errors
/// When it cannot be started, overruns `deadline` or fails; the error shows the end of its output.
pub fn run(name: &str, command: Command, logs: &Path, deadline: Duration) -> Result<String> {
    Ok(Running::start(name, command, logs)?.finish(deadline)?.success(name)?.stdout)
}

/// Whether a process with this id exists.
pub fn is_alive(pid: u32) -> bool {
    signal(pid, 0)
}

/// A test run that is killed must not leave brokers behind: the kernel kills the child when the thread that started it
/// is gone.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: between fork and exec only `prctl` is called, which is async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent(_command: &mut Command) {}

fn signal(pid: u32, signal: i32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // SAFETY: `kill` takes two integers and touches no memory of this process.
    unsafe { libc::kill(pid, signal) == 0 }
}

fn signal_group(pid: u32, signal_number: i32) {
    if let Ok(pid) = i32::try_from(pid) {
        // SAFETY: as in `signal`; the negative id names the process group that `Running::start` made.
        unsafe { libc::kill(-pid, signal_number) };
    }
}

/// Whether a child has ended and nobody has asked for its exit status yet.
fn has_ended(pid: u32) -> bool {
    // SAFETY: all zeroes is a valid `siginfo_t`, which is plain data.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `waitid` writes no more than the `siginfo_t` that it is given.
    let asked = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, options) };
    // SAFETY: `waitid` filled in the fields of a child's end, or left zeroes.
    asked == 0 && unsafe { info.si_pid() } != 0
}

fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The last forty lines.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_leaves_behind_ends_with_it() {
        let logs = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        // The child's output goes elsewhere, as that of a console consumer does; it says who it is, and the shell fails.
        shell.args(["-c", "sleep 600 >/dev/null & echo $!; exit 1"]);
        let finished = Running::start("leaver", shell, logs.path()).unwrap().finish(crate::PATIENCE).unwrap();
        assert!(!finished.status.success());
        let left: u32 = finished.stdout.trim().parse().unwrap();
        let gone = crate::wait_until(crate::PATIENCE, || (!is_running(left)).then_some(()));
        assert!(gone.is_some(), "process {left} is still there");
    }

    /// Whether a process runs; one that has ended may stay listed until somebody asks for its exit status.
    fn is_running(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        is_alive(pid) && !stat.is_ok_and(|stat| stat.contains(") Z "))
    }
}
