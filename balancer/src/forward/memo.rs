//! Heads that were rewritten before: the same head of the same kind of asker becomes the same bytes.
//!
//! In: a head as it came, and a key of what else decides. Out: what became of it the last time. Never: takes one head for another (the
//! bytes are compared whole), or remembers more than so many of so many bytes.

/// Heads remembered; a power of two. Clients of one kind send a few dozen, told apart by target and length.
const PLACES: usize = 64;
/// A longer head, or one that becomes longer, is rewritten each time. With cookies, most heads of browsers fit. Both bounds
/// together: 128 KiB for each of the two memos of a lane.
const BYTES_MAX: usize = 1024;

/// What became of the heads that came last.
#[derive(Debug)]
pub(super) struct Memo<T> {
    places: Box<[Remembered<T>]>,
}

/// One head.
#[derive(Debug)]
struct Remembered<T> {
    key: u32,
    /// As it came; empty: nothing is remembered.
    raw: Vec<u8>,
    /// What it became.
    written: Vec<u8>,
    means: Option<T>,
}

/// Where a head is looked for, and put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

impl<T: Copy> Memo<T> {
    pub(super) fn new() -> Memo<T> {
        let empty = || Remembered { key: 0, raw: Vec::new(), written: Vec::new(), means: None };
        Memo { places: std::iter::repeat_with(empty).take(PLACES).collect() }
    }

    /// What `raw` became and what it means; or the place for it, to be given to [`Memo::learn`].
    pub(super) fn find(&self, key: u32, raw: &[u8]) -> Result<(&[u8], T), Place> {
        let place = place(key, raw);
        let remembered = &self.places[place];
        match remembered.means {
            Some(means) if remembered.key == key && remembered.raw == raw => Ok((&remembered.written, means)),
            _ => Err(Place(place)),
        }
    }

    /// Remembers that `raw` became `written`, in place of what was there.
    pub(super) fn learn(&mut self, Place(place): Place, key: u32, raw: &[u8], written: &[u8], means: T) {
        if raw.len() > BYTES_MAX || written.len() > BYTES_MAX {
            return;
        }
        let remembered = &mut self.places[place];
        remembered.key = key;
        remembered.raw.clear();
        remembered.raw.extend_from_slice(raw);
        remembered.written.clear();
        remembered.written.extend_from_slice(written);
        remembered.means = Some(means);
    }
}

/// Every byte has a say, as heads differ now in the target, now in a length. Four sums side by side keep it at some
/// nanoseconds; heads that share a place only cost time.
fn place(key: u32, raw: &[u8]) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sums = [u64::from(key), raw.len() as u64, 0, 0];
    let mut add = |block: &[u8; 32]| {
        let (words, _) = block.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.rotate_left(5) ^ u64::from_le_bytes(*word);
        }
    };
    let (blocks, _) = raw.as_chunks::<32>();
    blocks.iter().for_each(&mut add);
    // The rest, with some of what was added before.
    if let Some(last) = raw.last_chunk() {
        add(last);
    }
    let [a, b, c, d] = sums;
    let sum = a ^ b.rotate_left(17) ^ c.rotate_left(31) ^ d.rotate_left(47);
    (sum.wrapping_mul(ODD) >> (u64::BITS - PLACES.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_known_by_all_its_bytes_and_its_key() {
        let mut memo = Memo::new();
        let raw = b"GET /a/path/that/is/longer/than/a/block HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
        let place = memo.find(1, &raw).unwrap_err();
        memo.learn(place, 1, &raw, b"written", 7);
        assert_eq!(memo.find(1, &raw).ok(), Some((&b"written"[..], 7)));
        assert!(memo.find(2, &raw).is_err() && memo.find(1, &raw[1..]).is_err());
        for at in 0..raw.len() {
            let mut other = raw.clone();
            other[at] ^= 1;
            assert!(memo.find(1, &other).is_err(), "{at}");
        }
    }

    #[test]
    fn heads_that_share_a_place_are_not_mixed_up() {
        let mut memo = Memo::new();
        for n in 0..10_000u32 {
            let raw = n.to_be_bytes().repeat(10);
            if let Err(place) = memo.find(0, &raw) {
                memo.learn(place, 0, &raw, &n.to_le_bytes(), n);
            }
            assert_eq!(memo.find(0, &raw).ok(), Some((&n.to_le_bytes()[..], n)));
        }
    }

    #[test]
    fn one_head_of_many_askers_is_not_mixed_up() {
        let mut memo = Memo::new();
        for key in 0..10_000 {
            let place = memo.find(key, b"GET / HTTP/1.1").unwrap_err();
            memo.learn(place, key, b"GET / HTTP/1.1", &key.to_le_bytes(), key);
        }
    }

    #[test]
    fn what_is_long_is_not_remembered_and_pushes_nothing_out() {
        let mut memo = Memo::new();
        for (raw, written) in [(BYTES_MAX, 0), (0, BYTES_MAX)] {
            for (longer, is_remembered) in [(0, true), (1, false)] {
                let raw = vec![b'r'; if raw > 0 { raw + longer } else { 1 }];
                let written = vec![b'w'; if written > 0 { written + longer } else { 1 }];
                let key = longer as u32;
                let place = memo.find(key, &raw).unwrap_err();
                memo.learn(place, key, &raw, &written, ());
                assert_eq!(memo.find(key, &raw).is_ok(), is_remembered);
            }
        }
    }

    /// A lane's usual traffic: some targets, some lengths.
    #[test]
    fn heads_that_differ_in_one_number_find_places_of_their_own() {
        let head = |n: u32, m: u32| {
            format!(
                "POST /items/{n} HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x\r\nContent-Length: {m}\r\n\r\n"
            )
        };
        let by_target: std::collections::HashSet<usize> =
            (10..42).map(|n| place(0, head(n, 5).as_bytes())).collect();
        let by_length: std::collections::HashSet<usize> =
            (10..42).map(|n| place(0, head(5, n).as_bytes())).collect();
        // 32 balls in 64 boxes at random fill 25.
        assert!(by_target.len() >= 20 && by_length.len() >= 20, "{} {}", by_target.len(), by_length.len());
    }
}
