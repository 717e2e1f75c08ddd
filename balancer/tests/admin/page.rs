//! The status page: as it is sent, and as a real browser shows it.

use super::browser;
use super::fixture::{World, config, field, text};
use super::served::{Go, Stage, serve};
use balancer::control::{Admin, Command, State};
use net::http1::Status;
use std::time::Duration;

/// Two questions: the page asks at once, and 2 s later again.
const TWO: Duration = Duration::from_millis(3_500);

#[test]
fn the_page_needs_nothing_from_elsewhere_and_lets_nothing_else_in() {
    let mut world = World::new(config());
    let (one, other) = (world.get("/"), world.get("/"));
    assert_eq!((one.status, one.content_type), (Status::OK, "text/html; charset=utf-8"));
    let policy = field(&one, "content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_ne!(policy, field(&other, "content-security-policy").unwrap(), "a nonce is used once");
    assert_eq!(field(&one, "x-frame-options"), Some("DENY"));
    assert_eq!(field(&one, "referrer-policy"), Some("no-referrer"));
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(nonce.len() == 32 && nonce.bytes().all(|b| b.is_ascii_hexdigit()), "{nonce}");
    let page = text(&one);
    assert_eq!(page.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    assert_eq!(page.matches("<script").count() + page.matches("<style").count(), 2);
    assert!(
        ["{{style}}", "{{script}}", "{{nonce}}"].iter().all(|place| !page.contains(place)),
        "all was put in"
    );
    for outside in [
        "src=",
        "@import",
        "url(",
        "https:",
        "innerHTML",
        "insertAdjacentHTML",
        "eval(",
        " style=",
        "onclick",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.len() < 60_000, "{}", page.len());
}

#[test]
fn a_browser_shows_every_server_and_takes_no_word_for_markup() {
    let served = serve(World::lived(), |_, _| Go::On, Stage::Alone);
    let Some(shown) = browser::open(&served.url(), 1_280, TWO) else { return };
    assert_eq!(shown.complaints, Vec::<String>::new());
    let text = shown.text();
    for part in [
        "4 of 7 servers up",
        "live",
        "up for 10 min",
        "client-gone 24",
        "lane 0 on core 2 40.0 %",
        "web least-requests · 2 of 5 up",
        "17 of 64",
        "weight 50, gets 12.5",
        "weight 0, not 1",
        "16 open, 12 idle",
        "rising for 9 s: 2 checks in a row were good",
        "down for 3 min 5 s: 3 checks in a row failed: status 503 <script>alert(1)</script>",
        "ejected for 40 s: 5 failures in a row: connection refused; tried again in 20 s",
        "unix:/run/api.sock",
        "no errors",
        "up for 10 min a",
        "rising for 9 s b",
        "down for 3 min 5 s c",
        "ejected drain for 40 s d",
        "probation just now e",
        "status 200",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("Failing open") && !text.contains("Only servers that need"), "{text}");
    assert_eq!(shown.page.matches("<tbody").count(), 7);
    // Seven maps, of which five have answers, and three of those a moment at which their server was taken out.
    assert_eq!(shown.page.matches("role=\"img\"").count(), 7);
    assert_eq!(shown.page.matches("class=\"m-fell\"").count(), 3);
    assert_eq!(shown.page.matches("class=\"m-down\"").count(), 1);
    assert!(shown.page.matches("class=\"h8\"").count() >= 1);
}

#[test]
fn nothing_is_wider_than_a_phone() {
    for width in [360, 400] {
        let served = serve(World::lived(), |_, _| Go::On, Stage::Framed(width));
        let Some(shown) = browser::open(&format!("{}frame", served.url()), 1_280, TWO) else { return };
        assert_eq!(shown.attribute("data-window"), width.to_string());
        assert_eq!(shown.attribute("data-scrolls"), width.to_string(), "it must not scroll sideways");
        assert_eq!(shown.attribute("data-head"), "none", "cards, whose values have their names before them");
        assert!(shown.text().contains("4 of 7 servers up"), "{}", shown.text());
    }
}

#[test]
fn what_changes_is_seen_at_the_next_question() {
    let next = |world: &mut World, target: &str| {
        // The second question finds a server more that is down, and a new pool's name in place of an old one.
        if target == "/status.json" && std::mem::replace(&mut world.is_draining, true) {
            world.servers[0][0].state = State::Down;
            world.servers[0][0].why = "its cable was pulled".to_owned();
            world.reload_error = Some("line 7".to_owned());
        }
        Go::On
    };
    let served = serve(World::new(config()), next, Stage::Alone);
    let Some(shown) = browser::open(&served.url(), 1_280, TWO) else { return };
    let text = shown.text();
    for part in [
        "6 of 7 servers up",
        "its cable was pulled",
        "The last reload was refused. line 7",
        "Draining.",
        "web/a is down",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_balancer_that_is_gone_is_said_to_be_gone() {
    let leave = |world: &mut World, target: &str| match target {
        "/status.json" if world.is_failing_open[1] => Go::Stop,
        "/status.json" => {
            world.is_failing_open[1] = true;
            Go::On
        }
        _ => Go::On,
    };
    let served = serve(World::new(config()), leave, Stage::Alone);
    let Some(shown) = browser::open(&served.url(), 1_280, Duration::from_millis(7_500)) else { return };
    let text = shown.text();
    for part in
        ["Not reachable", "The balancer can't be reached.", "What is shown is", "s old", "unreachable"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.contains("Failing open"), "what was known is still there");
    assert!(shown.page.contains("<body class=\"stale\""), "and it is seen to be old");
}

#[test]
fn another_process_at_the_same_address_is_not_mixed_with_the_last() {
    let restart = |world: &mut World, target: &str| {
        if target == "/status.json"
            && std::mem::replace(&mut world.is_draining, true)
            && world.reload_error.is_none()
        {
            let mut config = config();
            config.pools.remove(0);
            *world = World::new(config);
            world.is_draining = true;
            world.reload_error = Some("second".to_owned());
            // Another start: the new process counts its columns anew.
            world.uptime = Duration::ZERO;
        }
        Go::On
    };
    let served = serve(World::lived(), restart, Stage::Alone);
    let Some(shown) = browser::open(&served.url(), 1_280, TWO) else { return };
    assert_eq!(shown.page.matches("<tbody").count(), 2, "{}", shown.text());
    assert!(shown.text().contains("All 2 servers up"));
}

#[test]
fn a_change_is_confirmed_and_then_asked_for_with_what_the_gate_wants() {
    let script = "setTimeout(() => { const q = (s) => document.querySelector(s); \
        q('tbody button').click(); q('#change input[value=drain]').click(); \
        q('#change-own').value = 7; q('#change-own').dispatchEvent(new Event('input')); \
        document.documentElement.dataset.title = q('#change-title').textContent; \
        q('#change-do').click(); }, 500);";
    let served = serve(World::lived(), |_, _| Go::On, Stage::Acted(script));
    let Some(shown) = browser::open(&served.url(), 1_280, TWO) else { return };
    assert_eq!(shown.attribute("data-title"), "Change web/a");
    let obeyed = served.world.lock().unwrap().obeyed.clone();
    let (pool, server) = ("web".to_owned(), "a".to_owned());
    let weigh = Command::Weigh { pool: pool.clone(), server: server.clone(), weight: Some(7) };
    assert_eq!(obeyed, [weigh, Command::Set { pool, server, admin: Admin::Drain }]);
    assert_eq!(shown.complaints, Vec::<String>::new());
    assert!(shown.text().contains("done. done"), "{}", shown.text());
}

#[test]
fn a_change_that_is_refused_says_why_and_the_last_server_is_warned_of() {
    let script = "setTimeout(() => { const q = (s) => document.querySelector(s); \
        q('tbody button').click(); q('#change input[value=maint]').click(); \
        document.documentElement.dataset.warning = q('#change-warning').textContent; \
        q('#change-do').click(); }, 500);";
    let mut world = World::lived();
    world.servers[0][1].state = State::Down;
    world.says = Err("not while <b>".to_owned());
    let served = serve(world, |_, _| Go::On, Stage::Acted(script));
    let Some(shown) = browser::open(&served.url(), 1_280, TWO) else { return };
    assert!(shown.attribute("data-warning").starts_with("It is the last server of its pool that works"));
    assert!(shown.text().contains("not while <b>"), "{}", shown.text());
    assert!(
        shown.page.contains("<dialog id=\"change\" aria-labelledby=\"change-title\" open"),
        "it stays open"
    );
}
