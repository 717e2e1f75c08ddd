//! A peer that plays its part byte for byte: a client or a server that does just what a test says, and keeps what it heard and when.
//!
//! In: a part for each of its connections. Out: a [`Talk`] for each. Never: judges what it hears.

use net::address::Address;
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// One thing to do. Each begins when the one before is done.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Say(Vec<u8>),
    /// Says this piece by piece, with a pause behind each.
    Drip {
        bytes: Vec<u8>,
        piece: usize,
        every: Duration,
    },
    /// Waits until this comes, behind what was waited for before.
    Hear(&'static str),
    /// Waits until so many bytes have come in all.
    HearBytes(usize),
    /// Waits until the other side ends.
    HearEnd,
    Wait(Duration),
    /// Reads nothing from now on.
    Deaf,
    /// Reads one piece each time that this passes.
    Sip(Duration),
    /// Reads everything again.
    Attend,
    /// Says back all that comes, for ever.
    Echo,
    /// Ends its own side, and goes on hearing.
    Finish,
    Close,
    Reset,
}

pub(crate) fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

/// What one connection came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Talk {
    pub(crate) opened: Time,
    pub(crate) heard: Vec<u8>,
    /// When the last of it came.
    pub(crate) last: Time,
    /// When the other side ended, whichever way.
    pub(crate) ended: Option<Time>,
    /// The other side ended by a reset.
    pub(crate) is_reset: bool,
}

impl Talk {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    /// The status of the first response.
    pub(crate) fn status(&self) -> Option<u16> {
        str::from_utf8(self.heard.get(9..12)?).ok()?.parse().ok()
    }
}

struct Conn {
    part: VecDeque<Act>,
    talk: usize,
    /// Up to here what was heard has been waited for, or said back.
    cursor: usize,
    wake: Option<Time>,
    sips: Option<Duration>,
    next_sip: Option<Time>,
    has_ended: bool,
}

pub(crate) struct Actor {
    to: Option<Address>,
    /// For each connection in turn; the last one for all that follow.
    parts: VecDeque<Vec<Act>>,
    conns: BTreeMap<Token, Conn>,
    pub(crate) talks: Vec<Talk>,
}

impl Actor {
    /// Connects once.
    pub(crate) fn client(to: &Address, part: &[Act]) -> Actor {
        Actor {
            to: Some(to.clone()),
            parts: [part.to_vec()].into(),
            conns: BTreeMap::new(),
            talks: Vec::new(),
        }
    }

    /// Plays these parts to those who connect.
    pub(crate) fn server(parts: &[&[Act]]) -> Actor {
        let parts = parts.iter().map(|part| part.to_vec()).collect();
        Actor { to: None, parts, conns: BTreeMap::new(), talks: Vec::new() }
    }

    pub(crate) fn open(&self) -> usize {
        self.conns.len()
    }

    /// The first connection's.
    pub(crate) fn talk(&self) -> Talk {
        self.talks.first().cloned().unwrap_or_default()
    }

    fn play(&mut self, token: Token, io: &mut Io) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        let talk = &self.talks[conn.talk];
        while conn.wake.is_none_or(|wake| wake <= io.now()) {
            conn.wake = None;
            let heard = &talk.heard[conn.cursor..];
            match conn.part.front_mut() {
                None if conn.has_ended => return io.close(token, Close::AfterFlush),
                None => return,
                Some(Act::Say(bytes)) => io.out(token).extend_from_slice(bytes),
                Some(Act::Drip { bytes, piece, every }) => {
                    let piece = bytes.drain(..(*piece).min(bytes.len()));
                    io.out(token).extend(piece);
                    conn.wake = Some(io.now() + *every);
                    if !bytes.is_empty() {
                        return;
                    }
                }
                Some(Act::Hear(text)) => {
                    let Some(at) = heard.windows(text.len()).position(|part| part == text.as_bytes()) else {
                        // Looked through once is enough, but for a part of it at the end.
                        conn.cursor += (heard.len() + 1).saturating_sub(text.len());
                        return;
                    };
                    conn.cursor += at + text.len();
                }
                Some(Act::HearBytes(count)) if talk.heard.len() < *count => return,
                Some(Act::HearEnd) if !conn.has_ended => return,
                Some(Act::HearBytes(_) | Act::HearEnd) => {}
                Some(Act::Wait(time)) => conn.wake = Some(io.now() + *time),
                Some(Act::Deaf) => {
                    (conn.sips, conn.next_sip) = (None, None);
                    io.pause(token);
                }
                Some(Act::Sip(every)) => {
                    conn.sips = Some(*every);
                    conn.next_sip = Some(io.now() + *every);
                    io.pause(token);
                }
                Some(Act::Attend) => {
                    (conn.sips, conn.next_sip) = (None, None);
                    io.resume(token);
                }
                Some(Act::Echo) => {
                    io.out(token).extend_from_slice(heard);
                    conn.cursor = talk.heard.len();
                    return if conn.has_ended {
                        io.close(token, Close::AfterFlush)
                    };
                }
                Some(Act::Finish) => io.finish(token),
                Some(Act::Close) => io.close(token, Close::AfterFlush),
                Some(Act::Reset) => io.close(token, Close::Reset),
            }
            conn.part.pop_front();
        }
    }

    fn on_other_end(&mut self, token: Token, is_reset: bool, io: &Io) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        conn.has_ended = true;
        let talk = &mut self.talks[conn.talk];
        talk.ended.get_or_insert(io.now());
        talk.is_reset |= is_reset;
    }
}

impl Program for Actor {
    type Mail = ();

    fn on_start(&mut self, io: &mut Io) {
        if let Some(to) = &self.to {
            io.connect(to.clone());
        }
    }

    fn on_open(&mut self, token: Token, _: Opened, io: &mut Io) {
        let part = if self.parts.len() > 1 { self.parts.pop_front() } else { self.parts.front().cloned() };
        let conn = Conn {
            part: part.unwrap_or_default().into(),
            talk: self.talks.len(),
            cursor: 0,
            wake: None,
            sips: None,
            next_sip: None,
            has_ended: false,
        };
        self.talks.push(Talk { opened: io.now(), ..Talk::default() });
        self.conns.insert(token, conn);
        self.play(token, io);
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        let talk = &mut self.talks[conn.talk];
        talk.heard.extend_from_slice(bytes);
        talk.last = io.now();
        if let Some(every) = conn.sips {
            conn.next_sip = Some(io.now() + every);
            io.pause(token);
        }
        self.play(token, io);
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        self.on_other_end(token, false, io);
        self.play(token, io);
    }

    fn on_end(&mut self, token: Token, end: End, io: &mut Io) {
        if end == End::Reset {
            self.on_other_end(token, true, io);
        }
        self.conns.remove(&token);
    }

    fn on_mail(&mut self, (): (), _: &mut Io) {}

    fn next_deadline(&self) -> Option<Time> {
        self.conns.values().flat_map(|conn| [conn.wake, conn.next_sip]).flatten().min()
    }

    fn on_deadline(&mut self, io: &mut Io) {
        let tokens: Vec<Token> = self.conns.keys().copied().collect();
        for token in tokens {
            if let Some(conn) = self.conns.get_mut(&token)
                && conn.next_sip.is_some_and(|at| at <= io.now())
            {
                conn.next_sip = None;
                io.resume(token);
            }
            if self.conns.get(&token).is_some_and(|conn| conn.wake.is_some_and(|at| at <= io.now())) {
                self.play(token, io);
            }
        }
    }
}
