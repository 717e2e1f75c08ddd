//! What only a peer outside the seam can do or see: half-close and go on reading, reset at once, flood from
//! another core.

use crate::checked::{At, Case, Reader, Side, Writer, pattern};
use crate::drive::{On, Outside, Places, Ran, Tune, kernel, run_with};
use net::address::Address;
use net::engine::sim::Rng;
use net::engine::{Close, End, Engine, Io};
use net::mailbox::Mailer;
use net::stats::EngineStats;
use net::time::Time;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

#[test]
fn a_peer_that_half_closed_reads_everything() {
    each(|on| {
        let heard = serve(on, Answer::at_eof(3 << 20), |mut peer| {
            peer.write_all(&stream(1, 100_000)).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            expect_stream(&mut peer, 3 << 20);
        });
        assert_eq!((heard.case.heard, heard.case.end), (100_000, Some(End::Closed)));
    });
}

#[test]
fn a_peer_that_still_sends_reads_everything_after_a_close() {
    each(|on| {
        let heard = serve(on, Answer::at_once(1 << 20), |mut peer| {
            // Unread by the server, and still no reset may overtake its answer (RFC 9112, 9.6).
            peer.write_all(&stream(1, 20 << 20)).unwrap();
            expect_stream(&mut peer, 1 << 20);
        });
        assert_eq!(heard.case.end, Some(End::Closed));
    });
}

#[test]
fn a_reset_ends_a_connection_that_only_reads() {
    each(|on| {
        let heard = serve(on, Answer::at_eof(1), |mut peer| {
            peer.write_all(&stream(1, 10)).unwrap();
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        });
        assert_eq!(heard.case.end, Some(End::Reset));
        assert_eq!(heard.stats["resets"], 1);
    });
}

#[test]
fn a_close_at_once_reaches_the_peer() {
    each(|on| {
        let heard = serve(on, Answer { then: Then::Abort, ..Answer::at_once(64 << 20) }, |mut peer| {
            peer.write_all(&[pattern(1, 0)]).unwrap();
            // Far more is on its way than the sockets hold, so the close comes into the middle of it.
            std::thread::sleep(Duration::from_millis(100));
            let mut all = Vec::new();
            match peer.read_to_end(&mut all) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
            assert!(all.len() < 64 << 20);
        });
        assert_eq!(heard.case.end, Some(End::Aborted));
        assert!(heard.stats["short_sends"] > 0, "{:?}", heard.stats);
    });
}

#[test]
fn a_flood_from_another_thread_does_not_hold_the_lane() {
    each(|on| {
        run_with(on, &Tune::default(), Clock { ticks: 0, next: None }, peer(flood));
    });
}

fn each(test: impl Fn(&On)) {
    Engine::ALL.iter().filter_map(|engine| kernel(*engine)).for_each(|on| test(&on));
}

/// Runs `answer` with one peer.
fn serve(on: &On, answer: Answer, with: impl FnOnce(TcpStream) + Send + 'static) -> Ran<Answer> {
    run_with(on, &Tune::default(), answer, peer(with))
}

fn peer(with: impl FnOnce(TcpStream) + Send + 'static) -> impl Outside {
    let mut with = Some(with);
    move |_: &Mailer<u64>, _: &EngineStats, places: &Places| {
        let Address::Tcp(address) = &places.here else { panic!("{places:?}") };
        let peer = TcpStream::connect(address).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        peer.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        with.take()?(peer);
        None
    }
}

fn stream(stream: u64, bytes: u64) -> Vec<u8> {
    (0..bytes).map(|offset| pattern(stream, offset)).collect()
}

fn expect_stream(peer: &mut TcpStream, bytes: u64) {
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all.len() as u64, bytes);
    assert!(all == stream(2, bytes));
}

/// Writes until the other side has had enough, and reads what comes back.
fn flood(mut peer: TcpStream) {
    let mut reader = peer.try_clone().unwrap();
    let reads = std::thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        while reader.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    while peer.write_all(&[7; 64 << 10]).is_ok() {}
    reads.join().unwrap();
}

/// Answers one peer with a stream.
#[derive(Debug)]
struct Answer {
    output: Writer,
    rng: Rng,
    heard: u64,
    check: Reader,
    then: Then,
    abort: Option<(At, Time)>,
    end: Option<End>,
}

#[derive(Debug, PartialEq)]
enum Then {
    /// The answer follows the peer's end; of a peer that doesn't end, each byte is answered by one.
    AtEof,
    CloseAtOnce,
    Abort,
}

impl Answer {
    fn at_eof(bytes: usize) -> Answer {
        let (output, check) = (Writer::new(2, bytes), Reader::new(1));
        Answer { output, rng: Rng::new(2), heard: 0, check, then: Then::AtEof, abort: None, end: None }
    }

    fn at_once(bytes: usize) -> Answer {
        Answer { then: Then::CloseAtOnce, ..Answer::at_eof(bytes) }
    }

    fn write(&mut self, at: At, io: &mut Io) {
        self.output.fill(at.token, &mut self.rng, io);
        if self.output.is_done() {
            io.close(at.token, Close::AfterFlush);
        }
    }
}

impl Case for Answer {
    fn start(&mut self, _to: &Places, _io: &mut Io) {}

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        self.check.read(bytes);
        self.heard += bytes.len() as u64;
        match self.then {
            Then::AtEof if self.output.total == 1 => self.output.write(at.token, 1, io),
            Then::AtEof => {}
            Then::CloseAtOnce => {
                self.output.write(at.token, usize::MAX >> 1, io);
                io.close(at.token, Close::AfterFlush);
            }
            Then::Abort => {
                self.output.write(at.token, usize::MAX >> 1, io);
                self.abort = Some((at, io.now() + Duration::from_millis(10)));
            }
        }
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        self.write(at, io);
    }

    fn drained(&mut self, at: At, io: &mut Io) {
        self.write(at, io);
    }

    fn next_deadline(&self) -> Option<Time> {
        self.abort.map(|(_, due)| due)
    }

    fn deadline(&mut self, io: &mut Io) {
        if let Some((at, _)) = self.abort.take() {
            io.close(at.token, Close::Now);
        }
    }

    fn end(&mut self, at: At, end: End, _io: &mut Io) {
        assert_eq!((at.side, self.end), (Side::Callee, None));
        self.end = Some(end);
    }

    fn is_done(&self) -> bool {
        self.end.is_some()
    }
}

/// An echo with a clock that must be heard.
#[derive(Debug)]
struct Clock {
    ticks: usize,
    next: Option<Time>,
}

impl Case for Clock {
    fn start(&mut self, _to: &Places, _io: &mut Io) {}

    fn open(&mut self, _at: At, io: &mut Io) {
        self.next = Some(io.now());
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        io.out(at.token).extend(bytes);
    }

    fn next_deadline(&self) -> Option<Time> {
        self.next
    }

    fn deadline(&mut self, io: &mut Io) {
        self.ticks += 1;
        self.next = Some(io.now() + Duration::from_millis(1));
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Aborted, "the engine stops");
    }

    fn is_done(&self) -> bool {
        self.ticks == 100
    }
}
