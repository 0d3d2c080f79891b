//! `TransactionLogKey`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError};

/// `TransactionLogKey`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionLogKey {
    /// `TransactionalId`, versions 0.
    pub transactional_id: StrBytes,
}

impl Field for TransactionLogKey {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.transactional_id.write(out, form)?;
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { transactional_id: Field::read(bytes, form)? };
        Ok(value)
    }
}

impl Schema for TransactionLogKey {
    const NAME: &'static str = "TransactionLogKey";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = i16::MAX;
}
