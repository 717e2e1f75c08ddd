//! The common body, read by hand: `{"a":1,"b":2}` in either order, with any JSON whitespace.
//!
//! In: a body. Out: the sum, or None for "ask the general path". It never says that a body is wrong,
//! so it can't be wrong about that.

/// Digits per operand. Two numbers below 10^18 have a sum below 2 * 10^18, and an `i64` holds 9.2 * 10^18:
/// nothing here can overflow.
const DIGITS_MAX: usize = 18;

/// The sum, if `body` is exactly the shape that this file knows.
#[inline]
pub(super) fn sum(body: &[u8]) -> Option<i64> {
    let mut text = Text(body);
    text.eat(b'{')?;
    let (first, x) = text.member()?;
    text.eat(b',')?;
    let (second, y) = text.member()?;
    text.eat(b'}')?;
    text.skip_space();
    (text.0.is_empty() && first != second).then_some(x + y)
}

/// What is left to read.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    /// `"a": 12` or `"b": 12`: the name's one byte, and the number.
    #[inline]
    fn member(&mut self) -> Option<(u8, i64)> {
        self.eat(b'"')?;
        let [name @ (b'a' | b'b'), b'"', rest @ ..] = self.0 else { return None };
        self.0 = rest;
        self.eat(b':')?;
        Some((*name, self.integer()?))
    }

    /// An integer as JSON writes it: no `+`, no leading zero. A fraction or an exponent behind it is
    /// left for the next `eat` to stumble over.
    #[inline]
    fn integer(&mut self) -> Option<i64> {
        self.skip_space();
        let (negative, digits) = match self.0 {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut value = 0;
        let mut len = 0;
        for digit in digits.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|&digit| digit < 10) {
            if len == DIGITS_MAX {
                return None;
            }
            value = value * 10 + i64::from(digit);
            len += 1;
        }
        if len == 0 || (len > 1 && digits[0] == b'0') {
            return None;
        }
        self.0 = &digits[len..];
        Some(if negative { -value } else { value })
    }

    /// Takes `byte`, after any whitespace.
    #[inline]
    fn eat(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == byte).then_some(())
    }

    /// RFC 8259, 2: space, tab, line feed, carriage return, and no other.
    #[inline]
    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }
}
