//! A made-up balancer at a real address, for whoever connects: browsers and the client.

use super::fixture::{World, field};
use balancer::control::Answer;
use net::address::Address;
use net::http1::{DateCache, Heads, Limits, Persistence, ServerConn, Status, Step, write};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens to the world before it answers for this target.
pub(crate) type Before = fn(&mut World, &str) -> Go;

/// Whether it goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    On,
    /// No answer, and nobody listens any more.
    Stop,
}

/// How the page is put before a browser.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// As it is.
    Alone,
    /// With this script behind its own, under its nonce: what a person would do there.
    Acted(&'static str),
    /// At `/frame`, in a frame so wide, as no window is narrower than 500 pixels. Its measures are told a second after its start.
    Framed(u32),
}

pub(crate) struct Served {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn admin(&self) -> Address {
        Address::Tcp(self.address)
    }
}

/// Serves `world`.
pub(crate) fn serve(world: World, before: Before, stage: Stage) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let world = Arc::new(Mutex::new(world));
    let shared = Arc::clone(&world);
    let is_over = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        for stream in listener.incoming() {
            if is_over.load(SeqCst) {
                break;
            }
            let Ok(stream) = stream else { continue };
            let (world, is_over) = (Arc::clone(&shared), Arc::clone(&is_over));
            // A browser opens connections on which it says nothing.
            thread::spawn(move || {
                if answer(stream, &world, before, stage) == Go::Stop {
                    is_over.store(true, SeqCst);
                    let _ = TcpStream::connect(address);
                }
            });
        }
    });
    Served { world, address }
}

/// The same at a Unix socket.
pub(crate) fn serve_unix(world: World, path: PathBuf) -> Arc<Mutex<World>> {
    let listener = UnixListener::bind(path).expect("a free path");
    let world = Arc::new(Mutex::new(world));
    let shared = Arc::clone(&world);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &shared, |_, _| Go::On, Stage::Alone);
        }
    });
    world
}

/// One request and its answer.
fn answer(mut stream: impl Read + Write, world: &Mutex<World>, before: Before, stage: Stage) -> Go {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let Ok(count @ 1..) = stream.read(&mut piece) else { return Go::On };
        bytes.extend_from_slice(&piece[..count]);
        let mut heads = Heads::new(Limits::default());
        let (mut conn, text) = (ServerConn::new(), String::from_utf8_lossy(&bytes).into_owned());
        let target = match conn.next(&bytes, &mut heads) {
            Ok(Step::Request { request, .. }) => request.head.target.path().to_owned(),
            Ok(_) => continue,
            Err(refusal) => panic!("{refusal:?}: {text}"),
        };
        let mut world = world.lock().expect("no test panicked");
        if before(&mut world, &target) == Go::Stop {
            return Go::Stop;
        }
        let mut answer = match stage {
            Stage::Framed(width) if target == "/frame" => frame(width),
            _ => world.ask(&text),
        };
        match stage {
            Stage::Alone => act(&mut answer, ""),
            Stage::Acted(script) => act(&mut answer, script),
            Stage::Framed(_) => {
                answer.fields.retain(|(name, _)| !name.starts_with("x-frame") && !name.contains("policy"));
            }
        }
        let fields: Vec<(&str, &str)> =
            answer.fields.iter().map(|(name, value)| (*name, &value[..])).collect();
        let mut out = Vec::new();
        let response = write::Response {
            status: answer.status,
            fields: &fields,
            content_type: Some(answer.content_type),
            body: &answer.body,
            persistence: Persistence::Close,
            omit_body: false,
        };
        write::response(&mut out, &response, DateCache::new().at(0));
        let _ = stream.write_all(&out);
        return Go::On;
    }
}

/// Writes down what is to be seen: neither markup nor what is hidden.
const WATCH: &str = "{ const seen = document.createElement('pre'); seen.id = 'seen'; seen.hidden = true; \
    document.body.append(seen); setInterval(() => (seen.textContent = document.body.innerText), 100); }";

/// Puts the script where the page's policy lets it run, and the one that watches.
fn act(answer: &mut Answer, script: &str) {
    if let Some(policy) = field(answer, "content-security-policy") {
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
        let more = format!("<script nonce=\"{nonce}\">{WATCH}{script}</script>");
        answer.body.extend_from_slice(more.as_bytes());
    }
}

fn frame(width: u32) -> Answer {
    let body = format!(
        "<!doctype html><iframe id=f src=/ style='border:0;width:{width}px;height:900px'></iframe><pre id=seen></pre><script>\
         setTimeout(() => {{ const e = f.contentDocument.documentElement; seen.textContent = e.innerText; \
         document.body.dataset.scrolls = e.scrollWidth; \
         document.body.dataset.head = f.contentWindow.getComputedStyle(e.querySelector('thead')).display; document.body.dataset.window = f.contentWindow.innerWidth; }}, 1500)</script>"
    );
    Answer { status: Status::OK, content_type: "text/html", fields: Vec::new(), body: body.into_bytes() }
}
