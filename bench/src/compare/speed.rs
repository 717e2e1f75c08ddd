//! `bench compare server` and `bench compare engines`: what a request costs, as fast as answers come.
//!
//! One lane on one core, the generator on another. In: the contenders that belong to it (`contender.rs`). Out: a row
//! for each under each load, beside its floor and the best peer.

use std::time::Duration;

use clap::Args;

use super::tables;
use crate::contender::{self, Contender, Run};
use crate::drive::loadgen::{KEYS, Load, Loadgen, Pace};
use crate::drive::{self, Shape};
use crate::failure::Failure;
use crate::field::Who;
use crate::report::Found;
use crate::results::{CPU, RATE, Row, Sample};
use crate::{request, rounds, versions};

/// What a visit takes besides its measurements: a start, a check, an end.
pub(super) const START: Duration = Duration::from_millis(120);

/// Options of `bench compare server` and `engines`.
#[derive(Args, Debug)]
#[group(id = "speed")]
pub(super) struct Options {
    /// Numbers of connections [default: 64; of engines 8,512]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    connections: Vec<u32>,
    /// Requests in flight on each connection [default: 1,16; of engines 1]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
    pipeline: Vec<u32>,
    #[command(flatten)]
    who: Who,
}

impl Options {
    /// Does it measure less than it does by itself, or something else?
    pub(super) fn is_partial(&self) -> bool {
        self.who.is_partial() || !self.connections.is_empty() || !self.pipeline.is_empty()
    }
}

/// Of each contender, in each round a sample under each load.
type Series = rounds::Series<&'static Contender, Vec<Sample>>;

/// Measures.
pub(super) fn run(pace: &rounds::Options, options: &Options, run: Run) -> Result<Found, Failure> {
    let core = pace.cores.client_core;
    let loadgen = Loadgen::find(core, core.to_string())?;
    let field = contender::select(run, &options.who.only)?;

    let shapes = shapes(options, run);
    let mut series: Vec<Series> = field.present.iter().map(|&contender| Series::new(contender)).collect();
    let broken = pace.go(
        START + (pace.window() + pace.warmup() + START) * shapes.len() as u32,
        &mut series,
        |contender| contender.name.clone(),
        |contender| visit(contender, &shapes, &loadgen, pace),
    )?;

    let cores = pace.cores.server_core.to_string();
    let rows = rows(&series, &shapes, &cores);
    let mut found = Found { broken, ..Found::default() };
    for shape in &shapes {
        found.tables.push(tables::speed(&rows, &shape.to_string(), title(*shape)));
    }
    if let Some(first) = shapes.first() {
        let case = first.to_string();
        let bars = |quantity, name, what: &str, below: &str| {
            tables::bars(&rows, &case, quantity, name, format!("{what} at {}", title(*first)), below)
        };
        let less = "less is better; medians, and from the smallest to the largest of the rounds";
        let more = less.replace("less", "more");
        found.charts.push(bars((CPU, 2), "cpu", "CPU per request in µs", less));
        found.charts.push(bars((RATE, 0), "rate", "Requests per second", &more));
    }
    found.notes.push(tables::SPEED_EXPLAINED.to_owned());
    found.notes.push(format!(
        "Our generator checks every answer. Who adds is asked for sums of all kinds, drawn from {KEYS}; floors, nginx \
         (`return 200`) and HAProxy (`http-request return`) answer the same bytes whatever they are asked, so they are asked \
         for the one sum of which that is right, and every answer is compared with it."
    ));
    found.notes.extend(versions::note(field.present.iter().map(|contender| contender.version())));
    found.notes.extend(field.skipped);
    found.rows = rows;
    Ok(found)
}

/// One contender's turn in a round: started, checked, measured under each load, ended.
fn visit(
    contender: &Contender,
    shapes: &[Shape],
    loadgen: &Loadgen,
    pace: &rounds::Options,
) -> Result<Vec<Sample>, Failure> {
    let server = contender.start(&pace.cores.server_core.to_string())?;
    request::check(server.address)?;
    let measure = |&shape: &Shape| {
        let asks = contender.asks();
        let (window, warmup) = (pace.window(), pace.warmup());
        let load = Load { engine: "uring", shape, window, warmup, pace: Pace::Closed, asks };
        drive::measure(loadgen, &server, &load)
    };
    shapes.iter().map(measure).collect()
}

/// By load, and then in the order of the contenders.
fn rows(all: &[Series], shapes: &[Shape], cores: &str) -> Vec<Row> {
    let of_shape = |(at, shape): (usize, &Shape)| {
        let case = shape.to_string();
        all.iter()
            .map(move |one| {
                one.who.row(&case[..], cores).filled(one.samples.iter().map(move |samples| &samples[at]))
            })
            .collect::<Vec<_>>()
    };
    shapes.iter().enumerate().flat_map(of_shape).collect()
}

fn shapes(options: &Options, run: Run) -> Vec<Shape> {
    let (connections, depths): (&[u32], &[u32]) = match run {
        Run::Engines => (&[8, 512], &[1]),
        _ => (&[64], &[1, 16]),
    };
    let asked =
        |asked: &[u32], default: &[u32]| if asked.is_empty() { default.to_vec() } else { asked.to_vec() };
    let (connections, depths) = (asked(&options.connections, connections), asked(&options.pipeline, depths));
    let at_depth = |&depth: &u32| {
        connections.iter().map(move |&connections| Shape { connections, depth }).collect::<Vec<_>>()
    };
    depths.iter().flat_map(at_depth).collect()
}

fn title(shape: Shape) -> String {
    match shape.depth {
        1 => format!("{} connections", shape.connections),
        depth => format!("{} connections, {depth} requests in flight on each", shape.connections),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(connections: &[u32], pipeline: &[u32]) -> Options {
        Options { connections: connections.to_vec(), pipeline: pipeline.to_vec(), who: Who::default() }
    }

    #[test]
    fn what_was_not_asked_for_has_its_default() {
        let names =
            |options: &Options, run| shapes(options, run).iter().map(Shape::to_string).collect::<Vec<_>>();
        assert_eq!(names(&options(&[], &[]), Run::Server), ["64", "64 × 16"]);
        assert_eq!(names(&options(&[], &[]), Run::Engines), ["8", "512"]);
        assert_eq!(names(&options(&[1, 2], &[3]), Run::Server), ["1 × 3", "2 × 3"]);
    }

    #[test]
    fn a_row_has_the_samples_of_its_load() {
        let contender = contender::named(contender::RING_FLOOR).unwrap();
        let sample = |rate| Sample::from([(RATE, rate)]);
        let series = [Series {
            who: contender,
            samples: vec![vec![sample(1.0), sample(10.0)], vec![sample(2.0), sample(20.0)]],
        }];
        let shapes = shapes(&options(&[], &[]), Run::Server);
        let rows = rows(&series, &shapes, "0");
        assert_eq!((rows[0].case.as_str(), rows[0].numbers(RATE)), ("64", &[1.0, 2.0][..]));
        assert_eq!((rows[1].case.as_str(), rows[1].numbers(RATE)), ("64 × 16", &[10.0, 20.0][..]));
    }
}
