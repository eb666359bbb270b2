use alloc::vec::Vec;

use bytes::BytesMut;

use crate::op::unknown;
use crate::{
    CheckVersionRequest, Create2Response, CreateRequest, CreateResponse, CreateTtlRequest, DecodeError,
    DeleteRequest, ErrorCode, ErrorResponse, GetChildrenRequest, GetChildrenResponse, GetDataRequest,
    GetDataResponse, Jute, MultiHeader, OpCode, Reader, Record, SetDataRequest, SetDataResponse, Ustring,
    Value,
};

/// Request of multi and of multiRead: operations, each after its [`MultiHeader`], and a header that ends them.
///
/// Decoding heeds a header's operation and whether it is the end; encoding writes the others as clients do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Multi {
    /// The operations in order: writes and checks in a multi, reads in a multiRead.
    pub ops: Vec<Op>,
}

/// Reply to multi and to multiRead: results, each after its [`MultiHeader`], and a header that ends them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct MultiResponse {
    /// The results in the order of the operations.
    pub results: Vec<OpResult>,
}

bodies! {
    /// One operation of a multi or multiRead.
    #[expect(clippy::exhaustive_enums, reason = "a server has to handle each operation")]
    Op {
        records {
            /// Creates a znode; answered with its path.
            Create(CreateRequest),
            /// Creates a znode; answered with its path, and its stat from 3.7.2, 3.8.2 and 3.9.0. Since 3.5.0.
            Create2(CreateRequest),
            /// Creates a container. Since 3.5.1.
            CreateContainer(CreateRequest),
            /// Creates a znode with a time to live. Since 3.5.3.
            CreateTtl(CreateTtlRequest),
            /// Deletes a znode.
            Delete(DeleteRequest),
            /// Replaces a znode's data.
            SetData(SetDataRequest),
            /// Checks a znode's version.
            Check(CheckVersionRequest),
            /// Reads a znode's data; only in a multiRead, and its watch is ignored.
            GetData(GetDataRequest),
            /// Lists a znode's children; only in a multiRead, and its watch is ignored.
            GetChildren(GetChildrenRequest),
        }
        empty {}
    }
}

/// The result of one operation of a multi or multiRead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a client has to handle each result")]
pub enum OpResult {
    /// Of create; older servers answer create2 so too.
    Create(CreateResponse),
    /// Of create2, createContainer and createTTL.
    Create2(Create2Response),
    /// Of delete.
    Delete,
    /// Of setData.
    SetData(SetDataResponse),
    /// Of check.
    Check,
    /// Of getData.
    GetData(GetDataResponse),
    /// Of getChildren.
    GetChildren(GetChildrenResponse),
    /// Why the operation, or the multi around it, failed. In a failed multi: `OK` before the culprit, its
    /// code, then `RUNTIME_INCONSISTENCY`.
    Error(ErrorCode),
}

impl Multi {
    /// The name that stands for the request as a whole; jute has no record for it.
    pub const NAME: &'static str = "Multi";
}

impl MultiResponse {
    /// The name that stands for the reply as a whole; jute has no record for it.
    pub const NAME: &'static str = "MultiResponse";

    /// Why the multi failed: the culprit's code, which is the first that is neither `OK` nor
    /// `RUNTIME_INCONSISTENCY`. `None` if no result is an error, that is if the multi was applied.
    pub fn first_error(&self) -> Option<ErrorCode> {
        let codes = || {
            self.results
                .iter()
                .filter_map(|result| if let OpResult::Error(code) = result { Some(*code) } else { None })
        };
        codes()
            .find(|code| ![ErrorCode::OK, ErrorCode::RUNTIME_INCONSISTENCY].contains(code))
            .or_else(|| codes().find(|code| *code != ErrorCode::OK))
            .or_else(|| codes().next())
    }
}

