//! Documents of every kind to show: good ones, bad ones, empty ones, hostile ones.
//!
//! In: the example run of the library. Out: what became of it in other circumstances, with numbers that agree.

use loadgen::model::{
    Answer, BANDS, Check, Comparison, Content, Counts, Document, ErrorCount, FORMAT, Interval, LaneUse,
    Latency, Ledger, Load, Outcome, Piece, Row, Run, Search, Side, SloResult, TargetUse, Trial, TrialResult,
    Word, band_floor_ns, example,
};
use std::sync::LazyLock;

pub(crate) fn document(run: Run) -> Document {
    Document { corelane_loadgen: FORMAT, content: Content::Run(Box::new(run)) }
}

/// Valid, and its targets met.
pub(crate) fn good() -> Run {
    // Making it takes longer than showing it.
    static GOOD: LazyLock<Run> = LazyLock::new(make_good);
    GOOD.clone()
}

fn make_good() -> Run {
    let mut run = example::run();
    run.checks = vec![
        check("rate reached", Outcome::Pass, "100.0 % of 100k/s", "at least 98 %"),
        check("own lag", Outcome::Pass, "p99 10.1 µs beside a response of 302 µs", "under 10 % of p99"),
        check("arrivals as asked", Outcome::Pass, "variation 0.999", "1.000 ± 0.02"),
        check("Little's law", Outcome::Pass, "12.4 in flight, 12.4 from rate × time", "within 2 %"),
        check("errors", Outcome::Pass, "0 of 3,000,360", "under 1 %"),
        check("samples", Outcome::Pass, "3,000,360", "1,000 for p99"),
        check("generator cores", Outcome::Pass, "43 % at work", "under 90 %"),
        check("cores apart", Outcome::Unknown, "the server's process is not known", "no core shared"),
    ];
    run.slos = vec![slo("p99<1ms", "302 µs", true), slo("errors<0.1%", "0 %", true)];
    run
}

pub(crate) fn invalid() -> Run {
    let mut run = good();
    run.checks[0] = Check {
        help: "Use more lanes (--cores), or a lower rate.".into(),
        ..check("rate reached", Outcome::Fail, "71.3 % of 100k/s", "at least 98 %")
    };
    run.checks[1] = Check {
        help: "Give the generator cores of its own (--cores), away from the server.".into(),
        ..check("own lag", Outcome::Fail, "p99 340 µs beside a response of 302 µs", "under 10 % of p99")
    };
    for (index, interval) in run.intervals.iter_mut().enumerate().skip(24) {
        let late = 0.35 * (index as f64 / 9.0).sin().abs() + 0.1;
        interval.sent = (interval.offered as f64 * (1.0 - late)) as u64;
        interval.completed = (interval.sent as f64 * if index > 45 { 0.85 } else { 1.0 }) as u64;
        interval.own_lag = [9_000, 340_000, 4_100_000 + 90_000 * index as u64];
    }
    run.counts.sent = run.intervals.iter().map(|interval| interval.sent).sum();
    run.counts.completed = run.intervals.iter().map(|interval| interval.completed).sum();
    run.counts.completed_in_window = run.counts.completed;
    run
}

pub(crate) fn with_errors() -> Run {
    let mut run = good();
    let (failed, wrong) = (4_210, 37);
    run.counts = Counts {
        failed,
        wrong,
        timeouts: 190,
        completed: run.counts.completed - failed - wrong,
        ..run.counts
    };
    run.counts.completed_in_window = run.counts.completed - 10;
    run.errors = vec![
        error(
            "connection reset",
            4_011,
            "127.0.0.1:5000: Connection reset by peer (os error 104) after 812 requests",
        ),
        error("timeout", 190, "no answer within 5 s: GET /add?a=17&b=25"),
        error("wrong answer", 37, "GET /add?a=17&b=25 wanted 42, got 43"),
        error("status 503", 9, "HTTP/1.1 503 Service Unavailable, retry-after: 1"),
    ];
    run.statuses = vec![(200, run.counts.completed + 28), (503, 9)];
    run.ledger = Some(Ledger { swapped: 3, lost: 190, ..Ledger::default() });
    run.slos[1] = slo("errors<0.1%", "0.142 %", false);
    for interval in &mut run.intervals[20..24] {
        interval.errors = 1_060;
        interval.completed -= 1_060;
    }
    run
}

