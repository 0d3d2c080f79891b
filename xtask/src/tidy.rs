//! `cargo xtask tidy`: rules of this repository that no compiler knows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// What must not be in a Rust file. Written in two halves, so that this file may be checked too.
const BANNED: &[(&str, &str, &str)] = &[
    ("to", "do!(", "finish it"),
    ("unimple", "mented!(", "finish it"),
    ("TO", "DO", "do it, or open an issue"),
    ("FIX", "ME", "fix it, or open an issue"),
    ("#[ig", "nore", "a test that does not run proves nothing"),
    ("#[al", "low(", "use #[expect(…, reason = \"…\")]"),
    ("#![al", "low(", "use #![expect(…, reason = \"…\")]"),
];

/// Checks everything, and says all that is wrong.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    let mut rust = Vec::new();
    let mut markdown = Vec::new();
    let mut clippy = Vec::new();
    let mut manifests = Vec::new();
    walk(root, &mut |path| match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => rust.push(path.to_owned()),
        Some("md") => markdown.push(path.to_owned()),
        _ => match path.file_name().and_then(|name| name.to_str()) {
            Some("clippy.toml") => clippy.push(path.to_owned()),
            Some("Cargo.toml") => manifests.push(path.to_owned()),
            _ => {}
        },
    })?;
    if rust.is_empty() {
        bail!("{} holds no Rust files", root.display());
    }
    for path in &rust {
        check_rust(&relative(root, path), &read(path)?, &mut wrong);
    }
    for path in &markdown {
        check_links(root, path, &read(path)?, &mut wrong);
    }
    check_clippy(root, &clippy, &mut wrong)?;
    for path in manifests.iter().filter(|path| is_member(root, path)) {
        let text = read(path)?;
        if !text.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{}: a member takes the workspace's lints", relative(root, path)));
        }
    }
    if wrong.is_empty() { Ok(()) } else { bail!("untidy:\n  {}", wrong.join("\n  ")) }
}

fn check_rust(name: &str, text: &str, wrong: &mut Vec<String>) {
    if !text.trim_start().starts_with("//!") {
        wrong.push(format!("{name}: a module begins with what it is for (`//!`)"));
    }
    for (number, line) in text.lines().enumerate() {
        for (head, tail, instead) in BANNED {
            let banned = format!("{head}{tail}");
            if line.contains(&banned) {
                wrong.push(format!("{name}:{}: `{banned}`: {instead}", number + 1));
            }
        }
    }
}

/// A link to a file of the repository leads to a file.
fn check_links(root: &Path, path: &Path, text: &str, wrong: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        for part in line.split("](").skip(1) {
            let target = part.split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let folder = path.parent().unwrap_or(root);
            if !folder.join(target).exists() {
                let name = relative(root, path);
                wrong.push(format!("{name}:{}: the link to {target} leads nowhere", number + 1));
            }
        }
    }
}

/// A crate's clippy.toml replaces the root's, so that the sans-IO crates each carry the whole list of what is banned.
fn check_clippy(root: &Path, paths: &[PathBuf], wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let crates: Vec<_> = paths.iter().filter(|path| path.starts_with(root.join("crates"))).collect();
    for name in crate::test::CORE {
        let path = root.join("crates").join(name).join("clippy.toml");
        if !crates.contains(&&path) {
            wrong.push(format!("crates/{name} has no clippy.toml of its own"));
        }
    }
    let Some((first, others)) = crates.split_first() else { return Ok(()) };
    let expected = read(first)?;
    for path in others {
        if read(path)? != expected {
            wrong.push(format!("{} differs from {}", relative(root, path), relative(root, first)));
        }
    }
    Ok(())
}

/// The manifests of workspace members; the root's and those of packages that stand alone are not.
fn is_member(root: &Path, path: &Path) -> bool {
    let name = relative(root, path);
    let depth = name.matches('/').count();
    (name.starts_with("crates/") && depth == 2)
        || (depth == 1 && (name.starts_with("tests/") || name.starts_with("xtask/")))
}

/// Visits every file of the repository, in order; what is built, fetched or hidden is left out.
fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) -> anyhow::Result<()> {
    let mut entries: Vec<_> =
        fs::read_dir(folder).with_context(|| folder.display().to_string())?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let left_out =
            name.starts_with('.') || matches!(&*name, "target" | "node_modules" | "corpus" | "__pycache__");
        if left_out {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), visit)?;
        } else {
            visit(&entry.path());
        }
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        if let Err(error) = check(&klamm_tests::workspace::root()) {
            panic!("{error:#}");
        }
    }

    #[test]
    fn sees_what_is_wrong_in_a_rust_file() {
        let mut wrong = Vec::new();
        check_rust("a.rs", &format!("fn a() {{ {}{}) }}", "to", "do!("), &mut wrong);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        wrong.clear();
        check_rust("a.rs", "//! What it is for.\n\nfn a() {}\n", &mut wrong);
        assert_eq!(wrong, [""; 0]);
    }

    #[test]
    fn sees_a_link_that_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("here.md"), "").unwrap();
        let page = folder.path().join("page.md");
        let mut wrong = Vec::new();
        let text = "[a](here.md#part) [b](https://example.org/x) [c](gone.md)";
        check_links(folder.path(), &page, text, &mut wrong);
        assert_eq!(wrong, ["page.md:1: the link to gone.md leads nowhere"]);
    }
}
