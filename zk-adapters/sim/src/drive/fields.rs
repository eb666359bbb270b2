//! JSON objects of which every field must be known.

use core::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};

/// What is wrong with a line, and with which field.
#[derive(Debug)]
pub(super) struct InputError {
    field: String,
    what: String,
}

impl InputError {
    pub(super) fn new(field: &str, what: impl fmt::Display) -> Self {
        Self { field: field.to_owned(), what: what.to_string() }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.what)
    }
}

/// An object, taken apart field by field.
pub(super) struct Fields {
    name: String,
    fields: Map<String, Value>,
}

impl Fields {
    pub(super) fn new(name: &str, value: Value) -> Result<Self, InputError> {
        match value {
            Value::Object(fields) => Ok(Self { name: name.to_owned(), fields }),
            other => Err(InputError::new(name, format!("{other} is not an object"))),
        }
    }

    /// The only field that is left, for objects that hold one of several things.
    pub(super) fn only(mut self) -> Result<(String, Value), InputError> {
        let mut names = self.fields.keys().cloned();
        match (names.next(), names.next()) {
            (Some(name), None) => {
                let value = self.fields.remove(&name).unwrap_or_default();
                Ok((name, value))
            }
            (None, _) => Err(InputError::new(&self.name, "nothing happens in it")),
            (Some(_), Some(second)) => {
                Err(InputError::new(&second, "more than one thing happens in this line"))
            }
        }
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), InputError> {
        match self.fields.keys().next() {
            Some(unknown) => Err(InputError::new(unknown, "unknown field")),
            None => Ok(()),
        }
    }

    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str, Value) -> Result<T, InputError>,
    ) -> Result<Option<T>, InputError> {
        self.fields.remove(name).map(|value| read(name, value)).transpose()
    }

    pub(super) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str, Value) -> Result<T, InputError>,
    ) -> Result<T, InputError> {
        self.optional(name, read)?.ok_or_else(|| InputError::new(name, format!("missing in {}", self.name)))
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Self, InputError> {
        self.required(name, Self::new)
    }

    pub(super) fn number<N: TryFrom<i128>>(&mut self, name: &str) -> Result<N, InputError> {
        self.required(name, number)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, InputError> {
        self.required(name, text)
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, InputError> {
        Ok(self.optional(name, boolean)?.unwrap_or_default())
    }
}

pub(super) fn text(name: &str, value: Value) -> Result<String, InputError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(InputError::new(name, format!("{other} is not a string"))),
    }
}

pub(super) fn boolean(name: &str, value: Value) -> Result<bool, InputError> {
    value.as_bool().ok_or_else(|| InputError::new(name, format!("{value} is neither true nor false")))
}

pub(super) fn number<N: TryFrom<i128>>(name: &str, value: Value) -> Result<N, InputError> {
    let number = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
    let number = number.ok_or_else(|| InputError::new(name, format!("{value} is not a whole number")))?;
    N::try_from(number).map_err(|_| InputError::new(name, format!("{number} is out of range")))
}

pub(super) fn objects(name: &str, value: Value) -> Result<Vec<Fields>, InputError> {
    match value {
        Value::Array(values) => values.into_iter().map(|value| Fields::new(name, value)).collect(),
        other => Err(InputError::new(name, format!("{other} is not a list"))),
    }
}

/// A 64-bit number in hex, such as `"0x1000a3f0000"`.
pub(super) fn id(name: &str, value: Value) -> Result<i64, InputError> {
    let text = text(name, value)?;
    // A sign is a digit to the standard library.
    let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+')).unwrap_or_default();
    u64::from_str_radix(digits, 16)
        .map(u64::cast_signed)
        .map_err(|_| InputError::new(name, format!("{text:?} is not a hex number like \"0x1f\"")))
}

pub(super) fn hex(name: &str, value: Value) -> Result<Bytes, InputError> {
    let text = text(name, value)?;
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, &digit| byte << 4 | digit as u8))
            .collect()),
        _ => Err(InputError::new(name, "not an even number of hex digits")),
    }
}

pub(super) fn hex_or_null(name: &str, value: Value) -> Result<Option<Bytes>, InputError> {
    if value.is_null() { Ok(None) } else { hex(name, value).map(Some) }
}
