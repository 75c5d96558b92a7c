//! A PostgreSQL server of a test's own, which may be stopped, killed and frozen.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

use desist::model::clock::{Clock, Tick};

use super::told;
use crate::harness::PATIENCE;

/// A server in a temporary folder, on a port of the system's choice. Ends with this.
pub(super) struct Instance {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

impl Instance {
    /// Makes and starts one; `None` if tests on PostgreSQL are skipped on purpose.
    pub(super) fn start() -> Option<Self> {
        if told("DESIST_TEST_POSTGRES").is_some_and(|url| url == "skip") {
            println!("skipped: DESIST_TEST_POSTGRES=skip");
            return None;
        }
        let programs = programs();
        // PostgreSQL refuses to run as root: its own user must be able to enter.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let folder = tempfile::Builder::new()
            .permissions(open)
            .tempdir()
            .unwrap();
        let mut instance = Self {
            folder,
            programs,
            port: 0,
        };
        std::fs::create_dir(instance.home()).unwrap();
        if is_root() {
            let home = instance.home();
            let owner = Command::new("chown").arg("postgres:").arg(&home).status();
            assert!(owner.unwrap().success());
        }
        let data = instance.data();
        let made = instance.program("initdb", |command| {
            command
                .arg("-D")
                .arg(data)
                .args(["-A", "trust", "-U", "postgres"]);
            command.args(["-E", "UTF8", "--locale=C", "-N"]);
        });
        assert!(made.status.success(), "{made:?}");
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        instance.port = free.local_addr().unwrap().port();
        drop(free);
        instance.begin();
        Some(instance)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server again, as soon as nothing of the one before is left.
    pub(super) fn begin(&self) {
        let clock = Clock::system();
        let settings = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} \
             -c max_connections=60 -c fsync=off",
            self.port,
            self.home().display()
        );
        let data = self.data();
        loop {
            let log = self.home().join("log");
            let begun = self.program("pg_ctl", |command| {
                command.arg("-D").arg(&data).arg("-l").arg(log);
                command.args(["-w", "-o", &settings, "start"]);
            });
            if begun.status.success() {
                return;
            }
            assert!(clock.tick() < Tick::default().after(PATIENCE), "{begun:?}");
        }
    }

    /// Stops it: `fast` or `immediate`.
    pub(super) fn stop(&self, mode: &str) {
        let data = self.data();
        let stopped = self.program("pg_ctl", |command| {
            command.arg("-D").arg(data).args(["-w", "-m", mode, "stop"]);
        });
        assert!(stopped.status.success(), "{stopped:?}");
    }

    /// The postmaster first, then the processes that it has started.
    pub(super) fn processes(&self) -> Vec<u32> {
        let file = self.data().join("postmaster.pid");
        let first = std::fs::read_to_string(file).unwrap();
        let postmaster: u32 = first.lines().next().unwrap().trim().parse().unwrap();
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = std::fs::read_to_string(children).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        std::iter::once(postmaster).chain(children).collect()
    }

    /// Those of its processes that serve a client.
    pub(super) fn backends(&self) -> Vec<u32> {
        let serves = |pid: &u32| {
            let title = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
            title.is_ok_and(|title| title.contains("127.0.0.1("))
        };
        self.processes().into_iter().filter(serves).collect()
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("postgres")
    }

    fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    fn program(&self, name: &str, arguments: impl FnOnce(&mut Command)) -> Output {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        arguments(&mut command);
        // What it starts must not hold the pipe of the output.
        let said = self.folder.path().join("said");
        let file = std::fs::File::create(&said).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let status = command.current_dir(self.folder.path()).status().unwrap();
        Output {
            status,
            stdout: std::fs::read(said).unwrap(),
            stderr: Vec::new(),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if !self.data().join("postmaster.pid").exists() {
            return;
        }
        signal("CONT", &self.processes());
        let data = self.data();
        self.program("pg_ctl", |command| {
            command
                .arg("-D")
                .arg(data)
                .args(["-w", "-m", "immediate", "stop"]);
        });
    }
}

/// Sends a signal to processes of the test; those that have ended meanwhile are no error.
pub(super) fn signal(name: &str, processes: &[u32]) {
    for pid in processes {
        let mut sent = Command::new("kill");
        drop(
            sent.args([&format!("-{name}"), &pid.to_string()])
                .output()
                .unwrap(),
        );
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where the server's programs are.
fn programs() -> PathBuf {
    let named = Command::new("pg_config").arg("--bindir").output();
    let named = named.ok().filter(|output| output.status.success());
    let named = named.map(|output| String::from_utf8(output.stdout).unwrap());
    let named = named.map(|text| PathBuf::from(text.trim()));
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| {
            versions
                .map(|entry| entry.unwrap().path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    installed.sort();
    let found = named.into_iter().chain(installed.into_iter().rev());
    let found = { found }.find(|place| place.join("initdb").exists());
    found.expect(
        "the programs of a PostgreSQL server (package postgresql; scripts/test installs it), \
         or DESIST_TEST_POSTGRES=skip",
    )
}
