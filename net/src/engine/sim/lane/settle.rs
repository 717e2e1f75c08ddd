//! The second half of a turn: the network is made to match what the program left in [`Io`].
//!
//! In: tokens that were touched, connects, whether to accept. Out: sends, shuts and accepts, and to the program
//! what follows from them (`on_drained`, `on_end`).

use super::{Conn, Lane, Life, Sends, Stage, conn};
use crate::engine::sim::net::{Leave, Net, News};
use crate::engine::{Accepting, Close, Connect, End, Ending, Program, Token};

impl<P: Program + 'static> Lane<P> {
    /// Makes the network match what the program left in `Io`.
    pub(super) fn settle(&mut self, net: &mut Net) {
        for _ in 0..self.io.connects_waiting() {
            if let Some(Connect { token, to }) = self.io.next_connect() {
                let plug = net.connect(self.number, token, to);
                self.insert(token, plug, Stage::Connecting);
            }
        }
        self.settle_conns(net);
        self.settle_accepting(net);
        self.settle_conns(net);
    }

    fn settle_conns(&mut self, net: &mut Net) {
        while let Some(token) = self.io.next_touched() {
            self.settle_conn(token, net);
        }
    }

    fn settle_conn(&mut self, token: Token, net: &mut Net) {
        self.write(token, net);
        let Some(conn) = conn(&mut self.conns, token) else { return };
        match self.io.ending(token) {
            Ending::Nothing => self.read(token, net),
            Ending::Output => {
                if self.io.is_flushed(token) {
                    conn.shut_output(net);
                }
                self.read(token, net);
            }
            Ending::Everything(Close::AfterFlush) => {
                if self.io.is_flushed(token) {
                    conn.shut_output(net);
                }
                match conn.stage {
                    Stage::Over => self.end(token, End::Closed, net),
                    _ => self.read(token, net),
                }
            }
            Ending::Everything(Close::Now | Close::Reset) => self.end(token, End::Aborted, net),
        }
    }

    /// Writes until everything is sent or the network takes no more.
    fn write(&mut self, token: Token, net: &mut Net) {
        loop {
            let Some(conn) = conn(&mut self.conns, token) else { return };
            if conn.stage == Stage::Connecting || conn.sending {
                return;
            }
            if conn.unsent.is_empty() {
                let Some(out) = self.io.take_out(token) else { return };
                conn.unsent = out;
                conn.unsent_from = 0;
            }
            let rest = &conn.unsent[conn.unsent_from..];
            match net.send(conn.plug, rest) {
                Err(()) => return self.end(token, End::Reset, net),
                Ok(0) => return,
                Ok(count) => {
                    if count < rest.len() {
                        self.stats.short_sends.one();
                    }
                    conn.sending = true;
                    match self.sends {
                        Sends::AtOnce => self.on_sent(token, count),
                        Sends::Later => net.tell(self.number, News::Sent(token, count)),
                    }
                }
            }
        }
    }

    pub(super) fn on_sent(&mut self, token: Token, count: usize) {
        let Some(conn) = conn(&mut self.conns, token) else { return self.stats.late_completions.one() };
        conn.sending = false;
        conn.unsent_from += count;
        if conn.unsent_from == conn.unsent.len() {
            self.io.reuse(std::mem::take(&mut conn.unsent));
        }
        self.stats.sent_bytes.add(count as u64);
        self.io.touch(token);
        if self.io.sent(token, count) {
            self.program.on_drained(token, &mut self.io);
        }
    }

    pub(super) fn end(&mut self, token: Token, end: End, net: &mut Net) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        match end {
            End::Reset => self.stats.resets.one(),
            End::ConnectFailed(_) => self.stats.connect_failures.one(),
            End::Closed | End::Aborted => {}
        }
        if conn.stage != Stage::Connecting {
            self.stats.ends.one();
        }
        let how = match (end, self.io.closing(token)) {
            (End::Aborted, Some(Close::Reset)) => Leave::Reset,
            (End::Aborted, _) => Leave::Abort,
            _ => Leave::Done,
        };
        net.leave(conn.plug, how);
        net.trace.note([6, self.number as u64, token.index() as u64, net.now.0]);
        self.conns[token.index()] = None;
        self.resume_at = None;
        self.io.end(token);
        self.program.on_end(token, end, &mut self.io);
        // The kernel may hold on to a connection for a while: its index is not free before.
        if net.rng.chance(net.faults.straggle) {
            net.tell(self.number, News::Released(token));
        } else {
            self.io.release(token);
        }
    }

    /// Takes who waits, if the program wants it.
    fn settle_accepting(&mut self, net: &mut Net) {
        if self.resume_at.is_some_and(|at| at <= self.io.now()) {
            self.resume_at = None;
        }
        let listeners = 0..self.setup.listen.len();
        match self.io.wants_accept() {
            Accepting::On => listeners.for_each(|listener| self.accept(listener, net)),
            Accepting::Paused => {}
            // What waits in the backlog was promised a connection: it is taken before the listener closes.
            Accepting::Off => {
                for listener in listeners {
                    while let Some(plug) = net.accept(self.number, listener) {
                        self.open(listener, plug, net);
                    }
                }
                net.unlisten(self.number);
            }
        }
        let full = self.is_full();
        if full && !std::mem::replace(&mut self.full, full) {
            self.stats.connection_pauses.one();
        }
        self.full = full;
    }

    /// The program has stopped: everything that is still open ends.
    pub(super) fn end_all(&mut self, net: &mut Net) {
        net.unlisten(self.number);
        for token in self.io.live_tokens() {
            if conn(&mut self.conns, token).is_some() {
                self.end(token, End::Aborted, net);
            } else {
                // Asked for and not yet begun.
                self.io.end(token);
                self.program.on_end(token, End::Aborted, &mut self.io);
            }
        }
        self.life = Life::Stopped;
    }
}

impl Conn {
    /// Everything is sent: shut down our side, once.
    fn shut_output(&mut self, net: &mut Net) {
        self.stage = match self.stage {
            Stage::Eof => Stage::Over,
            Stage::Open | Stage::Connecting => Stage::Shut,
            Stage::Shut | Stage::Over => return,
        };
        net.shut(self.plug);
    }
}
