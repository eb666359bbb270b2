//! Who may do what: identities and ACLs, as `PrepRequestProcessor.fixupACL` and `ZooKeeperServer.checkACL` have it.

use core::net::{IpAddr, Ipv6Addr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};
use zk_session::zk_proto::{Acl, Bytes, ErrorCode, Id, Perms, Ustring, Vector};

use crate::ensemble::{options::Version, text};

/// The scheme of whoever passes every check.
const SUPER: &str = "super";

/// The identities of a connection: its address, and what it authenticated as, in order.
#[derive(Clone, Debug)]
pub(crate) struct Identities(Vec<Id>);

impl Identities {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self(vec![Id { scheme: "ip".into(), id: address.to_string().into() }])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Id> {
        self.0.iter()
    }

    /// Takes an auth packet.
    pub(crate) fn authenticate(
        &mut self,
        scheme: &str,
        auth: Option<&Bytes>,
        super_digest: Option<&str>,
    ) -> Result<(), ErrorCode> {
        match scheme {
            "digest" => {
                let text = String::from_utf8_lossy(auth.ok_or(ErrorCode::AUTH_FAILED)?);
                let id = digest(&text);
                if super_digest.is_some_and(|expected| id.id.to_str() == expected) {
                    self.add(Id { scheme: SUPER.into(), id: Ustring::from("") });
                }
                self.add(id);
                Ok(())
            }
            "ip" => Ok(()),
            _ => Err(ErrorCode::AUTH_FAILED),
        }
    }

    fn add(&mut self, id: Id) {
        if !self.0.contains(&id) {
            self.0.push(id);
        }
    }

    /// Whether one of these may do it.
    pub(crate) fn may(&self, perms: Perms, acl: &[Acl]) -> bool {
        let is_super = || self.0.iter().any(|id| id.scheme == SUPER);
        acl.is_empty() || acl.iter().any(|entry| self.matches(entry, perms)) || is_super()
    }

    pub(crate) fn check(&self, perms: Perms, acl: &[Acl]) -> Result<(), ErrorCode> {
        if self.may(perms, acl) { Ok(()) } else { Err(ErrorCode::NO_AUTH) }
    }

    fn matches(&self, entry: &Acl, perms: Perms) -> bool {
        if !entry.perms.intersects(perms) {
            return false;
        }
        if is_world(&entry.id) {
            return true;
        }
        let same_scheme = self.0.iter().filter(|id| id.scheme == entry.id.scheme);
        if entry.id.scheme == "ip" {
            return same_scheme
                .into_iter()
                .any(|id| ip_matches(&text::read(&id.id), &text::read(&entry.id.id)));
        }
        same_scheme.into_iter().any(|id| id.id == entry.id.id)
    }

    /// What is stored of an ACL that a request brings: `auth` entries become the connection's identities.
    pub(crate) fn fix(&self, acl: &Vector<Acl>, version: Version) -> Result<Vec<Acl>, ErrorCode> {
        let is_old = version == Version::V3_4;
        if is_old && acl.is_null() {
            return Err(ErrorCode::MARSHALLING_ERROR);
        }
        let mut given: Vec<Acl> = Vec::new();
        for entry in acl.iter().map(|entry| echo(&entry)) {
            if !is_among(&entry, &given)? {
                given.push(entry);
            }
        }
        if given.is_empty() {
            return Err(ErrorCode::INVALID_ACL);
        }
        let mut stored = Vec::new();
        for entry in given {
            if is_old {
                not_null(&entry.id.scheme)?;
            }
            if entry.id.scheme == "auth" {
                stored.extend(self.expand(entry.perms)?);
            } else if is_valid(&entry.id, version)? {
                stored.push(entry);
            } else {
                return Err(ErrorCode::INVALID_ACL);
            }
        }
        Ok(stored)
    }

    fn expand(&self, perms: Perms) -> Result<Vec<Acl>, ErrorCode> {
        let authenticated = self.0.iter().filter(|id| id.scheme == "digest");
        let acl: Vec<_> = authenticated.map(|id| Acl::new(perms, id.clone())).collect();
        if acl.is_empty() { Err(ErrorCode::INVALID_ACL) } else { Ok(acl) }
    }
}

