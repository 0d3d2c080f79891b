//! Client quotas (`ClientQuotasImage`), and under which of them a client falls (`ClientQuotaManager.DefaultQuotaCallback`).

use std::collections::BTreeMap;
use std::fmt;

use klamm_wire::StrBytes;

use crate::delta::MetadataDelta;
use crate::record::{ClientQuotaRecord, QuotaEntityData};

/// The user part of an entity (`ClientQuotaEntity.USER`).
pub const USER: &str = "user";
/// The client id part of an entity (`ClientQuotaEntity.CLIENT_ID`).
pub const CLIENT_ID: &str = "client-id";
/// The address part of an entity (`ClientQuotaEntity.IP`).
pub const IP: &str = "ip";

/// Bytes that a client may produce, a second, at each broker.
pub const PRODUCER_BYTE_RATE: &str = "producer_byte_rate";
/// Bytes that a client may fetch, a second, at each broker.
pub const CONSUMER_BYTE_RATE: &str = "consumer_byte_rate";
/// Partitions that a client may have created or deleted, a second.
pub const CONTROLLER_MUTATION_RATE: &str = "controller_mutation_rate";
/// The share of its threads' time that a broker may spend on a client, in percent of one thread.
pub const REQUEST_PERCENTAGE: &str = "request_percentage";
/// Connections that an address may open, a second, to each broker.
pub const CONNECTION_CREATION_RATE: &str = "connection_creation_rate";

/// Whom a quota is for: names by type, `None` for the default of a type (`ClientQuotaEntity`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct QuotaEntity(BTreeMap<StrBytes, Option<StrBytes>>);

impl QuotaEntity {
    /// The parts of an entity. Of two for one type the later counts.
    pub fn new(parts: impl IntoIterator<Item = (StrBytes, Option<StrBytes>)>) -> Self {
        Self(parts.into_iter().collect())
    }

    /// A user, a client id or both; `Some(None)` is the default of the type.
    fn of(user: Option<Option<&StrBytes>>, client_id: Option<Option<&StrBytes>>) -> Self {
        let part = |kind, name: Option<Option<&StrBytes>>| {
            name.map(|name| (StrBytes::from_static_str(kind), name.cloned()))
        };
        Self(part(USER, user).into_iter().chain(part(CLIENT_ID, client_id)).collect())
    }

    /// The parts, by type.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (&StrBytes, Option<&StrBytes>)> {
        self.0.iter().map(|(kind, name)| (kind, name.as_ref()))
    }

    /// The name of a type: `Some(None)` for its default, `None` when the entity has no such part.
    pub fn part(&self, kind: &str) -> Option<Option<&StrBytes>> {
        self.0.get(kind.as_bytes()).map(Option::as_ref)
    }

    fn level(&self) -> Option<Level> {
        match (self.part(USER).is_some(), self.part(CLIENT_ID).is_some()) {
            (true, true) => Some(Level::UserAndClient),
            (true, false) => Some(Level::User),
            (false, true) => Some(Level::Client),
            (false, false) => None,
        }
    }
}

/// `user alice client-id c1`, `client-id <default>`.
impl fmt::Display for QuotaEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, name)) in self.parts().enumerate() {
            let gap = if at > 0 { " " } else { "" };
            write!(f, "{gap}{kind} {}", name.map_or("<default>", |name| &**name))?;
        }
        Ok(())
    }
}

/// A quota's bound. Two are equal when their bits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaValue(u64);

impl QuotaValue {
    /// A bound.
    pub const fn new(bound: f64) -> Self {
        Self(bound.to_bits())
    }

    /// The bound.
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// What the entities of one quota name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Client,
    User,
    UserAndClient,
}

/// Who shares one count with whom: an empty name takes everybody together (`ClientQuotaManager`'s metric tags).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaTags {
    /// The user.
    pub user: StrBytes,
    /// The client id.
    pub client_id: StrBytes,
}

/// All quotas of one key, such as `producer_byte_rate`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientLimits {
    by_entity: BTreeMap<QuotaEntity, QuotaValue>,
    levels: BTreeMap<Level, usize>,
}

impl ClientLimits {
    fn set(&mut self, entity: QuotaEntity, value: QuotaValue) {
        let level = entity.level();
        if self.by_entity.insert(entity, value).is_none()
            && let Some(level) = level
        {
            *self.levels.entry(level).or_default() += 1;
        }
    }

