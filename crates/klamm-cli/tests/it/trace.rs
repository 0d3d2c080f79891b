//! `klamm serve --trace`, `--trace-file`, and `klamm trace`.

use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::process::{Served, klamm, klamm_ok};

#[test]
fn a_trace_file_holds_what_the_recording_of_the_same_run_replays() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (trace, record) = (path("run.trace"), path("run.rec"));
    let served = Served::start(&["--topic", "t:2:3", "--trace-file", &trace, "--record", &record]);
    let bootstrap = served.bootstrap().to_owned();
    klamm_ok(&["produce", "--bootstrap", &bootstrap, "t"], "a\nb\n");
    assert!(served.signal("TERM").0.success());

    let all = klamm_ok(&["trace", &trace], "");
    assert!(all.lines().next().unwrap().ends_with("s [100] started"), "{all}");
    let appended = klamm_ok(&["trace", &trace, "--topic", "t", "--kind", "Appended"], "");
    assert!(
        appended.lines().count() >= 3 && appended.lines().all(|line| line.contains(" log end ")),
        "{appended}"
    );
    assert_eq!(klamm_ok(&["trace", &record, "--topic", "t", "--kind", "Appended"], ""), appended);
    let none = klamm_ok(&["trace", &trace, "--topic", "t", "--partition", "7"], "");
    assert_eq!(none, "");
    // A recording that lacks its end says where, and is shown as far as it goes for who asks.
    let bytes = std::fs::read(&record).unwrap();
    std::fs::write(&record, &bytes[..bytes.len() - 1]).unwrap();
    for command in ["trace", "replay"] {
        let refused = klamm(&[command, &record]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{said}");
        assert!(
            said.contains(&format!("it ends at byte {}, in the middle of entry ", bytes.len() - 1)),
            "{said}"
        );
        assert!(!klamm_ok(&[command, &record, "--cut-short"], "").is_empty());
    }
    // Twice the same file is every line twice, in the order of time.
    let twice = klamm_ok(&["trace", &trace, &trace, "--node", "1"], "");
    let once = klamm_ok(&["trace", &trace, "--node", "1"], "");
    assert_eq!(twice.lines().count(), 2 * once.lines().count());

    // Why did the leader's high watermark move?
    let moved = klamm_ok(&["trace", &trace, "--topic", "t", "--kind", "HighWatermarkMoved", "--json"], "");
    let moved: serde_json::Value = serde_json::from_str(moved.lines().next().unwrap()).unwrap();
    let chain = klamm_ok(&["trace", &trace, "--why", &moved["id"].to_string()], "");
    let lines: Vec<_> = chain.lines().collect();
    assert!(
        lines.len() == 3 && lines[0].contains(" log end ") && lines[2].contains(" high watermark "),
        "{chain}"
    );
}

#[test]
fn a_trace_is_printed_live() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_klamm"))
        .args(["serve", "--port", "0", "--brokers", "1", "--trace"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    while !said.contains("[1] running") {
        let mut piece = [0; 4096];
        let count = stderr.read(&mut piece).unwrap();
        assert!(count > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    assert!(said.lines().next().unwrap().ends_with("s [100] started"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_wrong_file_or_range_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.trace");
    let file = path.to_str().unwrap();
    let wrong = |arguments: &[&str]| {
        let output = klamm(&[&["trace"], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty(), "nothing is printed of a file that is wrong");
        String::from_utf8(output.stderr).unwrap()
    };
    let event = "{\"id\":1,\"at\":0,\"kind\":\"Stalled\",\"text\":\"x\"}";
    std::fs::write(&path, format!("{{\"klamm_trace\":1}}\n{event}\n{}", &event[..9])).unwrap();
    let cut = "is cut short; --cut-short shows what is whole of it";
    assert_eq!(wrong(&[file]), format!("klamm: {file}:3 {cut}\n"));
    assert_eq!(klamm_ok(&["trace", file, "--cut-short"], ""), "#1 0.000000s [-] x\n");
    std::fs::write(&path, "something else\n").unwrap();
    assert_eq!(wrong(&[file]), format!("klamm: {file} is neither a trace nor a recording of klamm's\n"));
    assert!(wrong(&["nowhere"]).starts_with("klamm: cannot read nowhere: "));
    assert_eq!(
        wrong(&[file, "--from", "2s", "--to", "1s"]),
        "klamm: --from 2.000000s is after --to 1.000000s\n"
    );
}
