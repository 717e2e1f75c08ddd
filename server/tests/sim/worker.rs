//! A background pool inside the world: jobs take virtual time, chosen by the seed.

use net::engine::sim::Rng;
use net::engine::{End, Io, Opened, Program, Token};
use net::http1::{Request, Status};
use net::mailbox::Mailer;
use net::time::Time;
use server::handlers::{Context, add, health};
use server::pool::{Background, Task};
use server::routes::{Answer, Caching, Reply, Route};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The product's endpoints, and one whose work takes long.
pub(crate) const ROUTES: &[Route] = &[
    Route::post("/add", add::respond).cached(Caching::For(Duration::from_millis(50))),
    Route::post("/slow", slow),
    Route::get("/healthz", health::healthz),
];

/// The same sum, by way of the pool; `{"panic":…}` makes the job panic.
fn slow(request: &Request<'_>, _: &mut Context<'_>) -> Answer {
    let body = request.body.to_vec();
    Answer::Later(Box::new(move || {
        let mut sum = Vec::new();
        match add::answer(&body, &mut sum) {
            Ok(()) => Reply { status: Status::OK, body: sum },
            Err(problem) => panic!("{}", problem.message()),
        }
    }))
}

/// Runs tasks at times that the seed chooses, hence in another order than they came.
pub(crate) struct Worker {
    rng: Rng,
    tasks: Vec<(Time, Task)>,
    queued: Arc<AtomicUsize>,
}

impl Worker {
    pub(crate) fn new(seed: u64) -> Worker {
        Worker { rng: Rng::new(seed ^ 0x50_0b), tasks: Vec::new(), queued: Arc::default() }
    }
}

/// The way to the worker, for at most `queue_max` tasks at a time.
pub(crate) fn background(tasks: Mailer<Task>, worker: &Worker, queue_max: usize) -> Arc<dyn Background> {
    Arc::new(Way { tasks, queued: worker.queued.clone(), queue_max })
}

struct Way {
    tasks: Mailer<Task>,
    queued: Arc<AtomicUsize>,
    queue_max: usize,
}

impl Background for Way {
    fn submit(&self, task: Task) -> bool {
        if self.queued.load(Ordering::Relaxed) >= self.queue_max {
            return false;
        }
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.tasks.send(task).is_ok()
    }
}

impl Program for Worker {
    type Mail = Task;

    fn on_open(&mut self, _: Token, _: Opened, _: &mut Io) {}
    fn on_bytes(&mut self, _: Token, _: &[u8], _: &mut Io) {}
    fn on_end(&mut self, _: Token, _: End, _: &mut Io) {}

    fn on_mail(&mut self, task: Task, io: &mut Io) {
        let takes = self.rng.duration(&(Duration::from_micros(1)..=Duration::from_millis(300)));
        self.tasks.push((io.now() + takes, task));
    }

    fn next_deadline(&self) -> Option<Time> {
        self.tasks.iter().map(|(due, _)| *due).min()
    }

    fn on_deadline(&mut self, io: &mut Io) {
        let now = io.now();
        while let Some(at) = self.tasks.iter().position(|(due, _)| *due <= now) {
            let (_, task) = self.tasks.swap_remove(at);
            self.queued.fetch_sub(1, Ordering::Relaxed);
            task.run();
        }
    }
}
