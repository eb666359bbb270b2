//! Who may do what: identities and ACLs, as `PrepRequestProcessor.fixupACL` and `ZooKeeperServer.checkACL` have it.

use core::net::IpAddr;

use zk_session::zk_proto::{Acl, Bytes, ErrorCode, Id, Perms, Ustring, Vector};

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
                let text = String::from_utf8_lossy(auth.map(Bytes::as_ref).unwrap_or_default()).into_owned();
                let (user, password) = text.split_once(':').unwrap_or((&text, ""));
                let id = Id::digest(user, password).map_err(|_| ErrorCode::AUTH_FAILED)?;
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
            return same_scheme.into_iter().any(|id| ip_matches(&id.id.to_str(), &entry.id.id.to_str()));
        }
        same_scheme.into_iter().any(|id| id.id == entry.id.id)
    }

    /// What is stored of an ACL that a request brings: `auth` entries become the connection's identities.
    pub(crate) fn fix(&self, acl: &Vector<Acl>) -> Result<Vec<Acl>, ErrorCode> {
        let mut given: Vec<Acl> = Vec::new();
        for entry in acl {
            if !given.contains(&entry) {
                given.push(entry);
            }
        }
        if given.is_empty() {
            return Err(ErrorCode::INVALID_ACL);
        }
        let mut stored = Vec::new();
        for entry in given {
            if entry.id.scheme == "auth" {
                stored.extend(self.expand(entry.perms)?);
            } else if is_valid(&entry.id) {
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
            entry.id.id = format!("{user}:x").into();
        }
        entry
    });
    masked.collect()
}

/// The name that whoAmI gives to an identity.
pub(crate) fn user_name(id: &Id) -> String {
    let text = id.id.to_str();
    if id.scheme == "digest" {
        return text.split(':').next().unwrap_or_default().to_owned();
    }
    if id.scheme == SUPER { String::new() } else { text.into_owned() }
}

fn is_world(id: &Id) -> bool {
    id.scheme == "world" && id.id == "anyone"
}

fn is_valid(id: &Id) -> bool {
    let text = id.id.to_str();
    if is_world(id) {
        return true;
    }
    if id.scheme == "digest" {
        // As Java splits: what is empty at the end doesn't count.
        return text.trim_end_matches(':').split(':').count() == 2;
    }
    id.scheme == "ip" && parse_net(&text).is_some()
}

fn ip_matches(address: &str, net: &str) -> bool {
    let (Ok(IpAddr::V4(address)), Some((net, bits))) = (address.parse(), parse_net(net)) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    (address.to_bits() ^ net) & mask == 0
}

/// `a.b.c.d` or `a.b.c.d/bits`.
fn parse_net(text: &str) -> Option<(u32, u32)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let address: core::net::Ipv4Addr = address.parse().ok()?;
    let bits = bits.parse().ok().filter(|bits| *bits <= 32)?;
    Some((address.to_bits(), bits))
}
