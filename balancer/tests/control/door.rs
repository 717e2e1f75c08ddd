//! Operators' connections: many at a time, slow ones, and some that are none.

use crate::hosts::{OK, Pace};
use crate::scene::{Scene, at, unchecked};
use net::engine::End;
use net::engine::sim::Faults;
use std::time::Duration;

#[test]
fn requests_of_one_connection_are_answered_in_order_and_head_without_content() {
    let mut scene = Scene::new(14, Faults::rough(), unchecked(1), &OK);
    let two = "GET /app/s0/drain HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let operator = scene.send(two);
    let head = scene.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    let waits = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nok";
    let waiting = scene.send(waits);
    scene.until(3_000);
    let answers = scene.world.program(operator).answers.clone();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], (200, "app/s0 is set to drain".to_owned(), true));
    assert!(answers[1].1.starts_with("app/s0 up drain 0\n"), "{}", answers[1].1);
    assert_eq!(scene.world.program(head).answers, [(200, String::new(), true)]);
    assert_eq!(scene.world.program(waiting).answers[0].0, 200);
    // Nobody asks any more.
    scene.until(70_000);
    assert!(matches!(scene.world.program(operator).ended, Some((End::Closed, _))));
    assert_eq!(scene.world.program(scene.control).open(), 0);
}

#[test]
fn what_is_no_request_is_refused_and_what_is_half_of_one_has_ten_seconds() {
    let mut scene = Scene::new(15, Faults::calm(), unchecked(1), &OK);
    let garbage = scene.send("\u{16}\u{3}\u{1}");
    let half = scene.send("GET / HTTP/1.1\r\nho");
    let silent = scene.send("");
    let large = scene.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n");
    scene.until(12_500);
    assert_eq!(scene.world.program(garbage).answers[0].0, 400);
    assert_eq!(scene.world.program(large).answers[0].0, 413);
    let (status, _, goes_on) = scene.world.program(half).answers[0].clone();
    assert_eq!((status, goes_on), (408, false));
    assert_eq!(scene.world.program(silent).answers, []);
    for operator in [garbage, half, silent, large] {
        assert!(scene.world.program(operator).ended.is_some());
    }
    assert_eq!(scene.world.program(scene.control).open(), 0);
}

#[test]
fn more_operators_than_there_is_room_for_are_told_so() {
    let mut scene = Scene::new(16, Faults::calm(), unchecked(1), &OK);
    let operators: Vec<_> = (0..130).map(|_| scene.send("")).collect();
    scene.until(1_000);
    let turned_away: Vec<_> =
        operators.iter().filter(|&&operator| !scene.world.program(operator).answers.is_empty()).collect();
    assert_eq!(turned_away.len(), 2);
    assert_eq!(scene.world.program(*turned_away[0]).answers[0].0, 503);
    assert_eq!(scene.world.program(scene.control).open(), 128);
    scene.until(15_000);
    assert_eq!(scene.ask("/").0, 200);
}

#[test]
fn whoever_asks_for_more_than_is_taken_gets_so_much_and_a_close() {
    let mut scene = Scene::new(17, Faults::calm(), unchecked(1), &OK);
    let operator = scene.send("GET /big HTTP/1.1\r\nhost: a\r\n\r\n".repeat(50));
    scene.until(30_000);
    let answers = &scene.world.program(operator).answers;
    assert!((2..=8).contains(&answers.len()), "{}", answers.len());
    assert_eq!(answers.last().map(|(_, _, goes_on)| *goes_on), Some(false));
    let (end, when) = scene.world.program(operator).ended.expect("it was closed");
    assert!(end == End::Closed && when < at(5_000), "{end:?} {when:?}");
}

#[test]
fn a_request_that_trickles_has_ten_seconds_as_any_other() {
    let mut scene = Scene::new(18, Faults::calm(), unchecked(1), &OK);
    let operator = scene.send("GET / HTTP/1.1\r\nhost: a\r\nx: ".to_owned() + &"y".repeat(100));
    scene.world.program_mut(operator).pace = Pace::Sends(Duration::from_secs(1));
    scene.until(11_000);
    assert_eq!(scene.world.program(operator).answers[0].0, 408);
}

#[test]
fn a_client_that_waits_for_a_word_before_its_body_gets_it() {
    let mut scene = Scene::new(19, Faults::calm(), unchecked(1), &OK);
    let waits = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let operator = scene.send(waits);
    scene.until(1_000);
    assert_eq!((scene.world.program(operator).interims, scene.world.program(operator).answers.len()), (1, 0));
}

#[test]
fn whoever_reads_slowly_gets_it_all_and_whoever_does_not_read_is_let_go() {
    let mut scene = Scene::new(20, Faults::calm(), unchecked(1), &OK);
    let big = "GET /big HTTP/1.1\r\nhost: a\r\n\r\n";
    let (slow, deaf) = (scene.send(big), scene.send(big));
    scene.world.program_mut(slow).pace = Pace::Reads(Duration::from_secs(2));
    scene.world.program_mut(deaf).pace = Pace::Reads(Duration::from_secs(3_600));
    scene.until(130_000);
    assert_eq!(scene.world.program(scene.control).open(), 1);
    scene.until(400_000);
    let answers = &scene.world.program(slow).answers;
    assert_eq!(answers.first().map(|(status, body, _)| (*status, body.len())), Some((200, 512 * 1024)));
    assert_eq!(scene.world.program(deaf).answers, []);
    assert_eq!(scene.world.program(scene.control).open(), 0);
}
