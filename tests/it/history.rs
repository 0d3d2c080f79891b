//! What real clients sent and polled while a cluster had about a minute of mixed troubles, and whether Kafka could have done that.

use klamm_tests::history::{self, Counts};

use crate::history_stage::Stage;
use crate::history_troubles::Troubles;

/// Runs a client's program through the troubles of a seed, and checks what it wrote down.
fn is_correct(neighbour: &str, program: &'static str, late_ends: bool) {
    let troubles = Troubles::new(late_ends);
    let Some(mut stage) = Stage::begin(neighbour, program, troubles.seed()) else { return };
    troubles.befall(&mut stage);
    let history = stage.end();
    let counts = history::count(&history);
    eprintln!("{counts}");
    let Counts { sent, acked, polled, committed, aborted, .. } = counts;
    assert!(acked >= 500 && acked * 10 >= sent * 8 && polled >= acked, "an idle history: {counts}");
    assert!(committed >= 30 && aborted >= 5, "few transactions: {counts}");
    let found = history::check(&history);
    let wrong: Vec<_> = found.iter().filter(|anomaly| anomaly.allowed.is_none()).collect();
    let listed: Vec<_> = wrong.iter().take(20).map(|anomaly| format!("  {anomaly}\n")).collect();
    assert!(wrong.is_empty(), "{} anomalies\n{}", wrong.len(), listed.concat());
}

#[test]
fn librdkafka() {
    // librdkafka does not bump its epoch with every transaction: the end of one that comes late ends the next one, in Kafka too.
    is_correct("confluent-kafka", "confluent_history.py", false);
}

#[test]
fn java() {
    is_correct("java", "JavaHistory", true);
}
