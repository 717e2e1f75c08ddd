//! A real browser without a screen, and what it made of a page.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// A cold start on a busy machine takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a browser showed.
pub(crate) struct Shown {
    /// The page as it stood at the end, as markup, without the text of scripts and styles.
    pub(crate) page: String,
    /// What the page complained of.
    pub(crate) complaints: Vec<String>,
}

/// Opens `url` in a window so wide, lets `passes` of the page's own time go by, and looks. `None`: there is no browser here.
pub(crate) fn open(url: &str, width: u32, passes: Duration) -> Option<Shown> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Some(browser) = find() else {
        eprintln!(
            "SKIPPED: none of {} is installed, so that the status page was not opened",
            NAMES.join(", ")
        );
        return None;
    };
    let scratch = std::env::temp_dir().join(format!(
        "corelane-page-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Relaxed)
    ));
    std::fs::create_dir_all(&scratch).expect("a directory for the browser");
    let (out, log) = (scratch.join("page.html"), scratch.join("log"));
    let file = |path: &PathBuf| std::fs::File::create(path).expect("a file");
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", scratch.join("profile").display()))
        .arg(format!("--window-size={width},900"))
        .arg(format!("--virtual-time-budget={}", passes.as_millis()))
        .args(["--dump-dom", url])
        .stdin(Stdio::null())
        .stdout(file(&out))
        .stderr(file(&log))
        .spawn()
        .expect("the browser starts");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the browser did not end within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).expect("it was written")).into_owned();
    let (page, log) = (read(&out), read(&log));
    let _ = std::fs::remove_dir_all(&scratch);
    assert!(status.success(), "{log}");
    let complaints = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Some(Shown { page: without(&without(&page, "script"), "style"), complaints })
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    places.into_iter().find(|place| place.is_file())
}

/// The page without elements of this name.
fn without(page: &str, name: &str) -> String {
    let start = format!("<{name}");
    let mut parts = page.split(&start);
    let mut left = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        left += part.split_once(&format!("</{name}>")).map_or("", |(_, behind)| behind);
    }
    left
}

impl Shown {
    /// What was to be seen, as the watching script wrote it down; blanks and lines as they fall.
    pub(crate) fn text(&self) -> String {
        let seen = self.page.split("<pre id=\"seen\"").nth(1).and_then(|rest| rest.split_once('>'));
        let text = seen.and_then(|(_, rest)| rest.split("</pre>").next()).expect("somebody watched");
        let text =
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The value of an attribute somewhere on the page.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        let start = format!("{name}=\"");
        let value = self.page.split(&start).nth(1).and_then(|rest| rest.split('"').next());
        value.unwrap_or_else(|| panic!("no {name}"))
    }
}
