//! Kafka's encoding of message fields, for the schemas that `cargo xtask codegen` generates beside this file and in
//! [`messages`](crate::messages).
//!
//! Reading is bounded by the bytes at hand: no count reserves memory, vectors grow as their elements are read.

use std::ops::RangeInclusive;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{BrokerId, GroupId, ProducerId, TopicName, TransactionalId};
use kafka_protocol::protocol::buf::ByteBuf;
use uuid::Uuid;

use crate::StrBytes;
use crate::record::varint;

/// Why a value cannot be written, or bytes cannot be read, as a schema says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The schema has no such version.
    #[error("{name} has no version {version}")]
    UnsupportedVersion {
        /// The schema.
        name: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field that matters is not part of the version.
    #[error("{field} is set, and version {version} cannot carry it")]
    NotInVersion {
        /// The field, as `Schema.field`.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The bytes end within a value, or a length or count is larger than what is left.
    #[error("the bytes end too early")]
    TooShort,
    /// Bytes are left after the last field.
    #[error("{0} bytes are left after the last field")]
    TrailingBytes(usize),
    /// A null where the schema allows none, or a length below -1.
    #[error("invalid length {0}")]
    InvalidLength(i64),
    /// A varint is longer than it may be.
    #[error("invalid varint")]
    InvalidVarint,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A key or record has a type that is not known.
    #[error("unknown record type {0}")]
    UnknownType(i16),
    /// A metadata record has a frame that is not known.
    #[error("unknown frame version {0}")]
    UnknownFrame(u32),
}

/// A message with versions.
pub trait Schema: Field + Default {
    /// Kafka's name for it.
    const NAME: &'static str;
    /// The versions it has.
    const VERSIONS: RangeInclusive<i16>;
    /// The first flexible version (KIP-482), `i16::MAX` when there is none.
    const FIRST_FLEXIBLE: i16;

    /// Writes the value as `version` lays it out.
    fn encode<B: BufMut>(&self, version: i16, out: &mut B) -> Result<(), SchemaError> {
        Self::check(version)?;
        self.write(out, Form { version, flexible: version >= Self::FIRST_FLEXIBLE })
    }

    /// Reads a value of `version` from the front of `bytes`, and leaves what follows it.
    fn decode(version: i16, bytes: &mut Bytes) -> Result<Self, SchemaError> {
        Self::check(version)?;
        Self::read(bytes, Form { version, flexible: version >= Self::FIRST_FLEXIBLE })
    }

    /// Writes the version, then the value (`MessageUtil.toVersionPrefixedBytes`): the values of `__consumer_offsets`
    /// and `__transaction_state`.
    fn to_versioned_bytes(&self, version: i16) -> Result<Bytes, SchemaError> {
        let mut out = BytesMut::new();
        out.put_i16(version);
        self.encode(version, &mut out)?;
        Ok(out.freeze())
    }

    /// Reads what [`Schema::to_versioned_bytes`] wrote: the value and its version.
    fn from_versioned_bytes(bytes: &Bytes) -> Result<(Self, i16), SchemaError> {
        let mut bytes = bytes.clone();
        let version = bytes.try_get_i16().map_err(|_| SchemaError::TooShort)?;
        let value = Self::decode(version, &mut bytes)?;
        no_more(&bytes)?;
        Ok((value, version))
    }

    #[doc(hidden)]
    fn check(version: i16) -> Result<(), SchemaError> {
        if Self::VERSIONS.contains(&version) {
            return Ok(());
        }
        Err(SchemaError::UnsupportedVersion { name: Self::NAME, version })
    }
}

/// How a value is laid out: which version, and whether that version is flexible (compact lengths, tagged fields).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The message's version.
    pub version: i16,
    /// Whether lengths are compact and tagged fields follow each struct.
    pub flexible: bool,
}

/// A value that a schema's field can hold.
pub trait Field: Sized {
    /// Appends the value to `out`.
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError>;
    /// Reads a value from the front of `bytes`.
    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError>;
}

/// Refuses trailing bytes.
pub(crate) const fn no_more(bytes: &Bytes) -> Result<(), SchemaError> {
    match bytes.len() {
        0 => Ok(()),
        len => Err(SchemaError::TrailingBytes(len)),
    }
}

macro_rules! numbers {
    ($($ty:ty: $put:ident, $get:ident;)*) => {$(
        impl Field for $ty {
            fn write<B: BufMut>(&self, out: &mut B, _: Form) -> Result<(), SchemaError> {
                out.$put(*self);
                Ok(())
            }

            fn read(bytes: &mut Bytes, _: Form) -> Result<Self, SchemaError> {
                bytes.$get().map_err(|_| SchemaError::TooShort)
            }
        }
    )*};
}

numbers! {
    i8: put_i8, try_get_i8;
    i16: put_i16, try_get_i16;
    u16: put_u16, try_get_u16;
    i32: put_i32, try_get_i32;
    u32: put_u32, try_get_u32;
    i64: put_i64, try_get_i64;
    f64: put_f64, try_get_f64;
}

