//! The reading half of a connection, in either role: a head, the body behind it piece by piece, and the next head.
//!
//! In: bytes cut anywhere. Out: that a head is whole, and pieces of a body. Who passes bodies on ([`RequestStream`],
//! [`ResponseStream`]) and who gathers them ([`ServerConn`], [`ClientConn`]) read with this, so that there is one
//! machine of states. Never: keeps content, unless it is told to gather.
//!
//! [`RequestStream`]: super::request_stream::RequestStream
//! [`ResponseStream`]: super::response_stream::ResponseStream
//! [`ServerConn`]: super::server::ServerConn
//! [`ClientConn`]: super::client::ClientConn

use super::body::{Body, Piece};
use super::error::Refusal;
use super::limits::Limits;
use super::server::Phase;
use memchr::memchr;

/// What is kept of the message under way, and what is read next. Idle, it holds no memory besides itself.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// A cut head. Behind a head that was cut, that head, while the caller may look at it. Then trailers.
    /// For who gathers: the head, cut or not, and behind it what came of the body, decoded.
    pub(super) kept: Vec<u8>,
    pub(super) reading: Reading,
}

/// What is read next.
#[derive(Debug, Default)]
pub(super) enum Reading {
    /// A head, none or some of which is kept.
    #[default]
    Head,
    /// A body, whose head is all that is kept. The caller may look at it until the next call.
    Begun(Rest),
    /// A body.
    Body(Rest),
    /// The message is over. The caller may look at what is kept until the next call, which reads a head.
    Handed,
    /// Nothing, ever again. What is kept goes with the next call.
    Closed,
}

/// What is left of a message behind its head.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) body: Body,
    /// Another message may follow.
    pub(super) keep_alive: bool,
}

impl Reader {
    pub(super) fn phase(&self) -> Phase {
        match self.reading {
            Reading::Head if self.kept.is_empty() => Phase::Idle,
            Reading::Head => Phase::Head,
            Reading::Begun(_) | Reading::Body(_) => Phase::Body,
            Reading::Handed => Phase::Idle,
            Reading::Closed => Phase::Closed,
        }
    }

    pub(super) fn close(&mut self) {
        self.kept = Vec::new();
        self.reading = Reading::Closed;
    }

    pub(super) fn awaits_head(&self) -> bool {
        matches!(self.reading, Reading::Head)
    }

    /// A head is awaited of which nothing is kept.
    pub(super) fn is_fresh(&self) -> bool {
        self.awaits_head() && self.kept.is_empty()
    }

    /// What the last call handed out, the caller has seen by now.
    #[inline]
    pub(super) fn free_handed(&mut self) {
        match self.reading {
            Reading::Head | Reading::Body(_) => {}
            Reading::Begun(_) | Reading::Handed => {
                self.kept = Vec::new();
                self.reading = match std::mem::take(&mut self.reading) {
                    Reading::Begun(rest) => Reading::Body(rest),
                    _ => Reading::Head,
                };
            }
            Reading::Closed => self.kept = Vec::new(),
        }
    }

    /// A head was read, and this is left behind it.
    pub(super) fn begin(&mut self, rest: Rest) {
        self.reading = Reading::Body(rest);
    }

    /// The caller is given the head that is kept: what follows does not need it.
    pub(super) fn lend_head(&mut self) {
        self.reading = match std::mem::take(&mut self.reading) {
            Reading::Body(rest) => Reading::Begun(rest),
            other => other,
        };
    }

    /// A whole message was read, and nothing of it is kept.
    #[inline]
    pub(super) fn pass(&mut self, keep_alive: bool) {
        self.reading = if keep_alive { Reading::Head } else { Reading::Closed };
    }

    /// The message is over. The caller is given what is kept.
    pub(super) fn finish(&mut self) {
        let keep_alive = match &self.reading {
            Reading::Body(rest) | Reading::Begun(rest) => rest.keep_alive,
            Reading::Head | Reading::Handed => true,
            Reading::Closed => false,
        };
        self.reading = if keep_alive { Reading::Handed } else { Reading::Closed };
    }

    /// Adds the front of `input` to a head that is cut. Once it is whole, it is what is kept: then what `parse` said of
    /// it besides its length, and the bytes taken. `None`: all were taken.
    ///
    /// # Errors
    /// As `parse`.
    pub(super) fn read_cut<T>(
        &mut self,
        input: &[u8],
        limits: &Limits,
        parse: impl FnOnce(&[u8]) -> Result<Option<(T, usize)>, Refusal>,
    ) -> Result<Option<(T, usize)>, Refusal> {
        let kept_before = self.kept.len();
        let room = limits.head_bytes_max.saturating_sub(kept_before);
        let taken = &input[..input.len().min(room)];
        self.kept.extend_from_slice(taken);
        // Only a line end can change the verdict. Parsing at each piece would be quadratic for a peer that sends single
        // bytes; so it is at most once for each of `fields_max` lines.
        if memchr(b'\n', taken).is_none() && taken.len() < room {
            return Ok(None);
        }
        let Some((said, len)) = parse(&self.kept)? else {
            return Ok(None);
        };
        self.kept.truncate(len);
        Ok(Some((said, len - kept_before)))
    }

    /// The next piece of the body. Outside of a body everything is taken, and nothing comes of it.
    ///
    /// # Errors
    /// As [`Body::next`].
    pub(super) fn read_body<'i>(&mut self, input: &'i [u8], limits: &Limits) -> Result<Piece<'i>, Refusal> {
        let Reading::Body(rest) = &mut self.reading else {
            return Ok(Piece::More);
        };
        let piece = rest.body.next(input, &mut self.kept, limits)?;
        if let Piece::End { .. } = piece {
            self.finish();
        }
        Ok(piece)
    }

    /// Appends to what is kept what `input` has of the body; trailers are dropped. The bytes taken if the body is
    /// complete, `None` if all were taken and more is needed.
    ///
    /// # Errors
    /// As [`Body::next`].
    pub(super) fn gather(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        let mut at = 0;
        loop {
            match self.read_body(&input[at..], limits)? {
                Piece::Content { bytes, used } => {
                    self.kept.extend_from_slice(bytes);
                    at += used;
                }
                Piece::End { used, trailers } => {
                    self.kept.truncate(self.kept.len() - trailers);
                    return Ok(Some(at + used));
                }
                Piece::More => return Ok(None),
            }
        }
    }
}
