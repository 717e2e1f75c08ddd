//! One connection: how far its next request has come, and the answers that wait for their turn.

use super::answering::Manner;
use net::engine::Token;
use net::http1::{Phase, ServerConn};
use net::time::Time;
use std::collections::VecDeque;

/// The server's side of a connection. A lane has one for each, idle ones too: it is kept small.
pub(super) struct Conn {
    pub(super) token: Token,
    pub(super) http: ServerConn,
    pub(super) stage: Stage,
    /// What the connection waited for when its time limit was set.
    pub(super) phase: Phase,
    pub(super) queue: Queue,
    /// Of the lane's sum of bytes that cut requests hold, this connection's part.
    pub(super) held: usize,
    /// The peer will send no more.
    pub(super) eof: bool,
    /// What the peer had taken of its output when a time limit last ran out.
    pub(super) sent_before: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Requests are read and answered.
    Open,
    /// No request is read any more; answers are still due.
    Finishing,
    /// The engine has been told to close.
    Closing,
}

/// Answers that wait for an earlier one; nothing, unless a background job is at work.
pub(super) type Queue = Option<Box<Waiting>>;

/// The answers behind a background job, in the order of their requests.
#[derive(Default)]
pub(super) struct Waiting {
    answers: VecDeque<Due>,
    next_ticket: u32,
    /// Arrived, and not to be read before an answer is out.
    kept: Vec<u8>,
}

/// One answer that is due.
pub(super) enum Due {
    /// Rendered; waits for its turn.
    Ready(Vec<u8>),
    /// At work.
    Job(JobTicket),
}

/// What is needed to render a job's reply when it comes.
#[derive(Clone, Copy)]
pub(super) struct JobTicket {
    pub(super) ticket: u32,
    pub(super) route: usize,
    pub(super) manner: Manner,
    pub(super) since: Time,
}

impl Conn {
    pub(super) fn new(token: Token) -> Conn {
        Conn {
            token,
            http: ServerConn::new(),
            stage: Stage::Open,
            phase: Phase::Idle,
            queue: None,
            held: 0,
            eof: false,
            sent_before: 0,
        }
    }

    /// Requests whose answers are not out yet.
    pub(super) fn in_flight(&self) -> usize {
        self.queue.as_ref().map_or(0, |waiting| waiting.answers.len())
    }

    /// The job with this ticket is the last thing that the peer has asked for.
    pub(super) fn is_last(&self, ticket: u32) -> bool {
        let Some(waiting) = &self.queue else { return false };
        let is_it = matches!(waiting.answers.back(), Some(Due::Job(job)) if job.ticket == ticket);
        is_it && waiting.kept.is_empty() && self.http.phase() == Phase::Idle
    }

    /// Nothing has come of a next request, and nothing is due.
    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Open && self.queue.is_none() && self.http.phase() == Phase::Idle
    }

    /// Keeps bytes that may not be read yet. Only while answers are due, hence while there is a queue.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if let Some(waiting) = &mut self.queue {
            waiting.kept.extend_from_slice(bytes);
        }
    }

    /// What was kept, to be read now. The queue goes when it has served.
    pub(super) fn take_kept(&mut self) -> Vec<u8> {
        let Some(waiting) = &mut self.queue else { return Vec::new() };
        let kept = std::mem::take(&mut waiting.kept);
        if waiting.answers.is_empty() {
            self.queue = None;
        }
        kept
    }

    pub(super) fn has_kept(&self) -> bool {
        self.queue.as_ref().is_some_and(|waiting| !waiting.kept.is_empty())
    }
}

impl Waiting {
    /// Queues an answer that is rendered already.
    pub(super) fn push_ready(&mut self, rendered: Vec<u8>) {
        self.answers.push_back(Due::Ready(rendered));
    }

    /// Queues an answer that a job will give.
    pub(super) fn push_job(&mut self, job: JobTicket) {
        self.answers.push_back(Due::Job(job));
    }

    /// A number for the next job, different from that of any job of this queue.
    pub(super) fn take_ticket(&mut self) -> u32 {
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.next_ticket
    }

    /// Puts the rendering of a job's reply in its place.
    pub(super) fn finish(&mut self, ticket: u32, render: impl FnOnce(JobTicket) -> Vec<u8>) {
        let is_it = |due: &&mut Due| matches!(due, Due::Job(job) if job.ticket == ticket);
        if let Some(due) = self.answers.iter_mut().find(is_it)
            && let Due::Job(job) = *due
        {
            *due = Due::Ready(render(job));
        }
    }

    /// The next answer, if it is rendered.
    pub(super) fn pop_ready(&mut self) -> Option<Vec<u8>> {
        match self.answers.front()? {
            Due::Ready(_) => match self.answers.pop_front()? {
                Due::Ready(rendered) => Some(rendered),
                Due::Job(_) => None,
            },
            Due::Job(_) => None,
        }
    }
}
