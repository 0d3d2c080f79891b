//! How files and directories are named (`LogFileUtils`, `LocalLog`).

/// Batches.
pub(crate) const LOG: &str = ".log";
/// The offset index.
pub(crate) const INDEX: &str = ".index";
/// The time index.
pub(crate) const TIME_INDEX: &str = ".timeindex";
/// The index of aborted transactions.
pub(crate) const TXN_INDEX: &str = ".txnindex";
/// Producer state.
pub(crate) const SNAPSHOT: &str = ".snapshot";
/// A file that waits to be removed.
pub(crate) const DELETED: &str = ".deleted";
/// A segment that compaction is writing.
pub(crate) const CLEANED: &str = ".cleaned";
/// A compacted segment that is about to take its place.
pub(crate) const SWAP: &str = ".swap";
/// A partition's directory that waits to be removed.
pub(crate) const DELETE_DIR: &str = "-delete";

/// A log that is to take the place of one in another log directory (`UnifiedLog.FUTURE_DIR_SUFFIX`).
const FUTURE_DIR: &str = "-future";

/// The files of a segment, transaction index included.
pub(crate) const SEGMENT_FILES: [&str; 4] = [LOG, INDEX, TIME_INDEX, TXN_INDEX];

/// `dir/00000000000000000042.log`
pub(crate) fn file(dir: &str, offset: i64, suffix: &str) -> String {
    let mut path = String::with_capacity(dir.len() + 1 + 20 + suffix.len());
    path.push_str(dir);
    path.push('/');
    // Twenty digits, without the formatter: a new partition has many files.
    let mut digits = [b'0'; 20];
    let mut left = offset.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit += (left % 10) as u8;
        left /= 10;
    }
    if offset < 0 {
        digits[0] = b'-';
    }
    path.push_str(std::str::from_utf8(&digits).unwrap_or_default());
    path.push_str(suffix);
    path
}

/// The offset in a file name; `None` when it does not begin with twenty digits and a dot.
pub(crate) fn offset_of(name: &str) -> Option<i64> {
    let (digits, rest) = name.split_at_checked(20)?;
    if !rest.starts_with('.') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The name of the directory of a future log: `topic-0.<unique>-future`.
pub(crate) fn future_dir(topic: &str, partition: i32, unique: &str) -> String {
    format!("{topic}-{partition}.{unique}{FUTURE_DIR}")
}

/// The topic and partition in the directory name of a future log.
pub(crate) fn future_partition_of(name: &str) -> Option<(String, i32)> {
    let (of, _) = name.strip_suffix(FUTURE_DIR)?.rsplit_once('.')?;
    topic_partition_of(of)
}

/// The topic and partition in a directory name `topic-0`.
pub(crate) fn topic_partition_of(name: &str) -> Option<(String, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let digits = !partition.is_empty() && partition.bytes().all(|b| b.is_ascii_digit());
    if topic.is_empty() || !digits {
        return None;
    }
    Some((topic.to_owned(), partition.parse().ok()?))
}
