//! Lines about nodes' disks.

use klamm_world::Fault;
use klamm_world::fault::{DiskFault, DiskOperation, DiskScope, Place};

use crate::error::Mistake;
use crate::line::Line;
use crate::plan::Planner;
use crate::plan::read::Read;
use crate::step::Step;

impl Planner<'_> {
    fn operation(&mut self, line: &Line, name: &str) -> Option<DiskOperation> {
        Some(match line.prop_text(name)?.as_str() {
            "read" => DiskOperation::Read,
            "write" => DiskOperation::Write,
            "flush" => DiskOperation::Flush,
            other => {
                let mistake =
                    Mistake::new(format!("a disk does not `{other}`"), line.get(name)?.span, "unknown");
                self.mistakes.push(mistake.suggest(other, ["read", "write", "flush"]));
                return None;
            }
        })
    }

    pub(super) fn disk(&mut self, line: &Line) -> Option<Step> {
        let node = *self.nodes(line).first()?;
        let scope = match (line.get("of").is_some(), line.prop_text("path")) {
            (true, _) => {
                let partition = self.partition_prop(line, "of")?;
                if !self.may_host(node, &partition, line.get("of")?.span) {
                    return None;
                }
                DiskScope::Partition(partition)
            }
            (false, Some(path)) => DiskScope::Path(path),
            (false, None) => DiskScope::Everything,
        };
        let count = |name: &str| line.prop_int(name).and_then(|count| u64::try_from(count).ok());
        let mut faults = Vec::new();
        if line.prop_flag("full") == Some(true) {
            faults.push(DiskFault::Full {
                scope: scope.clone(),
                after_bytes: count("after-bytes").unwrap_or(0),
            });
        }
        if line.get("error").is_some() {
            let on = self.operation(line, "error")?;
            let times = count("times").and_then(|times| u32::try_from(times).ok());
            faults.push(DiskFault::Error { scope: scope.clone(), on, times });
        }
        if let Some(by) = line.prop_time("slow") {
            let on =
                if line.get("on").is_some() { self.operation(line, "on")? } else { DiskOperation::Write };
            faults.push(DiskFault::Slow { scope: scope.clone(), on, by });
        }
        if line.prop_flag("lost") == Some(true) {
            faults.push(DiskFault::LostDirectory { scope });
        }
        if let Some(offset) = line.prop_int("rot") {
            let partition = self.partition_prop(line, "of")?;
            let byte = count("byte").and_then(|byte| u32::try_from(byte).ok()).unwrap_or(61);
            let mask = count("mask").and_then(|mask| u8::try_from(mask).ok()).unwrap_or(0);
            faults.push(DiskFault::BitRot { place: Place::Batch { partition, offset, byte }, mask });
        }
        if faults.len() != 1 {
            self.mistakes.push(
                Mistake::new(
                    "a disk's fault is exactly one thing",
                    line.span,
                    format!("this is {}", faults.len()),
                )
                .help("one of: full=#true, error=write, slow=2s, lost=#true, rot=5"),
            );
            return None;
        }
        let fault = faults.pop()?;
        self.one(line, Fault::Disk { node, fault })
    }
}
