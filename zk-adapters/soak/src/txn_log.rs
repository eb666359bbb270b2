//! ZooKeeper's transaction logs: the files `log.<zxid>` that `FileTxnLog` writes.
//!
//! A file begins with `ZKLG`, a version and a database id. Then come entries: an Adler-32 sum (8 bytes), a length (4),
//! so many bytes with a `TxnHeader` and its record, and the byte `B`. Zeros follow the last entry; so may the beginning of
//! one, where its server was killed.

use std::{fs, io, path::Path};

use bytes::Bytes;
use zk_session::zk_proto::{DecodeError, OpCode, Reader, SessionId};

use crate::ledger::Moment;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Txn {
    /// Whose request it was.
    pub(crate) session: SessionId,
    pub(crate) cxid: i32,
    pub(crate) zxid: i64,
    /// When the leader prepared it.
    pub(crate) at: Moment,
    pub(crate) body: Body,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    CreateSession,
    CloseSession,
    /// The changes of a request; more than one only of a multi.
    Changes {
        is_multi: bool,
        changes: Vec<Applied>,
    },
    /// A request was refused.
    Error,
    /// Something that no client here asks for.
    Other(i32),
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    Create { path: String, data: Bytes, is_ephemeral: bool },
    Set { path: String, data: Bytes, version: i32 },
    Delete { path: String },
    Check,
}

/// All entries in a server's folder of logs, by zxid. An entry that is there twice is taken once.
pub(crate) fn read_folder(folder: &Path) -> io::Result<Vec<Txn>> {
    let mut txns: Vec<Txn> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log.")) {
            let wrong = |error: LogError| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
            };
            txns.extend(entries(&fs::read(&path)?.into()).map_err(wrong)?);
        }
    }
    txns.sort_by_key(|txn| txn.zxid);
    txns.dedup();
    Ok(txns)
}

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("it doesn't begin as a transaction log")]
    NotALog,
    #[error("the transaction {zxid:#x} can't be decoded: {error}")]
    Undecodable { zxid: i64, error: DecodeError },
}

/// The entries of one file, up to its end marker.
pub(crate) fn entries(file: &Bytes) -> Result<Vec<Txn>, LogError> {
    if file.is_empty() {
        return Ok(Vec::new());
    }
    if !file.starts_with(MAGIC) {
        return Err(LogError::NotALog);
    }
    let mut txns = Vec::new();
    let mut at = HEADER_LEN;
    while let Some((entry, next)) = entry_at(file, at) {
        txns.push(decode(&entry)?);
        at = next;
    }
    Ok(txns)
}

/// The bytes of the entry that begins here, and where the next one does; none at the end, and where the rest wasn't
/// written.
fn entry_at(file: &Bytes, at: usize) -> Option<(Bytes, usize)> {
    let sum = u64::from_be_bytes(*file.get(at..)?.first_chunk()?);
    let len = u32::from_be_bytes(*file.get(at + 8..)?.first_chunk()?) as usize;
    let begin = at + 12;
    let end = begin.checked_add(len)?;
    let bytes = file.get(begin..end)?;
    let is_whole = len > 0 && file.get(end) == Some(&END) && u64::from(adler2::adler32_slice(bytes)) == sum;
    is_whole.then(|| (file.slice(begin..end), end + 1))
}

fn decode(entry: &Bytes) -> Result<Txn, LogError> {
    let mut input = Reader::new(entry);
    let mut zxid = 0;
    let mut read = || {
        let session = SessionId(input.long()?);
        let cxid = input.int()?;
        zxid = input.long()?;
        let at = Moment(input.long()?);
        let op = OpCode(input.int()?);
        Ok(Txn { session, cxid, zxid, at, body: Body::decode(op, &mut input)? })
    };
    let outcome = read();
    outcome.map_err(|error| LogError::Undecodable { zxid, error })
}

impl Body {
    fn decode(op: OpCode, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match op {
            CREATE_SESSION => Self::CreateSession,
            OpCode::CLOSE_SESSION => Self::CloseSession,
            ERROR => Self::Error,
            OpCode::MULTI => return Self::decode_multi(input),
            _ => match Applied::decode(op, input)? {
                Some(change) => Self::Changes { is_multi: false, changes: vec![change] },
                None => Self::Other(op.0),
            },
        })
    }

    /// `MultiTxn`: a vector of numbers and buffers. One that failed has errors only.
    fn decode_multi(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut changes = Vec::new();
        for _ in 0..input.int()? {
            let op = OpCode(input.int()?);
            let record = input.buffer()?.unwrap_or_default();
            if op == ERROR {
                return Ok(Self::Error);
            }
            changes.push(Applied::decode(op, &mut Reader::new(&record))?.unwrap_or(Applied::Check));
        }
        Ok(Self::Changes { is_multi: true, changes })
    }
}

impl Applied {
    /// None of other transactions than those of requests for changes.
    fn decode(op: OpCode, input: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match op {
            OpCode::CREATE | OpCode::CREATE2 => {
                let (path, data) = (text(input)?, input.buffer()?.unwrap_or_default());
                skip_acl(input)?;
                Self::Create { path, data, is_ephemeral: input.boolean()? }
            }
            OpCode::SET_DATA => Self::Set {
                path: text(input)?,
                data: input.buffer()?.unwrap_or_default(),
                version: input.int()?,
            },
            OpCode::DELETE => Self::Delete { path: text(input)? },
            OpCode::CHECK => Self::Check,
            _ => return Ok(None),
        }))
    }
}

