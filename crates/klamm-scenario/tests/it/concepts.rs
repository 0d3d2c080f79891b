//! `docs/concepts/`: what the pages show is what the scenarios in the repository print.
//!
//! A mark such as `<!-- scenario acks/X.kdl run="Kafka 4.4, plain" from="…" to="…" -->` is followed by that scenario's output, from the
//! first line that holds `from` to the first one after it that holds `to`, or the verdict, which is left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use klamm_scenario::report::text::{Style, render};
use klamm_scenario::{Options, run};

const MARK: &str = "<!-- scenario ";
const END: &str = "<!-- end -->\n";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The output of every scenario that was asked for, by file and run.
#[derive(Default)]
struct Outputs(BTreeMap<String, Vec<(String, String)>>);

impl Outputs {
    fn of(&mut self, file: &str, wanted: Option<&str>) -> &str {
        let reports = self.0.entry(file.to_owned()).or_insert_with(|| {
            let text = read(&root().join("scenarios").join(file));
            let reports = run(file, &text, Options::default());
            let reports = reports.unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
            reports.iter().map(|report| (report.name(), render(report, Style::default()))).collect()
        });
        let names: Vec<_> = reports.iter().map(|(name, _)| name.clone()).collect();
        let found = reports.iter().find(|(name, _)| wanted.is_none_or(|wanted| wanted == name));
        &found.unwrap_or_else(|| panic!("{file} has no run {wanted:?}; it has {names:?}")).1
    }
}

/// The value of `name="…"` in a mark.
fn attribute<'a>(mark: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = mark.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// What a mark asks for.
fn excerpt(mark: &str, outputs: &mut Outputs) -> String {
    let file = mark.split_whitespace().next().unwrap_or_default();
    let lines: Vec<_> = outputs.of(file, attribute(mark, "run")).lines().collect();
    let find = |text: &str, after: usize| {
        let found = lines.iter().skip(after).position(|line| line.contains(text)).map(|at| at + after);
        found.unwrap_or_else(|| panic!("the output of {file} has no line with {text:?}"))
    };
    let from = attribute(mark, "from").map_or(0, |text| find(text, 0));
    let to = attribute(mark, "to").map_or(lines.len() - 1, |text| find(text, from + 1));
    let shown = &lines[from..to];
    let indent = |line: &&&str| line.len() - line.trim_start().len();
    let common =
        shown.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(&line)).min().unwrap_or(0);
    let shown: Vec<_> = shown.iter().map(|line| line.get(common..).unwrap_or_default().trim_end()).collect();
    format!("```text\n{}\n```\n", shown.join("\n"))
}

/// The page with its outputs as they are now.
fn renewed(page: &str, outputs: &mut Outputs) -> String {
    let mut renewed = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(MARK) {
        let (mark, after) = after.split_once(" -->\n").expect("a mark ends with its line");
        let after = if after.trim_start().starts_with("```text") {
            after.split_once(END).expect("an output ends with its mark").1
        } else {
            after
        };
        renewed.push_str(&format!("{before}{MARK}{mark} -->\n\n{}{END}", excerpt(mark, outputs)));
        rest = after;
    }
    renewed + rest
}

/// To write the pages anew: `KLAMM_WRITE_DOCS=1 cargo test -p klamm-scenario concepts`.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test of files in the repository, which it writes when it is told to"
)]
fn the_pages_show_what_the_scenarios_print() {
    let mut outputs = Outputs::default();
    let mut shown = 0;
    let mut pages: Vec<_> =
        std::fs::read_dir(root().join("docs/concepts")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    for path in pages {
        let page = read(&path);
        let expected = renewed(&page, &mut outputs);
        shown += expected.matches(MARK).count();
        if std::env::var("KLAMM_WRITE_DOCS").is_ok() {
            crate::replace(&path, &expected);
        } else {
            assert!(
                page == expected,
                "{} is old: KLAMM_WRITE_DOCS=1 cargo test -p klamm-scenario concepts",
                path.display()
            );
        }
    }
    assert!(shown >= 7, "each page shows something");
}
