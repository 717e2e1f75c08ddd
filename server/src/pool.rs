//! Where work goes that would hold a lane: a bounded pool of threads.
//!
//! In: a job, and the lane and request that wait for it. Out: mail to that lane. Never: takes more than its
//! queue holds (the caller then answers 503), or lets a job's panic end anything but that job.

use crate::handlers::error_body;
use crate::program::Mail;
use crate::routes::{Job, Reply};
use net::engine::Token;
use net::http1::Status;
use net::mailbox::Mailer;
use net::percore::{self, Ended};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// A job with its way back.
pub struct Task {
    /// What to do.
    pub job: Job,
    /// The connection that waits, if it is still there when the job is done.
    pub token: Token,
    /// Which of the connection's requests.
    pub ticket: u32,
    /// The lane that holds it.
    pub lane: Mailer<Mail>,
}

impl Task {
    /// Does the job and mails the reply. A job that panics is answered with 500.
    pub fn run(self) {
        let reply = match percore::caught(self.job) {
            Ended::Returned(reply) => reply,
            Ended::Panicked(panic) => {
                tracing::error!(panic, "a background job panicked; it is answered with 500");
                let mut body = Vec::new();
                error_body(&mut body, "the server failed at this request");
                Reply { status: Status::INTERNAL_SERVER_ERROR, body }
            }
        };
        // A lane that is gone needs no reply.
        let _ = self.lane.send_waiting(Mail::Done { token: self.token, ticket: self.ticket, reply });
    }
}

/// Takes tasks, to be run elsewhere. The simulator has its own.
pub trait Background: Send + Sync {
    /// Queues a task. `false`: the queue is full, and the task is dropped.
    fn submit(&self, task: Task) -> bool;
}

/// Threads that run tasks.
pub struct Pool {
    queue: SyncSender<Task>,
}

impl Pool {
    /// `workers` threads that share a queue of `queue_max` tasks. They end when the pool is dropped and the
    /// queue is empty.
    pub fn start(workers: usize, queue_max: usize) -> io::Result<Arc<Pool>> {
        let (queue, tasks) = sync_channel(queue_max);
        let tasks = Arc::new(Mutex::new(tasks));
        for number in 0..workers {
            let tasks = tasks.clone();
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || work(&tasks))?;
        }
        Ok(Arc::new(Pool { queue }))
    }
}

impl Background for Pool {
    fn submit(&self, task: Task) -> bool {
        self.queue.try_send(task).is_ok()
    }
}

fn work(tasks: &Mutex<Receiver<Task>>) {
    loop {
        // The lock is held while waiting, and by one worker at a time; the next takes it when a task came.
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match task {
            Ok(task) => task.run(),
            Err(_) => return,
        }
    }
}
