//! File descriptors of a real process: raised where allowed, shared out where not.

use std::net::TcpStream;

use crate::harness::{Engine, Place, Running};

fn limited(limit: &str) -> Running {
    let command = format!("ulimit {limit} && exec \"$@\"");
    let wrapper = ["sh", "-c", &command, "limited"];
    Place::new(Engine::Sqlite).unwrap().under(&wrapper).start()
}

/// The soft and the hard limit of open files.
fn open_files(process: &str) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let mut numbers = line.split_whitespace().skip(3);
    let mut number = || numbers.next().unwrap().parse().unwrap_or(u64::MAX);
    (number(), number())
}

#[test]
fn the_soft_limit_is_raised_to_what_all_sessions_need() {
    let (_, hard) = open_files("self");
    let running = limited("-S -n 300");
    let needed = 1_000 + 10_000 + 4_096 + 256;
    let pid = running.pid().to_string();
    assert_eq!(open_files(&pid).0, hard.min(needed));
    assert_eq!(
        running.log().contains("limit of open files is too low"),
        hard < needed
    );
}

#[test]
fn one_door_cannot_take_the_descriptors_of_the_others() {
    let running = limited("-n 300");
    let _held: Vec<TcpStream> = (0..320)
        .map(|_| TcpStream::connect(running.public).unwrap())
        .collect();
    assert_eq!(running.check("reader@example.com", None), None);
    let token = &running.mint(1, &["reader@example.com"])[0].0;
    let to = format!("u-{token}@fb.example.com");
    let reply = running.deliver("reader@example.com", &to, "Subject: unsubscribe\n\nx\n");
    assert!(reply.starts_with("250"), "{reply}");
    running.drained();
    assert!(running.check("reader@example.com", Some(1)).is_some());
    let log = running.log();
    assert!(log.contains("limit of open files is too low"), "{log}");
}
