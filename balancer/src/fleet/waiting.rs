//! Which lanes have requests waiting for a place at a pool's servers.
//!
//! In: a lane that waits, a lane that gave a place back. Out: whom to wake. Never: a lock, or a wake-up when nobody waits.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// One bit for each lane (lanes 64 apart share one, and are woken together).
#[derive(Debug, Default)]
pub struct Waiting(AtomicU64);

impl Waiting {
    /// The lane waits from now on. Look for a place once more afterwards: one given back before was told to nobody.
    pub fn begin(&self, lane: usize) {
        self.0.fetch_or(bit(lane), SeqCst);
    }

    /// The lane waits no more.
    pub fn end(&self, lane: usize) {
        self.0.fetch_and(!bit(lane), SeqCst);
    }

    /// A place was given back by `lane`: the next one behind it that waits, of `lanes`; perhaps itself, as the last.
    pub fn next_after(&self, lane: usize, lanes: usize) -> Option<usize> {
        let waiting = self.0.load(SeqCst);
        if waiting == 0 {
            return None;
        }
        (1..=lanes).map(|step| (lane + step) % lanes).find(|&lane| waiting & bit(lane) != 0)
    }
}

fn bit(lane: usize) -> u64 {
    1 << (lane % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_take_turns() {
        let waiting = Waiting::default();
        assert_eq!(waiting.next_after(0, 4), None);
        [1, 3].iter().for_each(|&lane| waiting.begin(lane));
        assert_eq!(waiting.next_after(1, 4), Some(3));
        assert_eq!(waiting.next_after(3, 4), Some(1));
        waiting.end(3);
        assert_eq!(waiting.next_after(1, 4), Some(1));
    }
}
