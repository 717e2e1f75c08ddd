//! `/add` against a second implementation that is slow, obvious, and shares no code with the first.
//!
//! The reference reads JSON by recursive descent into a tree, adds every pair of integers with
//! num-bigint, and counts on the standard library for doubles. Every body goes three ways: the answer,
//! the answer without the fast path, and the reference; all three must agree to the byte.

#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

use num_bigint::BigInt;
use proptest::collection::vec;
use proptest::prelude::*;
use server::handlers::add::{Problem, answer, answer_by_general_path};

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn two_numbers_of_any_kind(body in addition(number)) {
        agree(body.as_bytes());
    }

    #[test]
    fn two_small_integers_with_something_off(body in damaged(addition(small))) {
        agree(&body);
    }

    #[test]
    fn members_of_all_sorts(body in object(vec(prop_oneof![operand(value()), other(value())], 0..5))) {
        agree(body.as_bytes());
    }

    #[test]
    fn members_of_all_sorts_with_something_off(body in damaged(object(vec(operand(value()), 1..4)))) {
        agree(&body);
    }

    #[test]
    fn any_value_at_all(body in damaged(value())) {
        agree(&body);
    }

    #[test]
    fn letters_from_the_alphabet_of_json(body in "[{}\\[\\]:,\"ab019.eE+\\- \\\\ud8c\t\u{e9}]{0,40}") {
        agree(body.as_bytes());
    }

    #[test]
    fn any_bytes_at_all(body in vec(any::<u8>(), 0..200)) {
        agree(&body);
    }
}

#[test]
fn operands_at_the_limit_of_digits() {
    for digits in [4_299, 4_300, 4_301] {
        for (sign, tail) in [("", ""), ("-", ""), ("", ".0"), ("-", "e-4200"), ("", "e1")] {
            let long = format!("{sign}{}{tail}", "9".repeat(digits));
            agree(format!("{{\"a\":{long},\"b\":1}}").as_bytes());
            agree(format!("{{\"b\":{long},\"a\":-1e0}}").as_bytes());
            agree(format!("{{\"a\":{long},\"b\":{long}}}").as_bytes());
        }
    }
}

#[test]
fn integers_around_every_power_of_two() {
    for bit in 50..140 {
        for near in -2..=2 {
            let x: BigInt = (BigInt::from(1) << bit) + near;
            for (a, b) in
                [(x.clone(), x.clone()), (x.clone(), -&x), (-&x, BigInt::from(-1)), (x, BigInt::from(1))]
            {
                agree(format!("{{\"a\":{a},\"b\":{b}}}").as_bytes());
            }
        }
    }
}

/// What the caller sees: the status, and the body of a 200.
type Verdict = Result<String, u16>;

#[track_caller]
fn agree(body: &[u8]) {
    let expected = reference(body);
    let shown = String::from_utf8_lossy(body);
    assert_eq!(verdict(answer, body), expected, "answer, {shown:?}");
    assert_eq!(verdict(answer_by_general_path, body), expected, "general path, {shown:?}");
    if let Ok(text) = expected {
        reads_back(&text);
    }
}

fn verdict(path: fn(&[u8], &mut Vec<u8>) -> Result<(), Problem>, body: &[u8]) -> Verdict {
    let mut out = b"head".to_vec();
    let status = match path(body, &mut out) {
        Ok(()) => return Ok(String::from_utf8(out).unwrap().strip_prefix("head").unwrap().to_owned()),
        Err(Problem::Malformed(_)) => 400,
        Err(Problem::Unprocessable(_)) => 422,
    };
    assert_eq!(out, b"head", "what was there before stays as it was");
    Err(status)
}

/// The number in an answer is JSON, and what it says is what it was written from.
fn reads_back(answer: &str) {
    let Ok(Json::Object(members)) = Reader::read(answer) else { panic!("not an object: {answer}") };
    let [(name, Json::Number(text))] = members.as_slice() else { panic!("not one number: {answer}") };
    assert_eq!(name, "result");
    let again = match text.parse::<BigInt>() {
        Ok(integer) => integer.to_string(),
        Err(_) => serde_json::to_string(&text.parse::<f64>().unwrap()).unwrap(),
    };
    assert_eq!(&again, text);
}