/// Four held rates, the last of which is too much for the server.
pub(crate) fn stepped() -> Run {
    let mut run = good();
    let rates = [40_000.0, 80_000.0, 120_000.0, 160_000.0];
    let length_ns = run.window_ns / 4;
    let pieces = rates.map(|rate| Piece { length_ns, from: rate, to: rate }).into();
    run.setup.load = Load::Open { arrivals: "poisson".into(), pieces };
    run.setup.command = "corelane-loadgen --steps 40k,80k,120k,160k -d 30s http://127.0.0.1:5000/add".into();
    let mut whole = Latency::new();
    for (index, interval) in run.intervals.iter_mut().enumerate() {
        let step = index / 15;
        let shift = [0usize, 2, 6, 20][step] + if step == 3 { index % 15 } else { 0 };
        let factor = 10f64.powf(shift as f64 / 16.0);
        let share = rates[step] / 100_000.0;
        interval.bands.splice(0..0, std::iter::repeat_n(0, shift));
        interval.bands.truncate(BANDS);
        interval.bands.iter_mut().for_each(|count| *count = (*count as f64 * share) as u64);
        for (band, &count) in interval.bands.iter().enumerate() {
            whole.0.saturating_record_n((band_floor_ns(band) * 1.07) as u64, count);
        }
        interval.response = interval.response.map(|ns| (ns as f64 * factor) as u64);
        interval.offered = (interval.offered as f64 * share) as u64;
        interval.sent = interval.offered;
        interval.completed = (interval.offered as f64 * if step == 3 { 0.82 } else { 1.0 }) as u64;
    }
    run.response = whole;
    run
}

/// Nothing was ever sent.
pub(crate) fn empty() -> Run {
    Run {
        setup: Default::default(),
        machine: Default::default(),
        started_unix_ms: 0,
        window_ns: 0,
        counts: Counts::default(),
        errors: Vec::new(),
        statuses: Vec::new(),
        response: Latency::new(),
        service: Latency::new(),
        own_lag: Latency::new(),
        connection_wait: Latency::new(),
        connect: Latency::new(),
        intervals: Vec::new(),
        lanes: vec![LaneUse::default()],
        target: Some(TargetUse::default()),
        arrivals: Some(Default::default()),
        in_flight_mean: f64::NAN,
        in_flight_by_times: f64::NAN,
        ledger: None,
        interrupted: true,
        checks: vec![check("samples", Outcome::Fail, "0", "at least 1")],
        slos: Vec::new(),
    }
}

/// As empty, but time went by.
pub(crate) fn idle() -> Run {
    let interval =
        |index: u64| Interval { at_ns: index * 500_000_000, length_ns: 500_000_000, ..Interval::default() };
    Run { window_ns: 10_000_000_000, intervals: (0..20).map(interval).collect(), ..empty() }
}

pub(crate) const HOSTILE: &str = "</script><script>alert(1)</script>\"'&<b>]]>--><!--\u{0}\u{1b}[31m\r\n";

/// Everything that is text holds text that would like to be more.
pub(crate) fn hostile() -> Run {
    let mut run = with_errors();
    run.setup.urls = vec![(HOSTILE.into(), 1.0), (format!("http://{HOSTILE}"), f64::INFINITY)];
    for text in
        [&mut run.setup.command, &mut run.setup.version, &mut run.setup.address, &mut run.setup.workload]
    {
        *text = HOSTILE.into();
    }
    let machine = &mut run.machine;
    for text in [&mut machine.host, &mut machine.kernel, &mut machine.cpu, &mut machine.governor] {
        *text = HOSTILE.into();
    }
    run.machine.clocksource = HOSTILE.into();
    run.setup.engine = HOSTILE.into();
    run.setup.load = Load::Open { arrivals: HOSTILE.into(), pieces: Vec::new() };
    run.target = Some(TargetUse { name: HOSTILE.into(), ..TargetUse::default() });
    run.errors = (0..100).map(|n| error(HOSTILE, 1, &HOSTILE.repeat(if n == 0 { 300 } else { 1 }))).collect();
    run.checks = (0..30)
        .map(|_| Check { help: HOSTILE.into(), ..check(HOSTILE, Outcome::Fail, HOSTILE, HOSTILE) })
        .collect();
    run.slos = (0..30).map(|_| slo(HOSTILE, HOSTILE, false)).collect();
    run.in_flight_mean = f64::INFINITY;
    run
}

