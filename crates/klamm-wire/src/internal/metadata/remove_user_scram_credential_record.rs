//! `RemoveUserScramCredentialRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `RemoveUserScramCredentialRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoveUserScramCredentialRecord {
    /// `Name`, versions 0.
    pub name: StrBytes,
    /// `Mechanism`, versions 0.
    pub mechanism: i8,
}

impl Field for RemoveUserScramCredentialRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.name.write(out, form)?;
        self.mechanism.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { name: Field::read(bytes, form)?, mechanism: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for RemoveUserScramCredentialRecord {
    const NAME: &'static str = "RemoveUserScramCredentialRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
