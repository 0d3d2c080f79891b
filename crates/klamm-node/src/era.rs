//! Era switches: single rules of replication and control that Kafka had once and replaced.
//!
//! Each brings one old rule back (or takes one newer rule away), so that the loss that the newer rule prevents can be
//! shown, and a checker of invariants can be tried on it. A switch is read where the rule is, in one branch.

use std::fmt;

use klamm_wire::KafkaVersion;

use crate::config::edits;

/// One switch, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EraInfo {
    /// The switch.
    pub era: Era,
    /// Its name in scenarios and on the command line: `truncate_to_hw`.
    pub name: &'static str,
    /// Whether it is on where nothing is said, which is as the newest Kafka behaves.
    pub newest: bool,
    /// The first release with a profile here that has the new rule: the oldest, where that is older than all of them.
    pub since: KafkaVersion,
    /// The rule while it is set otherwise than the newest Kafka has it.
    pub old_rule: &'static str,
    /// What replaced the old rule: KIP or JIRA, and the first release that has it.
    pub replaced_by: &'static str,
    /// What the old rule loses.
    pub loss: &'static str,
    /// The invariants that the old rule breaks, by their short names.
    pub breaks: &'static [&'static str],
}

macro_rules! eras {
    ($($era:ident $name:literal, newest $newest:ident, since $since:ident, replaced $replaced:literal, breaks [$($breaks:literal),*],
       loss $loss:literal, rule $rule:literal;)*) => {
        /// The switches.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Era {
            $(#[doc = concat!("`", $name, "`: ", $rule, " Replaced by ", $replaced, ". ", $loss)] $era,)*
        }

        impl Era {
            /// Every switch, the oldest rule first.
            pub const ALL: &[EraInfo] = &[$(EraInfo {
                era: Self::$era,
                name: $name,
                newest: eras!(@ $newest),
                since: KafkaVersion::$since,
                old_rule: $rule,
                replaced_by: $replaced,
                loss: $loss,
                breaks: &[$($breaks),*],
            },)*];
        }
    };
    (@ on) => { true };
    (@ off) => { false };
}

