//! Bodies handed out piece by piece: put together, the pieces are what the readers make that gather them.
//!
//! In: the cases of `cases/`, cut anywhere, damaged, and with garbage behind. `http1_cases.rs` holds the readers that
//! gather to the verdicts written there, so these hold the streams to the same. `streams/` has what an event promises.

#[path = "streams/log.rs"]
mod log;
#[path = "cases/read.rs"]
mod read;
#[path = "streams/requests.rs"]
mod requests;
#[path = "streams/responses.rs"]
mod responses;

use log::{gathered_requests, gathered_responses, streamed_requests, streamed_responses};
use net::http1::Limits;
use proptest::prelude::*;
use read::Case;

/// What may stand behind a message: noise, the start of another message, and what other readers take for an end.
const GARBAGE: [&[u8]; 6] =
    [b"", b"\x00\xff", b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n", b"0\r\n\r\n", b"\n"];

/// A case up to this size is cut at every byte, a larger one at some.
const EVERY_CUT_BYTES_MAX: usize = 700;

#[test]
fn the_pieces_of_a_request_are_the_request_however_it_is_cut() {
    for case in read::cases(|file| file != "responses.http") {
        for_each_way(&case, |pieces| {
            (streamed_requests(pieces, &case.limits), gathered_requests(pieces, &case.limits))
        });
    }
}

#[test]
fn the_pieces_of_a_response_are_the_response_however_it_is_cut() {
    for case in read::cases(|file| file == "responses.http") {
        for_each_way(&case, |pieces| {
            let streamed = streamed_responses(pieces, case.asked, &case.limits, case.then_end);
            (streamed, gathered_responses(pieces, case.asked, &case.limits, case.then_end))
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_requests_are_the_same_in_pieces((_, wire) in damaged(|file| file != "responses.http"), cuts in cuts()) {
        for limits in [Limits::default(), tight()] {
            let whole = gathered_requests(&[&wire], &limits);
            prop_assert_eq!(&streamed_requests(&[&wire], &limits), &whole);
            prop_assert_eq!(&streamed_requests(&pieces(&wire, &cuts), &limits), &whole);
        }
    }

    #[test]
    fn damaged_responses_are_the_same_in_pieces(
        (_, wire) in damaged(|file| file == "responses.http"),
        cuts in cuts(),
        then_end in any::<bool>(),
    ) {
        for limits in [Limits::default(), tight()] {
            for asked in responses::ASKED {
                let whole = gathered_responses(&[&wire], asked, &limits, then_end);
                prop_assert_eq!(&streamed_responses(&[&wire], asked, &limits, then_end), &whole);
                prop_assert_eq!(&streamed_responses(&pieces(&wire, &cuts), asked, &limits, then_end), &whole);
            }
        }
    }
}

/// Cuts the case in all ways, with and without garbage behind. `read` is what one reader makes of it, and the other.
fn for_each_way(case: &Case, read: impl Fn(&[&[u8]]) -> (Vec<String>, Vec<String>)) {
    let check = |pieces: &[&[u8]]| {
        let (streamed, gathered) = read(pieces);
        let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).take(20).collect();
        assert_eq!(streamed, gathered, "{}, in pieces of {lengths:?} {:?}", case.title, case.expected);
    };
    for cut in places_to_cut(case.bytes.len()) {
        let (front, back) = case.bytes.split_at(cut);
        check(&[front, back]);
        check(&[front, b"", back, b""]);
    }
    for garbage in GARBAGE {
        let wire = [&case.bytes[..], garbage].concat();
        check(&[&wire]);
        for size in [1, 2, 3, 7, 1009] {
            if wire.len() / size < 20_000 {
                check(&wire.chunks(size).collect::<Vec<_>>());
            }
        }
    }
}

fn places_to_cut(len: usize) -> Vec<usize> {
    if len <= EVERY_CUT_BYTES_MAX {
        return (0..=len).collect();
    }
    let spread = (1..=24).map(|part| len * part / 25);
    (0..48).chain(spread).chain(len - 24..=len).collect()
}

/// `wire` in pieces of these sizes, over and over.
fn pieces<'w>(wire: &'w [u8], cuts: &[usize]) -> Vec<&'w [u8]> {
    let mut rest = wire;
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..40, 1..20)
}

/// Small, so that the cases meet them.
fn tight() -> Limits {
    Limits {
        head_bytes_max: 120,
        body_bytes_max: 12,
        chunk_line_bytes_max: 20,
        chunk_extension_bytes_max: 24,
        trailer_bytes_max: 24,
        trailer_fields_max: 2,
        ..Limits::default()
    }
}

/// Some cases, one behind the other, with the bytes that framing hangs on put in or left out here and there. The names
/// are for who reads of a failure.
fn damaged(is_wanted: impl Fn(&str) -> bool) -> impl Strategy<Value = (Vec<String>, Vec<u8>)> {
    let mut cases = read::cases(is_wanted);
    cases.retain(|case| case.bytes.len() <= EVERY_CUT_BYTES_MAX);
    let cases: Vec<_> = cases.into_iter().map(|case| (case.name, case.bytes)).collect();
    let added = prop::sample::select(vec![
        "",
        "\r",
        "\n",
        "\r\n",
        " ",
        ":",
        ";",
        "0",
        "\0",
        ",",
        "\r\n\r\n",
        "f",
        "0\r\nX: y\r\n",
        "1\r\nz\r\n",
    ]);
    let damage = prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, added), 0..3);
    (prop::collection::vec(prop::sample::select(cases), 1..4), damage).prop_map(|(cases, damage)| {
        let (names, parts): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
        let mut wire = parts.concat();
        for (at, removed, added) in damage {
            let at = at.index(wire.len() + 1);
            wire.splice(at..(at + removed).min(wire.len()), added.bytes());
        }
        (names, wire)
    })
}
