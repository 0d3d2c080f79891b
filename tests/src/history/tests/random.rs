//! Correct histories, drawn: nothing is found in them. And one thing made wrong in each: found, as what it is.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::{End, Event, History, Kind, Outcome, check};
use super::model::{CONSUMERS, Heard, PRODUCERS, Step, play, seen};

fn step() -> impl Strategy<Value = Step> {
    let heard = || {
        prop_oneof![
            6 => Just(Heard::Done),
            1 => Just(Heard::DoneUnheard),
            1 => Just(Heard::Lost),
            1 => Just(Heard::Refused),
        ]
    };
    prop_oneof![
        6 => (0..PRODUCERS, 0..2usize, heard()).prop_map(|(producer, log, heard)| Step::Send { producer, log, heard }),
        2 => (2..PRODUCERS, prop::bool::weighted(0.7), heard())
            .prop_map(|(producer, commit, heard)| Step::End { producer, commit, heard }),
        4 => (0..CONSUMERS, 0..2usize, 1..5usize)
            .prop_map(|(consumer, log, records)| Step::Poll { consumer, log, records }),
        1 => (0..CONSUMERS, 0..2usize, 0..10usize)
            .prop_map(|(consumer, log, to)| Step::Seek { consumer, log, to }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..80)
}

/// Makes one thing wrong; gives back what must be found, or `None` where the history has nothing to make it wrong with.
fn corrupt(history: &mut History, what: Kind, at: Index) -> Option<()> {
    match what {
        Kind::LostWrite => forget(history, at, false),
        Kind::TornTransaction => forget(history, at, true),
        Kind::Unseen => cut_short(history),
        Kind::AbortedRead => {
            // The producer was told that it failed, and it was seen all the same.
            let seen = seen(history);
            let told = |event: &Event| matches!(event, Event::Sent { value, .. } if seen.contains(value));
            let Event::Sent { outcome, .. } = pick(history, at, told)? else { return None };
            *outcome = Outcome::Failed;
            Some(())
        }
        Kind::PrecommittedRead => read_early(history, at),
        Kind::Duplicate => {
            // The last reader sees a value once more, behind everything.
            let (log, _, value) = last_read(history, at)?;
            let Some(Event::ReadAll { ends, .. }) = history.events.last().cloned() else { return None };
            let records = [(log.clone(), vec![super::Record { offset: ends[&log] + 1, value }])].into();
            history.events.push(Event::Polled { who: format!("c{CONSUMERS}"), records });
            Some(())
        }
        Kind::InconsistentOffset | Kind::Unsent => {
            // Somebody else sees another value there.
            let (log, offset, _) = last_read(history, at)?;
            let records = [(log, vec![super::Record { offset, value: 1_000_000 }])].into();
            history.events.push(Event::Polled { who: "c9".into(), records });
            Some(())
        }
        Kind::PollSkip => {
            let inner = |event: &Event| matches!(event, Event::Polled { records, .. } if records.values().any(|it| it.len() > 2));
            let Event::Polled { records, who } = pick(history, at, inner)? else { return None };
            // What the last reader does not see, nobody may have seen.
            if *who == format!("c{CONSUMERS}") {
                return None;
            }
            let uncommitted = who == "c0";
            let list = records.values_mut().next()?;
            let value = list.remove(1).value;
            (!uncommitted || seen(history).contains(&value)).then_some(())
        }
        Kind::NonmonotonicPoll => {
            let any = |event: &Event| matches!(event, Event::Polled { .. });
            let Event::Polled { records, .. } = pick(history, at, any)? else { return None };
            let list = records.values_mut().next()?;
            list.push(*list.first()?);
            Some(())
        }
        Kind::NonmonotonicSend => swap_sends(history, at),
    }
}

/// The `at`th of the events of a kind.
fn pick(history: &mut History, at: Index, which: impl Fn(&Event) -> bool) -> Option<&mut Event> {
    let of_kind: Vec<usize> = (0..history.events.len()).filter(|i| which(&history.events[*i])).collect();
    if of_kind.is_empty() {
        return None;
    }
    history.events.get_mut(*at.get(&of_kind))
}

/// A record that the reader of everything has read.
fn last_read(history: &History, at: Index) -> Option<(String, i64, u64)> {
    let last = format!("c{CONSUMERS}");
    let mut all = Vec::new();
    for event in &history.events {
        if let Event::Polled { who, records } = event
            && *who == last
        {
            for (log, list) in records {
                all.extend(list.iter().map(|record| (log.clone(), record.offset, record.value)));
            }
        }
    }
    (!all.is_empty()).then(|| at.get(&all).clone())
}

/// Nobody has seen a value that is known to be committed: one sent alone, or one of a transaction of several.
fn forget(history: &mut History, at: Index, of_transaction: bool) -> Option<()> {
    let seen = seen(history);
    let mut sends = Vec::new();
    for event in &history.events {
        if let Event::Send { value, transaction, .. } = event
            && transaction.is_some() == of_transaction
            && seen.contains(value)
        {
            let siblings = history.events.iter().filter(|other| {
                matches!(other, Event::Send { transaction: of, value, .. } if of == transaction && seen.contains(value))
            });
            let acked = history.events.iter().any(|other| {
                matches!(other, Event::Sent { value: of, outcome: Outcome::Acked { .. } } if of == value)
            });
            if of_transaction && siblings.count() > 1 || !of_transaction && acked {
                sends.push(*value);
            }
        }
    }
    if sends.is_empty() {
        return None;
    }
    let lost = *at.get(&sends);
    for event in &mut history.events {
        if let Event::Polled { records, .. } = event {
            records.values_mut().for_each(|list| list.retain(|record| record.value != lost));
        }
    }
    Some(())
}

/// The last value that was acknowledged on its own lies beyond what the reader of everything takes for the end.
fn cut_short(history: &mut History) -> Option<()> {
    let last = history.events.iter().rev().find_map(|event| match event {
        Event::Sent { value, outcome: Outcome::Acked { offset: Some(offset) } } => Some((*value, *offset)),
        _ => None,
    });
    let (last, offset) = last?;
    let to = history.events.iter().find_map(|event| match event {
        Event::Send { value, to, transaction: None, .. } if *value == last => Some(to.clone()),
        _ => None,
    })?;
    for event in &mut history.events {
        match event {
            Event::Polled { records, .. } => {
                if let Some(list) = records.get_mut(&to) {
                    list.retain(|record| record.offset < offset);
                }
            }
            Event::ReadAll { ends, .. } => {
                ends.insert(to.clone(), offset);
            }
            _ => {}
        }
    }
    Some(())
}

/// Somebody reads a value when its transaction has not been asked to commit.
fn read_early(history: &mut History, at: Index) -> Option<()> {
    let committed: Vec<_> = history
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Ended { transaction, end: End::Committed } => Some(transaction.clone()),
            _ => None,
        })
        .collect();
    if committed.is_empty() {
        return None;
    }
    let name = at.get(&committed).clone();
    let of_it = |event: &Event| match event {
        Event::Send { transaction: Some(of), value, to, .. } if *of == name => Some((*value, to.clone())),
        _ => None,
    };
    let (value, to) = history.events.iter().find_map(of_it)?;
    let offset = history.events.iter().find_map(|event| match event {
        Event::Sent { value: of, outcome: Outcome::Acked { offset } } if *of == value => *offset,
        _ => None,
    })?;
    let asked = history
        .events
        .iter()
        .position(|event| matches!(event, Event::Asked { transaction, .. } if *transaction == name))?;
    let records = [(to, vec![super::Record { offset, value }])].into();
    history.events.insert(asked, Event::Polled { who: "c1".into(), records });
    Some(())
}

