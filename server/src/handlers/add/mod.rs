//! The arithmetic of `POST /add`: a JSON body in, a JSON body or what is wrong with it out.
//!
//! ```text
//! body ──▶ fast ──(any doubt)──▶ general ──▶ {"result":<sum>} appended to `out`
//! ```
//!
//! `fast` knows one shape: an object of exactly `a` and `b`, both integers of at most 18 digits.
//! `general` decides everything else, on serde_json. Where `fast` answers, both give the same bytes
//! (`tests/add_reference.rs`). Neither waits, reads a clock, or looks at a header.

mod exact;
mod fast;
mod general;
mod problem;

use super::{Context, error_body};
use crate::routes::{Answer, Reply};
use net::http1::{Request, Status};

pub use problem::{Kind, Malformed, Member, Problem, Unprocessable};

/// The most digits that an integer operand may have: 4,300, the limit that Python settled on for the
/// same reason (<https://docs.python.org/3/library/stdtypes.html#int-max-str-digits>): turning
/// digits into a number and back takes time that grows with their square.
pub const DIGITS_MAX: usize = 4_300;

/// The longest body, in bytes, that a lane should [`answer`] itself; a longer one belongs on the
/// background pool.
///
/// The aim is under 1 ms of one core, whatever the body says. Measured in release on a 2-core cloud Xeon, the
/// worst of 25 shapes: one long name full of `\n` escapes, 3.3 ns per byte; second, many short members
/// with two operands of 4,300 digits behind them, 2.2 ns per byte and 0.1 ms. So 64 KiB take at most 0.27 ms
/// (128 KiB 0.45, 1 MiB 3.4), which leaves a slower machine a factor of three.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Appends `{"result":<sum>}` for `body` to `out`.
///
/// Integers are summed exactly. If either number is written with a fraction or an exponent, both are
/// read as IEEE doubles, and the sum is printed with the fewest digits that read back as the same
/// double. Allocates nothing if `out` has room, unless an integer or the sum of two is beyond an
/// `i128`, a double is written with 60,000 bytes or more, a name has an escape in it, or an ignored
/// member is nested more than once.
///
/// # Errors
///
/// A [`Problem`], and `out` as it was. A body that is wrong in both ways is [`Problem::Malformed`].
pub fn answer(body: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    match fast::sum(body) {
        Some(sum) => exact::Sum::Word(sum).append(out),
        None => general::sum(body)?.append(out),
    }
    Ok(())
}

/// [`answer`] without the fast path, so that a test can compare the two.
///
/// # Errors
///
/// As [`answer`].
#[doc(hidden)]
pub fn answer_by_general_path(body: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    general::sum(body)?.append(out);
    Ok(())
}

/// The endpoint: at once, or on the background pool where the body is so long that it would hold the lane.
pub fn respond(request: &Request<'_>, cx: &mut Context<'_>) -> Answer {
    if request.body.len() <= INLINE_BYTES_MAX {
        return Answer::Done(reply_to(request.body, cx.body));
    }
    let long = request.body.to_vec();
    Answer::Later(Box::new(move || {
        let mut body = Vec::new();
        Reply { status: reply_to(&long, &mut body), body }
    }))
}

/// Appends the sum or the error to `body`, and says which status goes with it.
fn reply_to(request: &[u8], body: &mut Vec<u8>) -> Status {
    match answer(request, body) {
        Ok(()) => Status::OK,
        Err(problem) => {
            error_body(body, &problem.message());
            match problem {
                Problem::Malformed(_) => Status::BAD_REQUEST,
                Problem::Unprocessable(_) => Status::UNPROCESSABLE_CONTENT,
            }
        }
    }
}

#[cfg(test)]
mod tests;
