use std::fmt;

use zk_proto::{Bytes, Value};

/// What a message says, as a tree in wire order: values with bytes of their own, and what explains them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// There is none: no record, no body.
    Null,
    /// The name of the record that follows; it isn't on the wire.
    Name(&'static str),
    /// A value on the wire.
    Wire(Value),
    /// The bytes that follow the record.
    Rest(Bytes),
    /// Something with named parts.
    Object(Vec<(&'static str, Self)>),
    /// Something with many parts.
    List(Vec<Self>),
}

/// Prints JSON: buffers in hexadecimal, null for the length -1.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Name(name) => write!(f, "{}", Text(name)),
            Self::Wire(value) => write!(f, "{}", Json(value)),
            Self::Rest(bytes) => write!(f, "\"{}\"", Hex(bytes)),
            Self::Object(parts) => object(f, parts.iter().map(|(name, part)| (name, part))),
            Self::List(parts) => list(f, parts),
        }
    }
}

/// A value as JSON.
struct Json<'a>(&'a Value);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Int(number) => write!(f, "{number}"),
            Value::Long(number) => write!(f, "{number}"),
            Value::Boolean(truth) => write!(f, "{truth}"),
            Value::Buffer(Some(bytes)) => write!(f, "\"{}\"", Hex(bytes)),
            Value::Ustring(text) if !text.is_null() => write!(f, "{}", Text(&text.to_str())),
            Value::Vector(Some(elements)) => list(f, elements.iter().map(Json)),
            Value::Buffer(None) | Value::Ustring(_) | Value::Vector(None) => f.write_str("null"),
            Value::Record(fields) => object(f, fields.iter().map(|(name, value)| (name, Json(value)))),
        }
    }
}

/// Text as a JSON string.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// Bytes in hexadecimal, as short as it gets.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn object<'a, T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    parts: impl Iterator<Item = (&'a &'static str, T)>,
) -> fmt::Result {
    f.write_str("{")?;
    for (index, (name, part)) in parts.enumerate() {
        write!(f, "{}\"{name}\":{part}", if index == 0 { "" } else { "," })?;
    }
    f.write_str("}")
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, parts: impl IntoIterator<Item = T>) -> fmt::Result {
    f.write_str("[")?;
    for (index, part) in parts.into_iter().enumerate() {
        write!(f, "{}{part}", if index == 0 { "" } else { "," })?;
    }
    f.write_str("]")
}
