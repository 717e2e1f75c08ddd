//! How each kind of value is written: one way, for the file and for flags.
//!
//! In: text. Out: a value, or one line that says what would be right; and back to the text that is read as the same value.
//! Never: a key's bounds (those are in `keys`).

mod fleet;
mod http;

pub(crate) use fleet::{Network, ServerText, WEIGHT_MAX, name};
pub(crate) use http::{HOST_BYTES_MAX, HostText, LogPlace, OwnHeader, Statuses, TARGET_BYTES_MAX, Via};

use clap::ValueEnum;
use net::address::Address;
use net::command_line::{Size, Time};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{SerializeSeq, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// What stands for nothing, wherever nothing is possible.
pub(crate) const NONE: &str = "none";

/// Longest name of anything: it stands in every line of the log and every sample of the metrics.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// A kind of text.
pub(crate) trait Form {
    /// What it means.
    type Value;

    /// Reads it. The error is one line that says what would be right.
    fn read(text: &str) -> Result<Self::Value, String>;

    /// Writes it so that it is read as the same.
    fn show(value: &Self::Value) -> String;
}

/// A field of this form, for `#[serde(with = "As::<…>")]`.
pub(crate) struct As<F>(PhantomData<F>);

impl<F: Form> As<F> {
    pub(crate) fn serialize<S: Serializer>(value: &F::Value, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&F::show(value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<F::Value, D::Error> {
        deserializer.deserialize_str(As::<F>(PhantomData))
    }
}

// The error must come from inside of the visit: only there does the TOML reader know the place.
impl<F: Form> Visitor<'_> for As<F> {
    type Value = F::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<F::Value, E> {
        F::read(text).map_err(E::custom)
    }
}

/// A list of this form, for `#[serde(with = "Each::<…>")]`.
pub(crate) struct Each<F>(PhantomData<F>);

impl<F: Form> Each<F> {
    pub(crate) fn serialize<S: Serializer>(values: &[F::Value], serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(values.len()))?;
        values.iter().try_for_each(|value| list.serialize_element(&F::show(value)))?;
        list.end()
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<F::Value>, D::Error> {
        let items = Vec::<Item<F>>::deserialize(deserializer)?;
        Ok(items.into_iter().map(|item| item.0).collect())
    }
}

struct Item<F: Form>(F::Value);

impl<'de, F: Form> Deserialize<'de> for Item<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Item<F>, D::Error> {
        As::<F>::deserialize(deserializer).map(Item)
    }
}

/// A key that may be missing.
pub(crate) struct Maybe<F>(PhantomData<F>);

impl<F: Form> Form for Maybe<F> {
    type Value = Option<F::Value>;

    fn read(text: &str) -> Result<Option<F::Value>, String> {
        F::read(text).map(Some)
    }

    fn show(value: &Option<F::Value>) -> String {
        value.as_ref().map(F::show).unwrap_or_default()
    }
}

/// `none`, or a value.
pub(crate) struct OrNone<F>(PhantomData<F>);

impl<F: Form> Form for OrNone<F> {
    type Value = Option<F::Value>;

    fn read(text: &str) -> Result<Option<F::Value>, String> {
        if text == NONE { Ok(None) } else { F::read(text).map(Some) }
    }

    fn show(value: &Option<F::Value>) -> String {
        value.as_ref().map_or_else(|| NONE.to_owned(), F::show)
    }
}

/// Text that means itself.
pub(crate) struct Plain;

impl Form for Plain {
    type Value = String;

    fn read(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    fn show(value: &String) -> String {
        value.clone()
    }
}

/// Where to listen or connect.
pub(crate) struct Place;

impl Form for Place {
    type Value = Address;

    fn read(text: &str) -> Result<Address, String> {
        // A line break in a path would break every line that names it.
        if text.chars().any(char::is_control) {
            Err(format!("{text:?} has a control character"))
        } else {
            text.parse()
        }
    }

    fn show(value: &Address) -> String {
        value.to_string()
    }
}

/// One word of several.
pub(crate) struct Word<T>(PhantomData<T>);

impl<T: ValueEnum> Form for Word<T> {
    type Value = T;

    fn read(text: &str) -> Result<T, String> {
        T::from_str(text, false).map_err(|_| {
            let words: Vec<String> = T::value_variants().iter().map(Self::show).collect();
            format!("`{text}` is none of {}", words.join(", "))
        })
    }

    fn show(value: &T) -> String {
        value.to_possible_value().map(|word| word.get_name().to_owned()).unwrap_or_default()
    }
}

/// A length of time: `30s`.
pub(crate) struct Clock;

impl Form for Clock {
    type Value = Duration;

    fn read(text: &str) -> Result<Duration, String> {
        text.parse::<Time>().map(|time| time.0)
    }

    fn show(value: &Duration) -> String {
        const UNITS: [(&str, u128); 7] = [
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("min", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ];
        if value.is_zero() { "0s".to_owned() } else { in_largest(value.as_nanos(), &UNITS) }
    }
}

/// A number of bytes: `64KiB`.
pub(crate) struct Bytes;

impl Form for Bytes {
    type Value = usize;

    fn read(text: &str) -> Result<usize, String> {
        text.parse::<Size>().map(|size| size.0)
    }

    fn show(value: &usize) -> String {
        const UNITS: [(&str, u128); 5] =
            [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
        if *value == 0 { "0B".to_owned() } else { in_largest(*value as u128, &UNITS) }
    }
}

/// A number of bytes, or `none` for no limit, which is `u64::MAX`.
pub(crate) struct BytesOrNone;

impl Form for BytesOrNone {
    type Value = u64;

    fn read(text: &str) -> Result<u64, String> {
        OrNone::<Bytes>::read(text).map(|bytes| bytes.map_or(u64::MAX, |bytes| bytes as u64))
    }

    fn show(value: &u64) -> String {
        OrNone::<Bytes>::show(&usize::try_from(*value).ok().filter(|_| *value != u64::MAX))
    }
}

/// A share as a number from 0 to 1: `12.5%` is 0.125.
pub(crate) struct Share;

impl Form for Share {
    type Value = f64;

    fn read(text: &str) -> Result<f64, String> {
        let number =
            text.strip_suffix('%').filter(|text| text.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        let share = number.and_then(|number| number.parse::<f64>().ok()).map(|percent| percent / 100.0);
        share.ok_or_else(|| format!("`{text}` is no share: write a number and a %, as in 20%"))
    }

    fn show(value: &f64) -> String {
        // With as few decimals as mean the same; seventeen tell any two numbers apart.
        let text = |decimals: usize| format!("{:.decimals$}%", value * 100.0);
        (0..17).map(text).find(|text| Share::read(text) == Ok(*value)).unwrap_or_else(|| text(17))
    }
}

/// A share in whole percents: `20%` is 20.
pub(crate) struct Percent;

impl Form for Percent {
    type Value = u32;

    fn read(text: &str) -> Result<u32, String> {
        let number = text.strip_suffix('%').filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let percent = number.and_then(|number| number.parse().ok());
        percent.ok_or_else(|| format!("`{text}` is no share in whole percents: write it as in 20%"))
    }

    fn show(value: &u32) -> String {
        format!("{value}%")
    }
}

fn in_largest(number: u128, units: &[(&str, u128)]) -> String {
    let whole = units.iter().find(|(_, size)| number.is_multiple_of(*size));
    whole.map_or_else(|| number.to_string(), |(unit, size)| format!("{}{unit}", number / size))
}
