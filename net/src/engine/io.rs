//! What a program wishes, as plain data.
//!
//! In: a program's appends and wishes during a turn. Out: for the engine, a list of tokens that were touched,
//! and for each what it should look like now (bytes to send, read or not, close or not). The engine compares
//! that with what it is doing and submits the difference, once per turn. Never: a system call.
//!
//! Backpressure lives here, once, for all engines: a token with more unsent output than the limit is not read
//! until it has drained to half of it.

use super::{Connect, Token};
use crate::address::Address;
use crate::time::{Time, UnixSeconds};
use std::collections::VecDeque;

/// Empty buffers kept for the next writers; more than a turn of a busy lane fills would never be used.
const SPARE_BUFFERS_MAX: usize = 256;
/// A buffer that grew past this goes back to the allocator: one large answer must not pin memory for ever.
const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// First capacity of an output buffer: a turn of one pipelining connection, without growing.
const FRESH_BUFFER_BYTES: usize = 4 * 1024;

/// How to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Send what was appended, shut down our side, and discard what the peer still sends until it ends too
    /// (RFC 9112, 9.6: closing with unread bytes would reset the answer away). How long a peer may take to
    /// do so is the program's business: it may follow with `Now`.
    AfterFlush,
    /// At once; unsent output is dropped.
    Now,
    /// Like `Now`, and the peer sees a reset where the transport has one: for output that was cut and must
    /// not look complete. A Unix socket has none, and is closed.
    Reset,
}

/// What of a connection the program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Nothing,
    /// Our side, once its output is out; reading goes on.
    Output,
    Everything(Close),
}

/// Whether the lane takes new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepting {
    /// Yes.
    On,
    /// Not now; peers wait in the listener's backlog.
    Paused,
    /// Never again: what waits in the backlog is taken, then the listeners are closed.
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Free,
    /// `connect` was asked for.
    Connecting,
    Open,
    /// Takes no more output; still read.
    Finished,
    Closing(Close),
    /// `on_end` was called; the engine may still own parts of it.
    Ended,
}

struct Slot {
    generation: u32,
    stage: Stage,
    touched: bool,
    /// The program asked for a pause.
    paused: bool,
    /// Unsent output passed the limit and has not drained to half of it.
    over: bool,
    /// The program answers for that itself: the token is read nevertheless.
    read_while_over: bool,
    /// Appended, not yet taken by the engine.
    out: Vec<u8>,
    /// Taken by the engine, not yet accepted by the kernel.
    sending: usize,
    /// Accepted by the kernel, in all.
    sent: u64,
    /// Taken by the engine, in all.
    taken: u64,
}

impl Slot {
    fn unsent(&self) -> usize {
        self.out.len() + self.sending
    }

    fn is_over(&self, unsent_max: usize) -> bool {
        self.over || self.unsent() > unsent_max
    }

    fn is_readable(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Finished)
    }
}

/// Everything a program may read of its lane, and everything it may wish for.
pub struct Io {
    now: Time,
    wall: UnixSeconds,
    unsent_max: usize,
    slots: Vec<Slot>,
    free: Vec<u32>,
    touched: Vec<Token>,
    connects: VecDeque<Connect>,
    spare: Vec<Vec<u8>>,
    /// Takes what is appended to tokens that are gone, and forgets it.
    scrap: Vec<u8>,
    accepting: Accepting,
    stopping: bool,
}

/// For programs.
impl Io {
    /// When this turn began (in `on_turn`: when its events were done).
    pub fn now(&self) -> Time {
        self.now
    }

    /// The wall clock, read once per turn.
    pub fn wall(&self) -> UnixSeconds {
        self.wall
    }

