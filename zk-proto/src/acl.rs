use alloc::string::{String, ToString};
use core::net::IpAddr;

use crate::{Acl, Id, Perms, Ustring, Vector};

/// Everybody may do everything: `ZooDefs.Ids.OPEN_ACL_UNSAFE`.
pub const OPEN_ACL_UNSAFE: Vector<Acl> =
    Vector::from_static_wire(b"\0\0\0\x01\0\0\0\x1F\0\0\0\x05world\0\0\0\x06anyone");

/// Everybody may read: `ZooDefs.Ids.READ_ACL_UNSAFE`.
pub const READ_ACL_UNSAFE: Vector<Acl> =
    Vector::from_static_wire(b"\0\0\0\x01\0\0\0\x01\0\0\0\x05world\0\0\0\x06anyone");

/// Whoever creates the znode may do everything, by each identity of its connection: `ZooDefs.Ids.CREATOR_ALL_ACL`. A
/// server refuses it on a connection that has no identity besides its address.
pub const CREATOR_ALL_ACL: Vector<Acl> =
    Vector::from_static_wire(b"\0\0\0\x01\0\0\0\x1F\0\0\0\x04auth\0\0\0\0");

/// An identity that no server would accept in an ACL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// A user name of the digest scheme ends at its first colon.
    #[error("digest user {user:?}: has a colon at byte {at}")]
    DigestUser {
        /// The user name.
        user: String,
        /// Where the colon is, in bytes.
        at: usize,
    },
    /// Not an address, or not an address and the count of bits to compare.
    #[error("ip {part} {value:?}: not {expected}")]
    Ip {
        /// Which part is wrong: `address` or `bits`.
        part: &'static str,
        /// The part as written.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The identity is empty.
    #[error("{scheme} id: is empty")]
    Empty {
        /// The scheme.
        scheme: &'static str,
    },
}

impl Acl {
    /// Allows somebody something.
    pub fn new(perms: Perms, id: Id) -> Self {
        Self { perms, id }
    }

    /// Everybody may do everything.
    pub fn open() -> Self {
        Self::new(Perms::ALL, Id::world())
    }

    /// Everybody may read.
    pub fn read_only() -> Self {
        Self::new(Perms::READ, Id::world())
    }

    /// Whoever creates the znode may do everything.
    pub fn creator_all() -> Self {
        Self::new(Perms::ALL, Id::auth())
    }
}

impl Id {
    /// Everybody.
    pub const fn world() -> Self {
        Self { scheme: Ustring::from_static("world"), id: Ustring::from_static("anyone") }
    }

    /// Every identity of the connection that sends it; the server puts them in its place.
    pub const fn auth() -> Self {
        Self { scheme: Ustring::from_static("auth"), id: Ustring::from_static("") }
    }

    /// A user of the digest scheme, by the SHA-1 that servers use unless configured otherwise.
    ///
    /// # Errors
    /// If the user's name has a colon.
    #[cfg(feature = "digest")]
    pub fn digest(user: &str, password: &str) -> Result<Self, IdError> {
        use base64::Engine as _;
        use sha1::Digest as _;

        if let Some(at) = user.find(':') {
            return Err(IdError::DigestUser { user: user.to_string(), at });
        }
        let hash = sha1::Sha1::new().chain_update(user).chain_update(":").chain_update(password).finalize();
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        Ok(Self {
            scheme: Ustring::from_static("digest"),
            id: Ustring::from(alloc::format!("{user}:{hash}")),
        })
    }

    /// Clients at an address, or at all addresses that share its first bits: `10.0.0.1`, `10.0.0.0/8`. Servers before
    /// 3.9.4 know IPv4 only.
    ///
    /// # Errors
    /// If it is no address, or has more bits than the address.
    pub fn ip(address: &str) -> Result<Self, IdError> {
        let (ip, bits) = address.split_once('/').map_or((address, None), |(ip, bits)| (ip, Some(bits)));
        let wrong = |part, value: &str, expected| IdError::Ip { part, value: value.to_string(), expected };
        let parsed: IpAddr = ip.parse().map_err(|_| wrong("address", ip, "an IPv4 or IPv6 address"))?;
        if let Some(bits) = bits {
            let (most, expected) =
                if parsed.is_ipv4() { (32, "within 0 to 32") } else { (128, "within 0 to 128") };
            let within = bits.parse::<u8>().is_ok_and(|count| count <= most) && !bits.starts_with('+');
            if !within {
                return Err(wrong("bits", bits, expected));
            }
        }
        Ok(Self { scheme: Ustring::from_static("ip"), id: Ustring::from(address) })
    }

    /// The owner of a TLS certificate, by its subject as Java prints it (RFC 2253).
    ///
    /// # Errors
    /// If it is empty.
    pub fn x509(subject: &str) -> Result<Self, IdError> {
        Self::named("x509", subject)
    }

    /// Whom a SASL exchange authorised.
    ///
    /// # Errors
    /// If it is empty.
    pub fn sasl(principal: &str) -> Result<Self, IdError> {
        Self::named("sasl", principal)
    }

    fn named(scheme: &'static str, id: &str) -> Result<Self, IdError> {
        if id.is_empty() {
            return Err(IdError::Empty { scheme });
        }
        Ok(Self { scheme: Ustring::from_static(scheme), id: Ustring::from(id) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_what_their_functions_give() {
        assert_eq!(OPEN_ACL_UNSAFE, Vector::from([Acl::open()]));
        assert_eq!(READ_ACL_UNSAFE, Vector::from([Acl::read_only()]));
        assert_eq!(CREATOR_ALL_ACL, Vector::from([Acl::creator_all()]));
        assert_eq!(OPEN_ACL_UNSAFE.to_vec(), [Acl::open()]);
    }

    #[cfg(feature = "digest")]
    #[test]
    fn a_digest_is_what_zookeeper_computes() {
        let id = |user, password| Id::digest(user, password).map(|id| id.id.to_str().into_owned());
        assert_eq!(id("super", "test").as_deref(), Ok("super:D/InIHSb7yEEbrWz8b9l71RjZJU="));
        assert_eq!(id("bob", "secret").as_deref(), Ok("bob:fyVmFCwVbTJYrznoSu1koqYEYF0="));
        assert_eq!(id("a:b", "c"), Err(IdError::DigestUser { user: "a:b".to_string(), at: 1 }));
    }

    #[test]
    fn an_address_has_at_most_its_own_bits() {
        for address in ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::1", "2001:db8::/128"] {
            assert!(Id::ip(address).is_ok(), "{address}");
        }
        assert_eq!(
            Id::ip("10.0.0.0/33").expect_err("33 bits").to_string(),
            "ip bits \"33\": not within 0 to 32"
        );
        assert_eq!(
            Id::ip("10.0.0").expect_err("three bytes").to_string(),
            "ip address \"10.0.0\": not an IPv4 or IPv6 address"
        );
        for address in ["", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "::/129"] {
            assert!(Id::ip(address).is_err(), "{address}");
        }
    }
}
