//! Clients that ask for sums which are all different, and compare every answer: a swapped, lost or repeated one shows.

use super::wire::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    pub right: AtomicU64,
    /// Answered with 200 and another sum, or not understood.
    pub wrong: AtomicU64,
    /// Answered with 502, 503 or 504.
    pub refused: AtomicU64,
    /// The connection ended before the answer, without a `connection: close` before.
    pub lost: AtomicU64,
}

/// Load that goes on until it is stopped.
pub struct Load {
    pub tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(address: &str, clients: u64) -> Load {
        let (tally, stop) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let clients = (0..clients).map(|number| {
            let (address, tally, stop) = (address.to_owned(), tally.clone(), stop.clone());
            thread::spawn(move || client(&address, number, &tally, &stop))
        });
        Load { clients: clients.collect(), tally, stop }
    }

    /// Waits until so many more were answered right.
    pub fn more(&self, count: u64) {
        let until = self.tally.right.load(Relaxed) + count;
        super::eventually(&format!("{count} more right answers"), || self.tally.right.load(Relaxed) >= until);
    }

    /// Ends it: no answer may be wrong.
    pub fn stop(self) -> Arc<Tally> {
        self.stop.store(true, Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("a client does not panic"));
        assert_eq!(self.tally.wrong.load(Relaxed), 0, "{:?}", self.tally);
        self.tally
    }
}

fn client(address: &str, number: u64, tally: &Tally, stop: &AtomicBool) {
    let mut open: Option<Client> = None;
    for n in 0.. {
        if stop.load(Relaxed) {
            return;
        }
        let (a, b) = (number * 1_000_000_000 + n, n);
        let client = open.get_or_insert_with(|| Client::connect(address));
        let body = format!("{{\"a\":{a},\"b\":{b}}}");
        match client.ask("POST", "/add", &[("content-type", "application/json")], body.as_bytes()) {
            Ok(answer) => {
                let right = format!("{{\"result\":{}}}", a + b);
                let count = match answer.status {
                    200 if answer.body == right.as_bytes() => &tally.right,
                    502..=504 => &tally.refused,
                    _ => &tally.wrong,
                };
                count.fetch_add(1, Relaxed);
                if answer.closes {
                    open = None;
                }
            }
            Err(_) if stop.load(Relaxed) => return,
            Err(_) => {
                tally.lost.fetch_add(1, Relaxed);
                open = None;
            }
        }
    }
}