    /// The token's output: append to it. What one call appended is submitted in the same turn, in order.
    /// For a token that is finished, closing or gone, what is appended is dropped.
    pub fn out(&mut self, token: Token) -> &mut Vec<u8> {
        let slot = match self.slots.get_mut(token.index()) {
            Some(slot) if slot.generation == token.generation => slot,
            _ => return scrapped(&mut self.scrap),
        };
        if !matches!(slot.stage, Stage::Open) {
            return scrapped(&mut self.scrap);
        }
        if !slot.touched {
            slot.touched = true;
            self.touched.push(token);
        }
        if slot.out.capacity() == 0 {
            slot.out = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(FRESH_BUFFER_BYTES));
        }
        &mut slot.out
    }

    /// Bytes of the token's output that the kernel has taken so far: more than at the last look means that the
    /// peer takes its output.
    pub fn sent_so_far(&self, token: Token) -> u64 {
        self.slot(token).map_or(0, |slot| slot.sent)
    }

    /// Bytes of the token's output that the engine has taken so far, on their way to the kernel: these may have
    /// reached the peer. The others can't have; where this has not grown since an append, nothing of it left.
    /// Good up to and in `on_end`.
    pub fn taken_so_far(&self, token: Token) -> u64 {
        self.slot(token).map_or(0, |slot| slot.taken)
    }

    /// Bytes appended that the kernel has not taken yet; zero for a token that is gone.
    pub fn unsent(&self, token: Token) -> usize {
        self.slot(token).map_or(0, Slot::unsent)
    }

    /// Whether the token takes no output now: a program that makes output of its own accord stops here and
    /// goes on in `on_drained`. Its unsent output is over the limit; or it is finished, closing or gone, and
    /// then that never comes.
    pub fn is_over(&self, token: Token) -> bool {
        self.slot(token).is_none_or(|slot| slot.stage != Stage::Open || slot.is_over(self.unsent_max))
    }

    /// From now on this token is read although its own unsent output is over the limit. For a program that
    /// passes bytes from one connection on to another: it pauses the other one when this one `is_over`, and
    /// resumes it in `on_drained`. Left to the rule, two connections that are passed on into each other may
    /// wait for ever: each is full, and neither is read until it has drained.
    ///
    /// Whoever calls this bounds the token's output itself: what it appends because of the bytes it reads
    /// from the same token has no limit any more.
    pub fn read_while_over(&mut self, token: Token) {
        let Some(slot) = self.slot_mut(token) else { return };
        if !std::mem::replace(&mut slot.read_while_over, true) {
            self.touch(token);
        }
    }

    /// Starts a connection. `on_open` or `on_end` follows, never within this call.
    pub fn connect(&mut self, to: Address) -> Token {
        let token = self.take_slot(Stage::Connecting);
        self.connects.push_back(Connect { token, to });
        token
    }

    /// Sends what was appended and then shuts down our side (half-close); reading goes on as before, up to
    /// the peer's `on_eof`. What is appended from now on is dropped, and `on_drained` does not come any more.
    /// When the peer has ended as well, nothing follows by itself: the program closes, and `AfterFlush` is
    /// then done at once.
    ///
    /// A token that is not open, or not open yet, is left as it is.
    pub fn finish(&mut self, token: Token) {
        let Some(slot) = self.slot_mut(token) else { return };
        if slot.stage == Stage::Open {
            slot.stage = Stage::Finished;
            self.touch(token);
        }
    }

    /// Closes a connection; `on_end` follows, never within this call. `Now` overrides an earlier
    /// `AfterFlush`, and `Reset` overrides both; everything else about a closing token is ignored.
    pub fn close(&mut self, token: Token, how: Close) {
        let Some(slot) = self.slot_mut(token) else { return };
        slot.stage = match (slot.stage, how) {
            (Stage::Open | Stage::Finished, how) => Stage::Closing(how),
            // A connection that isn't there yet has nothing to flush, and nobody to reset.
            (Stage::Connecting, _) | (Stage::Closing(Close::AfterFlush), Close::Now) => {
                Stage::Closing(Close::Now)
            }
            (Stage::Closing(_), Close::Reset) => Stage::Closing(Close::Reset),
            (stage, _) => stage,
        };
        self.touch(token);
    }

    /// Stops delivering this token's bytes, until `resume`.
    pub fn pause(&mut self, token: Token) {
        self.set_paused(token, true);
    }

    /// Undoes `pause`.
    pub fn resume(&mut self, token: Token) {
        self.set_paused(token, false);
    }

    /// Whether this lane takes new connections. `Off` is final.
    pub fn accepting(&mut self, accepting: Accepting) {
        if self.accepting != Accepting::Off {
            self.accepting = accepting;
        }
    }

    /// Ends the engine's loop after this turn; what is still open is closed at once.
    pub fn stop(&mut self) {
        self.stopping = true;
    }
}

