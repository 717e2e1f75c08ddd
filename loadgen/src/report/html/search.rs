//! A search: the answer, what it stands on, and the trial that carries it.
//!
//! In: a search. Out: its page, with its title.

use super::{Detail, figure, page, rates, run, tables};
use crate::model::Search;
use crate::report::{means, rate, urls};
use crate::units::percentile_name;
use std::fmt::Write as _;

pub(super) fn body(search: &Search, detail: Detail) -> String {
    let trial = &search.run;
    let badge = match search.answer.rate {
        Some(_) => page::badge("good", "FOUND"),
        None => page::badge("bad", "NOT FOUND"),
    };
    let sub = format!("{} · {}", urls(&trial.setup), means(&trial.setup));
    let mut out = page::header("corelane-loadgen search", &search.answer.words, &sub, &badge);
    if search.answer.limited_by_generator {
        let text = "The generator set the limit, not the server.";
        out += &page::warning("A lower bound.", text, "");
    }
    let name = percentile_name(search.quantile);
    let text = format!(
        "Filled: the rate met the target; rings: it missed (red) or the generator could not do it (grey). \
         Bars are 95 % intervals. Grey line: the ramp that brackets the answer. Shaded: its interval. The \
         closed loop reached {}.",
        rate(search.ceiling)
    );
    let title = format!("{name} against the offered rate");
    figure(&mut out, &title, &text, rates::of_search(search), "No rate was tried.");
    out += &tables::trials(search);
    let which = format!("The trial at {}", rate(trial.offered_rate()));
    let _ =
        write!(out, r#"<section class="run">{}"#, page::header("in full", &which, "", &page::badges(trial)));
    out += &run::body(trial, detail);
    out += "</section>";
    out
}
