//! Assertions on what a cluster decided.

use klamm_node::{Trace, TraceEvent, TracePattern};
use klamm_server::TraceStream;

use crate::cluster::Cluster;
use crate::error::Error;

/// How many events an error shows.
const SHOWN: usize = 12;

impl Cluster {
    /// Listens to the trace from now on: an iterator that blocks, or `recv().await`. It needs no events to be kept.
    pub fn trace(&self) -> TraceStream {
        self.server().trace()
    }

    /// The first kept event that is meant. [`Builder::trace`](crate::Builder::trace) says how many are kept.
    ///
    /// # Errors
    /// [`Error::Trace`] when there is none, with the newest events that are about the same.
    pub fn happened(&self, pattern: &TracePattern) -> Result<TraceEvent, Error> {
        self.look(|world| happened(world.trace(), pattern))
    }

    /// Whether the first event that `first` means came before the first one that `then` means.
    ///
    /// # Errors
    /// [`Error::Trace`] when one of them is not there, or the order is another.
    pub fn happened_before(&self, first: &TracePattern, then: &TracePattern) -> Result<(), Error> {
        self.look(|world| {
            let (first_event, then_event) = (happened(world.trace(), first)?, happened(world.trace(), then)?);
            if first_event.id < then_event.id {
                return Ok(());
            }
            Err(Error::Trace(format!("{first} did not come before {then}:\n{then_event}\n{first_event}")))
        })
    }

    /// Whether nothing that is meant ever happened.
    ///
    /// # Errors
    /// [`Error::Trace`] when it did, with what led to it; and when the oldest events are not kept any more, so that it cannot be
    /// known.
    pub fn never(&self, pattern: &TracePattern) -> Result<(), Error> {
        self.look(|world| {
            let trace = world.trace();
            is_kept(trace)?;
            if let Some(event) = trace.events().find(|event| pattern.matches(event)) {
                let why = lines(trace.why(event.id).into_iter().rev());
                return Err(Error::Trace(format!("{pattern} happened; what led to it:\n{why}")));
            }
            let lost = trace.recorded() - trace.events().len() as u64;
            if lost > 0 {
                return Err(Error::Trace(format!(
                    "nobody knows whether {pattern} happened: the oldest {lost} events are not kept; keep more with \
                     Cluster::builder().trace(…)"
                )));
            }
            Ok(())
        })
    }
}

fn happened(trace: &Trace, pattern: &TracePattern) -> Result<TraceEvent, Error> {
    is_kept(trace)?;
    if let Some(event) = trace.events().find(|event| pattern.matches(event)) {
        return Ok(event.clone());
    }
    let newest: Vec<_> = trace.events().rev().take(SHOWN).collect();
    let newest = lines(newest.into_iter().rev());
    Err(Error::Trace(format!("{pattern} did not happen; the newest events are\n{newest}")))
}

fn is_kept(trace: &Trace) -> Result<(), Error> {
    if trace.events().len() == 0 {
        return Err(Error::Trace(
            "the cluster keeps no trace events; keep some with Cluster::builder().trace(100_000)".to_owned(),
        ));
    }
    Ok(())
}

fn lines<'a>(events: impl Iterator<Item = &'a TraceEvent>) -> String {
    events.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
