//! Chromium, driven by Playwright: what a person sees of the pages that klamm writes.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::{PATIENCE, clients, process, toolchain, workspace};

/// The programs that have to be on `PATH`.
pub const PROGRAMS: [&str; 3] = ["chromium", "node", "npm"];

/// Runs `tests/browser/page.js` over a scenario's page, and the JSON of the same run; gives back its last line, which begins with `OK`.
///
/// # Errors
/// When a program is missing, or the page shows anything else than the JSON says; with the end of the script's output.
pub fn step_through(page: &Path, json: &Path) -> Result<String> {
    let chromium = toolchain::find("chromium").context("`chromium` is not installed")?;
    let home = workspace::cache().join("browser");
    std::fs::create_dir_all(workspace::cache())?;
    {
        let lock = std::fs::File::create(workspace::cache().join("browser.lock"))?;
        lock.lock()?;
        clients::npm(&workspace::root().join("tests/browser"), &home)?;
    }
    let started = Instant::now();
    let mut node = Command::new("node");
    node.arg(home.join("page.js")).arg(chromium).args([page, json]);
    let name = format!("page-{}", clients::unique());
    let finished =
        process::Running::start(&name, node, &workspace::cache().join("logs"))?.finish(PATIENCE)?;
    clients::judge("page", &finished, started.elapsed())
}
