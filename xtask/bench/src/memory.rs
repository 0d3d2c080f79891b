//! What the kernel says of a process's memory.

use anyhow::{Context, Result};

/// Resident memory of a process, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    field(&pid.to_string(), "VmRSS:")
}

/// The most resident memory that this process had since [`forget_peak`], in KiB.
pub(crate) fn peak_kib() -> Result<u64> {
    field("self", "VmHWM:")
}

/// Measures the peak from here on.
pub(crate) fn forget_peak() -> Result<()> {
    std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of resident memory")
}

fn field(process: &str, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
