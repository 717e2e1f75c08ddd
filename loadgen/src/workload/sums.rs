//! Requests that ask for a sum, and the reading of their answers.
//!
//! In: a random generator, or a sum; later a body. Out: operands, the bytes of a body, and what number came
//! back. Every number is exact in an IEEE double, so that a server in JavaScript can pass. Never: allocates
//! on the usual answer.

use super::expect::is_same_number;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::Number;

/// Above this, doubles skip whole numbers (2^53 - 1).
pub(crate) const EXACT_MAX: i64 = (1 << 53) - 1;
/// Operands have at most so many digits: two of them still add up to an exact sum.
const DIGITS_MAX: u32 = 15;
/// Keys name requests of their own up to here: the largest operand.
pub(crate) const KEYS_MAX: u64 = 10u64.pow(DIGITS_MAX) - 1;

/// Powers of ten: of a random exponent, computing one costs a mispredicted branch or two.
static POWERS: [u64; DIGITS_MAX as usize + 1] = powers();

const fn powers() -> [u64; DIGITS_MAX as usize + 1] {
    let mut powers = [1; DIGITS_MAX as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
}

/// What is to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operands {
    pub(crate) a: i64,
    pub(crate) b: i64,
}

impl Operands {
    /// Any two, of either sign and any width.
    pub(crate) fn random(rng: &mut Xoshiro256PlusPlus) -> Operands {
        Operands { a: operand(rng), b: operand(rng) }
    }

    /// Those of a key, from 1 to [`KEYS_MAX`]: always the same for the same seed, and other ones for another
    /// key.
    pub(crate) fn of_key(seed: u64, key: u64) -> Operands {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed.rotate_left(32) ^ key);
        let sign = if rng.next_u64() & 1 == 0 { 1 } else { -1 };
        Operands { a: sign * key as i64, b: operand(&mut rng) }
    }

    /// Any two with this sum, which must be from 0 to [`EXACT_MAX`].
    pub(crate) fn of_sum(sum: i64, rng: &mut Xoshiro256PlusPlus) -> Operands {
        let part = operand(rng);
        // Of the two ways to take it off, one keeps the rest exact.
        let a = if sum - part > EXACT_MAX { -part } else { part };
        Operands { a, b: sum - a }
    }

    pub(crate) fn sum(self) -> i64 {
        self.a + self.b
    }

    /// Appends the length of the body, the end of the head, and the body.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let (mut a, mut b) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (a, b) = (a.format(self.a).as_bytes(), b.format(self.b).as_bytes());
        // From 13 to 45: two digits, whatever the operands.
        let length = br#"{"a":,"b":}"#.len() + a.len() + b.len();
        out.reserve(length + 6);
        out.extend_from_slice(&[b'0' + (length / 10) as u8, b'0' + (length % 10) as u8]);
        out.extend_from_slice(b"\r\n\r\n{\"a\":");
        out.extend_from_slice(a);
        out.extend_from_slice(b",\"b\":");
        out.extend_from_slice(b);
        out.push(b'}');
    }
}

/// A number of 1 to [`DIGITS_MAX`] digits, each width as often as the next.
fn operand(rng: &mut Xoshiro256PlusPlus) -> i64 {
    let bits = rng.next_u64();
    // 8 bits choose the width, one the sign, and 55, more than the widest needs, the number.
    let width = 1 + (((bits & 0xff) as usize * DIGITS_MAX as usize) >> 8);
    let number = ((u128::from(bits >> 9) * u128::from(POWERS[width])) >> 55) as i64;
    if bits & 0x100 == 0 { number } else { -number }
}

/// The number in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The sum.
    Right,
    /// Another whole number.
    Other(i64),
    /// Another number, not whole or too large to be one of ours.
    Odd,
    /// The body is no `{"result":NUMBER}`.
    None,
}

impl Answer {
    /// Reads the body of an answer that should say `sum`.
    pub(crate) fn read(body: &[u8], sum: i64) -> Answer {
        if is_usual(body, sum) { Answer::Right } else { read_any(body, sum) }
    }
}

/// `{"result":SUM}`, as most servers write it: perhaps with a space, or white space behind.
fn is_usual(body: &[u8], sum: i64) -> bool {
    let Some(rest) = body.strip_prefix(br#"{"result":"#) else {
        return false;
    };
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(sum).as_bytes();
    match rest.strip_prefix(digits) {
        Some(b"}") => true,
        Some([b'}', behind @ ..]) => behind.trim_ascii().is_empty(),
        _ => false,
    }
}