impl Field for bool {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        i8::from(*self).write(out, form)
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        Ok(i8::read(bytes, form)? != 0)
    }
}

impl Field for Uuid {
    fn write<B: BufMut>(&self, out: &mut B, _: Form) -> Result<(), SchemaError> {
        out.put_slice(self.as_bytes());
        Ok(())
    }

    fn read(bytes: &mut Bytes, _: Form) -> Result<Self, SchemaError> {
        bytes.try_get_u128().map(Self::from_u128).map_err(|_| SchemaError::TooShort)
    }
}

impl Field for Option<StrBytes> {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        write_string(self.as_ref(), out, form)
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let len = if form.flexible { read_compact(bytes)? } else { i64::from(i16::read(bytes, form)?) };
        let Some(text) = take(bytes, len)? else { return Ok(None) };
        StrBytes::from_utf8(text).map(Some).map_err(|_| SchemaError::NotUtf8)
    }
}

impl Field for StrBytes {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        write_string(Some(self), out, form)
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        Option::read(bytes, form)?.ok_or(SchemaError::InvalidLength(-1))
    }
}

/// What `kafka-protocol` wraps to say what it names.
macro_rules! named {
    ($($name:ident)*) => {$(
        impl Field for $name {
            fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
                self.0.write(out, form)
            }

            fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
                Field::read(bytes, form).map(Self)
            }
        }
    )*};
}

named!(BrokerId GroupId ProducerId TopicName TransactionalId);

/// As [`named`], where null may stand.
macro_rules! named_or_null {
    ($($name:ident)*) => {$(
        impl Field for Option<$name> {
            fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
                write_string(self.as_ref().map(|name| &name.0), out, form)
            }

            fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
                Ok(Option::<StrBytes>::read(bytes, form)?.map($name))
            }
        }
    )*};
}

named_or_null!(GroupId TopicName TransactionalId);

impl Field for Option<Bytes> {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        write_bytes(self.as_ref(), out, form)
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let len = read_length(bytes, form)?;
        take(bytes, len)
    }
}

impl Field for Bytes {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        write_bytes(Some(self), out, form)
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        Option::read(bytes, form)?.ok_or(SchemaError::InvalidLength(-1))
    }
}

impl<T: Field> Field for Option<Vec<T>> {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        write_array(self.as_deref(), out, form)
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let count = match read_length(bytes, form)? {
            -1 => return Ok(None),
            count => usize::try_from(count).map_err(|_| SchemaError::InvalidLength(count))?,
        };
        // Every element takes a byte at least.
        if count > bytes.len() {
            return Err(SchemaError::TooShort);
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(T::read(bytes, form)?);
        }
        Ok(Some(elements))
    }
}

impl<T: Field> Field for Vec<T> {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        write_array(Some(self), out, form)
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        Option::read(bytes, form)?.ok_or(SchemaError::InvalidLength(-1))
    }
}

fn write_string<B: BufMut>(text: Option<&StrBytes>, out: &mut B, form: Form) -> Result<(), SchemaError> {
    if form.flexible {
        write_compact(text.map(|text| text.len()), out)?;
    } else {
        let len = text.map_or(Ok(-1), |text| i16::try_from(text.len()));
        out.put_i16(len.map_err(|_| too_long(text.map_or(0, |text| text.len())))?);
    }
    out.put_slice(text.map_or(&[], |text| text.as_bytes()));
    Ok(())
}

fn write_bytes<B: BufMut>(bytes: Option<&Bytes>, out: &mut B, form: Form) -> Result<(), SchemaError> {
    write_length(bytes.map(Bytes::len), out, form)?;
    out.put_slice(bytes.map_or(&[], |bytes| bytes));
    Ok(())
}

fn write_array<T: Field, B: BufMut>(
    elements: Option<&[T]>,
    out: &mut B,
    form: Form,
) -> Result<(), SchemaError> {
    write_length(elements.map(<[T]>::len), out, form)?;
    elements.unwrap_or_default().iter().try_for_each(|element| element.write(out, form))
}

fn write_length<B: BufMut>(len: Option<usize>, out: &mut B, form: Form) -> Result<(), SchemaError> {
    if form.flexible {
        return write_compact(len, out);
    }
    let encoded = len.map_or(Ok(-1), i32::try_from);
    out.put_i32(encoded.map_err(|_| too_long(len.unwrap_or_default()))?);
    Ok(())
}

fn write_compact(len: Option<usize>, out: &mut impl BufMut) -> Result<(), SchemaError> {
    let encoded = len.map_or(Ok(0), |len| u32::try_from(len + 1));
    varint::write_unsigned(out, encoded.map_err(|_| too_long(len.unwrap_or_default()))?);
    Ok(())
}

const fn too_long(len: usize) -> SchemaError {
    SchemaError::InvalidLength(len as i64)
}

fn read_length(bytes: &mut Bytes, form: Form) -> Result<i64, SchemaError> {
    if form.flexible { read_compact(bytes) } else { Ok(i64::from(i32::read(bytes, form)?)) }
}

