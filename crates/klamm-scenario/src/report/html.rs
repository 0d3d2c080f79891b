//! Runs as one page without anything from elsewhere: the timeline, to be stepped through.

use super::{Report, json};

const PAGE: &str = include_str!("page.html");

/// The page.
pub fn render(reports: &[Report]) -> String {
    // In a script, only these could end it or begin a comment.
    let data = json::render(reports).to_string().replace('<', "\\u003c");
    let title = match reports {
        [report] => format!("{}: {}", report.id, report.title),
        _ => format!("{} runs of scenarios", reports.len()),
    };
    PAGE.replacen("{{title}}", &escape(&title), 1).replacen("{{data}}", &data, 1)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
