//! `ConsumerGroupRegularExpressionKey`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError};

/// `ConsumerGroupRegularExpressionKey`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerGroupRegularExpressionKey {
    /// `GroupId`, versions 0.
    pub group_id: StrBytes,
    /// `RegularExpression`, versions 0.
    pub regular_expression: StrBytes,
}

impl Field for ConsumerGroupRegularExpressionKey {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.group_id.write(out, form)?;
        self.regular_expression.write(out, form)?;
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value =
            Self { group_id: Field::read(bytes, form)?, regular_expression: Field::read(bytes, form)? };
        Ok(value)
    }
}

impl Schema for ConsumerGroupRegularExpressionKey {
    const NAME: &'static str = "ConsumerGroupRegularExpressionKey";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = i16::MAX;
}