fn read_compact(bytes: &mut Bytes) -> Result<i64, SchemaError> {
    Ok(i64::from(read_varint(bytes)?) - 1)
}

fn take(bytes: &mut Bytes, len: i64) -> Result<Option<Bytes>, SchemaError> {
    if len == -1 {
        return Ok(None);
    }
    let len = usize::try_from(len).map_err(|_| SchemaError::InvalidLength(len))?;
    if len > bytes.len() {
        return Err(SchemaError::TooShort);
    }
    Ok(Some(bytes.split_to(len)))
}

/// Reads an unsigned varint.
pub(crate) fn read_varint(bytes: &mut Bytes) -> Result<u32, SchemaError> {
    let mut rest = &bytes[..];
    let value = varint::read_unsigned(&mut rest).ok_or(SchemaError::InvalidVarint)?;
    let taken = bytes.len() - rest.len();
    bytes.advance(taken);
    Ok(value)
}

/// Tagged fields on their way out. Tags must be added in ascending order.
#[derive(Debug, Default)]
pub(crate) struct TagWriter {
    count: u32,
    fields: BytesMut,
}

impl TagWriter {
    /// Adds a field.
    pub(crate) fn put(&mut self, tag: u32, value: &impl Field, form: Form) -> Result<(), SchemaError> {
        let mut field = BytesMut::new();
        value.write(&mut field, form)?;
        self.count += 1;
        varint::write_unsigned(&mut self.fields, tag);
        let len = u32::try_from(field.len()).map_err(|_| too_long(field.len()))?;
        varint::write_unsigned(&mut self.fields, len);
        self.fields.put_slice(&field);
        Ok(())
    }

    /// Appends the tagged fields to `out`.
    pub(crate) fn finish(self, out: &mut impl BufMut) {
        varint::write_unsigned(out, self.count);
        out.put_slice(&self.fields);
    }
}

/// Reads tagged fields, handing each to `field`, which returns `Ok(false)` when it does not know the tag. Unknown
/// fields are skipped.
pub(crate) fn read_tags(
    bytes: &mut Bytes,
    mut field: impl FnMut(u32, &mut Bytes) -> Result<bool, SchemaError>,
) -> Result<(), SchemaError> {
    for _ in 0..read_varint(bytes)? {
        let tag = read_varint(bytes)?;
        let len = i64::from(read_varint(bytes)?);
        let mut value = take(bytes, len)?.unwrap_or_default();
        if field(tag, &mut value)? {
            no_more(&value)?;
        }
    }
    Ok(())
}

/// Reads a message from the front of `bytes`, for [`Decodable`](kafka_protocol::protocol::Decodable).
pub(crate) fn decode_front<M: Schema>(bytes: &mut impl ByteBuf, version: i16) -> Result<M, SchemaError> {
    let mut rest = bytes.peek_bytes(0..bytes.remaining());
    let message = M::decode(version, &mut rest)?;
    bytes.advance(bytes.remaining() - rest.len());
    Ok(message)
}

/// Makes a schema a message of `kafka-protocol`'s kind, so that nobody who handles one asks where its schema came from.
macro_rules! message {
    ($message:ty, $header:expr) => {
        impl kafka_protocol::protocol::Message for $message {
            const VERSIONS: kafka_protocol::protocol::VersionRange = kafka_protocol::protocol::VersionRange {
                min: *<Self as Schema>::VERSIONS.start(),
                max: *<Self as Schema>::VERSIONS.end(),
            };
            const DEPRECATED_VERSIONS: Option<kafka_protocol::protocol::VersionRange> = None;
        }

        impl kafka_protocol::protocol::Encodable for $message {
            fn encode<B: kafka_protocol::protocol::buf::ByteBufMut>(
                &self,
                out: &mut B,
                version: i16,
            ) -> anyhow::Result<()> {
                Ok(Schema::encode(self, version, out)?)
            }

            fn compute_size(&self, version: i16) -> anyhow::Result<usize> {
                let mut out = bytes::BytesMut::new();
                Schema::encode(self, version, &mut out)?;
                Ok(out.len())
            }
        }

        impl kafka_protocol::protocol::Decodable for $message {
            fn decode<B: kafka_protocol::protocol::buf::ByteBuf>(
                bytes: &mut B,
                version: i16,
            ) -> anyhow::Result<Self> {
                Ok(crate::internal::codec::decode_front(bytes, version)?)
            }
        }

        impl kafka_protocol::protocol::HeaderVersion for $message {
            fn header_version(version: i16) -> i16 {
                i16::from(version >= <Self as Schema>::FIRST_FLEXIBLE) + $header
            }
        }
    };
}

/// A request, its API key, and the response to it.
macro_rules! request {
    ($request:ty = $key:literal => $response:ty) => {
        crate::internal::codec::message!($request, 1);

        impl kafka_protocol::protocol::Request for $request {
            const KEY: i16 = $key;
            type Response = $response;
        }
    };
}

/// A response.
macro_rules! response {
    ($response:ty) => {
        crate::internal::codec::message!($response, 0);
    };
}

pub(crate) use {message, request, response};
