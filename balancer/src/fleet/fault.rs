//! Why the balancer itself answered, or a request got no answer: the reasons that logs, counters and the status page name.
//!
//! In: nothing. Out: for each reason its name, and the status that a client gets. One list, so that none is missing somewhere.

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Fault {
    /// The client's request broke HTTP/1.1, or our limits.
    BadRequest,
    /// The client's head or body did not come in time.
    RequestTimeout,
    /// No route takes it.
    NoRoute,
    /// A method that is not passed on (`CONNECT`).
    NotProxied,
    /// It has passed this balancer several times already.
    Loop,
    /// No server of the pool may take work.
    NoServer,
    /// Every server is full, and so is the queue.
    QueueFull,
    /// Every server stayed full for as long as a request may wait.
    QueueTimeout,
    /// The balancer itself has no descriptor, port or memory left for a connection.
    NoSocket,
    /// The servers that were tried could not be connected to.
    ConnectFailed,
    /// The servers that were tried did not open a connection in time.
    ConnectTimeout,
    /// The server closed or reset the connection before it answered.
    ServerClosed,
    /// What the server sent is no response.
    BadResponse,
    /// The server did not answer in time.
    ResponseTimeout,
    /// The server went away in the middle of its response: the client's connection was cut, so that it shows.
    ResponseCut,
    /// The server stopped in the middle of its response for too long, or all of it took too long.
    ResponseStalled,
    /// The client went away before it had its answer.
    ClientGone,
    /// The client did not take its answer in time.
    ClientStalled,
    /// The balancer is ending.
    Draining,
}

impl Fault {
    /// All, in the order of their numbers.
    pub const ALL: [Fault; 19] = [
        Fault::BadRequest,
        Fault::RequestTimeout,
        Fault::NoRoute,
        Fault::NotProxied,
        Fault::Loop,
        Fault::NoServer,
        Fault::QueueFull,
        Fault::QueueTimeout,
        Fault::NoSocket,
        Fault::ConnectFailed,
        Fault::ConnectTimeout,
        Fault::ServerClosed,
        Fault::BadResponse,
        Fault::ResponseTimeout,
        Fault::ResponseCut,
        Fault::ResponseStalled,
        Fault::ClientGone,
        Fault::ClientStalled,
        Fault::Draining,
    ];

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Fault::BadRequest => "bad-request",
            Fault::RequestTimeout => "request-timeout",
            Fault::NoRoute => "no-route",
            Fault::NotProxied => "not-proxied",
            Fault::Loop => "loop",
            Fault::NoServer => "no-server",
            Fault::QueueFull => "queue-full",
            Fault::QueueTimeout => "queue-timeout",
            Fault::NoSocket => "no-socket",
            Fault::ConnectFailed => "connect-failed",
            Fault::ConnectTimeout => "connect-timeout",
            Fault::ServerClosed => "server-closed",
            Fault::BadResponse => "bad-response",
            Fault::ResponseTimeout => "response-timeout",
            Fault::ResponseCut => "response-cut",
            Fault::ResponseStalled => "response-stalled",
            Fault::ClientGone => "client-gone",
            Fault::ClientStalled => "client-stalled",
            Fault::Draining => "draining",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_every_name_its_own() {
        for (n, fault) in Fault::ALL.iter().enumerate() {
            assert_eq!(*fault as usize, n);
            assert!(Fault::ALL[..n].iter().all(|other| other.name() != fault.name()));
        }
    }
}
