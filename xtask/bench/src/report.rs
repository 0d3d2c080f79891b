//! Medians with their spread, as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::presets;
use comfy_table::{CellAlignment, Table};

use crate::target::Target;

#[derive(Default)]
struct Cell {
    values: Vec<f64>,
    cannot: Option<&'static str>,
}

struct Row {
    name: String,
    unit: &'static str,
    cells: BTreeMap<Target, Cell>,
}

/// Everything that was measured, in the order of first measurement.
#[derive(Default)]
pub(crate) struct Samples {
    rows: Vec<Row>,
}

impl Samples {
    /// Notes one measurement.
    pub(crate) fn add(&mut self, target: Target, row: &str, unit: &'static str, value: f64) {
        self.cell(target, row, unit).values.push(value);
    }

    /// Notes that a target cannot do this.
    pub(crate) fn cannot(&mut self, target: Target, row: &str, unit: &'static str, why: &'static str) {
        self.cell(target, row, unit).cannot = Some(why);
    }

    fn cell(&mut self, target: Target, name: &str, unit: &'static str) -> &mut Cell {
        let at = self.rows.iter().position(|r| r.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name: name.to_owned(), unit, cells: BTreeMap::new() });
            self.rows.len() - 1
        });
        self.rows[at].cells.entry(target).or_default()
    }

    fn columns(targets: &[Target]) -> Vec<String> {
        ["case", "unit"].into_iter().chain(targets.iter().map(|t| t.name())).map(str::to_owned).collect()
    }

    fn lines(&self, targets: &[Target]) -> impl Iterator<Item = Vec<String>> {
        self.rows.iter().map(|row| {
            let cells = targets.iter().map(|t| row.cells.get(t).map_or_else(|| "–".to_owned(), Cell::render));
            [row.name.clone(), row.unit.to_owned()].into_iter().chain(cells).collect()
        })
    }

    /// For a terminal.
    pub(crate) fn table(&self, targets: &[Target]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(Self::columns(targets));
        for line in self.lines(targets) {
            table.add_row(line);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// For `docs/performance.md`.
    pub(crate) fn markdown(&self, targets: &[Target]) -> String {
        let mut out = format!("| {} |\n|---|---|", Self::columns(targets).join(" | "));
        out.push_str(&"--:|".repeat(targets.len()));
        out.push('\n');
        for line in self.lines(targets) {
            let _ = writeln!(out, "| {} |", line.join(" | "));
        }
        out
    }
}

impl Cell {
    /// The median, and the lowest and highest where there was more than one run.
    fn render(&self) -> String {
        let values = self.values.iter().copied();
        let (Some(low), Some(high)) = (values.clone().reduce(f64::min), values.reduce(f64::max)) else {
            return self.cannot.unwrap_or("–").to_owned();
        };
        let median = median(&self.values);
        if self.values.len() == 1 {
            number(median)
        } else {
            format!("{} ({}–{})", number(median), number(low), number(high))
        }
    }
}

/// The middle one of some values, of which there is at least one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// Three significant digits.
fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
