//! All numbers as OpenMetrics text.
//!
//! In: a view, and what the history summed. Out: the text. Numbers are copied once, so that a scrape is one moment. `families`
//! says which there are; this is how they are written. Never: a series twice.

mod families;

use super::history::History;
use crate::control::View;
use crate::fleet::{OCTAVES, STEPS, upper_end};
use net::time::UnixSeconds;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;

/// The type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names and values.
type Labels = Vec<(&'static str, String)>;

/// What has one name.
#[derive(Debug)]
struct Family {
    name: String,
    help: String,
    series: Series,
}

/// The kind of a family, with its series.
#[derive(Debug)]
enum Series {
    /// Only grows; its name gets `_total`.
    Counters(Vec<(Labels, Number)>),
    /// Goes up and down.
    Gauges(Vec<(Labels, Number)>),
    /// Latencies in seconds.
    Histograms(Vec<(Labels, Histogram)>),
}

/// A value.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(u64),
    Real(f64),
}

/// Counts by octave, and the sum of everything in seconds.
#[derive(Debug)]
struct Histogram {
    octaves: [u64; OCTAVES],
    sum: f64,
}

/// The text.
///
/// # Errors
/// A label could not be written: a bug.
pub(super) fn render(
    engine: &'static str,
    started: UnixSeconds,
    view: &View<'_>,
    history: &History,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(families::all(engine, started, view, history))));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Snapshot(Vec<Family>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Family { name, help, series } in &self.0 {
            let kind = match series {
                Series::Counters(_) => MetricType::Counter,
                Series::Gauges(_) => MetricType::Gauge,
                Series::Histograms(_) => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            match series {
                Series::Counters(series) => {
                    for (labels, number) in series {
                        let one = family.encode_family(labels)?;
                        match *number {
                            Number::Whole(value) => ConstCounter::new(value).encode(one)?,
                            Number::Real(value) => ConstCounter::new(value).encode(one)?,
                        }
                    }
                }
                Series::Gauges(series) => {
                    for (labels, number) in series {
                        let one = family.encode_family(labels)?;
                        match *number {
                            Number::Whole(value) => {
                                ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(one)?
                            }
                            Number::Real(value) => ConstGauge::new(value).encode(one)?,
                        }
                    }
                }
                Series::Histograms(series) => {
                    for (labels, Histogram { octaves, sum }) in series {
                        let buckets: Vec<(f64, u64)> =
                            octaves.iter().enumerate().map(|(octave, count)| (end(octave), *count)).collect();
                        let mut one = family.encode_family(labels)?;
                        one.encode_histogram::<NoLabelSet>(*sum, octaves.iter().sum(), &buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where an octave ends, in seconds; the last takes the rest.
fn end(octave: usize) -> f64 {
    if octave + 1 == OCTAVES { f64::INFINITY } else { upper_end((octave + 1) * STEPS - 1).as_secs_f64() }
}
