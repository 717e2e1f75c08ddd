//! Text with variables: `/items/{{key}}`, `{"n":{{random:1..1000}}}`.
//!
//! In: text, once; then the values of one request. Out: bytes appended. Never: looks for a variable while it
//! sends, or allocates once the output has room.

use rand::Rng;
use rand::distr::{Distribution, Uniform};

/// What may stand between the braces, for messages.
const KNOWN: &str = "{{random:LOW..HIGH}}, {{seq}}, {{key}}, {{line}}, and {{open}} for two braces";

/// Text, cut where its variables are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Template {
    /// No two texts in a row.
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(Vec<u8>),
    /// A whole number, both ends included; another one each time.
    Random(Uniform<i64>),
    Variable(Variable),
}

/// A variable that has one value in all of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// The request's number: 1, 2, 3 … over all lanes.
    Seq,
    /// 1 to `--keys`.
    Key,
    /// The next line of the file.
    Line,
}

/// The values for one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'v> {
    pub(crate) seq: u64,
    pub(crate) key: u64,
    pub(crate) line: &'v [u8],
}

impl Template {
    /// Cuts `text` into pieces.
    ///
    /// # Errors
    /// A variable that is none, with those that there are.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        let mut template = Template::default();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let Some((name, behind)) = behind.split_once("}}") else {
                return Err(format!("`{{{{{behind}` has no end: variables are {KNOWN}"));
            };
            template.push_text(before.as_bytes());
            match name.trim_matches(' ') {
                "open" => template.push_text(b"{{"),
                name => template.pieces.push(variable(name)?),
            }
            rest = behind;
        }
        template.push_text(rest.as_bytes());
        Ok(template)
    }

    /// Adds text at the end.
    pub(crate) fn push_text(&mut self, text: &[u8]) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(last)) => last.extend_from_slice(text),
            _ => self.pieces.push(Piece::Text(text.to_vec())),
        }
    }

    /// All of it, if it has no variables.
    pub(crate) fn fixed(&self) -> Option<&[u8]> {
        match &self.pieces[..] {
            [] => Some(b""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Does it have this variable?
    pub(crate) fn has(&self, variable: Variable) -> bool {
        self.pieces.contains(&Piece::Variable(variable))
    }

    /// How it could come out: each number a zero, and `line` as it is.
    pub(crate) fn example(&self, line: &str) -> String {
        let of = |piece: &Piece| match piece {
            Piece::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Piece::Variable(Variable::Line) => line.to_owned(),
            Piece::Random(_) | Piece::Variable(Variable::Seq | Variable::Key) => "0".to_owned(),
        };
        self.pieces.iter().map(of).collect()
    }

    /// Appends it with these values.
    pub(crate) fn write(&self, out: &mut Vec<u8>, values: &Values<'_>, rng: &mut impl Rng) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Random(range) => number(out, range.sample(rng)),
                Piece::Variable(Variable::Seq) => number(out, values.seq),
                Piece::Variable(Variable::Key) => number(out, values.key),
                Piece::Variable(Variable::Line) => out.extend_from_slice(values.line),
            }
        }
    }
}

/// Appends a number in decimal.
pub(crate) fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn variable(name: &str) -> Result<Piece, String> {
    match name.split_once(':') {
        None if name == "seq" => Ok(Piece::Variable(Variable::Seq)),
        None if name == "key" => Ok(Piece::Variable(Variable::Key)),
        None if name == "line" => Ok(Piece::Variable(Variable::Line)),
        Some(("random", range)) => random(range).ok_or(format!(
            "`{{{{{name}}}}}` needs two whole numbers, the lower one first, as in {{{{random:1..1000}}}}"
        )),
        _ => Err(format!("`{{{{{name}}}}}` is no variable: there are {KNOWN}")),
    }
}

fn random(range: &str) -> Option<Piece> {
    let (low, high) = range.split_once("..")?;
    let number = |text: &str| text.trim_matches(' ').parse::<i64>().ok();
    Uniform::new_inclusive(number(low)?, number(high)?).ok().map(Piece::Random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    const VALUES: Values<'_> = Values { seq: 7, key: 42, line: b"a line" };

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        Template::parse(text).unwrap().write(&mut out, &VALUES, &mut rng);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn variables_are_replaced_and_all_else_stays() {
        for (text, expected) in [
            ("", ""),
            ("{}", "{}"),
            ("}}", "}}"),
            (r#"{"a":{"b":{}}}"#, r#"{"a":{"b":{}}}"#),
            ("/{{key}}?{{seq}}&{{ line }}", "/42?7&a line"),
            ("{{seq}}{{seq}}", "77"),
            ("{{open}}seq}}", "{{seq}}"),
            ("{{random:5..5}}{{random: -3 .. -3 }}", "5-3"),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_says_which_there_are() {
        for text in ["{{", "a{{key", "{{}}", "{{keys}}", "{{Key}}", "{{seq:1}}", "{{{{seq}}}}", "{{\nseq}}"] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains("{{random:LOW..HIGH}}, {{seq}}, {{key}}"), "{text}: {error}");
        }
        for text in ["{{random:}}", "{{random:1}}", "{{random:2..1}}", "{{random:a..b}}", "{{random:1..1e3}}"]
        {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains("two whole numbers"), "{text}: {error}");
        }
    }

    #[test]
    fn text_without_variables_is_one_piece() {
        let mut template = Template::parse("a{{open}}b").unwrap();
        template.push_text(b"c");
        assert_eq!(template.fixed(), Some(&b"a{{bc"[..]));
        let mut template = Template::parse("a{{seq}}{{line}}b").unwrap();
        template.push_text(b"c");
        assert_eq!(template.fixed(), None);
        assert!(template.has(Variable::Seq) && template.has(Variable::Line) && !template.has(Variable::Key));
        assert_eq!(template.example("x"), "a0xbc");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn text_without_braces_is_sent_as_it_is(text in "[^{}]{0,40}") {
            let template = Template::parse(&text).unwrap();
            prop_assert_eq!(template.fixed(), Some(text.as_bytes()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[{}a-z:. 0-9]{0,30}") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert!(template.example("x").len() <= text.len() + 16);
            }
        }

        #[test]
        fn random_numbers_stay_in_range(low in any::<i64>(), high in any::<i64>(), seed in any::<u64>()) {
            let (low, high) = (low.min(high), low.max(high));
            let template = Template::parse(&format!("{{{{random:{low}..{high}}}}}")).unwrap();
            let mut out = Vec::new();
            template.write(&mut out, &VALUES, &mut Xoshiro256PlusPlus::seed_from_u64(seed));
            let number: i64 = str::from_utf8(&out).unwrap().parse().unwrap();
            prop_assert!((low..=high).contains(&number));
        }
    }

    #[test]
    fn random_numbers_are_spread_evenly_with_both_ends() {
        let template = Template::parse("{{random:1..4}}").unwrap();
        let (mut out, mut rng) = (Vec::new(), Xoshiro256PlusPlus::seed_from_u64(5));
        let count = 40_000;
        for _ in 0..count {
            template.write(&mut out, &VALUES, &mut rng);
        }
        // Six standard deviations of a quarter of all.
        let allowed = 6.0 * (f64::from(count) * 0.25 * 0.75).sqrt();
        for digit in b'1'..=b'4' {
            let seen = out.iter().filter(|&&b| b == digit).count() as f64;
            assert!((seen - f64::from(count) / 4.0).abs() < allowed, "{seen} times {digit}");
        }
    }
}
