//! The epoll floor: one thread, edge-triggered, one recv and one send per event.
//!
//! Edge-triggered because a level-triggered socket goes back to the ready list after each event, to be polled
//! again and found empty in the next wait. A recv that does not fill the buffer has emptied the socket; whatever
//! comes later makes a new edge, so there is no second recv only to see EAGAIN.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use slab::Slab;

use super::{Plan, Tally};

const LISTENER: u64 = u64::MAX;

/// One wait takes the events of every connection of the biggest run at once.
const EVENTS_PER_TURN: usize = 1024;

/// Room for 16 pipelined requests and then some, so that one recv empties the socket.
const RECEIVE_BYTES: usize = 16 * 1024;

struct Connection {
    socket: OwnedFd,
    tally: Tally,
}

/// Is the connection still of use?
#[derive(PartialEq)]
enum Fate {
    Open,
    Over,
}

pub(super) fn serve(listener: &TcpListener, plan: &Plan) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;

    let mut connections = Slab::new();
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS_PER_TURN);
    let mut buffer = vec![0; RECEIVE_BYTES];
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => accept_all(&epoll, listener, &mut connections)?,
                slot => {
                    let slot = slot as usize;
                    // An index of a connection that an earlier event of this turn closed: nothing to do.
                    let Some(connection) = connections.get_mut(slot) else { continue };
                    if turn(connection, &mut buffer, plan) == Fate::Over {
                        connections.remove(slot);
                    }
                }
            }
        }
    }
}

fn accept_all(epoll: &OwnedFd, listener: &TcpListener, connections: &mut Slab<Connection>) -> io::Result<()> {
    loop {
        let socket = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(error) => return Err(error.into()),
        };
        let entry = connections.vacant_entry();
        // Both directions at once: an edge for OUT comes only after a send that did not fit.
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(epoll, &socket, EventData::new_u64(entry.key() as u64), interest)?;
        entry.insert(Connection { socket, tally: Tally::default() });
    }
}

fn turn(connection: &mut Connection, buffer: &mut [u8], plan: &Plan) -> Fate {
    loop {
        match recv(&connection.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Fate::Over,
            Ok((bytes, _)) => {
                connection.tally.received(bytes, plan);
                if bytes < buffer.len() {
                    return flush(connection, plan);
                }
            }
            Err(Errno::AGAIN) => return flush(connection, plan),
            Err(Errno::INTR) => {}
            Err(_) => return Fate::Over,
        }
    }
}

fn flush(connection: &mut Connection, plan: &Plan) -> Fate {
    loop {
        let next = connection.tally.next(plan);
        if next.is_empty() {
            return Fate::Open;
        }
        match send(&connection.socket, &plan.answers[next], SendFlags::NOSIGNAL) {
            Ok(bytes) => connection.tally.sent(bytes, plan),
            Err(Errno::AGAIN) => return Fate::Open,
            Err(Errno::INTR) => {}
            Err(_) => return Fate::Over,
        }
    }
}