fn reference(body: &[u8]) -> Verdict {
    let text = std::str::from_utf8(body).map_err(|_| 400_u16)?;
    let Json::Object(members) = Reader::read(text).map_err(|()| 400_u16)? else { return Err(422) };
    let named =
        |name: &str| members.iter().filter(|member| member.0 == name).map(|m| &m.1).collect::<Vec<_>>();
    let (a, b) = (named("a"), named("b"));
    if a.len() > 1 || b.len() > 1 {
        return Err(400);
    }
    let ([Json::Number(a)], [Json::Number(b)]) = (a.as_slice(), b.as_slice()) else { return Err(422) };
    Ok(format!("{{\"result\":{}}}", sum(a, b).ok_or(422_u16)?))
}

fn sum(a: &str, b: &str) -> Option<String> {
    if a.contains(['.', 'e', 'E']) || b.contains(['.', 'e', 'E']) {
        let (x, y): (f64, f64) = (a.parse().unwrap(), b.parse().unwrap());
        // An operand that is infinite makes the sum infinite, or no number at all.
        return (x + y).is_finite().then(|| serde_json::to_string(&(x + y)).unwrap());
    }
    let digits = |text: &str| text.trim_start_matches('-').len();
    (digits(a) <= 4_300 && digits(b) <= 4_300)
        .then(|| (a.parse::<BigInt>().unwrap() + b.parse::<BigInt>().unwrap()).to_string())
}

enum Json {
    Object(Vec<(String, Json)>),
    Number(String),
    Other,
}

/// RFC 8259, rule by rule.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn read(text: &str) -> Result<Json, ()> {
        let mut reader = Reader(text);
        let json = reader.value()?;
        if reader.0.is_empty() { Ok(json) } else { Err(()) }
    }

    /// A value and the whitespace around it.
    fn value(&mut self) -> Result<Json, ()> {
        self.space();
        let json = match self.0.chars().next().ok_or(())? {
            '{' => self.object()?,
            '[' => self.array()?,
            '"' => self.string().map(|_| Json::Other)?,
            '-' | '0'..='9' => self.number()?,
            _ if ["true", "false", "null"].iter().any(|word| self.eat(word)) => Json::Other,
            _ => return Err(()),
        };
        self.space();
        Ok(json)
    }

    fn object(&mut self) -> Result<Json, ()> {
        let mut members = Vec::new();
        self.must("{")?;
        self.space();
        if self.eat("}") {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.must(":")?;
            members.push((name, self.value()?));
            if self.eat("}") {
                return Ok(Json::Object(members));
            }
            self.must(",")?;
        }
    }

    fn array(&mut self) -> Result<Json, ()> {
        self.must("[")?;
        self.space();
        if self.eat("]") {
            return Ok(Json::Other);
        }
        loop {
            self.value()?;
            if self.eat("]") {
                return Ok(Json::Other);
            }
            self.must(",")?;
        }
    }

    fn number(&mut self) -> Result<Json, ()> {
        let whole = self.0;
        self.eat("-");
        if !self.eat("0") {
            self.digits()?;
        }
        if self.eat(".") {
            self.digits()?;
        }
        if self.eat("e") || self.eat("E") {
            let _ = self.eat("+") || self.eat("-");
            self.digits()?;
        }
        Ok(Json::Number(whole[..whole.len() - self.0.len()].to_owned()))
    }

    fn digits(&mut self) -> Result<(), ()> {
        let rest = self.0.trim_start_matches(|c: char| c.is_ascii_digit());
        let some = rest.len() < self.0.len();
        self.0 = rest;
        if some { Ok(()) } else { Err(()) }
    }

    /// Collected as UTF-16, where a lone half of a pair shows when it is turned into a string.
    fn string(&mut self) -> Result<String, ()> {
        self.must("\"")?;
        let mut units = Vec::new();
        loop {
            let c = self.next()?;
            match c {
                '"' => return String::from_utf16(&units).map_err(|_| ()),
                '\\' => units.push(self.escape()?),
                '\0'..='\u{1f}' => return Err(()),
                _ => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Result<u16, ()> {
        Ok(match self.next()? {
            c @ ('"' | '\\' | '/') => c as u16,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'u' => {
                let mut unit = 0;
                for _ in 0..4 {
                    unit = unit * 16 + self.next()?.to_digit(16).ok_or(())? as u16;
                }
                unit
            }
            _ => return Err(()),
        })
    }

    fn next(&mut self) -> Result<char, ()> {
        let c = self.0.chars().next().ok_or(())?;
        self.0 = &self.0[c.len_utf8()..];
        Ok(c)
    }

    fn eat(&mut self, word: &str) -> bool {
        let rest = self.0.strip_prefix(word);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn must(&mut self, word: &str) -> Result<(), ()> {
        if self.eat(word) { Ok(()) } else { Err(()) }
    }

    fn space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}

/// Up to 20 digits: the fast path's ground, and a little beyond.
fn small() -> impl Strategy<Value = String> {
    prop_oneof!["-?(0|[1-9][0-9]{0,4})", "-?[1-9][0-9]{14,19}"]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => small(),
        1 => any::<i64>().prop_map(|x| x.to_string()),
        1 => any::<i128>().prop_map(|x| x.to_string()),
        1 => "-?[1-9][0-9]{30,400}",
        1 => "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,30}",
        1 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,10})?[eE][+-]?[0-9]{1,3}",
        1 => "-?0\\.0{0,400}[0-9]{1,900}",
        1 => finite().prop_map(|x| format!("{x:?}")),
        1 => finite().prop_map(|x| format!("{x:e}")),
    ]
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("JSON has no such number", |x| x.is_finite())
}