/// The hash is for those only who could change the ACL.
pub(crate) fn mask(acl: &[Acl]) -> Vec<Acl> {
    let masked = acl.iter().map(|entry| {
        let mut entry = entry.clone();
        if entry.id.scheme == "digest"
            && let Some((user, _)) = entry.id.id.to_str().split_once(':')
        {
            entry.id.id = text::write(&format!("{user}:x"));
        }
        entry
    });
    masked.collect()
}

/// The name that whoAmI gives to an identity.
pub(crate) fn user_name(id: &Id) -> String {
    let text = text::read(&id.id);
    if id.scheme == "digest" {
        return text.split(':').next().unwrap_or_default().to_owned();
    }
    if id.scheme == SUPER { String::new() } else { text.into_owned() }
}

fn is_world(id: &Id) -> bool {
    id.scheme == "world" && id.id == "anyone"
}

/// What is left of an entry that a server has read and written.
pub(crate) fn echo(entry: &Acl) -> Acl {
    let id = Id { scheme: text::echo(&entry.id.scheme), id: text::echo(&entry.id.id) };
    Acl::new(entry.perms, id)
}

/// `DigestAuthenticationProvider.generateDigest`: the user is what precedes the first colon, the hash is of the whole.
fn digest(text: &str) -> Id {
    let user = text.split(':').next().unwrap_or_default();
    let hash = STANDARD.encode(Sha1::digest(text));
    Id { scheme: "digest".into(), id: text::write(&format!("{user}:{hash}")) }
}

/// Java compares perms, scheme and id, in this order, and fails where it comes to compare a null.
fn is_among(entry: &Acl, given: &[Acl]) -> Result<bool, ErrorCode> {
    for other in given.iter().filter(|other| other.perms == entry.perms) {
        not_null(&entry.id.scheme)?;
        if other.id.scheme == entry.id.scheme {
            not_null(&entry.id.id)?;
            if other.id.id == entry.id.id {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn is_valid(id: &Id, version: Version) -> Result<bool, ErrorCode> {
    if !["world", "digest", "ip"].iter().any(|scheme| id.scheme == *scheme) {
        return Ok(false);
    }
    not_null(&id.id)?;
    let text = text::read(&id.id);
    Ok(if id.scheme == "digest" {
        // As Java splits: what is empty at the end doesn't count.
        text.trim_end_matches(':').split(':').count() == 2
    } else {
        is_world(id) || (id.scheme == "ip" && Net::parse(&text, version).is_some())
    })
}

/// A null where there must be none fails the request, as what it is: not foreseen.
pub(crate) fn not_null(text: &Ustring) -> Result<(), ErrorCode> {
    if text.is_null() { Err(ErrorCode::MARSHALLING_ERROR) } else { Ok(()) }
}

fn ip_matches(address: &str, net: &str) -> bool {
    let (Some(address), Some(net)) = (Net::parse(address, Version::V3_9), Net::parse(net, Version::V3_9))
    else {
        return false;
    };
    let bit = |bytes: &[u8], at: usize| bytes[at / 8] << (at % 8) & 0x80;
    address.bytes.len() == net.bytes.len()
        && (0..net.bits).all(|at| bit(&address.bytes, at) == bit(&net.bytes, at))
}

/// An address, and how many of its bits count: `a.b.c.d`, `a.b.c.d/bits`, and the like of IPv6 from 3.9.4 on.
struct Net {
    bytes: Vec<u8>,
    bits: usize,
}

impl Net {
    fn parse(text: &str, version: Version) -> Option<Self> {
        if text.contains('/') && version == Version::V3_4 {
            return None;
        }
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let bytes = if address.contains(':') && version >= Version::V3_9 {
            address.parse::<Ipv6Addr>().ok().filter(|_| !address.contains('.'))?.octets().to_vec()
        } else {
            let bytes: Option<Vec<u8>> =
                address.split('.').map(|part| u8::try_from(part.parse::<i32>().ok()?).ok()).collect();
            bytes.filter(|bytes| bytes.len() == 4)?
        };
        let most = bytes.len() * 8;
        let bits = bits.map_or(Some(most), |bits| usize::try_from(bits.parse::<i32>().ok()?).ok())?;
        (bits <= most).then_some(Self { bytes, bits })
    }
}
