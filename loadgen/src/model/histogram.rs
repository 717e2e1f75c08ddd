//! One distribution of times, as it travels: an HDR histogram, in JSON as base64 of its compressed V2 form.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HdrReader, Serializer as _, V2DeflateSerializer};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest time that is told apart from longer ones: 2^37 ns, some 137 s.
pub const TIME_MAX_NS: u64 = (1 << 37) - 1;
/// Decimal digits that are kept of a time: an error of at most 0.1 %.
const DIGITS: u8 = 3;

/// Times in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency(pub Histogram<u64>);

impl Latency {
    /// No times.
    pub fn new() -> Latency {
        let histogram = Histogram::new_with_bounds(1, TIME_MAX_NS, DIGITS);
        Latency(histogram.expect("the bounds are in order, the digits are few"))
    }

    /// Adds one time; one over the longest counts as the longest.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Adds the same time `count` times.
    pub fn record_n(&mut self, ns: u64, count: u64) {
        self.0.saturating_record_n(ns, count);
    }

    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that the share `quantile` (0.99) of all is not over; zero of none.
    pub fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// The time at this place in order (1 is the shortest).
    pub fn at_rank(&self, rank: u64) -> u64 {
        let count = self.count().max(1);
        self.0.value_at_quantile((rank.clamp(1, count) as f64 - 0.5) / count as f64)
    }
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::new()
    }
}

/// What a reader may look at without decoding, and the histogram itself.
#[derive(Serialize, Deserialize)]
struct Written {
    count: u64,
    mean_ns: f64,
    min_ns: u64,
    max_ns: u64,
    percentiles_ns: Vec<(f64, u64)>,
    /// HdrHistogram, V2, compressed, base64; unit 1 ns.
    hdr: String,
}

/// Written beside the histogram, for readers without an HDR library.
const WRITTEN: [f64; 9] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 1.0];

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).map_err(S::Error::custom)?;
        let written = Written {
            count: self.0.len(),
            mean_ns: self.0.mean(),
            min_ns: self.0.min(),
            max_ns: self.0.max(),
            percentiles_ns: WRITTEN.iter().map(|&q| (q * 100.0, self.at(q))).collect(),
            hdr: BASE64_STANDARD.encode(bytes),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Latency, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(written.hdr).map_err(D::Error::custom)?;
        let read = HdrReader::new().deserialize(&mut &bytes[..]);
        let read: Histogram<u64> = read.map_err(|e| D::Error::custom(format!("hdr: {e:?}")))?;
        // Of our bounds, so that histograms can be added, whoever wrote them.
        let mut latency = Latency::new();
        for value in read.iter_recorded() {
            latency.0.saturating_record_n(value.value_iterated_to(), value.count_at_value());
        }
        Ok(latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut latency = Latency::new();
        for n in 0..10_000u64 {
            latency.record(n * n);
        }
        let text = serde_json::to_string(&latency).unwrap();
        let read: Latency = serde_json::from_str(&text).unwrap();
        assert_eq!(read.count(), 10_000);
        for rank in [1, 2, 5_000, 9_999, 10_000] {
            assert_eq!(read.at_rank(rank), latency.at_rank(rank), "{rank}");
        }
    }

    #[test]
    fn what_is_no_histogram_is_an_error_and_not_a_panic() {
        for hdr in ["", "!", "SElTVA==", "AAAAAAAAAAAAAAAAAAAA"] {
            let text = format!(
                r#"{{"count":1,"mean_ns":0,"min_ns":0,"max_ns":0,"percentiles_ns":[],"hdr":"{hdr}"}}"#
            );
            assert!(serde_json::from_str::<Latency>(&text).is_err(), "{hdr}");
        }
    }
}
