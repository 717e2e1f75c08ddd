//! The sub-commands against a made-up balancer at a real address.

use super::fixture::{World, config};
use super::served::{Go, Stage, serve, serve_unix};
use balancer::admin::client::{Ask, ClientFailure, run};
use balancer::control::{Admin, Command};
use net::address::Address;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

fn ask(admin: &Address, ask: &Ask) -> Result<String, ClientFailure> {
    let mut out = Vec::new();
    run(admin, ask, &mut out).map(|()| String::from_utf8(out).expect("UTF-8"))
}

fn set(server: &str, admin: Admin) -> Ask {
    Ask::Set { server: server.to_owned(), admin }
}

#[test]
fn the_table_has_a_line_for_each_server_and_commands_no_terminal() {
    let served = serve(World::lived(), |_, _| Go::On, Stage::Alone);
    let table = ask(&served.admin(), &Ask::List { json: false }).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 1 + 7, "{table}");
    assert!(table.chars().all(|c| c == '\n' || !c.is_control()), "{table:?}");
    let at = |title: &str| lines[0].find(title).unwrap_or_else(|| panic!("no {title}"));
    assert!(lines[1][at("STATE")..].starts_with("up "));
    assert!(lines[4][at("STATE")..].starts_with("ejected (drain)"), "{table}");
    assert!(lines[4].ends_with("5 failures in a row: connection refused"), "{table}");
    assert!(lines[1].contains("17/64") && lines[1].contains("0.00%"), "{table}");
}

#[test]
fn json_is_as_the_balancer_sends_it() {
    let mut world = World::lived();
    let expected = String::from_utf8(world.get("/servers").body).unwrap();
    let served = serve(world, |_, _| Go::On, Stage::Alone);
    assert_eq!(ask(&served.admin(), &Ask::List { json: true }).unwrap(), expected + "\n");
}

#[test]
fn a_server_is_found_by_its_name_or_with_its_pool() {
    let served = serve(World::new(config()), |_, _| Go::On, Stage::Alone);
    let command = |pool: &str, server: &str, admin| Command::Set {
        pool: pool.to_owned(),
        server: server.to_owned(),
        admin,
    };
    for (name, admin, expected) in [
        ("b", Admin::Drain, command("web", "b", Admin::Drain)),
        ("web/a", Admin::Maint, command("web", "a", Admin::Maint)),
        ("api/a", Admin::Ready, command("api", "a", Admin::Ready)),
        ("unix:/run/api.sock", Admin::Drain, command("api", "unix:/run/api.sock", Admin::Drain)),
        ("api/unix:/run/api.sock", Admin::Drain, command("api", "unix:/run/api.sock", Admin::Drain)),
    ] {
        assert_eq!(ask(&served.admin(), &set(name, admin)).unwrap(), "done\n");
        assert_eq!(served.world.lock().unwrap().obeyed.pop(), Some(expected));
    }
    for weight in [Some(0), Some(256), None] {
        let weigh = Ask::Weigh { server: "b".to_owned(), weight };
        assert_eq!(ask(&served.admin(), &weigh).unwrap(), "done\n");
        let expected = Command::Weigh { pool: "web".to_owned(), server: "b".to_owned(), weight };
        assert_eq!(served.world.lock().unwrap().obeyed.pop(), Some(expected));
    }
    assert_eq!(ask(&served.admin(), &Ask::Reload).unwrap(), "done\n");
    assert_eq!(served.world.lock().unwrap().obeyed.pop(), Some(Command::Reload));
}

