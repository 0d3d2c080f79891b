//! The records of `__transaction_state`.

// Written by `cargo xtask codegen`; changes belong there.

pub mod transaction_log_key;
pub mod transaction_log_value;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub use transaction_log_key::TransactionLogKey;
pub use transaction_log_value::{PartitionsSchema, TransactionLogValue};

use crate::internal::codec::{Schema, SchemaError, no_more};

/// The key of a record: its type, as two bytes, then the fields of that type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionRecordKey {
    /// Type 0.
    TransactionLog(TransactionLogKey),
}

impl TransactionRecordKey {
    /// The key's bytes.
    pub fn encode(&self) -> Result<Bytes, SchemaError> {
        let mut out = BytesMut::new();
        match self {
            Self::TransactionLog(key) => {
                out.put_i16(0);
                key.encode(0, &mut out)?
            }
        }
        Ok(out.freeze())
    }

    /// Reads a key; [`SchemaError::UnknownType`] when its type is not known here.
    pub fn decode(bytes: &Bytes) -> Result<Self, SchemaError> {
        let mut bytes = bytes.clone();
        let key = match bytes.try_get_i16().map_err(|_| SchemaError::TooShort)? {
            0 => Self::TransactionLog(TransactionLogKey::decode(0, &mut bytes)?),
            unknown => return Err(SchemaError::UnknownType(unknown)),
        };
        no_more(&bytes)?;
        Ok(key)
    }
}

impl From<TransactionLogKey> for TransactionRecordKey {
    fn from(key: TransactionLogKey) -> Self {
        Self::TransactionLog(key)
    }
}
