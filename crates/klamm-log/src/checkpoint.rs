//! The small text files: a version line, a count, and one line an entry (`CheckpointFile`); and `key=value` properties.

use std::collections::BTreeMap;

use klamm_wire::Uuid;

use crate::disk::Disk;
use crate::error::LogError;
use crate::leader_epoch_cache::{EpochEntry, LeaderEpochCache};

/// High watermarks, a line a partition.
pub(crate) const REPLICATION_OFFSETS: &str = "replication-offset-checkpoint";
/// Recovery points.
pub(crate) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// Log start offsets that are not the first segment's base offset.
pub(crate) const LOG_START_OFFSETS: &str = "log-start-offset-checkpoint";
/// Where compaction has got to.
pub(crate) const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";
/// The epochs of one log.
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// The topic id of one log.
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";

/// Offsets by topic and partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

fn corrupt(path: &str, message: impl Into<String>) -> LogError {
    LogError::Corrupt { path: path.to_owned(), message: message.into() }
}

/// The entry lines of a checkpoint; `None` when the file is absent.
fn read_lines(disk: &dyn Disk, path: &str) -> Result<Option<Vec<String>>, LogError> {
    let Some(bytes) = disk.read_file(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| corrupt(path, "is not text"))?;
    let mut lines = text.lines();
    // An empty file is what a crash may leave of one that was just created.
    let Some(version) = lines.next() else { return Ok(Some(Vec::new())) };
    if version.trim() != "0" {
        return Err(corrupt(path, format!("unrecognised version {version:?} of a checkpoint file")));
    }
    let count = lines.next().and_then(|line| line.trim().parse::<usize>().ok());
    let entries: Vec<_> = lines.map(str::to_owned).collect();
    if count != Some(entries.len()) {
        return Err(corrupt(
            path,
            format!("expected {count:?} entries in a checkpoint file, found {}", entries.len()),
        ));
    }
    Ok(Some(entries))
}

fn render<'a>(lines: impl ExactSizeIterator<Item = String> + 'a) -> Vec<u8> {
    let mut text = format!("0\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}

/// Reads an offset checkpoint (`OffsetCheckpointFile`); an absent file is empty.
pub(crate) fn read_offsets(disk: &dyn Disk, path: &str) -> Result<Offsets, LogError> {
    let mut offsets = Offsets::new();
    for line in read_lines(disk, path)?.unwrap_or_default() {
        let mut words = line.split_whitespace();
        let entry = (|| {
            let topic = words.next()?.to_owned();
            let partition = words.next()?.parse().ok()?;
            Some(((topic, partition), words.next()?.parse().ok()?))
        })();
        let Some((key, offset)) = entry else {
            return Err(corrupt(path, format!("malformed line {line:?}")));
        };
        offsets.insert(key, offset);
    }
    Ok(offsets)
}

pub(crate) fn write_offsets(disk: &mut dyn Disk, path: &str, offsets: &Offsets) -> Result<(), LogError> {
    let line = |((topic, partition), offset): (&(String, i32), &i64)| format!("{topic} {partition} {offset}");
    Ok(disk.write_file(path, &render(offsets.iter().map(line)))?)
}

/// Reads `leader-epoch-checkpoint` of the log in `dir` (`LeaderEpochCheckpointFile`).
pub(crate) fn read_epochs(disk: &dyn Disk, dir: &str) -> Result<LeaderEpochCache, LogError> {
    let path = format!("{dir}/{LEADER_EPOCHS}");
    let mut entries = Vec::new();
    for line in read_lines(disk, &path)?.unwrap_or_default() {
        let parsed = line.split_once(' ').and_then(|(epoch, offset)| {
            Some(EpochEntry { epoch: epoch.parse().ok()?, start_offset: offset.trim().parse().ok()? })
        });
        entries.push(parsed.ok_or_else(|| corrupt(&path, format!("malformed line {line:?}")))?);
    }
    Ok(LeaderEpochCache::from_entries(entries))
}

pub(crate) fn write_epochs(
    disk: &mut dyn Disk,
    dir: &str,
    epochs: &LeaderEpochCache,
) -> Result<(), LogError> {
    let line = |e: &EpochEntry| format!("{} {}", e.epoch, e.start_offset);
    Ok(disk.write_file(&format!("{dir}/{LEADER_EPOCHS}"), &render(epochs.entries().iter().map(line)))?)
}

/// The topic id in `partition.metadata` of the log in `dir`; `None` when the file is absent.
pub(crate) fn read_topic_id(disk: &dyn Disk, dir: &str) -> Result<Option<Uuid>, LogError> {
    let path = format!("{dir}/{PARTITION_METADATA}");
    let Some(bytes) = disk.read_file(&path)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id:"));
    match id.and_then(|id| decode_uuid(id.trim())) {
        Some(id) => Ok(Some(id)),
        None => Err(corrupt(&path, "holds no topic id")),
    }
}

pub(crate) fn write_topic_id(disk: &mut dyn Disk, dir: &str, id: Uuid) -> Result<(), LogError> {
    let text = format!("version: 0\ntopic_id: {}", encode_uuid(id));
    Ok(disk.write_file(&format!("{dir}/{PARTITION_METADATA}"), text.as_bytes())?)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Kafka's text form of an id: URL-safe base64 without padding, 22 characters (`Uuid.toString`).
pub fn encode_uuid(id: Uuid) -> String {
    let mut out = String::with_capacity(22);
    for group in id.as_bytes().chunks(3) {
        let word = group.iter().enumerate().fold(0_u32, |word, (i, b)| word | u32::from(*b) << (16 - 8 * i));
        for n in 0..=group.len() {
            out.push(char::from(ALPHABET[(word >> (18 - 6 * n) & 63) as usize]));
        }
    }
    out
}

/// Reads Kafka's text form of an id.
pub fn decode_uuid(text: &str) -> Option<Uuid> {
    if text.len() != 22 {
        return None;
    }
    let mut value = 0_u128;
    for (n, c) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|a| *a == c)? as u128;
        // 22 digits are 132 bits: the last one carries two bits, its lower four are padding.
        value = if n == 21 { value << 2 | digit >> 4 } else { value << 6 | digit };
    }
    Some(Uuid::from_u128(value))
}

/// Reads a Java properties file; an absent one is `None`.
pub(crate) fn read_properties(
    disk: &dyn Disk,
    path: &str,
) -> Result<Option<BTreeMap<String, String>>, LogError> {
    let Some(bytes) = disk.read_file(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| corrupt(path, "is not text"))?;
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    Ok(Some(pairs.map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned())).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn ids_in_kafkas_text_form() {
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(encode_uuid(id), "ASNFZ4mrze_-3LqYdlQyEA");
        assert_eq!(decode_uuid("ASNFZ4mrze_-3LqYdlQyEA"), Some(id));
        assert_eq!(decode_uuid("too short"), None);
    }

    #[test]
    fn a_checkpoint_comes_back_and_a_short_one_is_refused() {
        let mut disk = MemoryDisk::new();
        let offsets = Offsets::from([(("a".to_owned(), 0), 7), (("b.c-d".to_owned(), 12), 0)]);
        write_offsets(&mut disk, "d/x", &offsets).unwrap();
        assert_eq!(disk.read_file("d/x").unwrap().unwrap(), b"0\n2\na 0 7\nb.c-d 12 0\n");
        assert_eq!(read_offsets(&disk, "d/x").unwrap(), offsets);
        disk.write_file("d/x", b"0\n2\na 0 7\n").unwrap();
        assert!(matches!(read_offsets(&disk, "d/x"), Err(LogError::Corrupt { .. })));
    }
}
