//! Which fields a proxy may not pass on as they come, told by name.
//!
//! In: a field's name, or what `Connection` lists. Out: what it is to us. Never: takes two spellings for two fields where a
//! server may take them for one.

use memchr::memchr;

/// What a field is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Passed on, unless `Connection` names it.
    Other,
    /// `Connection`: read, and written anew.
    Connection,
    /// For one hop alone, or for a proxy and not for a server: never passed on.
    Hop,
    /// `TE`: read, and written anew.
    Te,
    /// `Trailer`: passed on with a body that can have trailers.
    Trailer,
    /// `Upgrade`: passed on only with a `Connection` of ours.
    Upgrade,
    /// `Content-Length`: written anew, from the framing that was found.
    Length,
    /// `Transfer-Encoding`: likewise.
    Coding,
    /// `Host`.
    Host,
    /// `Expect`.
    Expect,
    /// `Max-Forwards`.
    MaxForwards,
    /// `Via`.
    Via,
    /// `Date`.
    Date,
    /// What was said of the client, which counts only from those who are believed.
    Claim(Claim),
    /// Like one of the above, but with `_` for `-`: to a server that puts fields into variables (CGI and its heirs) it is the same
    /// name (CVE-2025-64484). Never passed on.
    LookAlike,
}

/// What a proxy before us said of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// `X-Forwarded-For`.
    XFor,
    /// `X-Forwarded-Proto`.
    XProto,
    /// `X-Forwarded-Host`.
    XHost,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Request-Id`.
    RequestId,
    /// Any other `X-Forwarded-...`, and `X-Real-IP`.
    Any,
}

/// A name of which more than the front is looked at is no name of ours: the longest has 25 bytes.
const FOLDED_BYTES: usize = 32;

impl Kind {
    /// What the field `name` is, in any case.
    pub(super) fn of(name: &[u8]) -> Kind {
        let kind = Kind::spelled(name);
        if kind == Kind::Other && memchr(b'_', name).is_some() && Kind::folded(name) != Kind::Other {
            return Kind::LookAlike;
        }
        kind
    }

    fn folded(name: &[u8]) -> Kind {
        let mut folded = [0; FOLDED_BYTES];
        for (to, &from) in folded.iter_mut().zip(name) {
            *to = if from == b'_' { b'-' } else { from };
        }
        Kind::spelled(&folded[..name.len().min(FOLDED_BYTES)])
    }

    /// By length first, as nearly all names are told apart by it.
    fn spelled(name: &[u8]) -> Kind {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is(b"te") => Kind::Te,
            3 if is(b"via") => Kind::Via,
            4 if is(b"host") => Kind::Host,
            4 if is(b"date") => Kind::Date,
            // No field at all, but the variable HTTP_PROXY to a CGI script (CVE-2016-5385).
            5 if is(b"proxy") => Kind::Hop,
            6 if is(b"expect") => Kind::Expect,
            7 if is(b"upgrade") => Kind::Upgrade,
            7 if is(b"trailer") => Kind::Trailer,
            9 if is(b"forwarded") => Kind::Claim(Claim::Forwarded),
            9 if is(b"x-real-ip") => Kind::Claim(Claim::Any),
            10 if is(b"connection") => Kind::Connection,
            10 if is(b"keep-alive") => Kind::Hop,
            11 if is(b"x-forwarded") => Kind::Claim(Claim::Any),
            12 if is(b"x-request-id") => Kind::Claim(Claim::RequestId),
            12 if is(b"max-forwards") => Kind::MaxForwards,
            14 if is(b"content-length") => Kind::Length,
            14 if is(b"http2-settings") => Kind::Hop,
            15 if is(b"x-forwarded-for") => Kind::Claim(Claim::XFor),
            16 if is(b"x-forwarded-host") => Kind::Claim(Claim::XHost),
            16 if is(b"proxy-connection") => Kind::Hop,
            17 if is(b"transfer-encoding") => Kind::Coding,
            17 if is(b"x-forwarded-proto") => Kind::Claim(Claim::XProto),
            // Credentials for a proxy, and its demand for them (RFC 9110 §11.7): this one demands none, so they are for nobody
            // behind it. Passing on one half of such a dialogue would only lead the client in circles.
            18 if is(b"proxy-authenticate") => Kind::Hop,
            19 if is(b"proxy-authorization") => Kind::Hop,
            25 if is(b"proxy-authentication-info") => Kind::Hop,
            13.. if name[..12].eq_ignore_ascii_case(b"x-forwarded-") => Kind::Claim(Claim::Any),
            _ => Kind::Other,
        }
    }
}

/// Names that one head's `Connection` may list beside the known options. Nobody sends more than one or two, and each is
/// compared with each field.
const NAMED_MAX: usize = 16;

/// What the `Connection` fields of one head say (RFC 9110 §7.6.1), apart from the connection's end.
#[derive(Debug, Default)]
pub(super) struct Options<'h> {
    named: [&'h [u8]; NAMED_MAX],
    len: usize,
    /// `upgrade` is listed.
    pub(super) upgrade: bool,
}

impl<'h> Options<'h> {
    /// Reads one member of a `Connection` field.
    ///
    /// # Errors
    /// Why it is refused: it names a field that is for all recipients, which no sender may list (RFC 9110 §7.6.1) and which
    /// would rob the server of what we or the client say (CVE-2024-45410, CVE-2025-48865); or there are too many.
    pub(super) fn add(&mut self, option: &'h [u8]) -> Result<(), &'static str> {
        match Kind::of(option) {
            // Gone, or written anew, whether they are named or not.
            Kind::Connection | Kind::Hop | Kind::Te | Kind::LookAlike => Ok(()),
            Kind::Upgrade => {
                self.upgrade = true;
                Ok(())
            }
            Kind::Other if option.eq_ignore_ascii_case(b"close") => Ok(()),
            Kind::Other if !is_for_all(option) => self.name(option),
            Kind::Trailer => self.name(option),
            _ => Err("Connection names a field that is for every recipient (RFC 9110, 7.6.1)"),
        }
    }

    fn name(&mut self, option: &'h [u8]) -> Result<(), &'static str> {
        let place = self.named.get_mut(self.len).ok_or("Connection names more fields than are looked for")?;
        *place = option;
        self.len += 1;
        Ok(())
    }

    /// Is the field `name` for this hop alone?
    pub(super) fn name_field(&self, name: &[u8]) -> bool {
        self.named[..self.len].iter().any(|named| named.eq_ignore_ascii_case(name))
    }
}

/// Fields whose loss would change what a message means, or who it is from.
pub(super) fn is_for_all(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b"authorization", b"cookie", b"set-cookie", b"cache-control"];
    let is_content = name.get(..8).is_some_and(|front| front.eq_ignore_ascii_case(b"content-"));
    is_content || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The members of a comma-separated list that are not empty, each trimmed (RFC 9110 §5.6.1.2).
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The members of an `Upgrade` field that may be passed on.
///
/// Not the other versions of HTTP, nor TLS with HTTP in it (RFC 2817): what such a tunnel carries are requests that nobody
/// here would see. `h2c` is how requests are smuggled past a proxy that passes upgrades on.
pub(super) fn protocols(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    const REFUSED: [&[u8]; 4] = [b"h2c", b"h2", b"http", b"tls"];
    members(value).filter(|protocol| {
        let name = protocol.split(|&b| b == b'/').next().unwrap_or_default();
        !REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case() {
        for (name, kind) in [
            ("Host", Kind::Host),
            ("hOST", Kind::Host),
            ("Connection", Kind::Connection),
            ("Keep-Alive", Kind::Hop),
            ("Proxy", Kind::Hop),
            ("Proxy-Connection", Kind::Hop),
            ("Proxy-Authorization", Kind::Hop),
            ("Proxy-Authenticate", Kind::Hop),
            ("Proxy-Authentication-Info", Kind::Hop),
            ("HTTP2-Settings", Kind::Hop),
            ("TE", Kind::Te),
            ("Trailer", Kind::Trailer),
            ("Upgrade", Kind::Upgrade),
            ("content-LENGTH", Kind::Length),
            ("Transfer-Encoding", Kind::Coding),
            ("X-Forwarded-For", Kind::Claim(Claim::XFor)),
            ("X-Forwarded-Proto", Kind::Claim(Claim::XProto)),
            ("X-Forwarded-Host", Kind::Claim(Claim::XHost)),
            ("X-Forwarded-Port", Kind::Claim(Claim::Any)),
            ("x-forwarded-a-name-much-longer-than-all-that-are-known", Kind::Claim(Claim::Any)),
            ("X-Forwarded", Kind::Claim(Claim::Any)),
            ("X-Real-IP", Kind::Claim(Claim::Any)),
            ("Forwarded", Kind::Claim(Claim::Forwarded)),
            ("X-Request-Id", Kind::Claim(Claim::RequestId)),
            ("Hos", Kind::Other),
            ("X-Forwardedness", Kind::Other),
            ("X-Forwards-For", Kind::Other),
        ] {
            assert_eq!(Kind::of(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn an_underscore_for_a_hyphen_makes_a_look_alike_of_what_is_known_and_of_nothing_else() {
        for name in [
            "X_Forwarded_For",
            "x-forwarded_for",
            "Content_Length",
            "Transfer_Encoding",
            "X_Real_IP",
            "X_Request-Id",
            "Max_Forwards",
            "x_forwarded_a_name_much_longer_than_all_that_are_known",
        ] {
            assert_eq!(Kind::of(name.as_bytes()), Kind::LookAlike, "{name}");
        }
        for name in ["my_field", "_", "x_y", "Ho_st", "content_length_"] {
            assert_eq!(Kind::of(name.as_bytes()), Kind::Other, "{name}");
        }
    }

    #[test]
    fn connection_may_not_name_what_is_for_all() {
        for option in [
            "Host",
            "content-length",
            "Content-Type",
            "Transfer-Encoding",
            "Authorization",
            "Cookie",
            "Set-Cookie",
            "X-Forwarded-For",
            "x-forwarded-port",
            "Forwarded",
            "X-Real-IP",
            "X-Request-Id",
            "Via",
            "Cache-Control",
            "Expect",
            "Max-Forwards",
            "Date",
        ] {
            assert!(Options::default().add(option.as_bytes()).is_err(), "{option}");
        }
        for option in
            ["close", "keep-alive", "Upgrade", "TE", "HTTP2-Settings", "Trailer", "foo", "Proxy-Connection"]
        {
            assert!(Options::default().add(option.as_bytes()).is_ok(), "{option}");
        }
    }

    #[test]
    fn what_connection_names_is_bounded() {
        let mut options = Options::default();
        for _ in 0..NAMED_MAX {
            assert!(options.add(b"foo").is_ok());
        }
        assert!(options.add(b"close").is_ok());
        assert!(options.add(b"foo").is_err());
        assert!(options.name_field(b"FOO") && !options.name_field(b"close"));
    }

    #[test]
    fn protocols_that_carry_http_are_not_passed_on() {
        let left = |value: &'static str| -> Vec<&[u8]> { protocols(value.as_bytes()).collect() };
        assert_eq!(left("h2c, websocket,, foo/1"), [&b"websocket"[..], b"foo/1"]);
        assert!(left("H2C,h2, HTTP/2.0, TLS/1.0,").is_empty());
    }
}
