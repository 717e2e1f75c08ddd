//! One connection of the target: the answers it is owed, in the order of their requests.
//!
//! In: answers, each with the time at which it is due. Out: the bytes of those that are due, appended.
//! Never: lets an answer pass an earlier one (RFC 9112, 9.3.2).

use super::{Counts, TRICKLE_STEP};
use net::engine::Token;
use net::http1::write::{self, Response};
use net::http1::{Persistence, ServerConn, Status};
use net::time::Time;
use std::collections::VecDeque;

pub(super) struct Conn {
    pub(super) token: Token,
    pub(super) http: ServerConn,
    pub(super) stage: Stage,
    /// Requests that came on it.
    pub(super) requests: u64,
    /// The sum that was last answered rightly, for a duplicate.
    pub(super) previous: Option<i128>,
    /// The timer that counts; those set before are void.
    pub(super) timer: Option<Time>,
    answers: VecDeque<Answer>,
    trickle: Option<Trickle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Requests are read and answered.
    Open,
    /// Nothing more is read; answers are still due.
    Finishing,
    /// The engine has been told to close.
    Closing,
}

/// An answer that is due at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) due: Time,
    /// Of its request; 0 for what isn't counted.
    pub(super) number: u64,
    pub(super) reply: Reply,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) status: Status,
    pub(super) content: Content,
    pub(super) persistence: Persistence,
    pub(super) omit_body: bool,
    pub(super) way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Sum(i128),
    Problem(&'static str),
    /// The interim answer that lets a client send its body.
    GoOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Whole,
    /// Ends in its middle, and the connection with it.
    Half,
    /// Byte by byte.
    Trickle,
}

/// An answer of which a part is out.
struct Trickle {
    bytes: Vec<u8>,
    at: usize,
    /// When the next byte is.
    due: Time,
    answer: Answer,
}

impl Answer {
    /// What a client waits for that asked whether to send its body.
    pub(super) fn go_on() -> Answer {
        let reply = Reply {
            status: Status::CONTINUE,
            content: Content::GoOn,
            persistence: Persistence::KeepAlive,
            omit_body: true,
            way: Way::Whole,
        };
        Answer { due: Time(0), number: 0, reply }
    }

    pub(super) fn with(self, content: Content) -> Answer {
        Answer { reply: Reply { content, ..self.reply }, ..self }
    }

    pub(super) fn by(self, way: Way) -> Answer {
        Answer { reply: Reply { way, ..self.reply }, ..self }
    }
}

impl Reply {
    fn write(&self, out: &mut Vec<u8>, date: &[u8; 29]) {
        let mut body = Vec::new();
        match self.content {
            Content::GoOn => return out.extend_from_slice(write::CONTINUE),
            Content::Sum(sum) => {
                body.extend_from_slice(b"{\"result\":");
                body.extend_from_slice(itoa::Buffer::new().format(sum).as_bytes());
                body.push(b'}');
            }
            Content::Problem(why) => body.extend_from_slice(why.as_bytes()),
        }
        let content_type = match self.content {
            Content::Sum(_) => "application/json",
            _ => "text/plain",
        };
        let response = Response {
            status: self.status,
            fields: &[],
            content_type: Some(content_type),
            body: &body,
            persistence: self.persistence,
            omit_body: self.omit_body,
        };
        write::response(out, &response, date);
    }
}

impl Conn {
    pub(super) fn new(token: Token) -> Conn {
        Conn {
            token,
            http: ServerConn::new(),
            stage: Stage::Open,
            requests: 0,
            previous: None,
            timer: None,
            answers: VecDeque::new(),
            trickle: None,
        }
    }

    /// Behind all that is owed already.
    pub(super) fn push(&mut self, answer: Answer) {
        self.answers.push_back(answer);
    }

    /// The answer to the request of this number, if it isn't out.
    pub(super) fn waiting(&mut self, number: u64) -> Option<&mut Answer> {
        self.answers.iter_mut().find(|answer| answer.number == number)
    }

    /// Appends all that is due. Gives the time of the next one; `None` if nothing is owed.
    pub(super) fn send(
        &mut self,
        now: Time,
        date: &[u8; 29],
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Option<Time> {
        loop {
            if let Some(due) = self.send_trickle(now, out, counts) {
                return Some(due);
            }
            let due = self.answers.front()?.due;
            if due > now {
                return Some(due);
            }
            let answer = self.answers.pop_front()?;
            match answer.reply.way {
                Way::Whole => {
                    answer.reply.write(out, date);
                    self.sent(&answer, counts);
                }
                Way::Half => {
                    let begin = out.len();
                    answer.reply.write(out, date);
                    out.truncate(begin + (out.len() - begin) / 2);
                    counts.cut += 1;
                    self.finish();
                }
                Way::Trickle => {
                    let mut bytes = Vec::new();
                    answer.reply.write(&mut bytes, date);
                    self.trickle = Some(Trickle { bytes, at: 0, due, answer });
                }
            }
        }
    }

    /// Appends the bytes that are due, and gives the time of the next; `None` if no answer is on its way in parts.
    fn send_trickle(&mut self, now: Time, out: &mut Vec<u8>, counts: &mut Counts) -> Option<Time> {
        let trickle = self.trickle.as_mut()?;
        while let Some(&byte) = trickle.bytes.get(trickle.at) {
            if trickle.due > now {
                return Some(trickle.due);
            }
            out.push(byte);
            trickle.at += 1;
            trickle.due = trickle.due + TRICKLE_STEP;
        }
        let (due, answer) = (trickle.due, trickle.answer);
        self.trickle = None;
        // The step between the bytes of two answers is the same.
        if let Some(next) = self.answers.front_mut() {
            next.due = next.due.max(due);
        }
        self.sent(&answer, counts);
        None
    }

    fn sent(&mut self, answer: &Answer, counts: &mut Counts) {
        counts.answered += u64::from(answer.number > 0);
        if answer.reply.persistence == Persistence::Close {
            self.finish();
        }
    }

    /// Nothing comes behind what is out.
    fn finish(&mut self) {
        self.answers.clear();
        self.http.close();
        self.stage = Stage::Finishing;
    }
}
