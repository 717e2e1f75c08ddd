//! What the user sees: a progress line while it runs, tables at the end, and the same in files.
//!
//! In: what a command has found out. Out: `NAME.md` for people, `NAME.json` for programs (the document is made of it),
//! and the charts, in one directory per day and host.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::results::Row;
use crate::rounds::Broken;
use crate::stats::Spread;

/// Options of every command that writes results.
#[derive(Args, Debug)]
#[group(id = "report")]
pub(crate) struct Options {
    /// Directory for the results [default: bench/runs/DATE-HOSTNAME]
    #[arg(long, global = true, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Options {
    /// Where the results go.
    pub(crate) fn directory(&self, machine: &Machine) -> PathBuf {
        let default = || runs().join(format!("{}-{}", machine.date, machine.host));
        self.out.clone().unwrap_or_else(default)
    }
}

/// What a command has found out.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) tables: Vec<Table>,
    pub(crate) charts: Vec<Chart>,
    pub(crate) notes: Vec<String>,
    /// Who could not be measured to the end.
    pub(crate) broken: Broken,
    /// What was measured, for programs.
    pub(crate) rows: Vec<Row>,
    /// And what has another form.
    pub(crate) results: Value,
}

/// A picture, and what stands in for it.
#[derive(Debug)]
pub(crate) struct Chart {
    /// What sets its file apart from other charts of the same result.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// A result, as it is written to `NAME.json` and read again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) machine: BTreeMap<String, String>,
    pub(crate) notes: Vec<String>,
    pub(crate) tables: Vec<Table>,
    /// File and title of each.
    pub(crate) charts: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
    pub(crate) results: Value,
}

/// A table of text. The first column is a name, the others are numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) title: Option<String>,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { title: None, head: head.iter().map(|&cell| cell.into()).collect(), rows: Vec::new() }
    }

    /// With a line above it, where a result has several.
    pub(crate) fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.head.len(), "a row has a cell for every column");
        self.rows.push(cells);
    }

    /// For the terminal: columns lined up, numbers to the right.
    pub(crate) fn text(&self) -> String {
        let title = self.title.iter().map(|title| format!("{title}\n\n")).collect::<String>();
        title + &self.lines("  ", "", "")
    }

    /// For a file: the same, with bars. The title is a heading of this level.
    pub(crate) fn markdown(&self, level: usize) -> String {
        let mut lines = self.lines(" | ", "| ", " |");
        let rule: String =
            (0..self.head.len()).map(|column| if column == 0 { "|:---" } else { "|---:" }).collect();
        let end_of_head = lines.find('\n').map_or(lines.len(), |at| at + 1);
        lines.insert_str(end_of_head, &format!("{rule}|\n"));
        let marks = "#".repeat(level);
        let title = self.title.iter().map(|title| format!("{marks} {title}\n\n")).collect::<String>();
        title + &lines
    }

    fn lines(&self, between: &str, before: &str, after: &str) -> String {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..self.head.len()).map(width).collect();
        let mut text = String::new();
        for row in all() {
            let cells: Vec<_> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, &width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            text += &format!("{before}{}{after}\n", cells.join(between));
        }
        text
    }
}

/// A median for a table; a dash for what was not measured.
pub(crate) fn median(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or("–".into(), |spread| format!("{:.digits$}", spread.median))
}

/// How far the numbers of a median lie apart, for the column beside it.
pub(crate) fn ends(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or("–".into(), |spread| format!("[{:.digits$}..{:.digits$}]", spread.min, spread.max))
}

/// Prints the tables, and writes everything with its machine.
pub(crate) fn publish(options: &Options, machine: &Machine, name: &str, found: Found) -> Result<(), Failure> {
    publish_in(&options.directory(machine), machine, name, found)
}

/// The same, into this directory.
pub(crate) fn publish_in(
    directory: &Path,
    machine: &Machine,
    name: &str,
    found: Found,
) -> Result<(), Failure> {
    for table in &found.tables {
        println!("\n{}", table.text());
    }
    for note in found.notes.iter().chain(&found.broken.0) {
        println!("{note}");
    }
    write(directory, machine, name, found)
        .map_err(|error| Failure::run(format!("cannot write to {}: {error}", directory.display())))
}

