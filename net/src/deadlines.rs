//! Time limits of many connections, for programs.
//!
//! In: "this token is now in that kind of wait, since now". Out: the next instant at which one runs out, and
//! which. Each kind has one constant length, so a list per kind, oldest first, is already sorted: every
//! operation is O(1), and a closed connection leaves nothing behind. Never: reads a clock.
//!
//! A limit that is set again and again (keep-alive idle, once per request) moves in its list only after a
//! 32nd of its length; in return it fires up to that much late, and never early.

use crate::engine::Token;
use crate::time::Time;
use std::time::Duration;

const NONE: u32 = u32::MAX;

/// The lists, and each token's place in one of them.
pub struct Deadlines {
    kinds: Vec<Kind>,
    places: Vec<Place>,
}

struct Kind {
    first: u32,
    last: u32,
    /// Length of the limit plus the slack by which it may fire late.
    fires_after: Duration,
    slack: Duration,
}

impl Kind {
    fn new(length: &Duration) -> Kind {
        let slack = *length / 32;
        Kind { first: NONE, last: NONE, fires_after: length.saturating_add(slack), slack }
    }
}

#[derive(Clone, Copy)]
struct Place {
    token: Option<Token>,
    kind: u16,
    next: u32,
    previous: u32,
    since: Time,
}

const NOWHERE: Place = Place { token: None, kind: 0, next: NONE, previous: NONE, since: Time(0) };

impl Deadlines {
    /// One kind of limit for each length; a kind is named by its position (at most 65,536).
    pub fn new(lengths: &[Duration]) -> Deadlines {
        Deadlines { kinds: lengths.iter().map(Kind::new).collect(), places: Vec::new() }
    }

    /// The kind whose limit has this length: a new one, if there is none. For lengths that are known only while running.
    ///
    /// Where 65,536 lengths are known already, it is the last one.
    pub fn kind(&mut self, length: Duration) -> u16 {
        let new = Kind::new(&length);
        let known = self.kinds.iter().position(|kind| kind.fires_after == new.fires_after);
        let kind = known.unwrap_or(self.kinds.len()).min(usize::from(u16::MAX));
        if kind == self.kinds.len() {
            self.kinds.push(new);
        }
        kind as u16
    }

    /// The token waits in `kind` since `now`, and in no other kind.
    pub fn set(&mut self, token: Token, kind: u16, now: Time) {
        let index = token.index();
        if index >= self.places.len() {
            self.places.resize(index + 1, NOWHERE);
        }
        let place = &self.places[index];
        let same = place.token == Some(token) && place.kind == kind;
        if same && now.since(place.since) <= self.kinds[kind as usize].slack {
            return;
        }
        self.unlink(index);
        self.append(index, Place { token: Some(token), kind, next: NONE, previous: NONE, since: now });
    }

    /// The token waits for nothing.
    pub fn clear(&mut self, token: Token) {
        if self.places.get(token.index()).is_some_and(|place| place.token == Some(token)) {
            self.unlink(token.index());
        }
    }

    /// When the next limit runs out.
    pub fn next(&self) -> Option<Time> {
        let first = |kind: &Kind| {
            let place = self.places.get(kind.first as usize)?;
            Some(place.since + kind.fires_after)
        };
        self.kinds.iter().filter_map(first).min()
    }

    /// A token whose limit has run out, with the kind of it; the token then waits for nothing.
    pub fn pop_due(&mut self, now: Time) -> Option<(Token, u16)> {
        let due = |kind: &Kind| {
            let place = self.places.get(kind.first as usize)?;
            (place.since + kind.fires_after <= now).then_some((place.token?, place.kind))
        };
        let (token, kind) = self.kinds.iter().find_map(due)?;
        self.unlink(token.index());
        Some((token, kind))
    }

    /// At the end of its list; or before those that wait since later, where it is set to a time that has passed.
    fn append(&mut self, index: usize, place: Place) {
        let mut previous = self.kinds[place.kind as usize].last;
        while let Some(before) =
            self.places.get(previous as usize).filter(|before| before.since > place.since)
        {
            previous = before.previous;
        }
        let kind = &mut self.kinds[place.kind as usize];
        let next = match self.places.get_mut(previous as usize) {
            Some(before) => std::mem::replace(&mut before.next, index as u32),
            None => std::mem::replace(&mut kind.first, index as u32),
        };
        match self.places.get_mut(next as usize) {
            Some(after) => after.previous = index as u32,
            None => kind.last = index as u32,
        }
        self.places[index] = Place { previous, next, ..place };
    }

    fn unlink(&mut self, index: usize) {
        let place = std::mem::replace(&mut self.places[index], NOWHERE);
        if place.token.is_none() {
            return;
        }
        match self.places.get_mut(place.previous as usize) {
            Some(before) => before.next = place.next,
            None => self.kinds[place.kind as usize].first = place.next,
        }
        match self.places.get_mut(place.next as usize) {
            Some(after) => after.previous = place.previous,
            None => self.kinds[place.kind as usize].last = place.previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: u16 = 0;
    const LONG: u16 = 1;

    fn lists() -> Deadlines {
        Deadlines::new(&[Duration::from_millis(32), Duration::from_millis(320)])
    }

    fn at(ms: u64) -> Time {
        Time(ms * 1_000_000)
    }

    fn fired(deadlines: &mut Deadlines, now: Time) -> Vec<(usize, u16)> {
        std::iter::from_fn(|| deadlines.pop_due(now)).map(|(token, kind)| (token.index(), kind)).collect()
    }

    #[test]
    fn a_limit_fires_once_within_a_32nd_after_its_length() {
        let mut d = lists();
        d.set(Token::test(3), SHORT, at(0));
        assert_eq!(d.next(), Some(at(33)));
        assert_eq!(fired(&mut d, at(32)), []);
        assert_eq!(fired(&mut d, at(33)), [(3, SHORT)]);
        assert_eq!(d.next(), None);
    }

    #[test]
    fn setting_again_puts_it_off_and_changing_kind_replaces_it() {
        let mut d = lists();
        d.set(Token::test(0), SHORT, at(0));
        d.set(Token::test(1), SHORT, at(1));
        d.set(Token::test(0), SHORT, at(20));
        assert_eq!(fired(&mut d, at(40)), [(1, SHORT)]);
        d.set(Token::test(0), LONG, at(40));
        assert_eq!(fired(&mut d, at(100)), []);
        assert_eq!(fired(&mut d, at(370)), [(0, LONG)]);
    }

    #[test]
    fn equal_lengths_are_one_kind() {
        let mut d = lists();
        assert_eq!(d.kind(Duration::from_millis(320)), LONG);
        let new = d.kind(Duration::from_millis(64));
        assert_eq!((new, d.kind(Duration::from_millis(64))), (2, 2));
        d.set(Token::test(0), new, at(0));
        assert_eq!(fired(&mut d, at(66)), [(0, new)]);
    }

    #[test]
    fn a_cleared_or_replaced_token_leaves_nothing_behind() {
        let mut d = lists();
        for index in 0..4 {
            d.set(Token::test(index), SHORT, at(0));
        }
        for index in [1, 3, 0, 2, 2] {
            d.clear(Token::test(index));
        }
        assert_eq!(d.next(), None);
        assert_eq!(fired(&mut d, at(1000)), []);
    }
}
