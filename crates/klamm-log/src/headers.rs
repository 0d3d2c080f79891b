//! The batches of a log by their headers alone, for those who compare logs.

use klamm_wire::record::batch::BatchHeader;

use crate::disk::Disk;
use crate::error::LogError;
use crate::log::Log;

impl Log {
    /// The header of every batch that reaches `from` or beyond, oldest first. No record is read.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn headers(&self, disk: &dyn Disk, from: i64) -> Result<Vec<BatchHeader>, LogError> {
        let mut headers = Vec::new();
        let first = self.floor_segment(from).unwrap_or(0);
        for segment in &self.segments[first..] {
            let start = segment.position_of(disk, from)?;
            segment.scan(disk, start, |_, header| {
                headers.push(*header);
                true
            })?;
        }
        Ok(headers)
    }
}
