use crate::{Perms, SessionId, Ustring, Zxid};

records! {
    /// Who: an authentication scheme and an identity within it. Part of [`Acl`].
    #[derive(Debug)]
    Id = "Id" {
        /// The scheme: `world`, `auth`, `digest`, `ip`, `x509`, `sasl`.
        scheme: Ustring = "ustring" "scheme",
        /// The identity as the scheme writes it.
        id: Ustring = "ustring" "id",
    }

    /// One entry of an access control list: who may do what.
    #[derive(Debug)]
    Acl = "ACL" {
        /// What is allowed. Servers don't check unknown bits.
        perms: Perms = "int" "perms",
        /// Who is allowed it.
        id: Id = "Id" "id",
    }

    /// One identity of a connection, in the reply to whoAmI. Since 3.7.0.
    #[derive(Debug)]
    ClientInfo = "ClientInfo" {
        /// The scheme by which the connection got it.
        auth_scheme: Ustring = "ustring" "authScheme",
        /// The user's name; empty if the scheme gives none.
        user: Ustring = "ustring" "user",
    }
}

records! {
    fixed:

    /// What a server knows of a znode besides its data and children. 68 bytes on the wire.
    #[derive(Copy, Debug)]
    // In the wire's order: regrouped, the fields are decoded in detours.
    #[repr(C)]
    Stat = "Stat" {
        /// The transaction that created the znode.
        czxid: Zxid = "long" "czxid",
        /// The transaction that last set its data; creation counts.
        mzxid: Zxid = "long" "mzxid",
        /// When it was created, in milliseconds since the Unix epoch by the leader's clock.
        ctime: i64 = "long" "ctime",
        /// When its data were last set, in milliseconds since the Unix epoch by the leader's clock.
        mtime: i64 = "long" "mtime",
        /// How often its data were set; wraps.
        version: i32 = "int" "version",
        /// How often children were created and deleted.
        cversion: i32 = "int" "cversion",
        /// How often its ACL was set.
        aversion: i32 = "int" "aversion",
        /// The session that owns it, or 0 if it isn't ephemeral.
        ephemeral_owner: SessionId = "long" "ephemeralOwner",
        /// The length of its data in bytes; 0 for null.
        data_length: i32 = "int" "dataLength",
        /// The number of its children.
        num_children: i32 = "int" "numChildren",
        /// The transaction that last created or deleted a child; before that, the znode's own creation.
        pzxid: Zxid = "long" "pzxid",
    }
}

impl Stat {
    /// Whether the znode ends with its session.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral_owner != SessionId(0)
    }
}