#[test]
fn a_name_in_doubt_changes_nothing_and_is_the_users_to_mend() {
    let served = serve(World::new(config()), |_, _| Go::On, Stage::Alone);
    for (name, said) in [
        ("a", "`a` may be any of these: web/a, api/a; name its pool too"),
        (
            "z",
            "there is no server `z`: there is web/a, web/b, web/c, web/d, web/e, api/unix:/run/api.sock, api/a",
        ),
        ("web/z", "there is no server `web/z`: there is web/a"),
        ("we", "there is no server `we`"),
        ("unix:/run/api", "there is no server `unix:/run/api`"),
        ("/a", "there is no server `/a`"),
    ] {
        let failure = ask(&served.admin(), &set(name, Admin::Drain)).unwrap_err();
        assert!(failure.to_string().starts_with(said), "{failure}");
        assert_eq!(failure.exit_code(), 2);
    }
    let heavy = Ask::Weigh { server: "b".to_owned(), weight: Some(257) };
    let failure = ask(&served.admin(), &heavy).unwrap_err();
    assert!(failure.exit_code() == 2 && failure.to_string().contains("0 to 256"), "{failure}");
    assert!(served.world.lock().unwrap().obeyed.is_empty());
}

#[test]
fn a_refusal_is_passed_on() {
    let mut world = World::new(config());
    world.says = Err("line 3: no\u{1b}".to_owned());
    let served = serve(world, |_, _| Go::On, Stage::Alone);
    let failure = ask(&served.admin(), &Ask::Reload).unwrap_err();
    assert_eq!(failure.to_string(), "the balancer refused: line 3: no\u{fffd}");
    assert_eq!(failure.exit_code(), 1);
}

#[test]
fn a_unix_socket_will_do() {
    let path = std::env::temp_dir().join(format!("corelane-admin-{}.sock", std::process::id()));
    let admin = Address::Unix(path.clone());
    let nobody = ask(&admin, &Ask::Reload).unwrap_err();
    assert!(nobody.to_string().contains("nothing listens at unix:"), "{nobody}");
    let world = serve_unix(World::new(config()), path.clone());
    let said = ask(&admin, &set("b", Admin::Drain));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(said.unwrap(), "done\n");
    assert_eq!(world.lock().unwrap().obeyed.len(), 1);
}

#[test]
fn where_nobody_listens_it_says_what_to_look_at() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = ask(&Address::Tcp(address), &Ask::List { json: false }).unwrap_err();
    assert_eq!(failure.exit_code(), 1);
    let said = failure.to_string();
    assert!(said.contains(&format!("nothing listens at {address}")) && said.contains("--admin"), "{said}");
}

#[test]
fn what_is_no_balancer_is_said_to_be_none() {
    for answer in [
        "SSH-2.0-OpenSSH\r\n",
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nnay",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = Address::Tcp(listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        });
        let failure = ask(&admin, &set("b", Admin::Drain)).unwrap_err();
        server.join().unwrap();
        assert!(matches!(failure, ClientFailure::Foreign(..)), "{answer}: {failure}");
        assert_eq!(failure.exit_code(), 1);
    }
}

#[test]
fn an_answer_without_an_end_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = Address::Tcp(listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut chunk = b"100000\r\n".to_vec();
        chunk.resize(8 + 0x100000, b'x');
        chunk.extend_from_slice(b"\r\n");
        // It ends when the client has left.
        (0..64).take_while(|_| stream.write_all(&chunk).is_ok()).count()
    });
    let failure = ask(&admin, &set("b", Admin::Drain)).unwrap_err();
    assert!(failure.to_string().contains("too large"), "{failure}");
    assert!(server.join().unwrap() < 64, "the client left");
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure_and_a_full_disk_is() {
    struct Broken(std::io::ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let served = serve(World::new(config()), |_, _| Go::On, Stage::Alone);
    let list = Ask::List { json: false };
    assert!(run(&served.admin(), &list, &mut Broken(std::io::ErrorKind::BrokenPipe)).is_ok());
    let full = run(&served.admin(), &list, &mut Broken(std::io::ErrorKind::StorageFull)).unwrap_err();
    assert!(matches!(full, ClientFailure::Output(_)) && full.exit_code() == 1);
}
