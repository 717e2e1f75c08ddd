//! Our own server, in the test's process: the real thing on real ports, as a library.

use net::address::Address;
use server::options::Options;
use server::serve::{self, Lanes};

/// A server that runs; it drains when this is dropped.
pub struct Server {
    address: Address,
    lanes: Lanes,
}

impl Server {
    /// With these options, and without an admin port.
    pub fn start(options: &[&str]) -> Server {
        let args = ["corelane-server", "--admin", "off"].iter().chain(options);
        let (options, _) = Options::read(args.map(Into::into)).expect("the options are right");
        let running = serve::start(&options).expect("the server starts");
        Server { address: running.addresses()[0].clone(), lanes: running.lanes() }
    }

    /// Where it serves sums.
    pub fn url(&self) -> String {
        match &self.address {
            Address::Tcp(address) => format!("http://{address}/add"),
            Address::Unix(path) => format!("http://unix:{}:/add", path.display()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lanes.drain();
    }
}