/// Two values that one producer sent to one log change places, for everybody.
fn swap_sends(history: &mut History, at: Index) -> Option<()> {
    let mut acked = Vec::new();
    for event in &history.events {
        if let Event::Send { who, value, to, .. } = event {
            acked.push((who.clone(), to.clone(), *value));
        }
    }
    acked.retain(|(_, _, value)| {
        history.events.iter().any(
            |event| matches!(event, Event::Sent { value: of, outcome: Outcome::Acked { .. } } if of == value),
        )
    });
    let mut pairs = Vec::new();
    for (i, (who, to, first)) in acked.iter().enumerate() {
        let second = acked[i + 1..].iter().find(|(other, log, _)| other == who && log == to);
        pairs.extend(second.map(|(_, _, second)| (*first, *second)));
    }
    if pairs.is_empty() {
        return None;
    }
    let (one, two) = *at.get(&pairs);
    let other = |value: u64| {
        if value == one {
            two
        } else if value == two {
            one
        } else {
            value
        }
    };
    let mut heard = Vec::new();
    for event in &mut history.events {
        match event {
            Event::Sent { value, outcome } if other(*value) != *value => heard.push(outcome),
            Event::Polled { records, .. } => {
                records.values_mut().flatten().for_each(|record| record.value = other(record.value));
            }
            _ => {}
        }
    }
    let [first, second] = &mut heard[..] else { return None };
    std::mem::swap(*first, *second);
    Some(())
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::LostWrite,
        Kind::Unseen,
        Kind::AbortedRead,
        Kind::PrecommittedRead,
        Kind::TornTransaction,
        Kind::Duplicate,
        Kind::InconsistentOffset,
        Kind::Unsent,
        Kind::PollSkip,
        Kind::NonmonotonicPoll,
        Kind::NonmonotonicSend,
    ])
}

proptest! {
    #[test]
    fn nothing_is_found_in_a_correct_history(steps in steps()) {
        let mut found = check(&play(&steps));
        found.retain(|anomaly| anomaly.allowed.is_none());
        prop_assert_eq!(found, vec![]);
    }

    #[test]
    fn what_is_made_wrong_is_found(steps in steps(), what in kinds(), at: Index) {
        let mut history = play(&steps);
        prop_assume!(corrupt(&mut history, what, at).is_some());
        let found = check(&history);
        prop_assert!(
            found.iter().any(|anomaly| anomaly.kind == what && anomaly.allowed.is_none()),
            "{} was not found among {:?}", what, found
        );
    }
}
