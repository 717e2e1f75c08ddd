//! Rendered responses of one lane, kept by what determined them.
//!
//! In: a key and the bytes that answered it. Out: the same bytes, as long as they live and fit.
//! Never: shares with another lane, reads a clock, runs a timer, allocates per request, or holds more memory
//! than it was given.
//!
//! ```text
//!             ┌─ seen lately? ─▶ ghosts (tags of what the small queue dropped)
//!  insert ────┤no                                      yes│
//!             ▼                                           ▼
//!        small queue, 1/8 ──used, or room in main──▶ main queue ──used──┐
//!             │                                        │  ▲ again, uses - 1
//!             └─▶ dropped, tag to ghosts               │  └────────────┘
//!                                                      └─▶ dropped
//! ```
//!
//! That is S3-FIFO (Yang et al., SOSP '23). A scan's keys come once, pass through the small queue, and
//! leave the main one alone; SIEVE is simpler, but lets a scan through. Both queues are rings of bytes
//! in which an entry lies whole: header, key, value. So an insert that evicts reuses the very memory
//! that the evicted left, whatever the sizes, and the bound is on memory, not on an estimate of it.

mod entry;
mod ghosts;
mod index;
mod ring;

use std::hash::{BuildHasher as _, Hasher as _};

use ahash::RandomState;
use net::time::Time;

pub use entry::{Key, Lives, Rendered};

use entry::{Header, Uses};
use ghosts::Ghosts;
use index::{Index, Place, Queue};
use ring::Ring;

/// An entry may take this part of the budget: enough for any response worth keeping, and too little for a
/// handful of them to push everyone else out. The small queue's part must be larger.
const ENTRY_PART: usize = 16;

/// The small queue's part of the rings. The paper's 1/10, rounded up so that the largest entry fits.
const SMALL_PART: usize = 8;

/// With less the parts are too small to hold a response each.
const BYTES_MIN: usize = 4096;

/// Places in a ring have 31 bits.
const BYTES_MAX: usize = 1 << 30;

/// How many entries of the main queue one insert may pass over because they were used. Without a limit
/// it could walk the whole queue several times: 20,000 entries, milliseconds.
const SPARED_MAX: u32 = 32;

/// What happened so far, and what is held now.
///
/// `hits + misses` is the number of gets. `entries` is
/// `inserts - replaced - evictions - expirations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Gets that were answered.
    pub hits: u64,
    /// Gets that were not, for whatever reason.
    pub misses: u64,
    /// Entries that went in.
    pub inserts: u64,
    /// Entries that left because a newer one came, or was refused, under the same key.
    pub replaced: u64,
    /// Entries that left to make room.
    pub evictions: u64,
    /// Entries that left because a get found them past their time.
    pub expirations: u64,
    /// Inserts that were not made because the entry was too large.
    pub refused: u64,
    /// Memory held now: rings, index, ghosts. It grows with use up to the bound, and does not shrink.
    pub bytes: usize,
    /// Entries held now, those included whose time is over without anyone having noticed.
    pub entries: usize,
}

/// The cache of one lane. See the module for how it chooses.
#[derive(Debug)]
pub struct Cache {
    hasher: RandomState,
    index: Index,
    ghosts: Ghosts,
    small: Ring,
    main: Ring,
    /// The longest entry, header included. 0: the cache is off.
    entry_bytes_max: usize,
    counters: Counters,
}

impl Cache {
    /// A cache that never holds more than `bytes_max` bytes of memory, its own tables included, taken as
    /// entries come. Less than 4 KiB, 0 for instance, is no cache: it holds, finds and counts nothing.
    /// More than 1 GiB is taken as 1 GiB.
    ///
    /// While a table grows, its old and its new memory exist side by side for a moment, and the insert
    /// that caused it takes longer: 0.3 ms at worst with 4 MiB. Once every table has grown, in a steady
    /// state that is, nothing is allocated any more.
    pub fn new(bytes_max: usize) -> Cache {
        Cache::with_hasher(bytes_max, RandomState::new())
    }