/// As many intervals and bands as a recorder makes, all of them used.
pub(crate) fn crowded() -> Run {
    let mut run = good();
    let length_ns = run.window_ns / 240;
    let intervals = (0..240u64).map(|at| Interval {
        at_ns: at * length_ns,
        length_ns,
        bands: (0..BANDS as u64).map(|band| (at * 7_919 + band * 104_729) % 1_009).collect(),
        ..run.intervals[at as usize % 60].clone()
    });
    run.intervals = intervals.collect();
    run
}

pub(crate) fn search() -> Search {
    let rates =
        [100_000.0, 200_000.0, 150_000.0, 175_000.0, 187_500.0, 181_000.0, 184_000.0, 187_000.0, 190_000.0];
    let trials = rates.iter().enumerate().map(|(index, &rate)| {
        let response_ns = (120_000.0 + 50_000.0 / (1.0 - rate / 205_000.0f64)) as u64;
        let (response_ns, result) = match (index, rate) {
            (4, _) => (response_ns, TrialResult::Invalid),
            (_, rate) if rate > 184_500.0 => (response_ns * 3, TrialResult::Missed),
            _ => (response_ns, TrialResult::Met),
        };
        let why = match result {
            TrialResult::Met => "",
            TrialResult::Missed => "p99 over 1 ms",
            TrialResult::Invalid => "own lag",
        };
        Trial {
            rate,
            completed: rate.min(186_000.0),
            window_ns: if index < 4 { 2_000_000_000 } else { 10_000_000_000 },
            response_ns,
            low_ns: response_ns * 9 / 10,
            high_ns: response_ns * 12 / 10,
            result,
            why: why.into(),
        }
    });
    Search {
        slos: vec!["p99<1ms".into()],
        quantile: 0.99,
        limit_ns: 1_000_000,
        ceiling: 211_000.0,
        ramp: (1..=20).map(|n| (n as f64 * 10_500.0, 150_000 + (n as u64).pow(5))).collect(),
        trials: trials.collect(),
        answer: Answer {
            rate: Some(184_000.0),
            low: 181_000.0,
            high: 187_000.0,
            limited_by_generator: false,
            words: "184k ± 3k req/s at p99 < 1 ms".into(),
        },
        run: good(),
    }
}

pub(crate) fn comparison() -> Comparison {
    let mut slower = good();
    slower.response = {
        let mut latency = Latency::new();
        for value in good().response.0.iter_recorded() {
            let ns = value.value_iterated_to() as f64;
            latency.0.saturating_record_n((ns * 1.05 + ns * ns / 8e6) as u64, value.count_at_value());
        }
        latency
    };
    let side = |name: &str, run: &Run| Side {
        name: name.into(),
        samples: 10,
        response: run.response.clone(),
        run: run.clone(),
    };
    Comparison {
        a: side("http://127.0.0.1:5000/add", &good()),
        b: side("http://127.0.0.1:5001/add", &slower),
        rows: vec![
            row("p50", 120_400.0, "ns", [1.061, 1.048, 1.073], Word::Worse),
            row("p99", 302_000.0, "ns", [1.088, 1.031, 1.149], Word::Worse),
            row("p99.9", 540_000.0, "ns", [1.12, 0.91, 1.38], Word::Same),
            row("rate", 100_012.0, "/s", [1.0, 0.999, 1.001], Word::Same),
            row("errors", 0.0, "share", [f64::NAN, f64::NAN, f64::NAN], Word::Unsaid),
            row("server CPU per request", 7_100.0, "ns", [0.874, 0.861, 0.887], Word::Better),
        ],
        differences: vec!["server CPUs: 0, 1 against 0".into()],
        invalid: Vec::new(),
    }
}

fn row(measure: &str, a: f64, unit: &str, [ratio, low, high]: [f64; 3], word: Word) -> Row {
    let p_value = if word == Word::Same { 0.31 } else { 0.000_2 };
    Row {
        measure: measure.into(),
        a,
        b: a * ratio,
        unit: unit.into(),
        ratio,
        low,
        high,
        p_value,
        detectable: 0.031,
        word,
    }
}

fn check(name: &str, outcome: Outcome, found: &str, wanted: &str) -> Check {
    Check { name: name.into(), outcome, found: found.into(), wanted: wanted.into(), help: String::new() }
}

fn slo(slo: &str, found: &str, met: bool) -> SloResult {
    SloResult { slo: slo.into(), found: found.into(), met }
}

fn error(kind: &str, count: u64, example: &str) -> ErrorCount {
    ErrorCount { kind: kind.into(), count, example: example.into() }
}
