//! A program that passes bytes on between two connections, as a proxy does: with every buffer on the way
//! full, and no more held than the limit says.

use crate::checked::{At, Case, Reader, Side, Writer};
use crate::drive::{On, Places, Tune, run};
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Token};
use net::time::Time;
use std::time::Duration;

pub(crate) fn a_relay_passes_on_more_than_everybody_holds(on: &On) {
    let limit = on.size(64 << 10, 1 << 10);
    // On real engines also more than the sockets of both connections take.
    let bytes = on.size(64 << 20, 600 << 10);
    for unix in if on.is_sim() { &[false][..] } else { &[false, true] } {
        let case = Relay {
            rng: Rng::new(2),
            writer: Writer::new(5, bytes),
            reader: Reader::new(5),
            to: None,
            client: None,
            front: None,
            back: None,
            limit,
            stuck_at: None,
            look_at: None,
            pauses: 0,
            ends: 0,
        };
        let ran = run(on, &Tune { unsent_bytes_max: limit, unix: *unix, ..Tune::default() }, case);
        assert_eq!(ran.case.reader.read, bytes as u64);
        // In some worlds bytes come so few at a time that nothing is ever full.
        assert!(on.is_sim() || ran.case.pauses > 0);
    }
}

/// ```text
/// client ══▶ front ╶ pass ╴ back ══▶ echo
/// ```
///
/// The client writes whenever there is room and reads all it gets; the echo returns what it gets, and does
/// not read while it can't write. So the bytes in between are as many as all buffers hold.
#[derive(Debug)]
struct Relay {
    rng: Rng,
    writer: Writer,
    reader: Reader,
    to: Option<Places>,
    client: Option<Token>,
    /// Accepted from the client, and connected to the echo.
    front: Option<Token>,
    back: Option<Token>,
    limit: usize,
    /// The client does not read until everything on the way is full: then its output stands still.
    stuck_at: Option<u64>,
    look_at: Option<Time>,
    pauses: usize,
    ends: usize,
}

/// The largest piece that an engine of this suite delivers: epoll's buffer of 16 times the
/// `receive_buffer_bytes`.
const PIECE_MAX: usize = 16 * 4096;

const A_WHILE: Duration = Duration::from_millis(30);

impl Relay {
    fn write(&mut self, client: Token, io: &mut Io) {
        self.writer.fill(client, &mut self.rng, io);
        if self.writer.is_done() {
            io.finish(client);
        }
    }

    /// The other side of the relay, if the token is one side of it.
    fn other(&self, token: Token) -> Option<Token> {
        match Some(token) {
            side if side == self.front => self.back,
            side if side == self.back => self.front,
            _ => None,
        }
    }
}

impl Case for Relay {
    fn start(&mut self, to: &Places, io: &mut Io) {
        self.to = Some(to.clone());
        self.client = Some(io.connect(to.here.clone()));
    }

    fn open(&mut self, at: At, io: &mut Io) {
        let token = at.token;
        match at.side {
            Side::Caller if self.client == Some(token) => {
                io.read_while_over(token);
                io.pause(token);
                self.look_at = Some(io.now() + A_WHILE);
                self.write(token, io);
            }
            Side::Caller => {
                io.read_while_over(token);
                self.front.iter().for_each(|front| io.resume(*front));
            }
            Side::Callee if self.front.is_none() => {
                io.read_while_over(token);
                io.pause(token);
                self.front = Some(token);
                self.back = self.to.as_ref().map(|to| io.connect(to.here.clone()));
            }
            // The echo.
            Side::Callee => {}
        }
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        match self.other(at.token) {
            Some(other) => {
                io.out(other).extend(bytes);
                assert!(io.unsent(other) <= self.limit + PIECE_MAX, "{} unsent", io.unsent(other));
                if io.is_over(other) {
                    io.pause(at.token);
                    self.pauses += 1;
                }
            }
            None if at.side == Side::Caller => self.reader.read(bytes),
            None => io.out(at.token).extend(bytes),
        }
    }

    fn drained(&mut self, at: At, io: &mut Io) {
        match self.other(at.token) {
            Some(other) => io.resume(other),
            None if at.side == Side::Caller => self.write(at.token, io),
            None => {}
        }
    }

    fn is_read_while_over(&self, at: At) -> bool {
        at.side == Side::Caller || self.front == Some(at.token)
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        match self.other(at.token) {
            Some(other) => io.finish(other),
            None => io.close(at.token, Close::AfterFlush),
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.look_at
    }

    fn deadline(&mut self, io: &mut Io) {
        let Some(client) = self.client else { return };
        let sent = Some(io.sent_so_far(client));
        if self.stuck_at == sent {
            self.look_at = None;
            io.resume(client);
        } else {
            self.stuck_at = sent;
            self.look_at = Some(io.now() + A_WHILE);
        }
    }

    fn end(&mut self, at: At, end: End, io: &mut Io) {
        assert_eq!(end, End::Closed, "{at:?}");
        self.ends += 1;
        if self.client == Some(at.token) {
            let sides = [self.front, self.back];
            sides.into_iter().flatten().for_each(|side| io.close(side, Close::AfterFlush));
        }
    }

    fn is_done(&self) -> bool {
        self.ends == 4
    }
}