impl Op {
    /// The operation's number.
    pub fn op_code(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::CREATE,
            Self::Create2(_) => OpCode::CREATE2,
            Self::CreateContainer(_) => OpCode::CREATE_CONTAINER,
            Self::CreateTtl(_) => OpCode::CREATE_TTL,
            Self::Delete(_) => OpCode::DELETE,
            Self::SetData(_) => OpCode::SET_DATA,
            Self::Check(_) => OpCode::CHECK,
            Self::GetData(_) => OpCode::GET_DATA,
            Self::GetChildren(_) => OpCode::GET_CHILDREN,
        }
    }

    /// The path that the operation is about, to be changed.
    pub fn path_mut(&mut self) -> &mut Ustring {
        match self {
            Self::Create(record) | Self::Create2(record) | Self::CreateContainer(record) => &mut record.path,
            Self::CreateTtl(record) => &mut record.path,
            Self::Delete(record) => &mut record.path,
            Self::SetData(record) => &mut record.path,
            Self::Check(record) => &mut record.path,
            Self::GetData(record) => &mut record.path,
            Self::GetChildren(record) => &mut record.path,
        }
    }

    /// The header that precedes the operation.
    pub fn header(&self) -> MultiHeader {
        MultiHeader { op: self.op_code(), done: false, err: UNUSED }
    }

    /// Reads the record that follows a header for this operation.
    ///
    /// # Errors
    /// If the record is malformed, or the operation can't be part of a multi or multiRead.
    pub fn decode(op: OpCode, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::CREATE => Self::Create(Jute::decode(input)?),
            OpCode::CREATE2 => Self::Create2(Jute::decode(input)?),
            OpCode::CREATE_CONTAINER => Self::CreateContainer(Jute::decode(input)?),
            OpCode::CREATE_TTL => Self::CreateTtl(Jute::decode(input)?),
            OpCode::DELETE => Self::Delete(Jute::decode(input)?),
            OpCode::SET_DATA => Self::SetData(Jute::decode(input)?),
            OpCode::CHECK => Self::Check(Jute::decode(input)?),
            OpCode::GET_DATA => Self::GetData(Jute::decode(input)?),
            OpCode::GET_CHILDREN => Self::GetChildren(Jute::decode(input)?),
            _ => return Err(unknown(op, input.position(), MultiHeader::NAME)),
        })
    }

    fn skip(op: OpCode, input: &mut Reader<'_>) -> Result<(), DecodeError> {
        match op {
            OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER => CreateRequest::skip(input),
            OpCode::CREATE_TTL => CreateTtlRequest::skip(input),
            OpCode::DELETE => DeleteRequest::skip(input),
            OpCode::SET_DATA => SetDataRequest::skip(input),
            OpCode::CHECK => CheckVersionRequest::skip(input),
            OpCode::GET_DATA => GetDataRequest::skip(input),
            OpCode::GET_CHILDREN => GetChildrenRequest::skip(input),
            _ => Err(unknown(op, input.position(), MultiHeader::NAME)),
        }
    }
}

impl OpResult {
    /// The header that precedes the result.
    pub fn header(&self) -> MultiHeader {
        let (op, err) = match self {
            Self::Create(_) => (OpCode::CREATE, ErrorCode::OK),
            Self::Create2(_) => (OpCode::CREATE2, ErrorCode::OK),
            Self::Delete => (OpCode::DELETE, ErrorCode::OK),
            Self::SetData(_) => (OpCode::SET_DATA, ErrorCode::OK),
            Self::Check => (OpCode::CHECK, ErrorCode::OK),
            Self::GetData(_) => (OpCode::GET_DATA, ErrorCode::OK),
            Self::GetChildren(_) => (OpCode::GET_CHILDREN, ErrorCode::OK),
            Self::Error(code) => (OpCode::ERROR, *code),
        };
        MultiHeader { op, done: false, err }
    }

    /// The record's name in jute, if there is a record.
    pub fn record_name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Create(_) => CreateResponse::NAME,
            Self::Create2(_) => Create2Response::NAME,
            Self::Delete | Self::Check => return None,
            Self::SetData(_) => SetDataResponse::NAME,
            Self::GetData(_) => GetDataResponse::NAME,
            Self::GetChildren(_) => GetChildrenResponse::NAME,
            Self::Error(_) => ErrorResponse::NAME,
        })
    }

    /// The record as a tree that knows no types, if there is a record.
    pub fn to_value(&self) -> Option<Value> {
        Some(match self {
            Self::Create(record) => record.to_value(),
            Self::Create2(record) => record.to_value(),
            Self::Delete | Self::Check => return None,
            Self::SetData(record) => record.to_value(),
            Self::GetData(record) => record.to_value(),
            Self::GetChildren(record) => record.to_value(),
            Self::Error(err) => ErrorResponse { err: *err }.to_value(),
        })
    }

    /// The length of the record's encoding in bytes, without the header.
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Create(record) => record.encoded_len(),
            Self::Create2(record) => record.encoded_len(),
            Self::Delete | Self::Check => 0,
            Self::SetData(record) => record.encoded_len(),
            Self::GetData(record) => record.encoded_len(),
            Self::GetChildren(record) => record.encoded_len(),
            Self::Error(code) => code.encoded_len(),
        }
    }

    /// Appends the record, without the header.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create(record) => record.encode(out),
            Self::Create2(record) => record.encode(out),
            Self::Delete | Self::Check => {}
            Self::SetData(record) => record.encode(out),
            Self::GetData(record) => record.encode(out),
            Self::GetChildren(record) => record.encode(out),
            Self::Error(code) => code.encode(out),
        }
    }

    /// Reads the record that follows a header of this type. It is the header that tells the type, not the request: older
    /// servers answer create2 as create.
    ///
    /// # Errors
    /// If the record is malformed, or no result has this type.
    pub fn decode(op: OpCode, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::CREATE => Self::Create(Jute::decode(input)?),
            OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
                Self::Create2(Jute::decode(input)?)
            }
            OpCode::DELETE => Self::Delete,
            OpCode::SET_DATA => Self::SetData(Jute::decode(input)?),
            OpCode::CHECK => Self::Check,
            OpCode::GET_DATA => Self::GetData(Jute::decode(input)?),
            OpCode::GET_CHILDREN => Self::GetChildren(Jute::decode(input)?),
            OpCode::ERROR => Self::Error(ErrorResponse::decode(input)?.err),
            _ => return Err(unknown(op, input.position(), MultiHeader::NAME)),
        })
    }

    fn skip(op: OpCode, input: &mut Reader<'_>) -> Result<(), DecodeError> {
        match op {
            OpCode::CREATE => CreateResponse::skip(input),
            OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => Create2Response::skip(input),
            OpCode::DELETE | OpCode::CHECK => Ok(()),
            OpCode::SET_DATA => SetDataResponse::skip(input),
            OpCode::GET_DATA => GetDataResponse::skip(input),
            OpCode::GET_CHILDREN => GetChildrenResponse::skip(input),
            OpCode::ERROR => ErrorResponse::skip(input),
            _ => Err(unknown(op, input.position(), MultiHeader::NAME)),
        }
    }
}