fn write(directory: &Path, machine: &Machine, name: &str, found: Found) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let write = |file: &str, text: String| {
        let path = directory.join(file);
        fs::write(&path, text)?;
        println!("written: {}", path.display());
        io::Result::Ok(())
    };
    let mut charts = Vec::new();
    for chart in found.charts {
        // One chart that says it all has the result's name.
        let file =
            [name, chart.name].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("-");
        let file = format!("{file}.svg");
        write(&file, chart.svg)?;
        charts.push((file, chart.title));
    }
    let Found { tables, mut notes, broken, rows, results, .. } = found;
    notes.extend(broken.0);
    let facts = machine.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let record = Record { machine: facts.collect(), notes, tables, charts, rows, results };
    write(&format!("{name}.md"), markdown(machine, name, &record))?;
    // Last, because whoever resumes takes its presence for the result's end.
    write(&format!("{name}.json"), format!("{:#}\n", serde_json::to_value(&record)?))
}

/// Where results are kept: in the repository that this was built from, wherever it is run.
pub(crate) fn runs() -> PathBuf {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Copied to a machine without that repository: below the current directory.
    if bench.is_dir() { bench.join("runs") } else { "bench/runs".into() }
}

fn markdown(machine: &Machine, name: &str, record: &Record) -> String {
    let facts: String = machine.facts.iter().map(|(name, value)| format!("- {name}: `{value}`\n")).collect();
    format!("# {name}\n\n{facts}\n{}", record.markdown(2, ""))
}

impl Record {
    /// Tables, charts and notes. Headings begin at this level; charts lie in this directory, with a slash behind.
    pub(crate) fn markdown(&self, level: usize, directory: &str) -> String {
        let tables = self.tables.iter().map(|table| table.markdown(level));
        let charts = self.charts.iter().map(|(file, title)| format!("![{title}]({directory}{file})\n"));
        let notes = self.notes.iter().map(|note| format!("{note}\n"));
        tables.chain(charts).chain(notes).collect::<Vec<_>>().join("\n")
    }
}

/// The line that says how far it is: rewritten in place on a terminal, one per step elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    steps: usize,
    done: usize,
    /// What a step takes, as far as is known before the first is done.
    guess: Duration,
}

impl Progress {
    pub(crate) fn new(steps: usize, guess: Duration) -> Self {
        Self { started: Instant::now(), steps, done: 0, guess }
    }

    /// Announces the step that begins.
    pub(crate) fn step(&mut self, what: &str) {
        let each = match self.done {
            0 => self.guess,
            done => self.started.elapsed() / done as u32,
        };
        let left = each * (self.steps - self.done.min(self.steps)) as u32;
        self.done += 1;
        let line = format!("[{}/{}, {} s left] {what}", self.done, self.steps, left.as_secs());
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K{line}");
        } else {
            eprintln!("{line}");
        }
    }
}

impl Progress {
    /// A line that stays.
    pub(crate) fn say(&self, what: &str) {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        eprintln!("{what}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["who", "µs"]);
        table.row(vec!["floor".into(), "3.50".into()]);
        table.row(vec!["nginx × 16".into(), "12.00".into()]);
        table
    }

    #[test]
    fn columns_line_up_by_characters_and_not_by_bytes() {
        let text = sample().text();
        assert_eq!(text, "who            µs\nfloor        3.50\nnginx × 16  12.00\n");
    }

    #[test]
    fn markdown_has_its_rule_below_the_head() {
        let markdown = sample().markdown(2);
        let lines: Vec<_> = markdown.lines().collect();
        assert_eq!(lines[1], "|:---|---:|");
        assert_eq!(lines[2], "| floor      |  3.50 |");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_title_stands_above_its_table_in_both_forms() {
        let table = sample().titled("Of two");
        assert!(table.text().starts_with("Of two\n\nwho "));
        assert!(table.markdown(3).starts_with("### Of two\n\n| who "));
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        assert_eq!((median(None, 2), ends(None, 2)), ("–".into(), "–".into()));
        let spread = Spread { median: 2.345, min: 1.0, max: 3.0 };
        assert_eq!((median(Some(spread), 2), ends(Some(spread), 1)), ("2.35".into(), "[1.0..3.0]".into()));
    }
}
