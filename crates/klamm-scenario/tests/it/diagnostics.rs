//! What a person is told about a wrong file.

use klamm_scenario::check;

fn told(text: &str) -> String {
    check("wrong.kdl", text).expect_err("it is wrong").render(false)
}

#[test]
fn an_unknown_word_suggests_the_nearest() {
    insta::assert_snapshot!(told("scenario \"A\" title=\"a\"\ncrahs 1\n"), @r#"
      × there is no word `crahs` here
       ╭─[wrong.kdl:2:1]
     1 │ scenario "A" title="a"
     2 │ crahs 1
       · ──┬──
       ·   ╰── unknown word
       ╰────
      help: did you mean `crash`?
    "#);
}

#[test]
fn a_fault_that_cannot_be_is_found_before_anything_runs() {
    insta::assert_snapshot!(told("scenario \"A\" title=\"a\"\ncrash 1\ncrash 1\n"), @r#"
      × node 1 is down already
       ╭─[wrong.kdl:3:7]
     2 │ crash 1
     3 │ crash 1
       ·       ┬
       ·       ╰── impossible
       ╰────
      help: say `start 1` before
    "#);
}

#[test]
fn what_is_no_kdl_is_pointed_at() {
    let told = told("scenario \"A\" title=\n");
    assert!(told.contains("wrong.kdl:1:"), "{told}");
}

/// What the first mistake in a scenario with these lines says, and where.
fn first(lines: &str) -> (String, usize) {
    let text = format!("scenario \"A\" title=\"a\"\n{lines}\n");
    let mistakes = check("wrong.kdl", &text).expect_err(lines);
    let mistake = mistakes.iter().next().expect("it is wrong");
    (mistake.message.clone(), 1 + text[..mistake.span.start].matches('\n').count())
}

#[test]
fn what_no_cluster_can_be_is_found_before_anything_runs() {
    for (lines, message, line) in [
        ("cluster controllers=2\ncrash 1", "a cluster has 1 or 3 controllers", 2),
        ("config min.insync.replica=2\ncrash 1", "did you mean min.insync.replicas", 2),
        ("config min.insync.replicas=soon\ncrash 1", "Invalid value soon", 2),
        ("topic t retention.msec=1\ncrash 1", "a topic has no configuration key `retention.msec`", 2),
        ("topic t retention.ms=soon\ncrash 1", "Invalid value soon", 2),
        ("topic t replication-factor=4", "from 1 to 3", 2),
        ("topic t\nalter-config t min.insync.replica=1", "a topic has no configuration key", 3),
        ("alter-config unclean.leader.election.enabled=#true", "a broker has no configuration key", 2),
    ] {
        let (told, at) = first(lines);
        assert!(told.contains(message), "{lines}: {told}");
        assert_eq!(at, line, "{lines}");
    }
    // Unless an error is what the scenario is about.
    let text = "scenario \"A\"\ncreate-topic t replication-factor=4 error=INVALID_REPLICATION_FACTOR\n";
    check("right.kdl", text).expect("it can be run");
}

#[test]
fn a_group_has_a_member_and_a_state_of_kafkas() {
    let head = "topic t\nconsumer c group=orders\n";
    let (told, at) = first(&format!("{head}expect {{ group order state=Stable; }}"));
    assert_eq!((told.as_str(), at), ("no consumer is in a group `order`", 4));
    assert_eq!(first("topic t\nforce-rebalance g").0, "no consumer is in a group `g`");
    assert_eq!(first(&format!("{head}expect {{ group orders state=Stabel; }}")).0, "no group is ever Stabel");
}

#[test]
fn a_members_protocol_has_its_own_settings() {
    let wrong = |consumer: &str| first(&format!("topic t\nconsumer c group=g {consumer}")).0;
    assert_eq!(wrong("protocol=modern"), "there is no protocol `modern`");
    assert_eq!(
        wrong("protocol=consumer heartbeat=1s"),
        "with the consumer protocol `heartbeat` is the coordinator's"
    );
    assert_eq!(
        wrong("protocol=consumer assignor=cooperative-sticky"),
        "there is no assignor `cooperative-sticky`"
    );
    assert_eq!(wrong("assignor=uniform"), "there is no assignor `uniform`");
    let share = "topic t\nshare-consumer s group=g\n";
    assert_eq!(first("topic t\nshare-consumer s").0, "a consumer of a share group needs its group");
    assert_eq!(first(&format!("{share}share-poll r")).0, "there is no share consumer `r`");
    assert_eq!(first(&format!("{share}acknowledge s accepted")).0, "a record cannot be `accepted`");
    assert_eq!(first("topic t\nproducer p\nwrite-epoch p 3").0, "`p` sends in no transactions");
}

#[test]
fn time_does_not_go_back() {
    let (told, at) = first("advance 3s\nat 5s {\n  advance 1s\n}\nat 5500ms {\n  crash 1\n}");
    assert_eq!((told.as_str(), at), ("it is 6s or later here", 6));
    assert!(first("advance -5s").0.contains("`-5s` is neither a number nor a time"));
    assert!(first("advance 99999999999999h").0.contains("neither a number nor a time"));
}

#[test]
fn a_range_of_records_names_some() {
    let head = "topic t\nproducer p\n";
    assert_eq!(first(&format!("{head}send p r9..r0")), ("the range `r9..r0` is upside down".to_owned(), 4));
    assert!(first(&format!("{head}send p r0..r999999999")).0.contains("at most 100000"));
    // As many records are sent as are awaited.
    check("right.kdl", &format!("scenario \"A\"\n{head}send p r0..r9\nawait p r0..r9 error=NONE\n"))
        .expect("it can be run");
}

#[test]
fn lines_without_end_are_not_shown() {
    let told = told(&format!("scenario \"A\"\nnote \"{}\"\n  crahs 1\n", "x".repeat(5_000)));
    assert!(told.contains("wrong.kdl:3:3: there is no word `crahs` here"), "{told}");
    assert!(told.contains("did you mean `crash`?") && told.len() < 500, "{told}");
}

#[test]
fn an_event_of_the_trace_has_a_name_of_its_kind() {
    insta::assert_snapshot!(told("scenario \"A\" title=\"a\"\nexpect { never LogTruncatd; }\n"), @r#"
      × the trace has no events `LogTruncatd`
       ╭─[wrong.kdl:2:16]
     1 │ scenario "A" title="a"
     2 │ expect { never LogTruncatd; }
       ·                ─────┬─────
       ·                     ╰── unknown kind
       ╰────
      help: did you mean `LogTruncated`?
    "#);
    let expect = |line: &str| first(&format!("topic t\nexpect {{ {line}; }}"));
    let (told, at) = expect("happened \"high watermark 0 -> 1\"");
    assert_eq!((told.as_str(), at), ("the trace has no events `high watermark 0 -> 1`", 3));
    assert_eq!(expect("happened LogTruncated of=u-0").0, "there is no topic `u`");
    assert_eq!(expect("happened-before Appended \"0 -> 1\"").0, "`happened-before` compares two events");
    assert_eq!(
        expect("happened-before Appended BecameLeader IsrChanged").0,
        "`happened-before` compares two events"
    );
    assert_eq!(expect("happened-before Appended BecameLeadr").0, "the trace has no events `BecameLeadr`");
    assert_eq!(
        expect("happened-before Appended \"0 -> 1\" \"1 -> 2\" IsrChanged").0,
        "the trace has no events `1 -> 2`"
    );
}

#[test]
fn what_cannot_be_at_its_place_is_found_before_anything_runs() {
    let head = "topic t replicas=\"1,2\"\nconsumer c group=g\n";
    for (lines, message, line) in [
        ("move-leader t-0 3", "broker 3 has no replica of t-0", 4),
        ("set-isr t-0 \"1,3\"", "broker 3 has no replica of t-0", 4),
        ("disk 3 rot=5 of=t-0", "broker 3 has no replica of t-0", 4),
        ("disk 100 full=#true of=t-0", "node 100 is a controller, and has no replica of t-0", 4),
        ("power-loss 2 3 {\n    keeps t-0 below=1\n}", "broker 3 has no replica of t-0", 5),
        ("expect { replica 3 log-end=0; }", "broker 3 has no replica of t-0", 4),
        ("expect {\n    log 1 2 3 a\n}", "broker 3 has no replica of t-0", 5),
        ("expect { same-logs 2 3; }", "broker 3 has no replica of t-0", 4),
        ("crash 100\nmove-leader t-0 2", "no controller runs that could do `move-leader`", 5),
        ("crash 100\nfence 2", "no controller runs that could do `fence`", 5),
        ("force-rebalance g", "nobody is in group `g` here", 4),
        ("expire-member g c", "nobody is in group `g` here", 4),
        ("move-coordinator g 2", "there is no coordinator yet", 4),
        ("heal", "there is nothing to heal", 4),
        ("cut 1 2\nheal\nheal", "there is nothing to heal", 6),
        ("reset 1 2\nheal", "there is nothing to heal", 5),
        ("pause 1\nstop 1", "node 1 is paused, and cannot stop in order", 5),
        ("fault Fetch from=2 to=2 do=drop", "node 2 asks itself nothing", 4),
        ("fault Produce topic=tt do=drop", "no line creates a topic `tt`", 4),
        ("expect { topic tt exists=#true; }", "no line creates a topic `tt`", 4),
        ("add-partitions t 1", "topic `t` has 1 already", 4),
        (
            "breakpoint b alterpartition_inflight node=100",
            "a controller never comes to `alterpartition_inflight`",
            4,
        ),
    ] {
        let (told, at) = first(&format!("{head}{lines}"));
        assert_eq!((told.as_str(), at), (message, line), "{lines}");
    }
    // What may be, as far as the file alone tells.
    for lines in [
        "topic u replication-factor=2\nmove-leader u-0 3",
        "reassign t-0 to=\"2,3\"\nmove-leader t-0 3\nexpect { replica 3 log-end=0; }",
        "expect { replica 3 of=t-0 hosted=#false; topic tt exists=#false; }",
        "pause 1\nbegin-stop 1",
        "crash 100\nstart 100\nfence 2\nheal",
        "subscribe c t\npoll c\nforce-rebalance g\nmove-coordinator g 2",
        "fault Produce topic=late do=drop\ncreate-topic late",
    ] {
        check("right.kdl", &format!("scenario \"A\"\n{head}{lines}\n")).expect(lines);
    }
}