impl Jute for Multi {
    const MIN_LEN: usize = MultiHeader::MIN_LEN;

    fn encode(&self, out: &mut BytesMut) {
        for op in &self.ops {
            op.header().encode(out);
            op.encode(out);
        }
        END.encode(out);
    }

    fn encoded_len(&self) -> usize {
        Self::MIN_LEN + self.ops.iter().map(|op| MultiHeader::MIN_LEN + op.encoded_len()).sum::<usize>()
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        decode_parts(input, Op::skip, Op::decode).map(|ops| Self { ops })
    }

    fn to_value(&self) -> Value {
        parts_value(self.ops.iter().map(|op| (op.header(), op.record_name(), op.to_value())))
    }
}

impl Jute for MultiResponse {
    const MIN_LEN: usize = MultiHeader::MIN_LEN;

    fn encode(&self, out: &mut BytesMut) {
        for result in &self.results {
            result.header().encode(out);
            result.encode(out);
        }
        END.encode(out);
    }

    fn encoded_len(&self) -> usize {
        Self::MIN_LEN
            + self.results.iter().map(|result| MultiHeader::MIN_LEN + result.encoded_len()).sum::<usize>()
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        decode_parts(input, OpResult::skip, OpResult::decode).map(|results| Self { results })
    }

    fn to_value(&self) -> Value {
        parts_value(
            self.results.iter().map(|result| (result.header(), result.record_name(), result.to_value())),
        )
    }
}

/// Walks the parts twice: once to check and count them, so that the second time allocates exactly once.
fn decode_parts<T>(
    input: &mut Reader<'_>,
    skip: fn(OpCode, &mut Reader<'_>) -> Result<(), DecodeError>,
    decode: fn(OpCode, &mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut ahead = input.clone();
    let mut count = 0;
    while let Some(op) = next_part(&mut ahead)? {
        skip(op, &mut ahead)?;
        count += 1;
    }
    let mut parts = Vec::with_capacity(count);
    while let Some(op) = next_part(input)? {
        parts.push(decode(op, input)?);
    }
    Ok(parts)
}

/// Reads a header: the operation of the part that follows, or `None` at the end, which `done` marks.
fn next_part(input: &mut Reader<'_>) -> Result<Option<OpCode>, DecodeError> {
    let header = MultiHeader::decode(input)?;
    Ok((!header.done).then_some(header.op))
}

fn parts_value(parts: impl Iterator<Item = (MultiHeader, Option<&'static str>, Option<Value>)>) -> Value {
    let part = |(header, _name, body): (MultiHeader, Option<&'static str>, Option<Value>)| {
        let mut fields = alloc::vec![("header", header.to_value())];
        fields.extend(body.map(|body| ("body", body)));
        Value::Record(fields)
    };
    Value::Record(alloc::vec![
        ("parts", Value::Vector(Some(parts.map(part).collect()))),
        ("end", END.to_value())
    ])
}

/// What clients write where only a server would have a verdict.
const UNUSED: ErrorCode = ErrorCode(-1);
const END: MultiHeader = MultiHeader { op: OpCode::ERROR, done: true, err: UNUSED };
