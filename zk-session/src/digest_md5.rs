//! The SASL mechanism DIGEST-MD5 (RFC 2831) as ZooKeeper's servers speak it: qop=auth, no subsequent
//! authentication, the server's own digest verified.

use alloc::{borrow::ToOwned as _, boxed::Box, format, string::String, vec::Vec};
use core::fmt::Write as _;

use bytes::Bytes;
use md5::{Digest as _, Md5};

use crate::{SaslError, SaslExchange, SaslMechanism, SaslStep};

/// A user and password for DIGEST-MD5.
#[derive(Clone)]
pub struct DigestMd5 {
    username: String,
    password: String,
    nonce_key: Vec<u8>,
}

impl DigestMd5 {
    /// Authenticates as `username`.
    ///
    /// The client's nonces are derived from `nonce_key` and the server's nonce, for a session has no source
    /// of entropy of its own: give each session a random key of 16 bytes or more.
    pub fn new(username: &str, password: &str, nonce_key: &[u8]) -> Self {
        Self { username: username.to_owned(), password: password.to_owned(), nonce_key: nonce_key.to_vec() }
    }

    /// The response to a challenge, and what the server must answer.
    fn answer(&self, challenge: &Challenge, cnonce: &str) -> (String, String) {
        let Challenge { realm, nonce, .. } = challenge;
        let mut secret = latin1_or_utf8(&self.username);
        secret.push(b':');
        secret.extend(latin1_or_utf8(realm));
        secret.push(b':');
        secret.extend(latin1_or_utf8(&self.password));
        let mut a1 = Md5::digest(&secret).to_vec();
        a1.extend(format!(":{nonce}:{cnonce}").into_bytes());
        let a1 = hex(&Md5::digest(&a1));
        let digest = |method: &str| {
            let a2 = hex(&Md5::digest(format!("{method}:{DIGEST_URI}")));
            hex(&Md5::digest(format!("{a1}:{nonce}:{NONCE_COUNT}:{cnonce}:auth:{a2}")))
        };
        let charset = if challenge.is_utf8 { "charset=utf-8," } else { "" };
        let (username, realm) = (quoted(&self.username), quoted(realm));
        let response = format!(
            "{charset}username={username},realm={realm},nonce={},nc={NONCE_COUNT},cnonce=\"{cnonce}\",\
             digest-uri=\"{DIGEST_URI}\",maxbuf=65536,response={},qop=auth",
            quoted(nonce),
            digest("AUTHENTICATE"),
        );
        (response, format!("rspauth={}", digest("")))
    }
}

impl SaslMechanism for DigestMd5 {
    fn begin(&self) -> Box<dyn SaslExchange> {
        Box::new(Exchange { client: self.clone(), expected: None })
    }
}

#[derive(Clone)]
struct Exchange {
    client: DigestMd5,
    /// What the server must say to prove that it knows the password.
    expected: Option<String>,
}

