//! `kafka-producer-perf-test`: what a real client sees.

use std::time::Duration;

use anyhow::{Context, Result};

const DEADLINE: Duration = Duration::from_secs(60);

/// Sends `records` records of 1 KiB with acks=all as fast as Kafka's own producer goes; returns MB (10⁶ bytes) a second.
pub(crate) fn produce(bootstrap: &str, topic: &str, records: u32) -> Result<f64> {
    let mut tool = klamm_tests::java::command()?;
    tool.arg("org.apache.kafka.tools.ProducerPerformance");
    tool.args(["--topic", topic, "--record-size", "1024", "--throughput", "-1"]);
    tool.args(["--num-records", &records.to_string()]);
    tool.args(["--bootstrap-server", bootstrap, "--command-property", "acks=all"]);
    // A target that the client cannot talk to is known as one in ten seconds.
    tool.arg("max.block.ms=10000");
    let logs = klamm_tests::workspace::cache().join("logs");
    let output = klamm_tests::process::run("producer-perf-test", tool, &logs, DEADLINE)?;
    records_per_second(&output).map(|rate| rate * 1024.0 / 1e6)
}

/// The rate in the tool's last line: `200000 records sent, 81234.5 records/sec (79.33 MB/sec), …`.
fn records_per_second(output: &str) -> Result<f64> {
    let line = output.lines().rfind(|l| l.contains("records sent")).context("the tool printed no result")?;
    let rate = line
        .split(", ")
        .find_map(|part| part.split_once(" records/sec"))
        .context("no rate in its last line")?;
    Ok(rate.0.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_last_line() {
        let output = "1000 records sent, 10.5 records/sec (0.01 MB/sec)\n2000 records sent, 81234.5 records/sec (79.33 MB/sec), 1 ms\n";
        assert_eq!(records_per_second(output).unwrap(), 81234.5);
    }
}
