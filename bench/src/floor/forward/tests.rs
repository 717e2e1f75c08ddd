//! The forwarding floor between sockets of the test: bytes, ends and breaks come out on the other side.
//!
//! Each case runs on both loops. A kernel that refuses io_uring skips the ring, loudly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use net::address::Address;
use socket2::SockRef;

use super::*;
use crate::child::TempDir;
use crate::floor::{listen, uring};
use crate::proc;

/// Long beside anything here, so that a lost byte is a failure and no hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than all buffers of the ring (2 MiB) and what loopback's sockets take besides.
const MUCH: usize = 24 << 20;

#[test]
fn bytes_come_back_from_an_echo_in_order_on_every_connection() {
    on_each_loop(|which| {
        let front = floor(which, backend(echo));
        let clients = [1, 2, 3].map(|seed| thread::spawn(move || exchange(connect(front), seed, 3 << 20)));
        for client in clients {
            client.join().unwrap();
        }
    });
}

#[test]
fn a_message_that_comes_before_the_backend_is_connected_is_not_lost() {
    on_each_loop(|which| {
        let front = floor(which, backend(echo));
        for _ in 0..50 {
            let mut client = connect(front);
            client.write_all(b"at once").unwrap();
            let mut answer = [0; 7];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"at once");
        }
    });
}

#[test]
fn an_end_is_passed_on_behind_the_last_byte_and_the_answer_still_comes() {
    on_each_loop(|which| {
        let front = floor(which, backend(count));
        let mut client = connect(front);
        client.write_all(&bytes(7, 100_000)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "100000 bytes, then the end");
    });
}

#[test]
fn a_reader_that_is_slow_at_first_gets_every_byte_and_others_go_on_afterwards() {
    on_each_loop(|which| {
        let front = floor(
            which,
            backend(|stream| {
                thread::sleep(Duration::from_millis(300));
                echo(stream);
            }),
        );
        exchange(connect(front), 5, MUCH);
        exchange(connect(front), 6, 1000);
    });
}

#[test]
fn a_backend_that_is_not_there_ends_the_connection() {
    on_each_loop(|which| {
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut client = connect(floor(which, Address::Tcp(nobody)));
        assert!(has_ended(&mut client));
    });
}

#[test]
fn a_client_that_breaks_ends_its_backends_connection_and_no_other() {
    on_each_loop(|which| {
        let (sender, ended) = mpsc::channel();
        let front = floor(
            which,
            backend(move |mut stream| {
                let mut first = [0; 1];
                stream.read_exact(&mut first).unwrap();
                stream.write_all(&first).unwrap();
                let end = has_ended(&mut stream);
                sender.send((first[0], end)).unwrap();
            }),
        );
        let [stays, mut breaks] = [b"s", b"b"].map(|letter| {
            let mut client = connect(front);
            client.write_all(letter).unwrap();
            client.read_exact(&mut [0]).unwrap();
            client
        });
        SockRef::from(&breaks).set_linger(Some(Duration::ZERO)).unwrap();
        breaks.flush().unwrap();
        drop(breaks);
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), (b'b', true));
        stays.shutdown(Shutdown::Write).unwrap();
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), (b's', true));
    });
}

#[test]
fn connections_that_are_over_leave_no_descriptors_behind() {
    const CONNECTIONS: usize = 200;
    on_each_loop(|which| {
        let front = floor(which, backend(echo));
        let before = open_descriptors();
        for seed in 0..CONNECTIONS {
            exchange(connect(front), seed as u64, 10);
        }
        // Other tests open some meanwhile; each connection that stays has two.
        let deadline = Instant::now() + PATIENCE;
        while open_descriptors() > before + CONNECTIONS {
            assert!(Instant::now() < deadline, "from {before} to {} descriptors", open_descriptors());
            thread::sleep(Duration::from_millis(10));
        }
    });
}

#[test]
fn what_a_broken_connection_had_under_way_is_in_nobodys_way() {
    on_each_loop(|which| {
        // The first connection is broken with much of it unread; all others are echoed.
        let first: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(true)));
        let front = floor(
            which,
            backend(|stream| match first.swap(false, Ordering::Relaxed) {
                true => thread::sleep(Duration::from_millis(300)),
                false => echo(stream),
            }),
        );
        let unread = bytes(8, 2 * MUCH);
        connect(front).write_all(&unread).unwrap_err();
        exchange(connect(front), 9, 1 << 20);
    });
}

#[test]
fn a_backend_on_a_unix_socket_is_a_backend() {
    on_each_loop(|which| {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(&asked).unwrap();
        });
        let mut client = connect(floor(which, Address::Unix(path)));
        client.write_all(b"unix").unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"unix");
    });
}

fn on_each_loop(case: impl Fn(Loop)) {
    for &which in Loop::value_variants() {
        match (which, uring::create()) {
            (Loop::Ring, Err(error)) => eprintln!("SKIPPED on the ring: {error}"),
            _ => case(which),
        }
    }
}

/// A floor that runs until the tests end.
fn floor(which: Loop, backend: Address) -> SocketAddr {
    let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(which, &listener, &backend).unwrap());
    address
}

/// A backend with a thread for each connection.
fn backend(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Address {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), serve.clone());
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    Address::Tcp(address)
}

fn echo(mut stream: TcpStream) {
    let mut writer = stream.try_clone().unwrap();
    // A client that is done closes while the last bytes are echoed: no error of ours.
    let _ = std::io::copy(&mut stream, &mut writer);
    let _ = writer.shutdown(Shutdown::Write);
}

fn count(mut stream: TcpStream) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, bytes(7, all.len()));
    write!(stream, "{} bytes, then the end", all.len()).unwrap();
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn open_descriptors() -> usize {
    proc::descriptors(std::process::id()).unwrap()
}

/// Sends and receives at once, and demands the same bytes back, and then the end.
fn exchange(mut stream: TcpStream, seed: u64, len: usize) {
    let mut writer = stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        writer.write_all(&bytes(seed, len)).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::with_capacity(len);
    stream.read_to_end(&mut back).unwrap();
    sender.join().unwrap();
    assert!(back == bytes(seed, len), "{} of {len} bytes came back, or others", back.len());
}

/// Whether the next thing from the peer is its end or its break.
fn has_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(bytes) => bytes == 0,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted),
    }
}

/// Bytes that differ with their place and the seed, so that a lost or swapped piece shows.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mix = |at: u64| at.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(seed as u32) >> 32;
    (0..len as u64).map(|at| (mix(at) ^ seed) as u8).collect()
}
