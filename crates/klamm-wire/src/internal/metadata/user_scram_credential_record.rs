//! `UserScramCredentialRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `UserScramCredentialRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserScramCredentialRecord {
    /// `Name`, versions 0.
    pub name: StrBytes,
    /// `Mechanism`, versions 0.
    pub mechanism: i8,
    /// `Salt`, versions 0.
    pub salt: Bytes,
    /// `StoredKey`, versions 0.
    pub stored_key: Bytes,
    /// `ServerKey`, versions 0.
    pub server_key: Bytes,
    /// `Iterations`, versions 0.
    pub iterations: i32,
}

impl Field for UserScramCredentialRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.name.write(out, form)?;
        self.mechanism.write(out, form)?;
        self.salt.write(out, form)?;
        self.stored_key.write(out, form)?;
        self.server_key.write(out, form)?;
        self.iterations.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            name: Field::read(bytes, form)?,
            mechanism: Field::read(bytes, form)?,
            salt: Field::read(bytes, form)?,
            stored_key: Field::read(bytes, form)?,
            server_key: Field::read(bytes, form)?,
            iterations: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for UserScramCredentialRecord {
    const NAME: &'static str = "UserScramCredentialRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
