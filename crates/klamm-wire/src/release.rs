//! Releases of Kafka: their names, and the versions of each API that their brokers serve.

use std::fmt;
use std::str::FromStr;

use crate::api::{Api, ApiKey};

macro_rules! releases {
    ($($release:ident $name:literal $metadata:literal,)*) => {
        /// A release of Kafka whose behaviour can be had, the oldest first. The newest is the default.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum KafkaVersion {
            $($release,)*
        }

        impl KafkaVersion {
            /// Every release, the oldest first.
            pub const ALL: &[Self] = &[$(Self::$release,)*];

            /// As people write it: `3.6`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$release => $name,)* }
            }

            /// The level of `metadata.version` that the release gives to a new cluster (`MetadataVersion.LATEST_PRODUCTION`).
            pub const fn metadata_version(self) -> i16 {
                match self { $(Self::$release => $metadata,)* }
            }
        }
    };
}

// The first release whose KRaft mode was meant for production, and those after it.
releases! {
    V3_3 "3.3" 7,
    V3_4 "3.4" 8,
    V3_5 "3.5" 11,
    V3_6 "3.6" 14,
    V3_7 "3.7" 19,
    V3_8 "3.8" 20,
    V3_9 "3.9" 21,
    V4_0 "4.0" 25,
    V4_1 "4.1" 27,
    V4_2 "4.2" 29,
    V4_3 "4.3" 30,
    V4_4 "4.4" 30,
}

impl KafkaVersion {
    /// The newest.
    pub const NEWEST: Self = Self::V4_4;
}

impl Default for KafkaVersion {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl fmt::Display for KafkaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<KafkaVersion> for String {
    fn from(version: KafkaVersion) -> Self {
        version.name().to_owned()
    }
}

/// Not a release whose behaviour can be had. The message names the nearest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no profile of Kafka {asked:?}: klamm behaves as {} to {}{}",
    KafkaVersion::ALL[0],
    KafkaVersion::NEWEST,
    nearest.map_or_else(String::new, |nearest| format!("; the nearest is {nearest}"))
)]
pub struct UnknownRelease {
    /// What was asked for.
    pub asked: String,
    /// The nearest release; `None` where nothing numeric was asked for.
    pub nearest: Option<KafkaVersion>,
}

/// Reads `3.6`; a patch level (`3.6.2`) is allowed and makes no difference.
impl FromStr for KafkaVersion {
    type Err = UnknownRelease;

    fn from_str(text: &str) -> Result<Self, UnknownRelease> {
        let unknown = |nearest| UnknownRelease { asked: text.to_owned(), nearest };
        let mut parts = text.trim().split('.').map(str::parse::<u32>);
        let Some(Ok(major)) = parts.next() else { return Err(unknown(None)) };
        let minor = parts.next();
        let patch_is_number = parts.all(|part| part.is_ok());
        let Some(Ok(minor)) = minor.clone().or(Some(Ok(0))) else { return Err(unknown(None)) };
        let number = |version: &Self| {
            let mut parts = version.name().split('.').map(|part| part.parse::<u32>().unwrap_or(0));
            (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
        };
        let asked = (major, minor);
        if let Some(exact) = Self::ALL.iter().find(|version| number(version) == asked)
            && text.contains('.')
            && patch_is_number
        {
            return Ok(*exact);
        }
        // The newest release that is not newer than what was asked for, or the oldest there is.
        let nearest = Self::ALL.iter().rev().find(|version| number(version) <= asked).or(Self::ALL.first());
        Err(unknown(nearest.copied()))
    }
}

/// From this release on, the lowest and highest version of an API.
type Since = (KafkaVersion, i16, i16);

macro_rules! ranges {
    ($($key:ident $($release:ident $min:literal - $max:literal),+;)*) => {
        /// What brokers of each release serve in KRaft mode (`validVersions`, `listeners` and `latestVersionUnstable` of the message
        /// schemas), by API.
        const fn ranges(key: ApiKey) -> &'static [Since] {
            match key {
                $(ApiKey::$key => &[$((KafkaVersion::$release, $min, $max)),+],)*
                _ => &[],
            }
        }
    };
}