fn read_any(body: &[u8], sum: i64) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        result: Number,
    }
    let Ok(Body { result }) = serde_json::from_slice(body) else {
        return Answer::None;
    };
    let whole = result.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT_MAX as f64);
    match result.as_i64().or(whole.map(|number| number as i64)) {
        _ if is_same_number(&result, &Number::from(sum)) => Answer::Right,
        Some(number) => Answer::Other(number),
        None => Answer::Odd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn body(operands: Operands) -> String {
        let mut out = Vec::new();
        operands.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_length_in_front_is_that_of_the_body() {
        let widest = -(10i64.pow(15) - 1);
        for (a, b) in [(0, 0), (1, -2), (widest, widest), (EXACT_MAX, -EXACT_MAX)] {
            let text = body(Operands { a, b });
            let (length, json) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(length, json.len().to_string());
            assert_eq!(json, format!("{{\"a\":{a},\"b\":{b}}}"));
        }
    }

    #[test]
    fn operands_come_in_every_width_and_both_signs() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let count = 60_000;
        let (mut widths, mut negative) = ([0; 16], 0);
        for _ in 0..count {
            let number = operand(&mut rng);
            negative += i32::from(number < 0);
            widths[number.unsigned_abs().to_string().len()] += 1;
        }
        assert!((27_000..31_000).contains(&negative), "{negative}");
        // Nine tenths of those drawn with a width have it, and a tenth of the next one's is narrower.
        for (width, &seen) in widths.iter().enumerate().skip(1) {
            assert!((3_200..4_700).contains(&seen), "{seen} of width {width}");
        }
    }

    #[test]
    fn every_key_has_a_request_of_its_own_that_stays() {
        let of_seed = |seed| (1..5_000).map(move |key| body(Operands::of_key(seed, key)));
        assert_eq!(of_seed(1).collect::<HashSet<_>>().len(), 4_999);
        assert!(of_seed(1).eq(of_seed(1)));
        let same = of_seed(1).zip(of_seed(2)).filter(|(one, other)| one == other).count();
        assert!(same < 500, "{same} requests are the same for another seed");
    }

    #[test]
    fn a_sum_is_read_in_every_way_that_json_writes_it() {
        for text in [
            r#"{"result":1000}"#,
            r#"{"result": 1000}"#,
            "{\"result\":1000}\r\n ",
            r#"{"result":1000.0}"#,
            r#"{"result":1e3}"#,
            r#"{ "x": [1], "result" : 1000 }"#,
        ] {
            assert_eq!(Answer::read(text.as_bytes(), 1000), Answer::Right, "{text}");
        }
    }

    #[test]
    fn what_is_not_the_sum_is_told_apart_from_what_is_no_answer() {
        for (text, answer) in [
            (r#"{"result":100}"#, Answer::Other(100)),
            (r#"{"result":10000}"#, Answer::Other(10000)),
            (r#"{"result":-1000}"#, Answer::Other(-1000)),
            (r#"{"result":2e3}"#, Answer::Other(2000)),
            (r#"{"result":1000.5}"#, Answer::Odd),
            (r#"{"result":1e300}"#, Answer::Odd),
            (r#"{"result":18446744073709551615}"#, Answer::Odd),
            (r#"{"result":"1000"}"#, Answer::None),
            (r#"{"result":1000"#, Answer::None),
            (r#"{"result":1000}}"#, Answer::None),
            (r#"{"result":1000}{"result":1000}"#, Answer::None),
            (r#"{"result":1000,"result":1}"#, Answer::None),
            (r#"{"result":01000}"#, Answer::None),
            (r#"{"sum":1000}"#, Answer::None),
            ("1000", Answer::None),
            ("", Answer::None),
        ] {
            assert_eq!(Answer::read(text.as_bytes(), 1000), answer, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn all_numbers_are_exact(
            seed in any::<u64>(),
            key in 1..=KEYS_MAX,
            sum in prop_oneof![0..=EXACT_MAX, EXACT_MAX - 9..=EXACT_MAX],
        ) {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let of_sum = Operands::of_sum(sum, &mut rng);
            prop_assert_eq!(of_sum.sum(), sum);
            for operands in [Operands::random(&mut rng), Operands::of_key(seed, key), of_sum] {
                for number in [operands.a, operands.b, operands.sum()] {
                    prop_assert!(number.abs() <= EXACT_MAX, "{:?}", operands);
                }
            }
        }

        #[test]
        fn a_sum_is_known_when_it_comes(sum in -EXACT_MAX..=EXACT_MAX, other in any::<i32>()) {
            for text in [format!("{{\"result\":{sum}}}"), format!("{{\"result\":{sum}.0}}")] {
                prop_assert_eq!(Answer::read(text.as_bytes(), sum), Answer::Right);
                let wrong = Answer::read(text.as_bytes(), i64::from(other));
                prop_assert!(i64::from(other) == sum || wrong == Answer::Other(sum));
            }
        }
    }
}
