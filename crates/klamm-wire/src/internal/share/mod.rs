//! The records of `__share_group_state`.

// Written by `cargo xtask codegen`; changes belong there.

pub mod share_snapshot_key;
pub mod share_snapshot_value;
pub mod share_update_key;
pub mod share_update_value;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub use share_snapshot_key::ShareSnapshotKey;
pub use share_snapshot_value::ShareSnapshotValue;
pub use share_update_key::ShareUpdateKey;
pub use share_update_value::ShareUpdateValue;

use crate::internal::codec::{Schema, SchemaError, no_more};

/// The key of a record: its type, as two bytes, then the fields of that type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShareRecordKey {
    /// Type 0.
    ShareSnapshot(ShareSnapshotKey),
    /// Type 1.
    ShareUpdate(ShareUpdateKey),
}

impl ShareRecordKey {
    /// The key's bytes.
    pub fn encode(&self) -> Result<Bytes, SchemaError> {
        let mut out = BytesMut::new();
        match self {
            Self::ShareSnapshot(key) => {
                out.put_i16(0);
                key.encode(0, &mut out)?
            }
            Self::ShareUpdate(key) => {
                out.put_i16(1);
                key.encode(0, &mut out)?
            }
        }
        Ok(out.freeze())
    }

    /// Reads a key; [`SchemaError::UnknownType`] when its type is not known here.
    pub fn decode(bytes: &Bytes) -> Result<Self, SchemaError> {
        let mut bytes = bytes.clone();
        let key = match bytes.try_get_i16().map_err(|_| SchemaError::TooShort)? {
            0 => Self::ShareSnapshot(ShareSnapshotKey::decode(0, &mut bytes)?),
            1 => Self::ShareUpdate(ShareUpdateKey::decode(0, &mut bytes)?),
            unknown => return Err(SchemaError::UnknownType(unknown)),
        };
        no_more(&bytes)?;
        Ok(key)
    }
}

impl From<ShareSnapshotKey> for ShareRecordKey {
    fn from(key: ShareSnapshotKey) -> Self {
        Self::ShareSnapshot(key)
    }
}

impl From<ShareUpdateKey> for ShareRecordKey {
    fn from(key: ShareUpdateKey) -> Self {
        Self::ShareUpdate(key)
    }
}