fn text(input: &mut Reader<'_>) -> Result<String, DecodeError> {
    Ok(input.ustring()?.to_str().into_owned())
}

fn skip_acl(input: &mut Reader<'_>) -> Result<(), DecodeError> {
    for _ in 0..input.int()? {
        input.int()?;
        input.bytes()?;
        input.bytes()?;
    }
    Ok(())
}

const MAGIC: &[u8] = b"ZKLG";
/// The magic number, the version and the database's id.
const HEADER_LEN: usize = 16;
const END: u8 = b'B';
const CREATE_SESSION: OpCode = OpCode(-10);
const ERROR: OpCode = OpCode(-1);

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use zk_session::zk_proto::{Jute, OPEN_ACL_UNSAFE, Ustring};

    use super::*;

    /// A file with these entries, each a type and its record.
    fn file(entries: &[(OpCode, Bytes)]) -> BytesMut {
        let mut file = BytesMut::from(&b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0"[..]);
        for (number, (op, record)) in (1..).zip(entries) {
            let mut entry = BytesMut::new();
            entry.put_i64(7);
            entry.put_i32(number);
            entry.put_i64(i64::from(number));
            entry.put_i64(1000);
            op.encode(&mut entry);
            entry.put_slice(record);
            file.put_u64(adler2::adler32_slice(&entry).into());
            file.put_u32(u32::try_from(entry.len()).unwrap());
            file.put_slice(&entry);
            file.put_u8(END);
        }
        file
    }

    fn create(path: &str, is_ephemeral: bool) -> Bytes {
        let mut record = BytesMut::new();
        Ustring::from(path).encode(&mut record);
        Some(Bytes::from_static(b"data")).encode(&mut record);
        OPEN_ACL_UNSAFE.encode(&mut record);
        is_ephemeral.encode(&mut record);
        record.put_i32(3);
        record.freeze()
    }

    fn multi(entries: &[(OpCode, Bytes)]) -> Bytes {
        let mut record = BytesMut::new();
        record.put_i32(i32::try_from(entries.len()).unwrap());
        for (op, entry) in entries {
            op.encode(&mut record);
            Some(entry.clone()).encode(&mut record);
        }
        record.freeze()
    }

    fn bodies(file: BytesMut) -> Vec<Body> {
        entries(&file.freeze()).unwrap().into_iter().map(|txn| txn.body).collect()
    }

    fn made(path: &str, is_ephemeral: bool) -> Applied {
        Applied::Create { path: path.to_owned(), data: "data".into(), is_ephemeral }
    }

    #[test]
    fn entries_are_read_up_to_the_zeros_behind_them() {
        let mut file =
            file(&[(OpCode::CREATE2, create("/a", true)), (ERROR, Bytes::from_static(&[0, 0, 0, 1]))]);
        file.put_bytes(0, 1000);
        let txns = entries(&file.freeze()).unwrap();
        let body = Body::Changes { is_multi: false, changes: vec![made("/a", true)] };
        assert_eq!(txns[0], Txn { session: SessionId(7), cxid: 1, zxid: 1, at: Moment(1000), body });
        assert_eq!(txns[1].body, Body::Error);
    }

    #[test]
    fn an_entry_that_is_not_whole_ends_the_log() {
        let whole = file(&[(OpCode::CREATE, create("/a", false)), (OpCode::CREATE, create("/b", false))]);
        for cut in [1, 20, 60] {
            assert_eq!(bodies(whole[..whole.len() - cut].into()).len(), 1, "cut by {cut}");
        }
        let mut wrong = whole.clone();
        *wrong.last_mut().unwrap() = 0;
        assert_eq!(bodies(wrong).len(), 1);
        let mut wrong = whole.clone();
        let place = whole.len() - 10;
        wrong[place] ^= 1;
        assert_eq!(bodies(wrong).len(), 1);
    }

    #[test]
    fn a_multi_has_its_changes_or_an_error() {
        let changes = [(OpCode::CREATE, create("/a", false)), (OpCode::CHECK, Bytes::new())];
        let failed = [(ERROR, Bytes::from_static(&[0; 4])), (ERROR, Bytes::from_static(&[0; 4]))];
        let file = file(&[(OpCode::MULTI, multi(&changes)), (OpCode::MULTI, multi(&failed))]);
        let done = Body::Changes { is_multi: true, changes: vec![made("/a", false), Applied::Check] };
        assert_eq!(bodies(file), [done, Body::Error]);
    }

    #[test]
    fn what_is_no_log_is_told_so() {
        let error = entries(&Bytes::from_static(b"ZKSN and so on")).unwrap_err();
        assert_eq!(error.to_string(), "it doesn't begin as a transaction log");
        let error = entries(&file(&[(OpCode::CREATE, Bytes::new())]).freeze()).unwrap_err();
        assert!(error.to_string().starts_with("the transaction 0x1 can't be decoded"), "{error}");
        assert!(entries(&Bytes::new()).unwrap().is_empty());
    }
}
