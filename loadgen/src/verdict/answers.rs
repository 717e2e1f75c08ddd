//! What the target did: kept up, answered, answered right.
//!
//! In: counts, the offered rate. Out: checks. Never: blames the target for requests that the generator didn't send.

use super::{check, unknown};
use crate::model::{Check, Load, Piece, Run};
use crate::schedule::{ArrivalKind, Profile};
use crate::slo::Slo;
use crate::units::{format_count, format_ns, format_rate, format_share};

pub(super) const RATE_REACHED: &str = "rate reached";
pub(super) const ERRORS: &str = "errors";
pub(super) const WRONG_ANSWERS: &str = "wrong answers";

/// Share of the due requests that must be sent. At 1 % less the p99 might be that of the missing.
const SENT_MIN: f64 = 0.99;
/// Share of the due requests, without what may be in flight, that must be answered when the window ends. A target
/// that is overloaded by 2 % loses so much; a pause at the very end of a long window does not.
const ANSWERED_MIN: f64 = 0.98;
/// Standard deviations by which a random count may be off: chance alone does so once in 500 million runs.
const SIGMAS: f64 = 6.0;
/// Requests by which an even count may be off: one at an end of the window.
const EVEN_ROOM: f64 = 1.0;
/// Share of errors above which the run shows how the target fails, and not how it works.
const ERRORS_MAX: f64 = 0.01;

/// Why a rate wasn't reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Miss {
    /// The schedule held another number of requests than was asked for.
    Offered,
    /// Requests weren't sent, and waited for a connection.
    ConnectionsBusy,
    /// Requests weren't sent, though there were connections.
    GeneratorLate,
    /// Requests were sent, and their answers came later and later.
    Behind,
}

pub(super) fn rate_reached(run: &Run) -> Check {
    let (sent, answered) = (format_share(SENT_MIN), format_share(ANSWERED_MIN));
    let wanted =
        format!("as many due as asked for, {sent} sent, {answered} answered (but for those in flight)");
    let Load::Open { arrivals, pieces } = &run.setup.load else {
        return unknown(RATE_REACHED, "closed loop: no rate was asked for", wanted);
    };
    let asked = Profile::new(pieces.clone()).mass_at(run.window_ns);
    let offered = run.counts.offered;
    let share = |count: u64| format_share(count as f64 / offered.max(1) as f64);
    let found = format!(
        "{} due of {} asked for; {} sent, {} answered; {}/s",
        format_count(offered),
        format_count(asked.round() as u64),
        share(run.counts.sent),
        share(answered_in_window(run)),
        format_rate(run.offered_rate()),
    );
    let miss = miss(run, arrivals, pieces, asked);
    let help = match miss {
        None => String::new(),
        Some(Miss::Offered) => "the schedule was not followed to its end: report this as a fault".to_owned(),
        Some(Miss::ConnectionsBusy) => format!(
            "all {} connections were busy (p99 wait {}): the target can't do this rate, or needs more -c",
            run.setup.connections,
            format_ns(run.connection_wait.at(0.99)),
        ),
        Some(Miss::GeneratorLate) => format!(
            "the generator was late (p99 own lag {}): give it more --cores, or lower --rate",
            format_ns(run.own_lag.at(0.99)),
        ),
        Some(Miss::Behind) => "the target falls behind: lower --rate, or see its limits".to_owned(),
    };
    check(RATE_REACHED, miss.is_none(), found, wanted, &help)
}

/// Whether the rate was missed through the target. A run that reached it has no such fault.
pub(super) fn is_targets_fault(run: &Run) -> bool {
    let Load::Open { arrivals, pieces } = &run.setup.load else { return false };
    let asked = Profile::new(pieces.clone()).mass_at(run.window_ns);
    matches!(miss(run, arrivals, pieces, asked), Some(Miss::ConnectionsBusy | Miss::Behind))
}

