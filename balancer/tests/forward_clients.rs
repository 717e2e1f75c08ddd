//! Who asks, as servers are told it: what a client says of itself is removed, what a trusted proxy says is kept, and ours is added.

mod forward_support;

use balancer::forward::Client;
use balancer::proxy_protocol::Announced;
use forward_support::{FIRST_ID, bare, client, full, onward};

#[test]
fn what_an_untrusted_client_says_of_clients_is_removed_before_ours_is_added() {
    let config = full();
    let (written, it) = onward(
        &config,
        &client("192.0.2.1", &config),
        "GET / HTTP/1.1\nX-Forwarded-For: 6.6.6.6\nHost: a.example\nx-forwarded-proto: https\nX-Forwarded-Host: evil\nX-Forwarded-Port: 1\n\
         X-Forwarded-Server: s\nForwarded: for=6.6.6.6\nX-Real-IP: 6.6.6.6\nX-Request-Id: abc\nX_Forwarded_For: 6.6.6.6\nX_Request_ID: abc\nX: y",
    )
    .unwrap();
    assert_eq!(
        written,
        format!(
            "GET / HTTP/1.1\nHost: a.example\nX: y\nVia: 1.1 lb\nX-Forwarded-Host: a.example\n\
             Forwarded: host=a.example;for=192.0.2.1;proto=http\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\nX-Request-Id: {FIRST_ID}"
        )
    );
    assert_eq!(it.request_id(written.replace('\n', "\r\n").as_bytes()), FIRST_ID.as_bytes());
    let (written, _) = onward(&config, &client("2001:db8::1", &config), "GET / HTTP/1.0").unwrap();
    assert_eq!(
        written,
        format!(
            "GET / HTTP/1.1\nHost: localhost\nVia: 1.0 lb\nForwarded: for=\"[2001:db8::1]\";proto=http\nX-Forwarded-For: 2001:db8::1\n\
             X-Forwarded-Proto: http\nX-Request-Id: {FIRST_ID}"
        )
    );
}

#[test]
fn what_a_trusted_proxy_says_is_kept_and_gets_our_part_behind() {
    let config = full();
    let (written, it) = onward(
        &config,
        &client("10.1.2.3", &config),
        "GET / HTTP/1.1\nHost: [::1]:80\nX-Forwarded-For: 192.0.2.1, 10.9.9.9\nVia: 1.0 cdn\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example\n\
         X-Forwarded-Port: 443\nX-Forwarded-For: ,10.8.8.8\nForwarded: for=192.0.2.1;host=\"a, b\"\nforwarded: for=10.9.9.9\nX-Real-IP: 192.0.2.1\n\
         X-Request-Id: req-1\nX_Forwarded_For: 6.6.6.6",
    )
    .unwrap();
    assert_eq!(
        written,
        "GET / HTTP/1.1\nHost: [::1]:80\nVia: 1.0 cdn\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example\nX-Forwarded-Port: 443\n\
         X-Real-IP: 192.0.2.1\nX-Request-Id: req-1\nVia: 1.1 lb\nX-Forwarded-For: 192.0.2.1, 10.9.9.9, 10.8.8.8, 10.1.2.3\n\
         Forwarded: for=192.0.2.1;host=\"a, b\", for=10.9.9.9, host=\"[::1]:80\";for=10.1.2.3;proto=http"
    );
    assert_eq!(it.request_id(written.replace('\n', "\r\n").as_bytes()), b"req-1");
    let (written, it) =
        onward(&config, &client("10.1.2.3", &config), "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 192.0.2.1")
            .unwrap();
    assert_eq!(
        written,
        format!(
            "GET / HTTP/1.1\nHost: h\nVia: 1.1 lb\nX-Forwarded-For: 192.0.2.1, 10.1.2.3\nX-Forwarded-Proto: http\nX-Forwarded-Host: h\n\
             Forwarded: host=h;for=10.1.2.3;proto=http\nX-Request-Id: {FIRST_ID}"
        )
    );
    assert_eq!(it.request_id(written.replace('\n', "\r\n").as_bytes()), FIRST_ID.as_bytes());
}

#[test]
fn nothing_is_added_to_what_a_trusted_proxy_says_if_nothing_is_to_be_added() {
    let mut config = full();
    config.forward.x_forwarded = false;
    config.forward.forwarded = false;
    config.forward.request_id = false;
    config.forward.via = String::new();
    let head =
        "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 2.2.2.2\nForwarded: for=x";
    assert_eq!(onward(&config, &client("fd00::1", &config), head).unwrap().0, head);
    // Nor does an empty list leave a member.
    let config = full();
    let (written, _) =
        onward(&config, &client("fd00::1", &config), "GET / HTTP/1.1\nHost: h\nForwarded:\nX-Forwarded-For:")
            .unwrap();
    assert!(written.contains("\nForwarded: host=h;for=\"[fd00::1]\";proto=http\n"), "{written}");
    assert!(written.contains("\nX-Forwarded-For: fd00::1\n"), "{written}");
}

