//! What it means that a time limit ran out: told by the state of the connection, and by who is the one that does not move.

use super::answers::Own;
use super::back::Serving;
use super::front::{Coming, Passing, Stage};
use super::{Proxy, get};
use crate::fleet::{Fault, Outcome};
use net::engine::{Close, Io, Token};
use net::http1::Phase;

impl Proxy {
    /// Everything that is due by now.
    pub(super) fn meet_deadlines(&mut self, io: &mut Io) {
        while let Some((token, _)) = self.lane.deadlines.pop_due(io.now()) {
            if get(&mut self.backs, token).is_some() {
                self.on_back_timeout(token, io);
            } else {
                self.on_front_timeout(token, io);
            }
        }
        while let Some((token, _)) = self.lane.totals.pop_due(io.now()) {
            self.on_total_timeout(token, io);
        }
    }

    fn on_front_timeout(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let unsent = io.unsent(token);
        let sent = io.sent_so_far(token);
        let takes = unsent > 0 && sent > std::mem::replace(&mut front.sent_before, sent);
        let idle = self.lane.limits.idle;
        match (&front.stage, front.exchange.stage, front.http.phase()) {
            // A large send buffer opens in large steps: a few seconds don't show whether the peer reads.
            (Stage::Closing, ..) if takes => self.lane.deadlines.set(token, idle, io.now()),
            // The rest of the last response is lost: it must not look whole.
            (Stage::Closing, ..) if unsent > 0 => io.close(token, Close::Reset),
            (Stage::Closing, ..) => io.close(token, Close::Now),
            (Stage::Announcing(_), ..) => self.drop_front(token, Fault::RequestTimeout, io),
            (Stage::Open, Passing::Idle, Phase::Head) => self.answer_late(token, io),
            // It takes its output, slowly: the same time again.
            (Stage::Open, Passing::Idle, _) if takes => self.lane.deadlines.set(token, idle, io.now()),
            (Stage::Open, Passing::Idle, _) if unsent == 0 => self.close_front(token, io),
            // A peer that doesn't even take its answers gets no more time.
            (Stage::Open, Passing::Idle, _) => self.drop_front(token, Fault::ClientStalled, io),
            (Stage::Open, Passing::Queued, _) => self.give_up(token, Fault::QueueTimeout, io),
            (Stage::Open, Passing::Asking | Passing::Answering, _) => self.on_upload_timeout(token, io),
            (Stage::Open, Passing::Starting | Passing::Connecting | Passing::Tunnel, _) => {}
        }
    }

    /// A request's body did not go on.
    fn on_upload_timeout(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let exchange = &mut front.exchange;
        let Some(back) = exchange.back.filter(|_| exchange.coming == Coming::Body) else { return };
        let sent = io.sent_so_far(back);
        let takes = sent > std::mem::replace(&mut exchange.upload_sent, sent);
        let waits_for_100 = exchange.waits_for_100();
        match io.is_over(back) {
            // The client waits for the server, which has a limit of its own.
            false if waits_for_100 => self.lane.limit_upload(front, io),
            false => self.give_up_on_client(token, io),
            true if takes => self.lane.limit_upload(front, io),
            true => self.fail_back(back, token, Outcome::TimedOut, io),
        }
    }

    fn give_up_on_client(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        if let Some(back) = front.exchange.back.filter(|_| front.exchange.stage == Passing::Asking) {
            self.close_back_as(back, Close::Reset, io);
            return self.answer(token, Own::of_fault(Fault::RequestTimeout, None), io);
        }
        self.cut(token, Fault::RequestTimeout, io);
    }

    fn on_back_timeout(&mut self, token: Token, io: &mut Io) {
        let Some(back) = get(&mut self.backs, token) else { return };
        let Serving::Front(client) = back.serving else { return self.close_back(token, io) };
        let Some(front) = get(&mut self.fronts, client) else { return self.close_back(token, io) };
        let sent = io.sent_so_far(client);
        let takes = sent > std::mem::replace(&mut front.sent_before, sent);
        match front.exchange.stage {
            Passing::Connecting => self.fail_back(token, client, Outcome::ConnectTimeout, io),
            Passing::Answering if io.is_over(client) && takes => {
                self.lane.limit_stalls(front, token, io);
            }
            Passing::Answering if io.is_over(client) => self.cut(client, Fault::ClientStalled, io),
            // The request goes on meanwhile, under a limit of its own: the server may wait for the rest of it.
            Passing::Answering if front.exchange.coming == Coming::Body => {
                self.lane.limit_stalls(front, token, io);
            }
            Passing::Tunnel => self.on_tunnel_timeout(token, client, takes, io),
            _ => self.fail_back(token, client, Outcome::TimedOut, io),
        }
    }

    /// Nothing came through a tunnel. That is no silence as long as one side takes, however slowly, what is held for it.
    fn on_tunnel_timeout(&mut self, token: Token, client: Token, client_takes: bool, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, client) else { return };
        let sent = io.sent_so_far(token);
        let server_takes = sent > std::mem::replace(&mut front.exchange.upload_sent, sent);
        if (client_takes && io.unsent(client) > 0) || (server_takes && io.unsent(token) > 0) {
            return self.lane.limit_tunnel(&front.exchange, token, io);
        }
        self.close_back(token, io);
        self.cut_tunnel(client, io);
    }

    /// The try over this connection failed, which is closed, and the server told so.
    pub(super) fn fail_back(&mut self, token: Token, client: Token, outcome: Outcome, io: &mut Io) {
        self.close_back_as(token, Close::Reset, io);
        self.on_failed(client, outcome, io);
    }

    /// The whole request took too long. A server is to blame only where it is the one that is waited for.
    fn on_total_timeout(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let exchange = &front.exchange;
        let comes = exchange.coming == Coming::Body && !exchange.waits_for_100();
        match (exchange.stage, exchange.back) {
            (Passing::Idle | Passing::Tunnel, _) => {}
            (Passing::Answering, _) if io.is_over(token) => self.cut(token, Fault::ClientStalled, io),
            (Passing::Asking | Passing::Answering, Some(back)) if comes && !io.is_over(back) => {
                self.give_up_on_client(token, io);
            }
            (_, Some(back)) => self.fail_back(back, token, Outcome::TimedOut, io),
            (_, None) => self.give_up(token, Fault::ResponseTimeout, io),
        }
    }

    /// Ends a connection on which no request is under way, without a word.
    pub(super) fn drop_front(&mut self, token: Token, fault: Fault, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        self.lane.end_reading(front, io);
        self.lane.stats().faults[fault as usize].one();
        io.close(token, Close::Now);
    }
}