    fn remove(&mut self, entity: &QuotaEntity) {
        if self.by_entity.remove(entity).is_some()
            && let Some(level) = entity.level()
            && let Some(count) = self.levels.get_mut(&level)
        {
            *count -= 1;
            if *count == 0 {
                self.levels.remove(&level);
            }
        }
    }

    /// With whom a client is counted (`quotaMetricTags`). Where all quotas are of one level that is told by the level;
    /// where they are mixed, by the first that is there: user and client id, user and default client id, user, default
    /// user and client id, both defaults, default user, client id.
    pub fn tags(&self, user: &StrBytes, client_id: &StrBytes) -> QuotaTags {
        let none = StrBytes::default;
        let both = || QuotaTags { user: user.clone(), client_id: client_id.clone() };
        let by_user = || QuotaTags { user: user.clone(), client_id: none() };
        let by_client = || QuotaTags { user: none(), client_id: client_id.clone() };
        if self.levels.len() <= 1 {
            return match self.levels.keys().next() {
                Some(Level::UserAndClient) => both(),
                Some(Level::User) => by_user(),
                Some(Level::Client) | None => by_client(),
            };
        }
        let has = |user, client| self.by_entity.contains_key(&QuotaEntity::of(user, client));
        let (user, client) = (Some(Some(user)), Some(Some(client_id)));
        if has(user, client) || has(user, Some(None)) {
            both()
        } else if has(user, None) {
            by_user()
        } else if has(Some(None), client) || has(Some(None), Some(None)) {
            both()
        } else if has(Some(None), None) {
            by_user()
        } else {
            by_client()
        }
    }

    /// The bound of those who are counted together (`quotaLimit`); `None` when there is none for them.
    pub fn bound(&self, tags: &QuotaTags) -> Option<f64> {
        let some = |name| Some(Some(name));
        let (user, client) = (&tags.user, &tags.client_id);
        let candidates = match (!user.is_empty(), !client.is_empty()) {
            (true, true) => vec![
                (some(user), some(client)),
                (some(user), Some(None)),
                (Some(None), some(client)),
                (Some(None), Some(None)),
            ],
            (true, false) => vec![(some(user), None), (Some(None), None)],
            (false, true) => vec![(None, some(client)), (None, Some(None))],
            (false, false) => Vec::new(),
        };
        let found = candidates
            .into_iter()
            .find_map(|(user, client)| self.by_entity.get(&QuotaEntity::of(user, client)));
        found.map(|value| value.get())
    }
}

/// Every client quota.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientQuotasImage {
    entities: BTreeMap<QuotaEntity, BTreeMap<StrBytes, QuotaValue>>,
    by_key: BTreeMap<StrBytes, ClientLimits>,
}

impl ClientQuotasImage {
    /// Every entity with its quotas by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&QuotaEntity, &BTreeMap<StrBytes, QuotaValue>)> {
        self.entities.iter()
    }

    /// An entity's quotas by key.
    pub fn get(&self, entity: &QuotaEntity) -> Option<&BTreeMap<StrBytes, QuotaValue>> {
        self.entities.get(entity)
    }

    /// One quota of an entity.
    pub fn value(&self, entity: &QuotaEntity, key: &str) -> Option<f64> {
        self.entities.get(entity)?.get(key.as_bytes()).map(|value| value.get())
    }

    /// All quotas of a key; `None` while nobody has one: then nothing is counted.
    pub fn limits(&self, key: &str) -> Option<&ClientLimits> {
        self.by_key.get(key.as_bytes())
    }

    pub(crate) fn apply(&mut self, record: &ClientQuotaRecord, delta: &mut MetadataDelta) {
        let parts = record.entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone()));
        let entity = QuotaEntity::new(parts);
        delta.client_quotas.entry(entity.clone()).or_default().insert(record.key.clone());
        if !record.remove {
            let value = QuotaValue::new(record.value);
            self.entities.entry(entity.clone()).or_default().insert(record.key.clone(), value);
            self.by_key.entry(record.key.clone()).or_default().set(entity, value);
            return;
        }
        if let Some(quotas) = self.entities.get_mut(&entity) {
            quotas.remove(&record.key);
            if quotas.is_empty() {
                self.entities.remove(&entity);
            }
        }
        if let Some(limits) = self.by_key.get_mut(&record.key) {
            limits.remove(&entity);
            if limits.by_entity.is_empty() {
                self.by_key.remove(&record.key);
            }
        }
    }

    /// The records that make the image.
    pub(crate) fn records(&self) -> impl Iterator<Item = ClientQuotaRecord> {
        self.entities.iter().flat_map(|(entity, quotas)| {
            quotas.iter().map(|(key, value)| quota_record(entity, key.clone(), Some(value.get())))
        })
    }
}

