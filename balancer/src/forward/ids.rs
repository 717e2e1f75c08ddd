//! Request ids: 32 hexadecimal digits that no other lane and no other request has.
//!
//! In: a seed that nobody else was given. Out: one id after the other. Never: a random number per request; a count is
//! enough, and an id is no secret.

/// Digits of an id: half of them name the lane, half count.
pub(super) const ID_BYTES: usize = 32;
const PREFIX_BYTES: usize = ID_BYTES / 2;
/// What follows an id: the line's end, and the head's.
pub(super) const END: &[u8; 4] = b"\r\n\r\n";

/// The ids of one lane.
#[derive(Clone, Debug)]
pub(super) struct RequestIds {
    /// The last id as text, with the end of a head behind it: one copy for each request.
    last: [u8; ID_BYTES + END.len()],
}

impl RequestIds {
    pub(super) fn new(seed: u64) -> RequestIds {
        let mut last = [b'0'; ID_BYTES + END.len()];
        for (at, digit) in last.iter_mut().enumerate().take(PREFIX_BYTES) {
            *digit = b"0123456789abcdef"[(seed >> (60 - 4 * at)) as usize & 0xf];
        }
        last[ID_BYTES..].copy_from_slice(END);
        RequestIds { last }
    }

    /// The next id, and the end of a head.
    pub(super) fn next(&mut self) -> &[u8; ID_BYTES + END.len()] {
        // Counting in text is one step for fifteen of sixteen requests.
        for digit in self.last[PREFIX_BYTES..ID_BYTES].iter_mut().rev() {
            match digit {
                b'9' => *digit = b'a',
                b'f' => {
                    *digit = b'0';
                    continue;
                }
                _ => *digit += 1,
            }
            break;
        }
        &self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_in_hexadecimal_behind_the_seed() {
        let mut ids = RequestIds::new(0x0123_4567_89ab_cdef);
        for n in 1..70_000u64 {
            let text = String::from_utf8(ids.next().to_vec()).unwrap();
            assert_eq!(text, format!("0123456789abcdef{n:016x}\r\n\r\n"));
        }
    }
}