#[test]
fn an_id_that_is_no_sane_token_is_replaced_even_if_a_trusted_proxy_sends_it() {
    let config = full();
    let ids = |lines: &str| {
        let head = format!("GET / HTTP/1.1\nHost: h{lines}");
        let (written, _) = onward(&config, &client("10.1.2.3", &config), &head).unwrap();
        written
            .lines()
            .filter_map(|line| line.strip_prefix("X-Request-Id: ").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let longest = "x".repeat(128);
    assert_eq!(ids("\nX-Request-Id: a-_.:=+/~@Z9"), ["a-_.:=+/~@Z9"]);
    assert_eq!(ids(&format!("\nX-Request-Id: {longest}")), [&longest[..]]);
    for bad in [
        "\nX-Request-Id:",
        "\nX-Request-Id: a b",
        "\nX-Request-Id: a\"b",
        "\nX-Request-Id: a\nX-Request-Id: a",
    ] {
        assert_eq!(ids(bad), [FIRST_ID], "{bad}");
    }
    assert_eq!(ids(&format!("\nX-Request-Id: {longest}x")), [FIRST_ID]);
}

#[test]
fn who_is_trusted_is_decided_by_the_address_that_counts() {
    let config = full();
    let peer = |address: &str| Some(format!("{address}:9").parse().unwrap());
    assert!(!client("192.0.2.1", &config).is_trusted());
    assert!(client("10.0.0.1", &config).is_trusted());
    assert!(client("::ffff:10.0.0.1", &config).is_trusted());
    assert!(client("fd00::1", &config).is_trusted());
    assert!(Client::new(0, None, &config).is_trusted());
    let announced = |source: Option<&str>, peer| {
        let source = source.map(|source| format!("{source}:9").parse().unwrap());
        Client::announced(0, &Announced::Client { source, is_tls: false }, peer, &config)
    };
    assert!(!announced(Some("192.0.2.1"), peer("10.0.0.1")).is_trusted());
    assert!(announced(Some("10.0.0.9"), peer("192.0.2.1")).is_trusted());
    assert!(!announced(None, peer("10.0.0.1")).is_trusted());
    assert!(!announced(None, None).is_trusted());
    assert!(Client::announced(0, &Announced::Itself, peer("10.0.0.1"), &config).is_trusted());
    assert!(!Client::announced(0, &Announced::Itself, peer("192.0.2.1"), &config).is_trusted());
}

#[test]
fn an_announced_client_is_named_with_how_it_came() {
    let config = full();
    let added = |announced| {
        let client = Client::announced(0, &announced, Some("10.0.0.1:9".parse().unwrap()), &config);
        let (written, _) = onward(&config, &client, "GET / HTTP/1.1\nHost: h").unwrap();
        let lines = written.lines().filter(|line| line.contains("orwarded") && !line.contains("Host: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let source = Some("[::ffff:192.0.2.7]:9".parse().unwrap());
    assert_eq!(
        added(Announced::Client { source, is_tls: true }),
        [
            "Forwarded: host=h;for=192.0.2.7;proto=https",
            "X-Forwarded-For: 192.0.2.7",
            "X-Forwarded-Proto: https"
        ]
    );
    assert_eq!(
        added(Announced::Client { source: None, is_tls: false }),
        ["Forwarded: host=h;for=unknown;proto=http", "X-Forwarded-Proto: http"]
    );
}

#[test]
fn an_unknown_peer_leaves_a_list_as_it_is() {
    let config = full();
    let (written, _) = onward(
        &config,
        &Client::new(0, None, &config),
        "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 192.0.2.1",
    )
    .unwrap();
    assert!(written.contains("\nX-Forwarded-For: 192.0.2.1\n"), "{written}");
    assert!(written.contains("\nForwarded: host=h;for=unknown;proto=http\n"), "{written}");
}

#[test]
fn a_client_is_the_same_by_another_configuration_as_if_it_came_then() {
    let peer = |ip: &str| Some(format!("{ip}:9").parse().unwrap());
    for (before, after) in [(bare(), full()), (full(), bare())] {
        for peer in [peer("192.0.2.1"), peer("10.0.0.1"), None] {
            let old = Client::new(0, peer, &before).by(&after);
            let new = Client::new(0, peer, &after);
            let head = "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 192.0.2.7";
            assert_eq!(onward(&after, &old, head), onward(&after, &new, head));
            assert_eq!(old.is_trusted(), new.is_trusted());
        }
    }
    let nobody = Announced::Client { source: None, is_tls: false };
    assert!(!Client::announced(0, &nobody, None, &bare()).by(&full()).is_trusted());
}