/// The record that sets a quota of an entity, or removes it.
pub fn quota_record(entity: &QuotaEntity, key: StrBytes, value: Option<f64>) -> ClientQuotaRecord {
    let parts = entity
        .parts()
        .map(|(kind, name)| QuotaEntityData { entity_type: kind.clone(), entity_name: name.cloned() });
    ClientQuotaRecord {
        entity: parts.collect(),
        key,
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    /// Quotas of `producer_byte_rate`: user, client id, bound; `*` is a default, `-` no such part.
    fn image(quotas: &[(&'static str, &'static str, f64)]) -> ClientQuotasImage {
        let mut image = ClientQuotasImage::default();
        for (user, client, value) in quotas {
            let part = |kind, name: &'static str| match name {
                "-" => None,
                "*" => Some((text(kind), None)),
                name => Some((text(kind), Some(text(name)))),
            };
            let entity = QuotaEntity::new(part(USER, user).into_iter().chain(part(CLIENT_ID, client)));
            let record = quota_record(&entity, text(PRODUCER_BYTE_RATE), Some(*value));
            image.apply(&record, &mut MetadataDelta::default());
        }
        image
    }

    fn bound(image: &ClientQuotasImage, user: &'static str, client: &'static str) -> Option<f64> {
        let limits = image.limits(PRODUCER_BYTE_RATE)?;
        limits.bound(&limits.tags(&text(user), &text(client)))
    }

    #[test]
    fn the_most_special_quota_is_a_clients() {
        // In the order of Kafka's documentation, each less special than the one before.
        let all = [
            ("u", "c", 1.0),
            ("u", "*", 2.0),
            ("u", "-", 3.0),
            ("*", "c", 4.0),
            ("*", "*", 5.0),
            ("*", "-", 6.0),
            ("-", "c", 7.0),
            ("-", "*", 8.0),
        ];
        for from in 0..all.len() {
            assert_eq!(bound(&image(&all[from..]), "u", "c"), Some(all[from].2), "from {from}");
        }
        assert_eq!(bound(&image(&all), "u", "another"), Some(2.0));
        assert_eq!(bound(&image(&all), "another", "c"), Some(4.0));
        assert_eq!(bound(&image(&all[5..]), "another", "another"), Some(6.0));
        assert_eq!(bound(&image(&[]), "u", "c"), None);
    }

    #[test]
    fn those_of_one_user_are_counted_together() {
        let quotas = image(&[("*", "-", 6.0)]);
        let limits = quotas.limits(PRODUCER_BYTE_RATE).unwrap();
        let tags = |client| limits.tags(&text("u"), &text(client));
        assert_eq!(tags("a"), tags("b"));
        let quotas = image(&[("*", "*", 5.0)]);
        let limits = quotas.limits(PRODUCER_BYTE_RATE).unwrap();
        assert_ne!(limits.tags(&text("u"), &text("a")), limits.tags(&text("u"), &text("b")));
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut quotas = image(&[("u", "-", 3.0), ("-", "c", 7.0)]);
        for (kind, name) in [(USER, "u"), (CLIENT_ID, "c")] {
            let entity = QuotaEntity::new([(text(kind), Some(text(name)))]);
            quotas
                .apply(&quota_record(&entity, text(PRODUCER_BYTE_RATE), None), &mut MetadataDelta::default());
        }
        assert_eq!(quotas, ClientQuotasImage::default());
    }

    #[test]
    fn records_make_the_image_again() {
        let quotas = image(&[("u", "*", 2.5), ("-", "*", 8.0)]);
        let mut again = ClientQuotasImage::default();
        for record in quotas.records() {
            again.apply(&record, &mut MetadataDelta::default());
        }
        assert_eq!(again, quotas);
    }
}