    /// [`Cache::new`] with a hash that is the same in every process. Only for tests: who knows the seed
    /// can choose keys that collide.
    #[doc(hidden)]
    pub fn seeded(bytes_max: usize, seed: u64) -> Cache {
        Cache::with_hasher(bytes_max, RandomState::with_seeds(seed, 1, 2, 3))
    }

    fn with_hasher(bytes_max: usize, hasher: RandomState) -> Cache {
        let bytes_max = if bytes_max < BYTES_MIN { 0 } else { bytes_max.min(BYTES_MAX) };
        let index = Index::new(bytes_max);
        let ghosts = Ghosts::new(bytes_max);
        let rings = bytes_max - index.bytes_max() - ghosts.bytes_max();
        let small = rings / SMALL_PART;
        Cache {
            hasher,
            index,
            ghosts,
            small: Ring::new(small),
            main: Ring::new(rings - small),
            entry_bytes_max: bytes_max / ENTRY_PART,
            counters: Counters::default(),
        }
    }

    /// The most memory that it will hold; 0 if it is off.
    pub fn bytes_max(&self) -> usize {
        self.entry_bytes_max * ENTRY_PART
    }

    /// What was last inserted under `key`, if it is still here and `now` is before its end.
    #[inline]
    pub fn get(&mut self, key: Key<'_>, now: Time) -> Option<Rendered<'_>> {
        if self.entry_bytes_max == 0 {
            return None;
        }
        let Some((slot, place, header)) = self.find(key, self.tag(key)) else {
            self.counters.misses += 1;
            return None;
        };
        if header.is_over(now) {
            self.counters.misses += 1;
            self.counters.expirations += 1;
            self.forget(slot, place);
            return None;
        }
        self.counters.hits += 1;
        let ring = self.ring_mut(place.queue());
        ring.use_once(place.at(), header.uses);
        let bytes = ring.value(place.at(), &header);
        Some(Rendered { bytes, date_at: header.date_at, body_at: header.body_at })
    }

    /// Keeps `value` under `key`, in place of what was there. An entry that takes more than 1/16 of the
    /// budget is refused, and counted; what was there is dropped all the same, since it is out of date.
    pub fn insert(&mut self, key: Key<'_>, value: Rendered<'_>, lives: Lives) {
        if self.entry_bytes_max == 0 {
            return;
        }
        let tag = self.tag(key);
        let replaced = self.find(key, tag).map(|(slot, place, _)| {
            self.counters.replaced += 1;
            self.forget(slot, place);
            place.queue()
        });
        let header = Header::new(tag, key, value, lives);
        let Some(header) = header.filter(|header| header.entry_bytes() <= self.entry_bytes_max) else {
            self.counters.refused += 1;
            return;
        };
        let queue = match replaced {
            Some(queue) => queue,
            None if self.ghosts.take(tag) => Queue::Main,
            None => Queue::Small,
        };
        while !self.index.has_room() {
            self.shed();
        }
        let mut spared = 0;
        let place = if queue == Queue::Main && self.make_room_in_main(header.entry_bytes(), &mut spared) {
            Place::new(Queue::Main, self.main.push(&header, key.bytes, value.bytes))
        } else {
            self.make_room_in_small(header.entry_bytes(), &mut spared);
            Place::new(Queue::Small, self.small.push(&header, key.bytes, value.bytes))
        };
        self.index.insert(tag, place);
        self.counters.inserts += 1;
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let bytes = self.index.bytes() + self.ghosts.bytes() + self.small.bytes() + self.main.bytes();
        Counters { bytes, entries: self.index.len(), ..self.counters }
    }

    /// Keyed per process, so that nobody outside can choose keys that collide.
    #[inline]
    fn tag(&self, key: Key<'_>) -> u32 {
        let mut hash = self.hasher.build_hasher();
        hash.write(key.bytes);
        hash.write_u16(key.route);
        hash.finish() as u32
    }

    #[inline]
    fn find(&self, key: Key<'_>, tag: u32) -> Option<(index::Slot, Place, Header)> {
        self.index.find(tag, |place| {
            let ring = self.ring(place.queue());
            let header = ring.header(place.at());
            (header.route == key.route && ring.key(place.at(), &header) == key.bytes).then_some(header)
        })
    }

    #[inline]
    fn ring(&self, queue: Queue) -> &Ring {
        match queue {
            Queue::Small => &self.small,
            Queue::Main => &self.main,
        }
    }

    #[inline]
    fn ring_mut(&mut self, queue: Queue) -> &mut Ring {
        match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        }
    }

