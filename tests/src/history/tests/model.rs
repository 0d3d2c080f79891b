//! A cluster without faults of its own, in a few lines: two logs with transactions, whose clients lose answers. What it writes down
//! is a correct history.

use std::collections::{BTreeMap, BTreeSet};

use super::super::event::{End, Event, History, Outcome, Record};

const LOGS: [&str; 2] = ["orders-0", "orders-1"];
/// Producers 0 and 1 send alone, 2 and 3 in transactions.
pub(super) const PRODUCERS: usize = 4;
/// Consumer 0 reads uncommitted, the others what is committed.
pub(super) const CONSUMERS: usize = 3;

/// What somebody does next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Send { producer: usize, log: usize, heard: Heard },
    End { producer: usize, commit: bool, heard: Heard },
    Poll { consumer: usize, log: usize, records: usize },
    Seek { consumer: usize, log: usize, to: usize },
}

/// What happened to a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was done, and answered.
    Done,
    /// It was done, and the answer was lost.
    DoneUnheard,
    /// It was lost.
    Lost,
    /// It was refused.
    Refused,
}

enum Slot {
    Value { value: u64, transaction: Option<usize> },
    Marker,
}

#[derive(Default)]
struct Model {
    events: Vec<Event>,
    logs: [Vec<Slot>; 2],
    next_value: u64,
    /// How each transaction ended; `None` while it is open.
    transactions: Vec<Option<bool>>,
    open: BTreeMap<usize, usize>,
    positions: BTreeMap<(usize, usize), usize>,
}

/// The history of these steps, with a reader of everything in the end.
pub(super) fn play(steps: &[Step]) -> History {
    let mut model = Model::default();
    for producer in 0..PRODUCERS {
        model.events.push(Event::Producer { who: format!("p{producer}"), acks_all: true, idempotent: true });
    }
    for consumer in 0..=CONSUMERS {
        model.events.push(Event::Consumer { who: format!("c{consumer}"), read_committed: consumer > 0 });
    }
    for step in steps {
        model.step(step);
    }
    for producer in 0..PRODUCERS {
        model.step(&Step::End { producer, commit: false, heard: Heard::Done });
    }
    for log in 0..LOGS.len() {
        model.poll(CONSUMERS, log, usize::MAX);
    }
    let ends =
        LOGS.iter().zip(&model.logs).map(|(log, slots)| ((*log).to_owned(), slots.len() as i64)).collect();
    model.events.push(Event::ReadAll { who: format!("c{CONSUMERS}"), ends });
    History { events: model.events }
}

impl Model {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send { producer, log, heard } => self.send(producer, log, heard),
            Step::End { producer, commit, heard } => self.end(producer, commit, heard),
            Step::Poll { consumer, log, records } => self.poll(consumer, log, records),
            Step::Seek { consumer, log, to } => {
                let partitions = vec![LOGS[log].to_owned()];
                self.events.push(Event::Moved { who: format!("c{consumer}"), partitions });
                self.positions.insert((consumer, log), to.min(self.logs[log].len()));
            }
        }
    }

    fn send(&mut self, producer: usize, log: usize, heard: Heard) {
        let transaction = (producer >= 2).then(|| {
            *self.open.entry(producer).or_insert_with(|| {
                self.transactions.push(None);
                self.transactions.len() - 1
            })
        });
        let value = self.next_value;
        self.next_value += 1;
        self.events.push(Event::Send {
            who: format!("p{producer}"),
            value,
            to: LOGS[log].to_owned(),
            transaction: transaction.map(|it| format!("t{it}")),
        });
        let offset = self.logs[log].len() as i64;
        let outcome = match heard {
            Heard::Done => Outcome::Acked { offset: Some(offset) },
            Heard::DoneUnheard | Heard::Lost => Outcome::Unknown,
            Heard::Refused => Outcome::Failed,
        };
        if matches!(heard, Heard::Done | Heard::DoneUnheard) {
            self.logs[log].push(Slot::Value { value, transaction });
        }
        self.events.push(Event::Sent { value, outcome });
        // A producer that does not know what became of a record cannot commit.
        if heard != Heard::Done && transaction.is_some() {
            self.end(producer, false, Heard::Done);
        }
    }

    fn end(&mut self, producer: usize, commit: bool, heard: Heard) {
        let Some(id) = self.open.remove(&producer) else { return };
        let transaction = format!("t{id}");
        self.events.push(Event::Asked { transaction: transaction.clone(), commit });
        let committed = commit && matches!(heard, Heard::Done | Heard::DoneUnheard);
        self.transactions[id] = Some(committed);
        for slots in &mut self.logs {
            if slots.iter().any(|slot| matches!(slot, Slot::Value { transaction: Some(of), .. } if *of == id))
            {
                slots.push(Slot::Marker);
            }
        }
        let end = match heard {
            Heard::DoneUnheard | Heard::Lost => End::Unknown,
            _ if committed => End::Committed,
            _ => End::Aborted,
        };
        self.events.push(Event::Ended { transaction, end });
    }

    fn poll(&mut self, consumer: usize, log: usize, limit: usize) {
        let slots = &self.logs[log];
        let position = self.positions.entry((consumer, log)).or_insert(0);
        let mut records = Vec::new();
        while let Some(slot) = slots.get(*position).filter(|_| records.len() < limit) {
            if let Slot::Value { value, transaction } = slot {
                let committed = transaction.is_none_or(|id| self.transactions[id] == Some(true));
                // Nobody who wants what is committed reads past what is undecided.
                if consumer > 0 && transaction.is_some_and(|id| self.transactions[id].is_none()) {
                    break;
                }
                if consumer == 0 || committed {
                    records.push(Record { offset: *position as i64, value: *value });
                }
            }
            *position += 1;
        }
        if !records.is_empty() {
            let records = BTreeMap::from([(LOGS[log].to_owned(), records)]);
            self.events.push(Event::Polled { who: format!("c{consumer}"), records });
        }
    }
}

/// The values that somebody saw who only sees what is committed.
pub(super) fn seen(history: &History) -> BTreeSet<u64> {
    let polled = history.events.iter().filter_map(|event| match event {
        Event::Polled { who, records } if who != "c0" => Some(records),
        _ => None,
    });
    polled.flat_map(|records| records.values().flatten()).map(|record| record.value).collect()
}
