//! `DelegationTokenRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `DelegationTokenRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DelegationTokenRecord {
    /// `Owner`, versions 0.
    pub owner: StrBytes,
    /// `Requester`, versions 0.
    pub requester: StrBytes,
    /// `Renewers`, versions 0.
    pub renewers: Vec<StrBytes>,
    /// `IssueTimestamp`, versions 0.
    pub issue_timestamp: i64,
    /// `MaxTimestamp`, versions 0.
    pub max_timestamp: i64,
    /// `ExpirationTimestamp`, versions 0.
    pub expiration_timestamp: i64,
    /// `TokenId`, versions 0.
    pub token_id: StrBytes,
}

impl Field for DelegationTokenRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.owner.write(out, form)?;
        self.requester.write(out, form)?;
        self.renewers.write(out, form)?;
        self.issue_timestamp.write(out, form)?;
        self.max_timestamp.write(out, form)?;
        self.expiration_timestamp.write(out, form)?;
        self.token_id.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            owner: Field::read(bytes, form)?,
            requester: Field::read(bytes, form)?,
            renewers: Field::read(bytes, form)?,
            issue_timestamp: Field::read(bytes, form)?,
            max_timestamp: Field::read(bytes, form)?,
            expiration_timestamp: Field::read(bytes, form)?,
            token_id: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for DelegationTokenRecord {
    const NAME: &'static str = "DelegationTokenRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
