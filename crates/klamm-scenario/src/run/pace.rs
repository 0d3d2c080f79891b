//! How time passes in a run: until something holds, is answered, or is over.

use std::time::Duration;

use klamm_node::Timestamp;

use super::{Runner, look};
use crate::report::Failure;
use crate::step::When;
use crate::theatre::{Answer, Theatre, Ticket};

impl<T: Theatre> Runner<T> {
    pub(super) fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        let until = self.stage.now() + Duration::from_secs(60);
        loop {
            if let Some(answer) = self.stage.answer(ticket) {
                return Some(answer);
            }
            if !self.tick(until) {
                return None;
            }
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.stage.now() + time;
        while self.tick(until) {}
    }

    /// Lets time pass until something holds; false when it does not within the time.
    pub(super) fn wait(&mut self, time: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let until = self.stage.now() + time;
        loop {
            if holds(self) {
                return true;
            }
            if !self.tick(until) {
                return holds(self);
            }
        }
    }

    /// Lets the next thing happen that is due by `until`, a client's included; false when nothing is.
    pub(super) fn tick(&mut self, until: Timestamp) -> bool {
        let until_client = self.next_client(until);
        let happened = self.stage.step(until_client.unwrap_or(until)) || until_client.is_some();
        self.clients();
        happened
    }

    /// Lets clients do whatever they can do now.
    pub(super) fn clients(&mut self) {
        for producer in self.producers.values_mut() {
            producer.go_on(&mut self.stage);
        }
        for consumer in self.consumers.values_mut() {
            consumer.go_on(&mut self.stage);
            self.told.extend(consumer.take_told());
        }
    }

    pub(super) fn expect(&mut self, when: When, all: &[crate::expect::Expectation]) -> Vec<Failure> {
        self.unseen += self.unseen(all);
        let leeway = self.stage.leeway();
        match when {
            When::Now if leeway.is_zero() => self.check(all),
            When::Now => {
                self.wait(leeway, |runner| runner.check(all).is_empty());
                self.check(all)
            }
            When::Eventually { within, .. } if self.all_unseen(all) => {
                // It has come to be when its time is over, for all that is known.
                self.pass(within);
                Vec::new()
            }
            When::Eventually { within, not_before } => {
                let began = self.stage.now();
                let held = self.wait(within + leeway, |runner| runner.check(all).is_empty());
                let took = self.stage.now().since(began);
                if !held {
                    return self.check(all);
                }
                self.told.push(format!("held after {}", look::time(took)));
                if !leeway.is_zero() {
                    // Where it was seen is not where the next step happens.
                    self.pass(self.stage.breath());
                }
                if took < not_before {
                    return vec![Failure::new(
                        "how long it took",
                        format!("at least {}", look::time(not_before)),
                        look::time(took),
                    )];
                }
                Vec::new()
            }
            When::Always(during) => {
                if !leeway.is_zero() {
                    self.wait(leeway, |runner| runner.check(all).is_empty());
                }
                let until = self.stage.now() + during;
                loop {
                    let failures = self.check(all);
                    if !failures.is_empty() || !self.tick(until) {
                        return failures;
                    }
                }
            }
        }
    }
}
