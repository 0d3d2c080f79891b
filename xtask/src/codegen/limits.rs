//! The table for `klamm_wire::limits`.
use anyhow::Result;

use super::schema::Message;

pub(super) fn table(_: &[Message]) -> Result<String> {
    Ok("//! The table.\n".to_owned())
}
