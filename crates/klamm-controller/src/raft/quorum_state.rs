//! `quorum-state`: what a voter must remember across restarts (`FileQuorumStateStore`, data version 1).

use klamm_log::{Disk, LogError};

/// Whom this voter follows and voted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuorumState {
    /// The leader, -1 for none.
    pub(super) leader_id: i32,
    /// The epoch.
    pub(super) leader_epoch: i32,
    /// Whom this voter voted for in the epoch, -1 for nobody.
    pub(super) voted_id: i32,
}

impl QuorumState {
    fn path(log_dir: &str) -> String {
        format!("{log_dir}/quorum-state")
    }

    /// Reads the file in a log's directory; epoch 0 without a leader where there is none.
    pub(super) fn read(disk: &dyn Disk, log_dir: &str) -> Result<Self, LogError> {
        let path = Self::path(log_dir);
        let Some(bytes) = disk.read_file(&path)? else {
            return Ok(Self { leader_id: -1, leader_epoch: 0, voted_id: -1 });
        };
        let text = String::from_utf8_lossy(&bytes);
        let field = |name: &str| {
            number_after(&text, &format!("\"{name}\":"))
                .ok_or_else(|| LogError::Corrupt { path: path.clone(), message: format!("no {name}") })
        };
        Ok(Self {
            leader_id: field("leaderId")?,
            leader_epoch: field("leaderEpoch")?,
            voted_id: field("votedId")?,
        })
    }

    pub(super) fn write(&self, disk: &mut dyn Disk, log_dir: &str) -> Result<(), LogError> {
        let Self { leader_id, leader_epoch, voted_id } = self;
        let text = format!(
            "{{\"leaderId\":{leader_id},\"leaderEpoch\":{leader_epoch},\"votedId\":{voted_id},\
             \"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}}"
        );
        disk.write_file(&Self::path(log_dir), text.as_bytes())?;
        Ok(())
    }
}

/// The integer that follows `marker`.
fn number_after(text: &str, marker: &str) -> Option<i32> {
    let rest = text[text.find(marker)? + marker.len()..].trim_start();
    let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