    /// Takes an entry out of the index. Its bytes stay until the end of their queue comes by.
    fn forget(&mut self, slot: index::Slot, place: Place) {
        self.index.remove(slot);
        self.ring_mut(place.queue()).mark_gone(place.at());
    }

    fn make_room_in_small(&mut self, len: usize, spared: &mut u32) {
        while !self.small.has_room(len)
            && let Some((at, header)) = self.small.oldest()
        {
            let stays = match header.uses {
                Uses::Gone => None,
                // Nothing is thrown away as long as there is room somewhere.
                Uses::Times(0) => Some(self.main.has_room(header.entry_bytes())),
                Uses::Times(_) => Some(self.make_room_in_main(header.entry_bytes(), spared)),
            };
            match stays {
                Some(true) => self.promote(at, &header.with_uses(0)),
                Some(false) => {
                    self.ghosts.put(header.tag);
                    self.evict(header.tag, Place::new(Queue::Small, at));
                }
                None => {}
            }
            self.small.drop_oldest();
        }
    }

    /// Copies an entry from the small queue to the main one, where there must be room.
    fn promote(&mut self, at: u32, header: &Header) {
        let to = self.main.push(header, self.small.key(at, header), self.small.value(at, header));
        self.index.move_to(header.tag, Place::new(Queue::Small, at), Place::new(Queue::Main, to));
    }

    /// Whether there is room in the main queue, after dropping what was not used and giving another round to
    /// what was. When too many were, the answer is no: who is used has a better right to the place than
    /// who comes, and the next insert goes on where this one stopped.
    fn make_room_in_main(&mut self, len: usize, spared: &mut u32) -> bool {
        while !self.main.has_room(len)
            && let Some((at, header)) = self.main.oldest()
        {
            let from = Place::new(Queue::Main, at);
            match header.uses {
                Uses::Times(1..) if *spared == SPARED_MAX => return false,
                Uses::Times(uses @ 1..) => {
                    *spared += 1;
                    let to = self.main.requeue_oldest(header.with_uses(uses - 1));
                    self.index.move_to(header.tag, from, Place::new(Queue::Main, to));
                    continue;
                }
                Uses::Times(0) => self.evict(header.tag, from),
                Uses::Gone => {}
            }
            self.main.drop_oldest();
        }
        true
    }

    /// Drops an oldest entry without regard to its uses, because the index is full. That takes entries of
    /// less than 72 bytes (144 where the budget is no power of two), header included: no response is that
    /// short. Which queue gives is only a matter of keeping their proportion.
    #[cold]
    fn shed(&mut self) {
        let small = self.small.len() * SMALL_PART > self.main.len();
        let queue = if small { Queue::Small } else { Queue::Main };
        let ring = self.ring_mut(queue);
        let Some((at, header)) = ring.oldest() else { return };
        ring.drop_oldest();
        if header.uses != Uses::Gone {
            self.evict(header.tag, Place::new(queue, at));
        }
    }

    fn evict(&mut self, tag: u32, place: Place) {
        self.index.remove_at(tag, place);
        self.counters.evictions += 1;
    }
}
