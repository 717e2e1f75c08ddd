//! One test per row of the table in `docs/architecture.md` that is about the body.

use super::{DIGITS_MAX, Kind, Malformed, Member, Problem, Unprocessable, answer, answer_by_general_path};

#[test]
fn integers_are_summed() {
    sums(r#"{"a":1,"b":2}"#, "3");
    sums(r#"{"b":2,"a":1}"#, "3");
    sums(" {\t\"a\" :\r\n-5 , \"b\": 2 }\n", "-3");
    sums(r#"{"a":0,"b":-0}"#, "0");
    sums(r#"{"a":-0,"b":-0}"#, "0");
    sums(r#"{"a":999999999999999999,"b":999999999999999999}"#, "1999999999999999998");
}

#[test]
fn integers_are_exact_at_every_width() {
    sums(r#"{"a":9223372036854775807,"b":1}"#, "9223372036854775808");
    sums(r#"{"a":-9223372036854775808,"b":-1}"#, "-9223372036854775809");
    let wide = i128::MAX.to_string();
    sums(&format!(r#"{{"a":{wide},"b":1}}"#), "170141183460469231731687303715884105728");
    sums(&format!(r#"{{"a":{wide},"b":-{wide}}}"#), "0");
    let nines = "9".repeat(DIGITS_MAX);
    sums(&format!(r#"{{"a":{nines},"b":1}}"#), &format!("1{}", "0".repeat(DIGITS_MAX)));
    sums(&format!(r#"{{"a":-{nines},"b":{nines}}}"#), "0");
}

#[test]
fn a_fraction_or_an_exponent_makes_both_doubles() {
    sums(r#"{"a":0.1,"b":0.2}"#, "0.30000000000000004");
    sums(r#"{"a":1.5,"b":1.5}"#, "3.0");
    sums(r#"{"a":1,"b":2.0}"#, "3.0");
    sums(r#"{"a":1e2,"b":1}"#, "101.0");
    sums(r#"{"a":1E+400,"b":1}"#.replace("400", "22").as_str(), "1e+22");
    sums(r#"{"a":9007199254740993,"b":0.0}"#, "9007199254740992.0");
    sums(r#"{"a":-0.0,"b":-0}"#, "-0.0");
    sums(r#"{"a":1e-400,"b":0}"#, "0.0");
    sums(r#"{"a":5e-324,"b":0}"#, "5e-324");
}

#[test]
fn other_members_are_ignored_whatever_they_hold() {
    sums(r#"{"a":1,"b":2,"c":3}"#, "3");
    sums(r#"{"z":{"a":9,"a":9},"a":1,"A":0,"b":2,"":null,"aa":1e999}"#, "3");
    sums(r#"{"c":1,"c":2,"a":1,"b":2}"#, "3");
    sums("{\"c\":\"\u{1F600}\\ud83d\\ude00\\\\ud800\",\"a\":1,\"b\":2}", "3");
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    sums(&format!(r#"{{"a":1,"deep":{deep},"b":2}}"#), "3");
    let deep = format!("{}0{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    sums(&format!(r#"{{"deep":{deep},"a":1,"b":2}}"#), "3");
}

#[test]
fn a_name_is_what_its_escapes_spell() {
    sums(r#"{"\u0061":1,"\u0062":2}"#, "3");
    refuses(br#"{"a":1,"\u0061":1,"b":2}"#, Malformed::Repeated(Member::A));
}

#[test]
fn what_is_not_json_is_malformed() {
    for body in [
        "",
        " ",
        "{",
        "nul",
        "{\"a\":1,\"b\":2",
        "{\"a\":1,\"b\":2}x",
        "{\"a\":1,\"b\":2}{}",
        "{\"a\":1,\"b\":2,}",
        "{,\"a\":1,\"b\":2}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":NaN,\"b\":2}",
        "{\"a\":Infinity,\"b\":2}",
        "{\"a\":-Infinity,\"b\":2}",
        "{\"a\":01,\"b\":2}",
        "{\"a\":-01,\"b\":2}",
        "{\"a\":1.,\"b\":2}",
        "{\"a\":.5,\"b\":2}",
        "{\"a\":1e,\"b\":2}",
        "{\"a\":+1,\"b\":2}",
        "{\"a\":-,\"b\":2}",
        "{\"a\":0x1,\"b\":2}",
        "{a:1,\"b\":2}",
        "{'a':1,\"b\":2}",
        "{\"a\":1,\"b\":2,\"c\":\"\n\"}",
        "{\"a\":1,\"b\":2,\"c\":\"\\x\"}",
        "{\"a\":1,\"b\":2,\"c\":[1,]}",
        "{\"a\":1,\"b\":2,\"c\":{\"d\"}}",
        "{\"a\":1,\"b\":2}/**/",
        "{\"a\":1,\u{a0}\"b\":2}",
        "\u{feff}{\"a\":1,\"b\":2}",
        "[1,2",
        "\"a",
        "{\"a\":1,\"b\":2}\0",
        "{\"a\":1_0,\"b\":2}",
        "1 2",
    ] {
        assert!(matches!(problem(body.as_bytes()), Problem::Malformed(Malformed::NotJson { .. })), "{body}");
    }
}

#[test]
fn what_is_not_utf8_is_malformed_even_where_nobody_looks() {
    refuses(b"{\"a\":1,\"b\":2,\"c\":\"\xff\"}", Malformed::NotUtf8 { at: 18 });
    refuses(b"{\"a\":1,\"b\":2,\"c\":\"\xed\xa0\x80\"}", Malformed::NotUtf8 { at: 18 });
    refuses(b"\xff\xfe{", Malformed::NotUtf8 { at: 0 });
}

#[test]
fn half_a_surrogate_pair_is_malformed_in_any_string() {
    for half in [r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud83dx", r"\\\ud800", r"\uD83D\n"] {
        refuses(format!(r#"{{"a":1,"b":2,"c":"{half}"}}"#).as_bytes(), Malformed::LoneSurrogate);
        refuses(format!(r#"["{half}"]"#).as_bytes(), Malformed::LoneSurrogate);
        assert!(matches!(problem(format!(r#"{{"{half}":1}}"#).as_bytes()), Problem::Malformed(_)));
    }
}

#[test]
fn a_repeated_operand_is_malformed() {
    refuses(br#"{"a":1,"a":1}"#, Malformed::Repeated(Member::A));
    refuses(br#"{"a":1,"b":2,"b":null}"#, Malformed::Repeated(Member::B));
}

#[test]
fn json_without_an_addition_is_unprocessable() {
    for (body, kind) in [
        ("[1,2]", Kind::Array),
        (" \"a\" ", Kind::String),
        ("true", Kind::Bool),
        ("null", Kind::Null),
        ("-1e999", Kind::Number),
    ] {
        refuses(body.as_bytes(), Unprocessable::NotAnObject(kind));
    }
    refuses(b"{}", Unprocessable::Missing(Member::A));
    refuses(br#"{"a":1}"#, Unprocessable::Missing(Member::B));
    refuses(br#"{"A":1,"b":2}"#, Unprocessable::Missing(Member::A));
}

#[test]
fn an_operand_of_another_type_is_unprocessable() {
    for (value, kind) in [
        ("\"1\"", Kind::String),
        ("true", Kind::Bool),
        ("false", Kind::Bool),
        ("null", Kind::Null),
        ("[1]", Kind::Array),
        ("{\"a\":1}", Kind::Object),
    ] {
        refuses(format!(r#"{{"a":{value},"b":2}}"#).as_bytes(), Unprocessable::NotANumber(Member::A, kind));
        refuses(format!(r#"{{"a":1,"b":{value}}}"#).as_bytes(), Unprocessable::NotANumber(Member::B, kind));
    }
}

#[test]
fn what_no_double_holds_is_unprocessable() {
    refuses(br#"{"a":1e308,"b":1e308}"#, Unprocessable::SumTooLarge);
    refuses(br#"{"a":1e309,"b":-1e309}"#, Unprocessable::TooLarge(Member::A));
    let long = "9".repeat(400);
    refuses(format!(r#"{{"a":0.5,"b":{long}}}"#).as_bytes(), Unprocessable::TooLarge(Member::B));
}

#[test]
fn too_many_digits_are_unprocessable() {
    let digits = DIGITS_MAX + 1;
    let long = "1".repeat(digits);
    refuses(
        format!(r#"{{"a":1,"b":-{long}}}"#).as_bytes(),
        Unprocessable::TooManyDigits { member: Member::B, digits },
    );
}

#[test]
fn a_body_wrong_in_both_ways_is_malformed() {
    for body in
        [r#"{"a":"x","b":2"#, r#"{"a":null,"b":}"#, r#"["a""#, r#"{"a":1e999,"b":1e999}]"#, "\"\\ud800\""]
    {
        assert!(matches!(problem(body.as_bytes()), Problem::Malformed(_)), "{body}");
    }
}

#[test]
fn a_message_needs_no_escaping() {
    for body in [
        "",
        "\"",
        "{\"\\",
        "{\"a\":\"\\\"\",\"b\":2}",
        "[]",
        "{\"a\":1,\"a\":\"\u{7}\"}",
        "\u{1}",
        "{\"\n\":1}",
    ] {
        let message = problem(body.as_bytes()).message();
        let quoted = serde_json::to_string(&message).unwrap();
        assert_eq!(quoted, format!("\"{message}\""));
        assert!(message.len() < 300, "{message}");
        assert!(message.contains("; send "), "{message}");
    }
}

fn sums(body: &str, sum: &str) {
    for path in [answer, answer_by_general_path] {
        let mut out = b"before".to_vec();
        path(body.as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("before{{\"result\":{sum}}}"));
    }
}

fn refuses(body: &[u8], expected: impl Into<Problem>) {
    assert_eq!(problem(body), expected.into(), "{}", String::from_utf8_lossy(body));
}

fn problem(body: &[u8]) -> Problem {
    let mut out = b"before".to_vec();
    let problem = answer(body, &mut out).expect_err("this body has no answer");
    assert_eq!(out, b"before");
    problem
}
