//! What an entry is made of: what a caller gives and gets, and the header that goes before it in a ring.

use net::time::Time;

/// What determines a response: the route's number, and the request's bytes as far as they matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// Keeps routes apart whose bytes are alike.
    pub route: u16,
    /// Compared byte by byte; no normal form is applied.
    pub bytes: &'a [u8],
}

/// A response as it goes onto the wire, and where in it the changing parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendered<'a> {
    /// Head and body.
    pub bytes: &'a [u8],
    /// Where in `bytes` the value of `Date` starts. The cache does not look at it.
    pub date_at: u16,
    /// Where in `bytes` the body starts. The cache does not look at it.
    pub body_at: u16,
}

/// How long an entry may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lives {
    /// Until it is evicted.
    Forever,
    /// Until this moment, and not at it.
    Until(Time),
}

/// Of an entry's header, in bytes.
pub(super) const HEADER_BYTES: usize = 32;

/// Where in the header the uses are, the one thing in it that changes.
pub(super) const USES_AT: usize = 14;

/// The paper's two bits: what was popular once must not stay for long.
pub(super) const USES_MAX: u8 = 3;

/// No end. A moment 584 years after the clock's origin can be given up for it.
const FOREVER: u64 = u64::MAX;

/// What is known about an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) tag: u32,
    pub(super) route: u16,
    pub(super) date_at: u16,
    pub(super) body_at: u16,
    pub(super) uses: Uses,
    pub(super) key_bytes: u32,
    pub(super) value_bytes: u32,
    until: u64,
}

/// Whether an entry still counts, and how often it was used of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uses {
    /// Replaced or expired: not in the index any more, and skipped when the tail comes by.
    Gone,
    /// How often, up to [`USES_MAX`].
    Times(u8),
}

impl Header {
    /// None if a length does not fit 32 bits.
    pub(super) fn new(tag: u32, key: Key<'_>, value: Rendered<'_>, lives: Lives) -> Option<Header> {
        Some(Header {
            tag,
            route: key.route,
            date_at: value.date_at,
            body_at: value.body_at,
            uses: Uses::Times(0),
            key_bytes: u32::try_from(key.bytes.len()).ok()?,
            value_bytes: u32::try_from(value.bytes.len()).ok()?,
            until: match lives {
                Lives::Forever => FOREVER,
                Lives::Until(end) => end.0,
            },
        })
    }

    pub(super) fn with_uses(self, times: u8) -> Header {
        Header { uses: Uses::Times(times), ..self }
    }

    #[inline]
    pub(super) fn is_over(&self, now: Time) -> bool {
        self.until <= now.0 && self.until != FOREVER
    }

    /// Header, key and value.
    #[inline]
    pub(super) fn entry_bytes(&self) -> usize {
        HEADER_BYTES + self.key_bytes as usize + self.value_bytes as usize
    }

    /// As four words, so that reading one is four loads.
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let second = u64::from(self.route)
            | u64::from(self.date_at) << 16
            | u64::from(self.body_at) << 32
            | u64::from(self.uses.to_byte()) << 48;
        let words = [
            u64::from(self.tag) | u64::from(self.key_bytes) << 32,
            second,
            u64::from(self.value_bytes),
            self.until,
        ];
        let mut bytes = [0; HEADER_BYTES];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *chunk = word.to_le_bytes();
        }
        bytes
    }

    #[inline]
    pub(super) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Header {
        let word = |i: usize| u64::from_le_bytes(bytes.as_chunks::<8>().0[i]);
        let (first, second) = (word(0), word(1));
        Header {
            tag: first as u32,
            key_bytes: (first >> 32) as u32,
            route: second as u16,
            date_at: (second >> 16) as u16,
            body_at: (second >> 32) as u16,
            uses: Uses::from_byte((second >> 48) as u8),
            value_bytes: word(2) as u32,
            until: word(3),
        }
    }
}

impl Uses {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Uses::Gone => 0,
            Uses::Times(uses) => uses + 1,
        }
    }

    #[inline]
    fn from_byte(byte: u8) -> Uses {
        byte.checked_sub(1).map_or(Uses::Gone, Uses::Times)
    }
}
