//! From a key's tag to the place of its entry: an open table, probed slot by slot.
//!
//! A tag is 32 bits of the key's hash. Its low bits choose the slot and all of it is in the slot, so
//! an entry is looked at only if it is the right one, or one in 65,536 wrong ones.

/// The part of the budget that the table may take. At 8 bytes a slot and three quarters full that is enough
/// for entries of 72 bytes on average, or of 144 where the budget is no power of two.
const INDEX_PART: usize = 8;

/// What the smallest cache has; a larger one starts with it too.
const SLOTS_MIN: usize = 64;

/// Which ring an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    Small,
    Main,
}

/// Where an entry is: the ring in the top bit, the distance from the ring's start in the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// No entry starts there: rings are shorter.
const NOWHERE: Place = Place(u32::MAX);

const IN_MAIN: u32 = 1 << 31;

impl Place {
    #[inline]
    pub(super) fn new(queue: Queue, at: u32) -> Place {
        match queue {
            Queue::Small => Place(at),
            Queue::Main => Place(at | IN_MAIN),
        }
    }

    #[inline]
    pub(super) fn queue(self) -> Queue {
        if self.0 & IN_MAIN == 0 { Queue::Small } else { Queue::Main }
    }

    #[inline]
    pub(super) fn at(self) -> u32 {
        self.0 & !IN_MAIN
    }
}

/// A slot of the table, good until the table changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot(usize);

#[derive(Clone, Copy, Debug)]
struct Cell {
    tag: u32,
    place: Place,
}

const EMPTY: Cell = Cell { tag: 0, place: NOWHERE };

/// The table. Its length is a power of two, and at most three quarters of it are full.
#[derive(Debug)]
pub(super) struct Index {
    cells: Vec<Cell>,
    cells_max: usize,
    len: usize,
}

impl Index {
    /// For a cache of `bytes_max`; one that is off has no table.
    pub(super) fn new(bytes_max: usize) -> Index {
        let share = bytes_max / INDEX_PART / size_of::<Cell>();
        let cells_max = share.checked_ilog2().map_or(0, |bits| 1 << bits);
        Index { cells: vec![EMPTY; cells_max.min(SLOTS_MIN)], cells_max, len: 0 }
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
    }

    /// Memory held at most.
    pub(super) fn bytes_max(&self) -> usize {
        self.cells_max * size_of::<Cell>()
    }

    /// Entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether one more entry can go in.
    pub(super) fn has_room(&self) -> bool {
        self.len < self.cells_max / 4 * 3
    }

    /// The entry with this tag that `is_it` knows as its own, and what `is_it` made of it.
    #[inline]
    pub(super) fn find<T>(&self, tag: u32, is_it: impl Fn(Place) -> Option<T>) -> Option<(Slot, Place, T)> {
        let mask = self.cells.len() - 1;
        let mut at = tag as usize & mask;
        loop {
            let cell = self.cells[at];
            if cell.place == NOWHERE {
                return None;
            }
            if cell.tag == tag
                && let Some(found) = is_it(cell.place)
            {
                return Some((Slot(at), cell.place, found));
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an entry, for which there must be room, and no other with the same key.
    pub(super) fn insert(&mut self, tag: u32, place: Place) {
        if self.len >= self.cells.len() / 4 * 3 {
            self.grow();
        }
        self.len += 1;
        self.put(Cell { tag, place });
    }

    fn put(&mut self, cell: Cell) {
        let mask = self.cells.len() - 1;
        let mut at = cell.tag as usize & mask;
        while self.cells[at].place != NOWHERE {
            at = (at + 1) & mask;
        }
        self.cells[at] = cell;
    }

    /// Twice as many cells. The tag says where each one goes: no entry is read.
    #[cold]
    fn grow(&mut self) {
        let cells = vec![EMPTY; self.cells.len() * 2];
        let old = std::mem::replace(&mut self.cells, cells);
        for cell in old.into_iter().filter(|cell| cell.place != NOWHERE) {
            self.put(cell);
        }
    }

    /// The entry at `from` is now at `to`.
    pub(super) fn move_to(&mut self, tag: u32, from: Place, to: Place) {
        if let Some(Slot(at)) = self.slot_of(tag, from) {
            self.cells[at].place = to;
        }
    }

    /// Removes the entry at `place`.
    pub(super) fn remove_at(&mut self, tag: u32, place: Place) {
        if let Some(slot) = self.slot_of(tag, place) {
            self.remove(slot);
        }
    }

    fn slot_of(&self, tag: u32, place: Place) -> Option<Slot> {
        self.find(tag, |other| (other == place).then_some(())).map(|(slot, ..)| slot)
    }

    /// Removes what is in `slot`, and closes the gap: every cell up to the next empty one moves back if that
    /// brings it no further back than where its tag wants it. So there are no tombstones to clean up.
    pub(super) fn remove(&mut self, slot: Slot) {
        let mask = self.cells.len() - 1;
        let mut gap = slot.0;
        let mut at = (gap + 1) & mask;
        while self.cells[at].place != NOWHERE {
            let wanted = self.cells[at].tag as usize & mask;
            if (at.wrapping_sub(wanted) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.cells[gap] = self.cells[at];
                gap = at;
            }
            at = (at + 1) & mask;
        }
        self.cells[gap] = EMPTY;
        self.len -= 1;
    }
}
