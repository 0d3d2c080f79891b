//! What the Rust programs share.

pub mod records;

use std::time::{Duration, Instant};

use records::Outcome;

/// Runs `program(bootstrap, unique)`, which gives back what to report, under a deadline; prints the one line; exits.
pub fn main(name: &'static str, program: fn(&str, &str) -> Outcome<String>) {
    let started = Instant::now();
    let seconds =
        std::env::var("KLAMM_CLIENT_DEADLINE").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        finish(1, format!("FAIL {name}: not done after {seconds} s"));
    });
    let bootstrap = std::env::args().nth(1).unwrap_or_default();
    let unique = format!("{name}-{}", std::process::id());
    match program(&bootstrap, &unique) {
        Ok(report) => finish(0, format!("OK {name} {report} seconds={:.1}", started.elapsed().as_secs_f32())),
        Err(error) => finish(1, format!("FAIL {name}: {error}").replace('\n', " ")),
    }
}

fn finish(code: i32, line: String) -> ! {
    println!("{line}");
    std::process::exit(code);
}