eras! {
    TruncateToHw "truncate_to_hw", newest off, since V3_3, replaced "KIP-101 (0.11)", breaks ["S16", "S2", "S1"],
        loss "A committed record that a follower has but does not know to be committed is cut off; elected before it has \
              fetched it again, the follower has lost it for all.",
        rule "A replica that begins to follow truncates its log to its own high watermark, and never compares epochs.";
    Kip101Only "kip101_only", newest off, since V3_3, replaced "KIP-279 (2.0)", breaks ["S1"],
        loss "After two elections in quick succession the logs stay different for ever.",
        rule "A replica that begins to follow asks once where its last epoch ends, and takes the first answer.";
    NoOffsetGuard "no_offset_guard", newest off, since V3_3, replaced "KIP-207 (2.2)", breaks ["S9"],
        loss "The end offset that clients are told goes back after an election.",
        rule "A new leader tells clients its high watermark before it has reached the start of its epoch.";
    NoFetchFencing "no_fetch_fencing", newest off, since V3_3, replaced "KIP-320 (2.1)", breaks ["S7", "S19"],
        loss "A replica that missed an election goes on fetching with a log that has diverged, and counts as in sync.",
        rule "Requests carry no leader epoch that is checked, and a follower compares its epochs only when it begins to \
              follow.";
    IsrExpandHwOnly "isr_expand_hw_only", newest off, since V3_3, replaced "KAFKA-7128 (2.1)", breaks ["S3"],
        loss "A follower joins the ISR, and can be elected, without records that were committed before the present epoch.",
        rule "A follower joins the ISR once it reaches the leader's high watermark, which may lag after an election.";
    NoMaximalIsr "no_maximal_isr", newest off, since V3_3, replaced "KIP-497 (2.7)", breaks ["S4", "S2"],
        loss "A leader commits records alone whose ISR change the controller never saw; another replica is elected.",
        rule "A leader counts a replica only while it is both in the committed ISR and in the one that it has proposed.";
    NoIsrFencing "no_isr_fencing", newest off, since V3_3, replaced "KIP-841 (3.3)", breaks ["S15"],
        loss "A broker that is fenced, or on its way down, is in the ISR.",
        rule "A fenced broker, or one that shuts down, may join an ISR.";
    NoBrokerEpoch "no_broker_epoch", newest off, since V3_5, replaced "KIP-903 (3.5)", breaks ["S17", "S2"],
        loss "A broker that lost records in a restart joins the ISR by a fetch that it sent before.",
        rule "A follower's fetch does not say which incarnation of its broker sent it.";
    EpochBumpOnShrink "epoch_bump_on_shrink", newest off, since V3_6, replaced "KAFKA-15021 (3.6)", breaks [],
        loss "Nothing is lost; every shrink of an ISR sends its producers and consumers to look for the leader again.",
        rule "The leader epoch grows whenever a replica leaves the ISR.";
    StrictMinIsr "strict_min_isr", newest on, since V3_7, replaced "KAFKA-15583 (3.7)", breaks ["S10"],
        loss "Records that too few replicas have are shown to consumers, and are gone with the last of them.",
        rule "The high watermark moves though the ISR is smaller than min.insync.replicas, which is not bounded by the number \
              of replicas.";
    CheckQuorum "check_quorum", newest on, since V3_7, replaced "KAFKA-15489 (3.7)", breaks ["K11"],
        loss "Brokers stay with a controller that can commit nothing.",
        rule "A controller that no majority fetches from stays the quorum's leader.";
    UncleanSweep "unclean_sweep", newest on, since V3_9, replaced "KAFKA-12670 (3.9)", breaks [],
        loss "Nothing is lost; a partition without a leader stays without one until a broker comes or goes.",
        rule "A topic that is allowed unclean elections while it has no leader is not looked at again.";
    Prevote "prevote", newest on, since V4_0, replaced "KIP-996 (4.0)", breaks ["K11"],
        loss "A controller that was cut off comes back with a higher epoch and deposes a healthy leader.",
        rule "A controller that hears from no leader stands for election at once.";
    Elr "elr", newest on, since V4_1, replaced "KIP-966 (4.1)", breaks ["S5", "S17"],
        loss "The last replica in the ISR loses power with unflushed records, is elected again, and everybody truncates to it.",
        rule "Who leaves the ISR below min.insync.replicas is forgotten: only the last member may be elected cleanly.";
}

impl Era {
    /// What it is.
    pub const fn info(self) -> &'static EraInfo {
        &Self::ALL[self as usize]
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().name)
    }
}

impl std::str::FromStr for Era {
    type Err = UnknownEra;

    fn from_str(name: &str) -> Result<Self, UnknownEra> {
        let same = |info: &&EraInfo| info.name == name || info.name.replace('_', "-") == name;
        match Self::ALL.iter().find(same) {
            Some(info) => Ok(info.era),
            None => Err(UnknownEra(name.to_owned())),
        }
    }
}

/// A name that no switch has. Its message suggests the nearest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no era switch {0:?}; did you mean {nearest}?", nearest = nearest(.0))]
pub struct UnknownEra(pub String);

fn nearest(name: &str) -> &'static str {
    let nearest = Era::ALL.iter().min_by_key(|info| edits(name, info.name));
    nearest.map_or("", |info| info.name)
}

/// Which switches are on. Begins as the newest Kafka behaves.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Eras(u32);

impl Eras {
    /// Everything as in the newest Kafka.
    pub const NEWEST: Self = {
        let mut bits = 0;
        let mut at = 0;
        while at < Era::ALL.len() {
            if Era::ALL[at].newest {
                bits |= Era::ALL[at].era.bit();
            }
            at += 1;
        }
        Self(bits)
    };

    /// The rules of a release.
    pub const fn of(release: KafkaVersion) -> Self {
        let mut eras = Self::NEWEST;
        let mut at = 0;
        while at < Era::ALL.len() {
            let info = &Era::ALL[at];
            if (info.since as u8) > (release as u8) {
                eras = eras.with_old(info.era);
            }
            at += 1;
        }
        eras
    }

    /// Whether a switch is on.
    pub const fn on(self, era: Era) -> bool {
        self.0 & era.bit() != 0
    }

