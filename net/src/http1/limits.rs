//! Every bound of the HTTP/1.1 code, with its reason.

/// What `Limits::fields_max` may be at most: the slots that the second, larger parse puts on the stack.
pub const FIELDS_CAP: usize = 256;

/// How much of a message is held, and how much work it may ask for, before it is refused.
///
/// The same bounds serve both roles; a client reads a status line where a server reads a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A whole head, from the first byte of its first line to its empty line. 16 KiB holds the cookies that
    /// browsers send; it is also the most that a cut head can make a connection keep.
    pub head_bytes_max: usize,
    /// The request target. 8 KiB: RFC 9112 §3 asks for at least 8,000 bytes of request line.
    pub target_bytes_max: usize,
    /// The method's name. The longest registered one has 17 bytes; a longer one than this is not a method.
    pub method_bytes_max: usize,
    /// Field lines in a head; at most [`FIELDS_CAP`]. Browsers behind proxies send about 40.
    pub fields_max: usize,
    /// A body after decoding. 1 MiB: a whole body is held in memory, times the connections of a lane. Who passes bodies
    /// on holds none of it: `u64::MAX` is then no bound but that of counting.
    pub body_bytes_max: u64,
    /// One chunk-size line with its extensions and line end. 4 KiB: nothing sends more, and an extension is read
    /// only to be thrown away.
    pub chunk_line_bytes_max: usize,
    /// All extensions of one body together: else one-byte chunks make 4 KiB of work for each byte of content. From
    /// 2^32 - 1 on, there is no bound.
    pub chunk_extension_bytes_max: usize,
    /// The trailer section after the last chunk, with its empty line. 4 KiB: checksums and signatures fit.
    pub trailer_bytes_max: usize,
    /// Field lines in a trailer section.
    pub trailer_fields_max: usize,
    /// Empty lines before a request line. One: RFC 9112 §2.2 asks for "at least one", for old clients that
    /// end a body with CRLF.
    pub empty_lines_max: u8,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes_max: 16 * 1024,
            target_bytes_max: 8 * 1024,
            method_bytes_max: 32,
            fields_max: 100,
            body_bytes_max: 1024 * 1024,
            chunk_line_bytes_max: 4 * 1024,
            chunk_extension_bytes_max: 16 * 1024,
            trailer_bytes_max: 4 * 1024,
            trailer_fields_max: 16,
            empty_lines_max: 1,
        }
    }
}
