//! A queue of entries in a ring of bytes: in at the head, out at the tail, each entry in one piece.
//!
//! ```text
//! one stretch:    [ ..... | tail entries head | ..... ]
//! two stretches:  [ entries head | ... | tail entries wrap | ]
//! ```
//!
//! An entry is a header of 32 bytes, the key, the value. Where an entry does not fit behind the last
//! one, the ring goes on at its start, and the rest of its end stays unused for this lap.

use super::entry::{HEADER_BYTES, Header, USES_AT, USES_MAX, Uses};

/// The queue. A place in it is the distance of an entry from the ring's start.
#[derive(Debug)]
pub(super) struct Ring {
    /// As long as the first lap has come; it is not taken before it is needed.
    bytes: Vec<u8>,
    bytes_max: usize,
    /// Where the next entry goes.
    head: usize,
    /// The oldest entry.
    tail: usize,
    /// Where the entries before the wrap end. Only with two stretches.
    wrap: usize,
    /// Entries, gone ones included.
    len: usize,
}

impl Ring {
    pub(super) fn new(bytes_max: usize) -> Ring {
        Ring { bytes: Vec::new(), bytes_max, head: 0, tail: 0, wrap: 0, len: 0 }
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn has_room(&self, len: usize) -> bool {
        self.room(len).is_some()
    }

    /// Where an entry of `len` bytes would go. The ring starts over when it is empty, so any entry not
    /// longer than the ring finds room after enough of `drop_oldest`.
    fn room(&self, len: usize) -> Option<usize> {
        if self.head > self.tail || self.len == 0 {
            let behind = self.head + len <= self.bytes_max;
            let before = len <= self.tail;
            if behind { Some(self.head) } else { before.then_some(0) }
        } else {
            (self.head + len <= self.tail).then_some(self.head)
        }
    }

    /// Appends an entry, for which there must be room.
    pub(super) fn push(&mut self, header: &Header, key: &[u8], value: &[u8]) -> u32 {
        let at = self.enter(header.entry_bytes());
        let entry = &mut self.bytes[at..self.head];
        entry[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        entry[HEADER_BYTES..][..key.len()].copy_from_slice(key);
        entry[HEADER_BYTES + key.len()..].copy_from_slice(value);
        at as u32
    }

    /// Moves the head over the next `len` bytes, and says where they start.
    fn enter(&mut self, len: usize) -> usize {
        let at = self.room(len).expect("the caller made room");
        if at < self.head {
            self.wrap = self.head;
        }
        self.head = at + len;
        self.len += 1;
        if self.head > self.bytes.len() {
            self.grow();
        }
        at
    }

    /// Makes memory for everything before the head. Twice as much each time, so that all growing together
    /// costs about one copy of the whole; and all of it from the middle on, so that it ends in the first lap.
    #[cold]
    fn grow(&mut self) {
        if self.head > self.bytes.capacity() {
            let target = self.head.max(self.bytes.capacity() * 2).max(1024);
            let target = if target > self.bytes_max / 2 { self.bytes_max } else { target };
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.resize(self.head, 0);
    }

    pub(super) fn oldest(&self) -> Option<(u32, Header)> {
        (self.len > 0).then(|| (self.tail as u32, self.header(self.tail as u32)))
    }

    pub(super) fn drop_oldest(&mut self) {
        let Some((_, header)) = self.oldest() else { return };
        let two_stretches = self.head <= self.tail;
        self.len -= 1;
        self.tail += header.entry_bytes();
        if self.len == 0 {
            (self.head, self.tail) = (0, 0);
        } else if two_stretches && self.tail == self.wrap {
            self.tail = 0;
        }
    }

    /// Moves the oldest entry to the head, with another header of the same lengths. Needs no room but its
    /// own: either the bytes that it leaves join the gap before it, or they are the ring's start, where
    /// the head goes next. The two places may overlap.
    pub(super) fn requeue_oldest(&mut self, header: Header) -> u32 {
        let from = self.tail;
        self.drop_oldest();
        let to = self.enter(header.entry_bytes());
        self.bytes.copy_within(from..from + header.entry_bytes(), to);
        self.bytes[to..][..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        to as u32
    }

    #[inline]
    pub(super) fn header(&self, at: u32) -> Header {
        let bytes = self.bytes[at as usize..].first_chunk().expect("a place has a header");
        Header::from_bytes(bytes)
    }

    #[inline]
    pub(super) fn key(&self, at: u32, header: &Header) -> &[u8] {
        &self.bytes[at as usize + HEADER_BYTES..][..header.key_bytes as usize]
    }

    #[inline]
    pub(super) fn value(&self, at: u32, header: &Header) -> &[u8] {
        let start = at as usize + HEADER_BYTES + header.key_bytes as usize;
        &self.bytes[start..][..header.value_bytes as usize]
    }

    /// Counts a use of an entry that had `uses` so far.
    #[inline]
    pub(super) fn use_once(&mut self, at: u32, uses: Uses) {
        if let Uses::Times(uses @ 0..USES_MAX) = uses {
            self.bytes[at as usize + USES_AT] = Uses::Times(uses + 1).to_byte();
        }
    }

    pub(super) fn mark_gone(&mut self, at: u32) {
        self.bytes[at as usize + USES_AT] = Uses::Gone.to_byte();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::{Header, Ring};
    use crate::cache::{Key, Lives, Rendered};

    #[test]
    fn entries_leave_in_order_and_whole_whatever_their_sizes() {
        for bytes_max in [200, 333, 1000, 4096] {
            let mut ring = Ring::new(bytes_max);
            let mut model = VecDeque::new();
            let mut dice = 1_u32;
            for _ in 0..50_000 {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let [key, value] =
                    [dice >> 12 & 15, dice >> 20 & 63].map(|len| vec![dice as u8; len as usize]);
                let header = header(&key, &value);
                match dice >> 30 {
                    0 => {
                        ring.drop_oldest();
                        model.pop_front();
                    }
                    1 if !model.is_empty() => {
                        let (_, header) = ring.oldest().unwrap();
                        ring.requeue_oldest(header.with_uses(0));
                        model.rotate_left(1);
                    }
                    _ => {
                        while !ring.has_room(header.entry_bytes()) {
                            check_oldest(&ring, model.front());
                            ring.drop_oldest();
                            model.pop_front();
                        }
                        ring.push(&header, &key, &value);
                        model.push_back((key, value));
                    }
                }
                assert_eq!(ring.len(), model.len());
                assert!(ring.bytes() <= bytes_max);
                check_oldest(&ring, model.front());
            }
        }
    }

    #[test]
    fn a_header_survives_being_bytes() {
        let key = Key { route: 65_535, bytes: b"key" };
        let value = Rendered { bytes: b"value", date_at: 17, body_at: 65_534 };
        let header = Header::new(u32::MAX - 1, key, value, Lives::Forever).unwrap().with_uses(3);
        let again = Header::from_bytes(&header.to_bytes());
        assert_eq!(format!("{again:?}"), format!("{header:?}"));
    }

    fn header(key: &[u8], value: &[u8]) -> Header {
        let (key, value) = (Key { route: 1, bytes: key }, Rendered { bytes: value, date_at: 2, body_at: 3 });
        Header::new(4, key, value, Lives::Forever).unwrap()
    }

    fn check_oldest(ring: &Ring, expected: Option<&(Vec<u8>, Vec<u8>)>) {
        let found = ring.oldest().map(|(at, h)| (ring.key(at, &h).to_vec(), ring.value(at, &h).to_vec()));
        assert_eq!(found.as_ref(), expected);
    }
}
