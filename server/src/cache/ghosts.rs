//! Tags of entries that the small queue dropped unused. Whoever comes back while its tag is still here
//! was dropped too early, and goes to the main queue at once.
//!
//! A table of short queues, one per low bits of a tag: together they forget about as fast as the paper's one
//! long queue, and need no links. With one tag per place instead of four, two keys that come in turn would
//! push each other out for ever. A wrong answer costs a place in the main queue, no more.

/// The part of the budget that the table may take: 4 bytes a tag, and about one tag per entry.
const GHOSTS_PART: usize = 32;

/// Newest first. 0 is nobody: the one key in four billion with that tag is never remembered.
type Line = [u32; 4];

/// The table. It comes into being with the first ghost.
#[derive(Debug)]
pub(super) struct Ghosts {
    lines: Vec<Line>,
    lines_max: usize,
}

impl Ghosts {
    /// For a cache of `bytes_max`; one that is off has no table.
    pub(super) fn new(bytes_max: usize) -> Ghosts {
        let share = bytes_max / GHOSTS_PART / size_of::<Line>();
        Ghosts { lines: Vec::new(), lines_max: share.checked_ilog2().map_or(0, |bits| 1 << bits) }
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line>()
    }

    /// Memory held at most.
    pub(super) fn bytes_max(&self) -> usize {
        self.lines_max * size_of::<Line>()
    }

    /// Remembers `tag`, and forgets the oldest one of its line.
    pub(super) fn put(&mut self, tag: u32) {
        if self.lines.is_empty() {
            self.lines = vec![[0; 4]; self.lines_max];
        }
        let mask = self.lines.len() - 1;
        let line = &mut self.lines[tag as usize & mask];
        *line = [tag, line[0], line[1], line[2]];
    }

    /// Whether `tag` is here. It is not, afterwards.
    pub(super) fn take(&mut self, tag: u32) -> bool {
        let line = match self.lines.len().checked_sub(1) {
            Some(mask) => &mut self.lines[tag as usize & mask],
            None => return false,
        };
        match line.iter_mut().find(|other| **other == tag) {
            Some(found) => std::mem::take(found) != 0,
            None => false,
        }
    }
}