/// Any JSON at all, a few levels deep. Mostly numbers.
fn value() -> impl Strategy<Value = String> {
    let flat = prop_oneof![
        6 => number(),
        1 => string("[ -!#-\\[\\]-~]{0,10}"),
        1 => string("(a|\u{e9}|\u{1f600}|\\\\[\"\\\\/bfnrtu]|\\\\u[dD][89a-dA-D][0-9a-f]{2}){0,4}"),
        1 => prop_oneof!["true", "false", "null"],
    ];
    flat.boxed().prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            object(vec(prop_oneof![operand(inner.clone()), other(inner)], 0..4)),
        ]
    })
}

fn string(inside: &'static str) -> impl Strategy<Value = String> {
    inside.prop_map(|inside| format!("\"{inside}\""))
}

/// An object of `a` and `b` in either order, and sometimes another member.
fn addition<S: Strategy<Value = String>>(number: fn() -> S) -> impl Strategy<Value = String> {
    let a = member(Just("\"a\"".to_owned()), number());
    let b = member(Just("\"b\"".to_owned()), number());
    let rest = vec(other(number()), 0..=1);
    object((a, b, rest).prop_map(|(a, b, rest)| [vec![a, b], rest].concat()).prop_shuffle())
}

/// A member named `a` or `b`, spelled in one of its ways.
fn operand(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    member(prop_oneof![8 => "\"[ab]\"", 1 => "\"\\\\u006[12]\""], value)
}

fn other(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    member(string("[a-cA-B]{0,2}"), value)
}

fn member(
    name: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (name, space(), space(), value).prop_map(|(name, s, t, value)| format!("{name}{s}:{t}{value}"))
}

fn object(members: impl Strategy<Value = Vec<String>>) -> impl Strategy<Value = String> {
    (members, space(), space(), space(), space())
        .prop_map(|(members, s, t, u, v)| format!("{s}{{{t}{}{u}}}{v}", members.join(&format!("{t},{u}"))))
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(String::new()), 1 => "[ \t\r\n]{0,3}"]
}

/// A body with some bytes changed, taken out, or put in; or none.
fn damaged(body: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![proptest::sample::select(&b"{}[]:,\"\\ab019.eE+- \n\0\x0c\xff\xc3"[..]), any::<u8>()];
    (body, vec((any::<prop::sample::Index>(), byte, 0..3_u8), 0..3)).prop_map(|(body, damages)| {
        let mut body = body.into_bytes();
        for (place, byte, how) in damages {
            let at = place.index(body.len() + 1);
            match how {
                0 => body.insert(at, byte),
                1 if at < body.len() => body[at] = byte,
                _ if at < body.len() => drop(body.remove(at)),
                _ => body.push(byte),
            }
        }
        body
    })
}
