//! Two numbers as JSON writes them, and their sum with nothing lost.
//!
//! In: two texts that are JSON numbers. Out: the sum, and its text. Integers are tried narrow first: `i64`,
//! `i128`, then big ones. A fraction or an exponent in either makes both of them doubles.

use std::io::Write as _;

use num_bigint::BigInt;

use super::DIGITS_MAX;
use super::problem::{Member, Unprocessable};

/// From this length on a number with an exponent is shortened before the standard library reads it.
///
/// Its exponent stops growing at 65,536 or soon after, which is right unless as many zeros stand on the
/// other side of the point to make up for it: `0.<a million zeros>1e1000001` is 1, not 0.
const LONG_BYTES: usize = 60_000;

/// Digits that can matter to a double's last bit: 767 (Handbook of Floating-Point Arithmetic, 2.8),
/// and one more that stands for "not all of the rest is zero".
const DIGITS_THAT_COUNT: usize = 770;

/// A sum, in the narrowest type that held it.
#[derive(Debug)]
pub(super) enum Sum {
    Word(i64),
    Wide(i128),
    Big(BigInt),
    /// Finite.
    Double(f64),
}

/// Adds two JSON numbers.
pub(super) fn sum(a: &str, b: &str) -> Result<Sum, Unprocessable> {
    if is_integer(a) && is_integer(b) { integers(a, b) } else { doubles(a, b) }
}

fn is_integer(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

fn integers(a: &str, b: &str) -> Result<Sum, Unprocessable> {
    if let (Ok(x), Ok(y)) = (a.parse::<i64>(), b.parse::<i64>())
        && let Some(sum) = x.checked_add(y)
    {
        return Ok(Sum::Word(sum));
    }
    if let (Ok(x), Ok(y)) = (a.parse::<i128>(), b.parse::<i128>())
        && let Some(sum) = x.checked_add(y)
    {
        return Ok(Sum::Wide(sum));
    }
    Ok(Sum::Big(big(Member::A, a)? + big(Member::B, b)?))
}

fn big(member: Member, text: &str) -> Result<BigInt, Unprocessable> {
    let digits = text.trim_start_matches('-').len();
    if digits > DIGITS_MAX {
        return Err(Unprocessable::TooManyDigits { member, digits });
    }
    // An integer that JSON allows is one that num-bigint reads; if not, this is the honest answer.
    text.parse().map_err(|_| Unprocessable::TooManyDigits { member, digits })
}

fn doubles(a: &str, b: &str) -> Result<Sum, Unprocessable> {
    let sum = double(Member::A, a)? + double(Member::B, b)?;
    if sum.is_finite() { Ok(Sum::Double(sum)) } else { Err(Unprocessable::SumTooLarge) }
}

fn double(member: Member, text: &str) -> Result<f64, Unprocessable> {
    let value = if text.len() < LONG_BYTES { text.parse() } else { shortened(text).parse() };
    value.ok().filter(|value: &f64| value.is_finite()).ok_or(Unprocessable::TooLarge(member))
}

/// A shorter number that reads as the same double: `-12.5e3` becomes `-0.125e5`.
#[cold]
fn shortened(text: &str) -> String {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let zeros = whole.bytes().chain(fraction.bytes()).take_while(|&byte| byte == b'0').count();
    let mut digits = whole.bytes().chain(fraction.bytes()).skip(zeros);
    let mut kept: String = digits.by_ref().take(DIGITS_THAT_COUNT).map(char::from).collect();
    if digits.any(|byte| byte != b'0') {
        kept.push('1');
    }
    let point = whole.len() as i64 - zeros as i64;
    // A text of less than 2 GiB moves the point by less than 2^31: beyond that the exponent alone decides.
    let exponent = clamped(exponent, 1 << 40) + point;
    format!("{sign}0.{kept}e{}", exponent.clamp(-10_000, 10_000))
}

/// A decimal integer of any length, cut off at `limit` on either side of zero.
fn clamped(text: &str, limit: i64) -> i64 {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let size = digits.bytes().fold(0, |size, digit| (size * 10 + i64::from(digit & 15)).min(limit));
    if negative { -size } else { size }
}

impl Sum {
    /// Appends `{"result":<sum>}` to `out`.
    #[inline]
    pub(super) fn append(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"result\":");
        match self {
            Sum::Word(sum) => out.extend_from_slice(itoa::Buffer::new().format(sum).as_bytes()),
            Sum::Wide(sum) => out.extend_from_slice(itoa::Buffer::new().format(sum).as_bytes()),
            Sum::Double(sum) => out.extend_from_slice(zmij::Buffer::new().format_finite(sum).as_bytes()),
            // A Vec takes all that is written to it.
            Sum::Big(sum) => drop(write!(out, "{sum}")),
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_number_keeps_its_value_when_shortened() {
        for text in
            ["0", "-0", "0.0", "1", "-12.5e3", "1E400", "1e-400", "0.000123", "100200.00300e-07", "5e-324"]
        {
            let [short, long] = [shortened(text), text.to_owned()].map(|t| t.parse::<f64>().unwrap());
            assert_eq!(short.to_bits(), long.to_bits(), "{text}");
        }
    }

    #[test]
    fn digits_far_behind_the_point_still_break_a_tie() {
        // 1 + 2^-53 lies half way between two doubles: exactly there it rounds to the even one, 1.
        let tie = "1.00000000000000011102230246251565404236316680908203125";
        let zeros = "0".repeat(2_000);
        assert_eq!(shortened(&format!("{tie}{zeros}")).parse(), Ok(1.0));
        assert_eq!(shortened(&format!("{tie}{zeros}1")).parse(), Ok(1.0 + f64::EPSILON));
    }

    #[test]
    fn an_exponent_may_undo_a_million_zeros() {
        let n = 1_000_000;
        let zeros = "0".repeat(n);
        assert_eq!(shortened(&format!("-0.{zeros}1e{}", n + 1)).parse(), Ok(-1.0));
        assert_eq!(shortened(&format!("1{zeros}E-{n}")).parse(), Ok(1.0));
        assert_eq!(shortened(&format!("1{zeros}e-99999999999999999999999")).parse(), Ok(0.0));
    }
}
