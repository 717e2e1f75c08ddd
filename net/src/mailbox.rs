//! The only door between threads: a bounded queue into one lane, with a bell that ends the lane's wait.
//!
//! In: mails from any thread. Out: to the lane's engine, which hands them to its program at its next turn.
//! Never: grows past its capacity, or loses a mail that was accepted while the lane lives.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A lane and its other side agree on this many mails in the queue: answers of background work are bounded
/// by the pool's queue, the rest is a handful.
pub const MAILS_MAX: usize = 4096;

/// The sending side; clone it freely.
pub struct Mailer<M>(Arc<Shared<M>>);

/// The lane's side: given to its engine.
pub struct Mailbox<M>(Arc<Shared<M>>);

struct Shared<M> {
    queue: Mutex<Queue<M>>,
    room: Condvar,
    bell: Arc<Bell>,
    capacity: usize,
}

struct Queue<M> {
    mails: VecDeque<M>,
    open: bool,
}

/// Why a mail did not go in; the mail comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<M> {
    /// The queue is at its capacity.
    Full(M),
    /// The lane has ended.
    Closed(M),
}

/// A mailbox for at most `capacity` mails. Fails where no event descriptor is to be had (EMFILE).
pub fn mailbox<M>(capacity: usize) -> io::Result<(Mailer<M>, Mailbox<M>)> {
    let queue = Mutex::new(Queue { mails: VecDeque::new(), open: true });
    let shared = Arc::new(Shared { queue, room: Condvar::new(), bell: Arc::new(Bell::new()?), capacity });
    Ok((Mailer(shared.clone()), Mailbox(shared)))
}

impl<M> Mailer<M> {
    /// Puts a mail in without waiting.
    pub fn send(&self, mail: M) -> Result<(), Refused<M>> {
        self.put(self.0.lock(), mail)
    }

    /// Puts a mail in, waiting for room: for threads that may wait, which a lane may not.
    pub fn send_waiting(&self, mail: M) -> Result<(), Refused<M>> {
        let mut queue = self.0.lock();
        while queue.open && queue.mails.len() >= self.0.capacity {
            queue = self.0.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        self.put(queue, mail)
    }

    /// Ends the lane's wait, for what else than mail it looks into then.
    #[cfg(feature = "os")]
    pub(crate) fn bell(&self) -> Arc<Bell> {
        self.0.bell.clone()
    }

    /// Ends the lane's wait, to see that it turns. Whether there is still a lane.
    #[cfg(feature = "os")]
    pub(crate) fn nudge(&self) -> bool {
        self.0.bell.ring();
        self.0.lock().open
    }

    fn put(&self, mut queue: MutexGuard<'_, Queue<M>>, mail: M) -> Result<(), Refused<M>> {
        if !queue.open {
            return Err(Refused::Closed(mail));
        }
        if queue.mails.len() >= self.0.capacity {
            return Err(Refused::Full(mail));
        }
        let first = queue.mails.is_empty();
        queue.mails.push_back(mail);
        drop(queue);
        if first {
            self.0.bell.ring();
        }
        Ok(())
    }
}

impl<M> Clone for Mailer<M> {
    fn clone(&self) -> Self {
        Mailer(self.0.clone())
    }
}

impl<M> Mailbox<M> {
    /// The oldest mail. The bell is silent once this has said `None`.
    pub(crate) fn take(&self) -> Option<M> {
        let mut queue = self.0.lock();
        let mail = queue.mails.pop_front();
        drop(queue);
        if mail.is_some() {
            self.0.room.notify_one();
        }
        mail
    }

    /// A descriptor that turns readable when mail comes; read eight bytes from it before taking the mails.
    #[cfg(feature = "os")]
    pub(crate) fn bell(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.0.bell.0.as_fd()
    }
}

impl<M> Drop for Mailbox<M> {
    /// The lane is gone: nobody may wait for room in it.
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.open = false;
        let mails = std::mem::take(&mut queue.mails);
        drop(queue);
        drop(mails);
        self.0.room.notify_all();
    }
}

impl<M> Shared<M> {
    /// A queue has no half-done state that a panic could leave behind: a poisoned lock is a lock.
    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a lane's wait.
#[cfg(feature = "os")]
#[derive(Debug)]
pub(crate) struct Bell(std::os::fd::OwnedFd);

#[cfg(feature = "os")]
impl Bell {
    fn new() -> io::Result<Bell> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Bell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub(crate) fn ring(&self) {
        // Fails only when the counter is full (EAGAIN), and then the bell is ringing already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

/// Without an operating system there is the simulator, which looks into the queue at every step.
#[cfg(not(feature = "os"))]
struct Bell;

#[cfg(not(feature = "os"))]
impl Bell {
    fn new() -> io::Result<Bell> {
        Ok(Bell)
    }

    fn ring(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_box_refuses_and_a_closed_one_gives_back() {
        let (mailer, mailbox) = mailbox(2).unwrap();
        assert_eq!(mailer.send(1), Ok(()));
        assert_eq!(mailer.send(2), Ok(()));
        assert_eq!(mailer.send(3), Err(Refused::Full(3)));
        assert_eq!(mailbox.take(), Some(1));
        assert_eq!(mailer.send(4), Ok(()));
        assert_eq!((mailbox.take(), mailbox.take(), mailbox.take()), (Some(2), Some(4), None));
        drop(mailbox);
        assert_eq!(mailer.send(5), Err(Refused::Closed(5)));
    }

    #[test]
    fn a_waiting_sender_gets_room_or_the_news_that_the_lane_is_gone() {
        let (mailer, mailbox) = mailbox(1).unwrap();
        let sender = std::thread::spawn(move || (0..100).map(|n| mailer.send_waiting(n)).collect::<Vec<_>>());
        let mut got = Vec::new();
        while got.len() < 50 {
            got.extend(mailbox.take());
        }
        drop(mailbox);
        let sent = sender.join().unwrap();
        assert_eq!(got, (0..50).collect::<Vec<_>>());
        assert!(matches!(sent.last(), Some(Err(Refused::Closed(99)))));
    }
}
