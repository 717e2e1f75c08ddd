//! A proxy to one server on pingora, after its user guide: one thread, kept connections to the server,
//! X-Forwarded-For, no log.
//!
//! Usage: `peer-pingora IP:PORT SERVER`, where SERVER is IP:PORT or unix:/PATH

use async_trait::async_trait;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

struct Proxy {
    server: String,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(match self.server.strip_prefix("unix:") {
            Some(path) => HttpPeer::new_uds(path, false, String::new())?,
            None => HttpPeer::new(&self.server, false, String::new()),
        }))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _ctx: &mut (),
    ) -> Result<()> {
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            request.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let address = add::address();
    let server = std::env::args().nth(2).unwrap_or_else(|| {
        eprintln!("usage: taskset -c CORE peer-pingora IP:PORT SERVER");
        std::process::exit(2);
    });
    let configuration = ServerConf { threads: 1, ..ServerConf::default() };
    let mut process = Server::new_with_opt_and_conf(None, configuration);
    process.bootstrap();
    let mut proxy = http_proxy_service(&process.configuration, Proxy { server });
    proxy.add_tcp(&address.to_string());
    process.add_service(proxy);
    process.run_forever();
}
