//! The plain case of `/add` on tokio alone: one thread, a task for each connection, heads read by httparse.
//!
//! What a careful user writes without a framework: what has come is answered with one write. No chunked bodies, no
//! limits but one, no time limits.
//!
//! Usage: `peer-tokio IP:PORT`

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

/// A request that is longer is none that we want.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// The date as it stands in heads, made once a second.
type Date = Rc<RefCell<String>>;

/// What stands at the front of the bytes that have come.
enum Front {
    /// A whole request of so many bytes, with the answer's body; `None` is a 400.
    Request {
        bytes: usize,
        answer: Option<Vec<u8>>,
    },
    Cut,
    Bad,
}

fn read(bytes: &[u8]) -> Front {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    let head = match request.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Front::Cut,
        Err(_) => return Front::Bad,
    };
    let length = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = match length.map(|field| str::from_utf8(field.value).ok()?.parse().ok()) {
        None => 0,
        Some(Some(length)) if length <= REQUEST_BYTES_MAX => length,
        Some(_) => return Front::Bad,
    };
    let Some(body) = bytes.get(head..head + length) else { return Front::Cut };
    let is_ours = (request.method, request.path) == (Some("POST"), Some("/add"));
    let answer = if is_ours { add::answer(body) } else { None };
    Front::Request { bytes: head + length, answer }
}

fn write(out: &mut Vec<u8>, answer: Option<&[u8]>, date: &str) {
    let (status, body) = answer.map_or(("400 Bad Request", &b""[..]), |body| ("200 OK", body));
    let mut length = itoa::Buffer::new();
    for part in [
        "HTTP/1.1 ",
        status,
        "\r\ndate: ",
        date,
        "\r\ncontent-type: ",
        add::JSON,
        "\r\ncontent-length: ",
        length.format(body.len()),
        "\r\n\r\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(body);
}

async fn serve(mut stream: TcpStream, date: Date) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    while input.len() < REQUEST_BYTES_MAX && stream.read_buf(&mut input).await? > 0 {
        let mut done = 0;
        loop {
            match read(&input[done..]) {
                Front::Request { bytes, answer } => {
                    write(&mut output, answer.as_deref(), &date.borrow());
                    done += bytes;
                }
                Front::Cut => break,
                Front::Bad => return Ok(()),
            }
        }
        input.drain(..done);
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}

async fn listen() -> io::Result<()> {
    let now = || httpdate::fmt_http_date(SystemTime::now());
    let date = Rc::new(RefCell::new(now()));
    let clock = date.clone();
    spawn_local(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            *clock.borrow_mut() = now();
        }
    });
    let listener = TcpListener::bind(add::address()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        spawn_local(serve(stream, date.clone()));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    LocalSet::new().run_until(listen()).await
}