ranges! {
    Produce V3_3 0-9, V3_7 0-10, V3_8 0-11, V4_0 3-12, V4_1 3-13;
    Fetch V3_3 0-13, V3_5 0-15, V3_7 0-16, V3_9 0-17, V4_0 4-17, V4_1 4-18;
    ListOffsets V3_3 0-7, V3_5 0-8, V3_9 0-9, V4_0 1-10, V4_2 1-11;
    Metadata V3_3 0-12, V4_0 0-13;
    OffsetCommit V3_3 0-8, V3_7 0-9, V4_0 2-9, V4_2 2-10;
    OffsetFetch V3_3 0-8, V3_7 0-9, V4_0 1-9, V4_2 1-10;
    FindCoordinator V3_3 0-4, V3_8 0-5, V3_9 0-6;
    JoinGroup V3_3 0-9;
    Heartbeat V3_3 0-4;
    LeaveGroup V3_3 0-5;
    SyncGroup V3_3 0-5;
    DescribeGroups V3_3 0-5, V4_0 0-6;
    ListGroups V3_3 0-4, V3_8 0-5;
    SaslHandshake V3_3 0-1;
    ApiVersions V3_3 0-3, V3_9 0-4, V4_4 0-5;
    CreateTopics V3_3 0-7, V4_0 2-7;
    DeleteTopics V3_3 0-6, V4_0 1-6;
    DeleteRecords V3_3 0-2;
    InitProducerId V3_3 0-4, V3_8 0-5;
    OffsetForLeaderEpoch V3_3 0-4, V4_0 2-4;
    AddPartitionsToTxn V3_3 0-3, V3_6 0-4, V3_8 0-5;
    AddOffsetsToTxn V3_3 0-3, V3_8 0-4;
    EndTxn V3_3 0-3, V3_8 0-4, V4_0 0-5;
    WriteTxnMarkers V3_3 0-1, V4_0 1-1, V4_2 1-2;
    TxnOffsetCommit V3_3 0-3, V3_8 0-4, V4_0 0-5, V4_4 0-6;
    DescribeAcls V3_3 0-3, V4_0 1-3;
    CreateAcls V3_3 0-3, V4_0 1-3;
    DeleteAcls V3_3 0-3, V4_0 1-3;
    DescribeConfigs V3_3 0-4, V4_0 1-4;
    AlterConfigs V3_3 0-2;
    AlterReplicaLogDirs V3_3 0-2, V4_0 1-2;
    DescribeLogDirs V3_3 0-4, V4_0 1-4, V4_3 1-5;
    SaslAuthenticate V3_3 0-2;
    CreatePartitions V3_3 0-3;
    CreateDelegationToken V3_6 0-3, V4_0 1-3;
    RenewDelegationToken V3_6 0-2, V4_0 1-2;
    ExpireDelegationToken V3_6 0-2, V4_0 1-2;
    DescribeDelegationToken V3_6 0-3, V4_0 1-3;
    DeleteGroups V3_3 0-2, V4_4 0-3;
    ElectLeaders V3_3 0-2;
    IncrementalAlterConfigs V3_3 0-1;
    AlterPartitionReassignments V3_3 0-0, V4_1 0-1;
    ListPartitionReassignments V3_3 0-0;
    OffsetDelete V3_3 0-0;
    DescribeClientQuotas V3_3 0-1;
    AlterClientQuotas V3_3 0-1;
    DescribeUserScramCredentials V3_5 0-0;
    AlterUserScramCredentials V3_5 0-0;
    DescribeQuorum V3_3 0-1, V3_9 0-2;
    UpdateFeatures V3_3 0-1, V4_0 0-2;
    DescribeCluster V3_3 0-0, V3_7 0-1, V4_0 0-2;
    DescribeProducers V3_3 0-0;
    UnregisterBroker V3_3 0-0;
    DescribeTransactions V3_3 0-0;
    ListTransactions V3_3 0-0, V3_8 0-1, V4_1 0-2;
    ConsumerGroupHeartbeat V3_7 0-0, V4_0 0-1;
    ConsumerGroupDescribe V3_8 0-0, V4_0 0-1;
    GetTelemetrySubscriptions V3_7 0-0;
    PushTelemetry V3_7 0-0;
    ListConfigResources V3_7 0-0, V4_1 0-1;
    DescribeTopicPartitions V3_8 0-0;
    ShareGroupHeartbeat V4_1 1-1;
    ShareGroupDescribe V4_1 1-1;
    ShareFetch V4_1 1-1, V4_2 1-2;
    ShareAcknowledge V4_1 1-1, V4_2 1-2;
    AddRaftVoter V3_9 0-0, V4_2 0-1;
    RemoveRaftVoter V3_9 0-0;
    InitializeShareGroupState V4_1 0-0;
    ReadShareGroupState V4_1 0-0;
    WriteShareGroupState V4_1 0-0, V4_2 0-1;
    DeleteShareGroupState V4_1 0-0;
    ReadShareGroupStateSummary V4_1 0-0, V4_2 0-1;
    DescribeShareGroupOffsets V4_1 0-0, V4_2 0-1;
    AlterShareGroupOffsets V4_1 0-0;
    DeleteShareGroupOffsets V4_1 0-0;
}

