//! nginx, where it is installed: a server by others, on a Unix socket, as it needs no port to be found for it.

use super::{Scratch, eventually, skipped};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

/// One that runs; it is killed when this is dropped.
pub struct Nginx {
    child: Child,
    folder: Scratch,
}

impl Nginx {
    /// Serves `locations` (a piece of its configuration). `None`, said aloud, if it isn't installed.
    pub fn start(locations: &str) -> Option<Nginx> {
        let folder = Scratch::new("nginx");
        std::fs::create_dir(&folder.0).expect("a temporary directory can be made");
        let path = folder.as_str();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {path}/{kind};\n"))
            .collect();
        let configuration = format!(
            "daemon off; master_process off; pid {path}/pid;\nevents {{}}\nhttp {{ access_log off; {paths}\
             server {{ listen unix:{path}/socket; root {path};\n{locations} }} }}\n"
        );
        std::fs::write(folder.0.join("conf"), configuration).expect("a temporary file can be written");
        std::fs::write(folder.0.join("page.txt"), "a page\n").expect("a temporary file can be written");
        let mut command = Command::new("nginx");
        command.args(["-p", path, "-c", "conf", "-e", "errors"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = child else {
            // The folder is no file, so that it is left to this.
            let _ = std::fs::remove_dir_all(&folder.0);
            skipped("nginx is not installed");
            return None;
        };
        let nginx = Nginx { child, folder };
        eventually("nginx listens", || UnixStream::connect(nginx.folder.0.join("socket")).is_ok());
        Some(nginx)
    }

    /// The URL of a target, which begins with a slash.
    pub fn url(&self, target: &str) -> String {
        format!("http://unix:{}/socket:{target}", self.folder.as_str())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // All fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder.0);
    }
}
