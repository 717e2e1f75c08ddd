//! What a reader makes of bytes, as lines of text: one for each message, one for an error, one for what it waits for.
//!
//! In: the pieces of one connection. Out: the same lines from the readers that gather bodies and from those that hand
//! them out, if both say the same. On the way each event of the latter is held to what it promises.

use net::http1::{
    Asked, ClientConn, ClientError, Ended, Heads, Limits, Phase, RequestEvent, RequestStream, ResponseEvent,
    ResponseHeads, ResponseStep, ResponseStream, ServerConn, Step,
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The readers that hand out whole messages.
pub(crate) fn gathered_requests(pieces: &[&[u8]], limits: &Limits) -> Vec<String> {
    let (mut conn, mut heads, mut log) = (ServerConn::new(), Heads::new(*limits), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        loop {
            match conn.next(rest, &mut heads) {
                Ok(Step::Request { request, used }) => {
                    log.push(message(&format!("{:?}", request.head), request.body));
                    rest = &rest[used..];
                }
                Ok(Step::Expect { used, .. }) => rest = &rest[used..],
                Ok(Step::More) => break,
                Err(refusal) => log.push(refusal.to_string()),
            }
        }
    }
    log.push(format!("{:?}, HEAD: {}", conn.phase(), conn.asks_head()));
    log
}

/// As [`gathered_requests`].
pub(crate) fn gathered_responses(
    pieces: &[&[u8]],
    asked: Asked,
    limits: &Limits,
    then_end: bool,
) -> Vec<String> {
    let (mut conn, mut heads, mut log) = (ClientConn::new(), ResponseHeads::new(*limits), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        loop {
            match conn.next(rest, asked, &mut heads) {
                Ok(ResponseStep::Interim { head, used }) => {
                    log.push(format!("{head:?}"));
                    rest = &rest[used..];
                }
                Ok(ResponseStep::Response { response, used }) => {
                    log.push(message(&format!("{:?}", response.head), response.body));
                    rest = &rest[used..];
                }
                Ok(ResponseStep::More) => break,
                Err(error) => log.push(error.to_string()),
            }
        }
    }
    if then_end {
        match conn.end(&heads) {
            Ok(Some(response)) => log.push(message(&format!("{:?}", response.head), response.body)),
            Ok(None) => {}
            Err(error) => log.push(error.to_string()),
        }
    }
    log.push(format!("{:?}", conn.phase()));
    log
}

/// The readers that hand bodies out, with the pieces put together.
pub(crate) fn streamed_requests(pieces: &[&[u8]], limits: &Limits) -> Vec<String> {
    let (mut stream, mut heads) = (RequestStream::new(), Heads::new(*limits));
    let mut sum = Sum::of(pieces, limits);
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let used = match stream.next(rest, &mut heads) {
                Ok(RequestEvent::Head { head, raw, used }) => {
                    sum.begin(format!("{head:?}"), raw, rest, used);
                    used
                }
                Ok(RequestEvent::Content { bytes, used }) => {
                    sum.content(bytes, rest, used);
                    assert_eq!(stream.kept_bytes(), 0, "memory is kept while content comes");
                    used
                }
                Ok(RequestEvent::End { used, .. }) => {
                    sum.end();
                    used
                }
                Ok(RequestEvent::More) => break,
                Err(refusal) => {
                    sum.fail(refusal.to_string());
                    0
                }
            };
            sum.take(used, stream.kept_bytes());
            rest = &rest[used..];
        }
        sum.take(rest.len(), stream.kept_bytes());
        sum.agrees(stream.phase(), stream.kept_bytes());
    }
    sum.log.push(format!("{:?}, HEAD: {}", stream.phase(), stream.asks_head()));
    sum.log
}

