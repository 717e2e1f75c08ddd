//! A table: its head, its rows, and how its columns are set.
//!
//! In: columns and cells. Out: a table that scrolls by itself where the page is too narrow for it. Never: takes text
//! for markup: a cell that is drawn says so.

use super::escape::esc;
use std::fmt::Write as _;

/// How a column is set.
#[derive(Clone, Copy)]
pub(super) enum Column {
    /// Words, that may break.
    Text(&'static str),
    /// A name, that may not.
    Name(&'static str),
    /// Anything long: it gets the room that is left.
    Long(&'static str),
    /// Numbers, one below the other.
    Number(&'static str),
    /// A drawing, under a class of its own.
    Drawing(&'static str),
}

impl Column {
    fn class(self) -> &'static str {
        match self {
            Column::Text(_) => "",
            Column::Name(_) => "nowrap",
            Column::Long(_) => "long",
            Column::Number(_) => "num",
            Column::Drawing(class) => class,
        }
    }
}

/// What stands in a row under a column.
pub(super) enum Cell {
    /// Anything: it is escaped.
    Text(String),
    /// Elements of ours, with what is foreign in them escaped.
    Markup(String),
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

/// A table that is being filled.
pub(super) struct Table {
    columns: Vec<Column>,
    out: String,
}

impl Table {
    /// With its head. A drawing's head is `drawn`, such as its scale.
    pub(super) fn new(class: &str, columns: &[Column], drawn: &str) -> Table {
        let mut out = format!(r#"<div class="scroll"><table class="{class}"><thead><tr>"#);
        for column in columns {
            let title = match column {
                Column::Text(title) | Column::Name(title) | Column::Long(title) | Column::Number(title) => {
                    title
                }
                Column::Drawing(_) => drawn,
            };
            let _ = write!(out, r#"<th class="{}">{title}</th>"#, column.class());
        }
        out.push_str("</tr></thead><tbody>");
        Table { columns: columns.to_vec(), out }
    }

    /// A row; `class` is for all of it.
    pub(super) fn row<const COUNT: usize>(&mut self, class: &str, cells: [Cell; COUNT]) {
        let _ = write!(self.out, r#"<tr class="{class}">"#);
        for (column, cell) in self.columns.iter().zip(cells) {
            let cell = match cell {
                Cell::Text(text) => esc(&text),
                Cell::Markup(markup) => markup,
            };
            let _ = write!(self.out, r#"<td class="{}">{cell}</td>"#, column.class());
        }
        self.out.push_str("</tr>");
    }

    /// The whole.
    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</tbody></table></div>");
        // An attribute without a value says nothing.
        self.out.replace(r#" class="""#, "")
    }
}
