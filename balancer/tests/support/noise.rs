//! Bodies of any length that can be made and checked piece by piece: each byte follows from its place.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Written and read in pieces of this size.
const PIECE: usize = 64 * 1024;

/// An endless body, the same for the same seed; at any time somewhere in it.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Noise {
        Noise(seed | 1)
    }

    /// The next bytes of it. They come in eights, so that only a last piece may have another length.
    pub fn fill(&mut self, piece: &mut [u8]) {
        for eight in piece.chunks_mut(8) {
            // Marsaglia's xorshift.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            eight.copy_from_slice(&self.0.to_le_bytes()[..eight.len()]);
        }
    }

    /// So many bytes of it.
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }

    /// Writes `len` bytes of it. Says on the way how many are out.
    pub fn write(&mut self, to: &mut impl Write, len: usize, out: &AtomicU64) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let mut left = len;
        while left > 0 {
            let part = &mut piece[..left.min(PIECE)];
            self.fill(part);
            to.write_all(part)?;
            left -= part.len();
            out.fetch_add(part.len() as u64, Relaxed);
        }
        Ok(())
    }

    /// Reads `len` bytes, which have to be the next ones of it.
    pub fn read(&mut self, from: &mut impl Read, len: usize) -> io::Result<()> {
        let (mut came, mut expected) = (vec![0; PIECE], vec![0; PIECE]);
        let mut left = len;
        while left > 0 {
            let part = left.min(PIECE);
            from.read_exact(&mut came[..part])?;
            self.fill(&mut expected[..part]);
            assert!(came[..part] == expected[..part], "wrong bytes, {} before the end", left);
            left -= part;
        }
        Ok(())
    }
}