fn miss(run: &Run, arrivals: &str, pieces: &[Piece], asked: f64) -> Option<Miss> {
    let offered = run.counts.offered as f64;
    let room = match arrivals.parse() {
        Ok(ArrivalKind::Constant) => EVEN_ROOM,
        // What this version doesn't know is taken as random: the wider room.
        Ok(ArrivalKind::Poisson) | Err(_) => SIGMAS * asked.sqrt(),
    };
    // A number of requests ends the window with the last answer, which comes behind the last request.
    let last_due_ns = run.window_ns.saturating_sub(run.response.0.max());
    let least = asked.min(Profile::new(pieces.to_vec()).mass_at(last_due_ns));
    // Half a request: both are rounded.
    if offered > asked + room + 0.5 || offered < least - room - 0.5 {
        return Some(Miss::Offered);
    }
    if (run.counts.sent as f64) < SENT_MIN * offered {
        let waited_longer = run.connection_wait.0.mean() > run.own_lag.0.mean();
        return Some(if waited_longer { Miss::ConnectionsBusy } else { Miss::GeneratorLate });
    }
    // Little's law, about the end of the window: so many may be in flight then, give or take chance. The mean lags
    // behind where the number rises all the time, which is what is looked for.
    let in_flight = run.in_flight_mean + SIGMAS * run.in_flight_mean.max(1.0).sqrt();
    let answered = answered_in_window(run) as f64;
    (answered < ANSWERED_MIN * (offered - in_flight)).then_some(Miss::Behind)
}

/// Errors are answers here, though some may have come behind the window: they have a check of their own.
fn answered_in_window(run: &Run) -> u64 {
    let never_sent = run.counts.offered - run.counts.sent.min(run.counts.offered);
    run.counts.completed_in_window + run.counts.wrong + run.counts.failed.saturating_sub(never_sent)
}

pub(super) fn errors(run: &Run, slos: &[Slo]) -> Check {
    let counts = &run.counts;
    let bad = counts.failed + counts.wrong;
    let mut found = format!("{} of {} requests", format_count(bad), format_count(counts.offered));
    if let Some(first) = run.errors.first() {
        found += &format!(" ({})", first.kind);
    }
    if counts.completed == 0 {
        let help = "nothing was answered as expected: try the URL with curl";
        return check(ERRORS, false, found, "an answer".to_owned(), help);
    }
    if slos.iter().any(Slo::is_about_errors) {
        return check(ERRORS, true, found, "as the target for errors says".to_owned(), "");
    }
    let wanted = format!("at most {}", format_share(ERRORS_MAX));
    let help = "see the kinds of errors; if so many are meant to be, say --slo 'errors<5%'";
    check(ERRORS, run.error_share() <= ERRORS_MAX, found, wanted, help)
}

/// Wrong answers, the warm-up's included: an oracle has no warm-up.
pub(super) fn count_wrong(run: &Run) -> u64 {
    let ledger = run.ledger.unwrap_or_default();
    let told = ledger.swapped + ledger.duplicated + ledger.misrouted + ledger.corrupted;
    (run.counts.wrong + run.counts.wrong_outside).max(told)
}

pub(super) fn wrong_answers(run: &Run) -> Check {
    let answers = run.counts.wrong + run.counts.completed;
    let mut found = format!("{} of {} answers", format_count(run.counts.wrong), format_count(answers));
    if run.counts.wrong_outside > 0 {
        found += &format!(", {} in the warm-up", format_count(run.counts.wrong_outside));
    }
    if let Some(ledger) = &run.ledger {
        // What was lost got no answer, and so no wrong one: it is among the errors.
        let kinds = [
            ("swapped", ledger.swapped),
            ("duplicated", ledger.duplicated),
            ("misrouted", ledger.misrouted),
            ("corrupted", ledger.corrupted),
        ];
        for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
            found += &format!(", {} {kind}", format_count(count));
        }
    }
    let help =
        "the target gave answers that are not those to the requests: see the examples among the errors";
    check(WRONG_ANSWERS, count_wrong(run) == 0, found, "none".to_owned(), help)
}