/// For engines.
impl Io {
    pub(crate) fn new(unsent_max: usize) -> Io {
        Io {
            now: Time(0),
            wall: UnixSeconds(0),
            unsent_max,
            slots: Vec::new(),
            free: Vec::new(),
            touched: Vec::new(),
            connects: VecDeque::new(),
            spare: Vec::new(),
            scrap: Vec::new(),
            accepting: Accepting::On,
            stopping: false,
        }
    }

    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    pub(crate) fn set_wall(&mut self, wall: UnixSeconds) {
        self.wall = wall;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(crate) fn wants_accept(&self) -> Accepting {
        self.accepting
    }

    /// A token for a connection that was just accepted.
    pub(crate) fn opened(&mut self) -> Token {
        self.take_slot(Stage::Open)
    }

    /// A connect succeeded. False if the program has closed the token meanwhile: close it then.
    pub(crate) fn connected(&mut self, token: Token) -> bool {
        match self.slot_mut(token) {
            Some(slot) if slot.stage == Stage::Connecting => {
                slot.stage = Stage::Open;
                true
            }
            _ => false,
        }
    }

    /// How many connects were asked for and not started.
    pub(crate) fn connects_waiting(&self) -> usize {
        self.connects.len()
    }

    pub(crate) fn next_connect(&mut self) -> Option<Connect> {
        self.connects.pop_front()
    }

    /// Whether the program asked for something after the engine had looked: the engine then doesn't sleep.
    pub(crate) fn has_wishes(&self) -> bool {
        !self.connects.is_empty() || !self.touched.is_empty()
    }

    /// The next token about which something changed since the engine last looked.
    pub(crate) fn next_touched(&mut self) -> Option<Token> {
        let token = self.touched.pop()?;
        if let Some(slot) = self.slot_mut(token) {
            slot.touched = false;
            if slot.unsent() > self.unsent_max {
                self.slots[token.index()].over = true;
            }
        }
        Some(token)
    }

    /// Has the engine look at the token again this turn.
    pub(crate) fn touch(&mut self, token: Token) {
        let Some(slot) = self.slots.get_mut(token.index()) else { return };
        if slot.generation == token.generation && !slot.touched {
            slot.touched = true;
            self.touched.push(token);
        }
    }

    /// Whether this token's bytes may be delivered.
    pub(crate) fn wants_bytes(&self, token: Token) -> bool {
        self.slot(token).is_some_and(|slot| {
            let is_held_back = slot.is_over(self.unsent_max) && !slot.read_while_over;
            slot.is_readable() && !slot.paused && !is_held_back
        })
    }

    /// Whether `on_end` is still due.
    pub(crate) fn is_live(&self, token: Token) -> bool {
        self.slot(token).is_some_and(|s| !matches!(s.stage, Stage::Ended | Stage::Free))
    }

    pub(crate) fn ending(&self, token: Token) -> Ending {
        match self.slot(token).map(|slot| slot.stage) {
            Some(Stage::Finished) => Ending::Output,
            Some(Stage::Closing(how)) => Ending::Everything(how),
            _ => Ending::Nothing,
        }
    }

    pub(crate) fn closing(&self, token: Token) -> Option<Close> {
        match self.ending(token) {
            Ending::Everything(how) => Some(how),
            Ending::Nothing | Ending::Output => None,
        }
    }

    /// Whether the token is not read because of its own unsent output.
    pub(crate) fn is_held_back(&self, token: Token) -> bool {
        let held_back = |s: &Slot| s.is_readable() && !s.read_while_over && s.is_over(self.unsent_max);
        self.slot(token).is_some_and(held_back)
    }

    /// Whether the token is one that the program pauses because another's output is over.
    #[cfg(feature = "uring")]
    pub(crate) fn is_read_while_over(&self, token: Token) -> bool {
        self.slot(token).is_some_and(|slot| slot.read_while_over)
    }

    /// Whether everything that was appended has been handed to the kernel.
    pub(crate) fn is_flushed(&self, token: Token) -> bool {
        self.unsent(token) == 0
    }

    /// The output to send next, if there is any and none is on its way.
    pub(crate) fn take_out(&mut self, token: Token) -> Option<Vec<u8>> {
        let slot = self.slot_mut(token)?;
        if slot.sending > 0 {
            return None;
        }
        if slot.out.is_empty() {
            // Asked for and not used: an idle connection holds no buffer.
            let unused = std::mem::take(&mut slot.out);
            self.reuse(unused);
            return None;
        }
        slot.sending = slot.out.len();
        slot.taken += slot.sending as u64;
        Some(std::mem::take(&mut slot.out))
    }

    /// The kernel took `bytes` of what was taken. True if the token was over its limit, is no longer, and
    /// takes output: the engine then calls `on_drained`.
    pub(crate) fn sent(&mut self, token: Token, bytes: usize) -> bool {
        let (limit, half) = (self.unsent_max, self.unsent_max / 2);
        let Some(slot) = self.slot_mut(token) else { return false };
        // What was appended since the last look counts: the program has seen `is_over` and waits.
        slot.over |= slot.unsent() > limit;
        slot.sending = slot.sending.saturating_sub(bytes);
        slot.sent += bytes as u64;
        let is_open = slot.stage == Stage::Open;
        let more = !slot.out.is_empty() || !is_open;
        let drained = slot.over && slot.is_readable() && slot.unsent() <= half;
        if drained {
            slot.over = false;
        }
        if more || drained {
            self.touch(token);
        }
        drained && is_open
    }

    /// Gives an output buffer back for the next writer.
    pub(crate) fn reuse(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0
            && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX
            && self.spare.len() < SPARE_BUFFERS_MAX
        {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// The connection is over for the program: call `on_end` next. Its output is dropped.
    pub(crate) fn end(&mut self, token: Token) {
        let Some(slot) = self.slot_mut(token) else { return };
        slot.stage = Stage::Ended;
        slot.sending = 0;
        let out = std::mem::take(&mut slot.out);
        self.reuse(out);
    }

    /// Nothing of the kernel's refers to the token any more: its index may be used again.
    pub(crate) fn release(&mut self, token: Token) {
        let Some(slot) = self.slot_mut(token) else { return };
        slot.stage = Stage::Free;
        slot.generation = slot.generation.wrapping_add(1);
        slot.touched = false;
        self.free.push(token.index);
    }

    /// Tokens that are not free: open, closing, or ended with the kernel still holding on.
    pub(crate) fn in_use(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Every token for which `on_end` is still due.
    pub(crate) fn live_tokens(&self) -> Vec<Token> {
        let token =
            |(index, slot): (usize, &Slot)| Token { index: index as u32, generation: slot.generation };
        self.slots.iter().enumerate().map(token).filter(|t| self.is_live(*t)).collect()
    }

    fn take_slot(&mut self, stage: Stage) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                stage: Stage::Free,
                touched: false,
                paused: false,
                over: false,
                read_while_over: false,
                out: Vec::new(),
                sending: 0,
                sent: 0,
                taken: 0,
            });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.stage = stage;
        slot.touched = false;
        slot.paused = false;
        slot.over = false;
        slot.read_while_over = false;
        slot.sent = 0;
        slot.taken = 0;
        Token { index, generation: slot.generation }
    }

    fn slot(&self, token: Token) -> Option<&Slot> {
        self.slots.get(token.index()).filter(|slot| slot.generation == token.generation)
    }

    fn slot_mut(&mut self, token: Token) -> Option<&mut Slot> {
        self.slots.get_mut(token.index()).filter(|slot| slot.generation == token.generation)
    }

    fn set_paused(&mut self, token: Token, paused: bool) {
        let Some(slot) = self.slot_mut(token) else { return };
        if slot.paused != paused {
            slot.paused = paused;
            self.touch(token);
        }
    }
}

/// An empty buffer whose content nobody reads.
fn scrapped(scrap: &mut Vec<u8>) -> &mut Vec<u8> {
    scrap.clear();
    scrap
}
