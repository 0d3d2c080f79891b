//! What came of records, as lines: equal results of records that follow each other are one line.

/// Lines, and the run of results that the next may belong to.
#[derive(Debug, Default)]
pub(crate) struct Told {
    lines: Vec<String>,
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    first: String,
    last: String,
    count: usize,
    error: String,
    from: i64,
    next: i64,
}

impl Told {
    /// Tells something else.
    pub(crate) fn line(&mut self, client: &str, text: String) {
        self.end(client);
        self.lines.push(format!("{client} {text}"));
    }

    /// Tells what came of a batch.
    pub(crate) fn result(&mut self, client: &str, records: &[String], error: &str, offset: i64) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        let next = if offset < 0 { offset } else { offset + count };
        match &mut self.run {
            Some(run) if run.error == error && run.next == offset => {
                last.clone_into(&mut run.last);
                run.count += records.len();
                run.next = next;
            }
            _ => {
                self.end(client);
                self.run = Some(Run {
                    first: first.clone(),
                    last: last.clone(),
                    count: records.len(),
                    error: error.to_owned(),
                    from: offset,
                    next,
                });
            }
        }
    }

    fn end(&mut self, client: &str) {
        let Some(run) = self.run.take() else { return };
        let names = match run.count {
            1 => run.first,
            2 => format!("{} {}", run.first, run.last),
            _ => format!("{} … {}", run.first, run.last),
        };
        let offsets = match (run.from, run.count) {
            (from, _) if from < 0 => String::new(),
            (from, 1) => format!(" at offset {from}"),
            (from, _) => format!(" at offsets {from} to {}", run.next - 1),
        };
        self.lines.push(format!("{client} {names}: {}{offsets}", run.error));
    }

    /// Every line.
    pub(crate) fn finish(mut self, client: &str) -> Vec<String> {
        self.end(client);
        self.lines
    }
}