impl Api {
    /// The versions of this API that both klamm and a broker of this release serve.
    pub fn versions_in(&self, release: KafkaVersion) -> Option<(i16, i16)> {
        if release == KafkaVersion::NEWEST {
            return Some((self.min, self.max));
        }
        let (_, min, max) = *ranges(self.key).iter().rev().find(|(since, ..)| *since <= release)?;
        let (min, max) = (self.min.max(min), self.max.min(max));
        (min <= max).then_some((min, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::APIS;

    #[test]
    fn reads_a_release() {
        assert_eq!("3.6".parse(), Ok(KafkaVersion::V3_6));
        assert_eq!("4.1.0".parse(), Ok(KafkaVersion::V4_1));
        let error = |text: &str| text.parse::<KafkaVersion>().unwrap_err().to_string();
        assert_eq!(
            error("2.8"),
            "there is no profile of Kafka \"2.8\": klamm behaves as 3.3 to 4.4; the nearest is 3.3"
        );
        assert_eq!(error("3.10").rsplit(' ').next(), Some("3.9"));
        assert_eq!(error("5.0").rsplit(' ').next(), Some("4.4"));
        assert_eq!(error("4").rsplit(' ').next(), Some("4.0"));
        assert_eq!(error("new"), "there is no profile of Kafka \"new\": klamm behaves as 3.3 to 4.4");
        for version in KafkaVersion::ALL {
            assert_eq!(version.name().parse(), Ok(*version));
        }
    }

    #[test]
    fn the_newest_release_serves_all_that_klamm_serves() {
        for api in APIS.iter().filter(|api| api.is_advertised_by_broker()) {
            let (_, min, max) = *ranges(api.key).last().unwrap_or_else(|| panic!("{} is missing", api.name));
            assert!(min <= api.min && api.max <= max, "{}: {min}-{max}", api.name);
        }
    }

    #[test]
    fn older_releases_serve_less() {
        let of = |key, release| Api::of(key).versions_in(release);
        assert_eq!(of(ApiKey::Fetch, KafkaVersion::V3_6), Some((4, 15)));
        assert_eq!(of(ApiKey::Fetch, KafkaVersion::V4_0), Some((4, 17)));
        assert_eq!(of(ApiKey::DescribeTopicPartitions, KafkaVersion::V3_7), None);
        assert_eq!(of(ApiKey::DescribeTopicPartitions, KafkaVersion::V3_8), Some((0, 0)));
        for api in APIS {
            for pair in ranges(api.key).windows(2) {
                assert!(
                    pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1 && pair[0].2 <= pair[1].2,
                    "{}",
                    api.name
                );
            }
        }
    }
}
