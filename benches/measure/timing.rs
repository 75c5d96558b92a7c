//! What something costs in processor time, which neighbours on the machine change little.

use std::fs;

/// Processor time that each measurement uses at least, in seconds.
const LEAST: f64 = 0.5;

/// Does it again and again and prints what one time costs; `octets`: how many are read each time.
pub(crate) fn measure<T>(name: &str, octets: usize, mut act: impl FnMut() -> T) {
    let mut times = 0_u64;
    let mut round = 1_u64;
    let begun = used();
    let seconds = loop {
        for _ in 0..round {
            std::hint::black_box(act());
        }
        times += round;
        let seconds = used() - begun;
        if seconds >= LEAST {
            break seconds;
        }
        round *= 2;
    };
    let each = seconds / times as f64;
    let speed = octets as f64 / each / 1e6;
    let pace = 1.0 / each;
    println!(
        "{name:<44} {:>12.0} ns {pace:>12.0}/s {speed:>9.1} MB/s",
        each * 1e9
    );
}

/// Seconds that this thread has been on a processor.
fn used() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos: f64 = text.split(' ').next().unwrap().parse().unwrap();
    nanos / 1e9
}