/// As [`streamed_requests`].
pub(crate) fn streamed_responses(
    pieces: &[&[u8]],
    asked: Asked,
    limits: &Limits,
    then_end: bool,
) -> Vec<String> {
    let (mut stream, mut heads) = (ResponseStream::new(), ResponseHeads::new(*limits));
    let mut sum = Sum::of(pieces, limits);
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let used = match stream.next(rest, asked, &mut heads) {
                Ok(ResponseEvent::Interim { head, raw, used }) => {
                    sum.check_raw(raw, rest, used);
                    sum.log.push(format!("{head:?}"));
                    used
                }
                Ok(ResponseEvent::Head { head, raw, used }) => {
                    sum.begin(format!("{head:?}"), raw, rest, used);
                    used
                }
                Ok(ResponseEvent::Content { bytes, used }) => {
                    sum.content(bytes, rest, used);
                    assert_eq!(stream.kept_bytes(), 0, "memory is kept while content comes");
                    used
                }
                Ok(ResponseEvent::End { used, .. }) => {
                    sum.end();
                    used
                }
                Ok(ResponseEvent::Switched { head, raw, used }) => {
                    sum.begin(format!("{head:?}"), raw, rest, used);
                    sum.end();
                    used
                }
                Ok(ResponseEvent::More) => break,
                Err(error) => {
                    sum.fail(error.to_string());
                    0
                }
            };
            sum.take(used, stream.kept_bytes());
            rest = &rest[used..];
        }
        sum.take(rest.len(), stream.kept_bytes());
        sum.agrees(stream.phase(), stream.kept_bytes());
    }
    if then_end {
        match stream.end() {
            Ok(Ended::Complete) => sum.end(),
            Ok(Ended::Idle) => assert_eq!(sum.under_way, None),
            Err(error) => {
                assert!(matches!(error, ClientError::CutShort(_)));
                sum.fail(error.to_string());
            }
        }
    }
    sum.log.push(format!("{:?}", stream.phase()));
    sum.log
}

fn message(head: &str, body: &[u8]) -> String {
    // Enough to tell bodies apart.
    if body.len() <= 1_000 {
        return format!("{head} {}", body.escape_ascii());
    }
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("{head} <{} bytes, {:x}>", body.len(), hasher.finish())
}

/// The events of one connection, put together.
struct Sum<'w> {
    /// All bytes of the connection, and how many of them were taken.
    wire: Vec<u8>,
    taken: usize,
    is_whole: bool,
    limits: &'w Limits,
    /// The head that has begun, and its body so far.
    under_way: Option<(String, Vec<u8>)>,
    log: Vec<String>,
}

impl<'w> Sum<'w> {
    fn of(pieces: &[&[u8]], limits: &'w Limits) -> Sum<'w> {
        let is_whole = pieces.len() == 1;
        Sum { wire: pieces.concat(), taken: 0, is_whole, limits, under_way: None, log: Vec::new() }
    }

    fn begin(&mut self, head: String, raw: &[u8], rest: &[u8], used: usize) {
        assert_eq!(self.under_way, None, "a head comes before the end of the last message");
        self.check_raw(raw, rest, used);
        self.under_way = Some((head, Vec::new()));
    }

    /// The head's bytes are those in front of what follows it, and are not copied where they need not be.
    fn check_raw(&self, raw: &[u8], rest: &[u8], used: usize) {
        let end = self.taken + used;
        assert_eq!(raw, &self.wire[end - raw.len()..end]);
        assert!(raw.ends_with(b"\r\n\r\n") && !raw.starts_with(b"\r\n"));
        assert_eq!(lies_in(raw, rest), raw.len() <= used, "a head that is whole lies in the input");
        assert!(!self.is_whole || lies_in(raw, rest));
    }

    fn content(&mut self, bytes: &[u8], rest: &[u8], used: usize) {
        assert!(!bytes.is_empty(), "a piece of content is empty");
        assert!(lies_in(bytes, &rest[..used]), "content is copied");
        self.under_way.as_mut().expect("content follows a head").1.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        let (head, body) = self.under_way.take().expect("an end follows a head");
        self.log.push(message(&head, &body));
    }

    fn fail(&mut self, error: String) {
        self.under_way = None;
        self.log.push(error);
    }

    fn take(&mut self, used: usize, kept: usize) {
        self.taken += used;
        // A growing buffer doubles, from eight bytes on.
        let most = self.limits.head_bytes_max.max(self.limits.trailer_bytes_max);
        assert!(kept <= 2 * most + 8, "{kept} bytes are kept");
    }

    /// When everything was taken.
    fn agrees(&self, phase: Phase, kept: usize) {
        assert_eq!(self.under_way.is_some(), phase == Phase::Body);
        assert!(
            kept == 0 || matches!(phase, Phase::Head | Phase::Body),
            "{phase:?} and {kept} bytes are kept"
        );
    }
}

fn lies_in(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    whole.start <= part.start && part.end <= whole.end
}