impl SaslExchange for Exchange {
    fn initial_response(&mut self) -> Result<Bytes, SaslError> {
        Ok(Bytes::new())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, SaslError> {
        if let Some(expected) = &self.expected {
            let is_proof = challenge == expected.as_bytes();
            return if is_proof { Ok(SaslStep::Complete) } else { Err(WRONG_PROOF) };
        }
        let challenge = Challenge::parse(challenge)?;
        let mut seed = self.client.nonce_key.clone();
        seed.extend_from_slice(challenge.nonce.as_bytes());
        let (response, expected) = self.client.answer(&challenge, &hex(&Md5::digest(&seed)));
        self.expected = Some(expected);
        Ok(SaslStep::Respond(response.into()))
    }

    fn clone_box(&self) -> Box<dyn SaslExchange> {
        Box::new(self.clone())
    }
}

/// What a server's first token says.
#[derive(Default)]
struct Challenge {
    realm: String,
    nonce: String,
    is_utf8: bool,
}

impl Challenge {
    fn parse(token: &[u8]) -> Result<Self, SaslError> {
        let mut text = core::str::from_utf8(token).map_err(|_| MALFORMED)?;
        let mut challenge = Self::default();
        let mut has_qop_auth = true;
        let mut has_algorithm = false;
        while !text.is_empty() {
            let (name, rest) = text.split_once('=').ok_or(MALFORMED)?;
            let (value, rest) = directive_value(rest)?;
            match name.trim() {
                "realm" if challenge.realm.is_empty() => challenge.realm = value,
                "nonce" => challenge.nonce = value,
                "charset" => challenge.is_utf8 = value.eq_ignore_ascii_case("utf-8"),
                "qop" => has_qop_auth = value.split(',').any(|qop| qop.trim() == "auth"),
                "algorithm" => has_algorithm = value == "md5-sess",
                _ => {}
            }
            text = rest.trim_start_matches([',', ' ']);
        }
        if challenge.nonce.is_empty() || !has_qop_auth || !has_algorithm {
            return Err(UNACCEPTABLE);
        }
        Ok(challenge)
    }
}

/// A directive's value, quoted or not, and what follows it.
fn directive_value(text: &str) -> Result<(String, &str), SaslError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Ok((value.trim().to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(chars.next().ok_or(MALFORMED)?.1),
            other => value.push(other),
        }
    }
    Err(MALFORMED)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// RFC 2831 has names hashed in ISO 8859-1 where that can hold them, and so has Java.
fn latin1_or_utf8(text: &str) -> Vec<u8> {
    let latin1 = text.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect::<Option<Vec<_>>>();
    latin1.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Service and host by which ZooKeeper's servers go.
const DIGEST_URI: &str = "zookeeper/zk-sasl-md5";
const NONCE_COUNT: &str = "00000001";
const MALFORMED: SaslError = SaslError { what: "the server's challenge is malformed" };
const UNACCEPTABLE: SaslError =
    SaslError { what: "the server's challenge lacks a nonce, qop auth or md5-sess" };
const WRONG_PROOF: SaslError =
    SaslError { what: "the server's proof is wrong: it doesn't know the password" };

#[cfg(test)]
mod tests {
    use super::*;

    /// Captured between kazoo 2.11.0 and ZooKeeper 3.8.0, user `bob`.
    #[test]
    fn the_digests_are_those_of_a_real_exchange() {
        let challenge = Challenge::parse(
            b"realm=\"zk-sasl-md5\",nonce=\"1aLjnZhDMEyDoDEdJksfSI7zUSS9taOzCUyaIHod\",charset=utf-8,\
              algorithm=md5-sess",
        )
        .unwrap();
        let client = DigestMd5::new("bob", "bob-secret", b"key");
        let (response, proof) = client.answer(&challenge, "33508411251130565");
        assert!(response.contains("response=353baf9e8772328781d9233c6bfe3f06"), "{response}");
        assert_eq!(proof, "rspauth=f8bf269dbc556798650fe303cc98ea3a");
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_refused() {
        let mut exchange = DigestMd5::new("bob", "bob-secret", b"key").begin();
        assert!(exchange.initial_response().unwrap().is_empty());
        let challenge = b"realm=\"r\",nonce=\"n\",charset=utf-8,algorithm=md5-sess";
        assert!(matches!(exchange.respond(challenge), Ok(SaslStep::Respond(_))));
        let proof = b"rspauth=00000000000000000000000000000000";
        assert!(matches!(exchange.respond(proof), Err(error) if error == WRONG_PROOF));
    }

    #[test]
    fn challenges_that_cannot_be_answered_are_refused() {
        for challenge in [
            "",
            "nonce=\"a",
            "realm=\"r\",algorithm=md5-sess",
            "nonce=\"n\",qop=\"auth-conf\",algorithm=md5-sess",
        ] {
            assert!(Challenge::parse(challenge.as_bytes()).is_err(), "{challenge}");
        }
        let quoted =
            Challenge::parse(br#"realm="a\"b,c",nonce="n",qop="auth-int,auth",algorithm=md5-sess"#).unwrap();
        assert_eq!(quoted.realm, "a\"b,c");
    }

    #[test]
    fn of_several_realms_the_first_counts() {
        let several = br#"realm="first",realm="second",nonce="n",algorithm=md5-sess"#;
        assert_eq!(Challenge::parse(several).unwrap().realm, "first");
    }
}