    /// These switches, but one set so.
    #[must_use]
    pub const fn with(self, era: Era, on: bool) -> Self {
        if on { Self(self.0 | era.bit()) } else { Self(self.0 & !era.bit()) }
    }

    /// These switches, but one set to the old rule.
    #[must_use]
    pub const fn with_old(self, era: Era) -> Self {
        self.with(era, !era.info().newest)
    }

    /// The switches that are set otherwise than the newest Kafka has them, and how.
    pub fn old(self) -> impl Iterator<Item = (Era, bool)> {
        Era::ALL
            .iter()
            .filter(move |info| self.on(info.era) != info.newest)
            .map(move |info| (info.era, !info.newest))
    }

    /// Reads `NAME=on`, `NAME=off` (also `true` and `false`) or `NAME`, which is the old rule, and sets that switch.
    ///
    /// # Errors
    /// When no switch has that name, or the value is neither.
    pub fn set(&mut self, text: &str) -> Result<(), EraError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (text.trim(), None),
        };
        let era: Era = name.parse()?;
        *self = match value {
            None => self.with_old(era),
            Some("on" | "true") => self.with(era, true),
            Some("off" | "false") => self.with(era, false),
            Some(value) => return Err(EraError::Value { era, value: value.to_owned() }),
        };
        Ok(())
    }
}

impl Default for Eras {
    fn default() -> Self {
        Self::NEWEST
    }
}

/// What is not as in the newest Kafka: `truncate_to_hw=on, elr=off`; `newest` where nothing is.
impl fmt::Display for Eras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (era, on) in self.old() {
            write!(f, "{separator}{era}={}", if on { "on" } else { "off" })?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("newest") } else { Ok(()) }
    }
}

impl fmt::Debug for Eras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Eras({self})")
    }
}

/// Why a switch cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EraError {
    /// No switch has that name.
    #[error(transparent)]
    Unknown(#[from] UnknownEra),
    /// The value is neither on nor off.
    #[error("era switch {era} is either on or off, not {value:?}")]
    Value {
        /// The switch.
        era: Era,
        /// The value.
        value: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_complete() {
        for (at, info) in Era::ALL.iter().enumerate() {
            assert_eq!(info.era as usize, at);
            assert_eq!(info.name.parse(), Ok(info.era));
            assert_eq!(Eras::NEWEST.on(info.era), info.newest);
        }
    }

    #[test]
    fn releases_have_the_rules_of_their_time() {
        assert_eq!(Eras::of(KafkaVersion::V4_4), Eras::NEWEST);
        assert_eq!(Eras::of(KafkaVersion::V4_1), Eras::NEWEST);
        assert_eq!(Eras::of(KafkaVersion::V4_0).to_string(), "elr=off");
        assert_eq!(
            Eras::of(KafkaVersion::V3_6).to_string(),
            "strict_min_isr=off, check_quorum=off, unclean_sweep=off, prevote=off, elr=off"
        );
        assert!(Eras::of(KafkaVersion::V3_4).on(Era::NoBrokerEpoch));
        assert!(!Eras::of(KafkaVersion::V3_3).on(Era::TruncateToHw), "older than any release with a profile");
    }

    #[test]
    fn reads_a_switch() {
        let mut eras = Eras::NEWEST;
        eras.set("elr=off").unwrap();
        eras.set("truncate-to-hw").unwrap();
        assert_eq!(eras.to_string(), "truncate_to_hw=on, elr=off");
        assert_eq!(eras, Eras::NEWEST.with_old(Era::Elr).with_old(Era::TruncateToHw));
        eras.set("elr=on").unwrap();
        eras.set("truncate_to_hw=false").unwrap();
        assert_eq!(eras.to_string(), "newest");
    }

    #[test]
    fn says_what_is_wrong_and_what_would_be_right() {
        let error = |text| Eras::default().set(text).unwrap_err().to_string();
        assert_eq!(
            error("no_fetch_fence=on"),
            "there is no era switch \"no_fetch_fence\"; did you mean no_fetch_fencing?"
        );
        assert_eq!(error("elr=maybe"), "era switch elr is either on or off, not \"maybe\"");
    }
}
