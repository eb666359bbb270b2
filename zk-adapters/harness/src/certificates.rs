use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

use crate::StartError;
use crate::error::Context;

/// The certificates of TLS servers and their clients, as PEM files: all keys are of the curve P-256, all certificates
/// name `localhost` and 127.0.0.1.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: PathBuf,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, as PKCS #8.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes an authority, a certificate of it for servers and one for clients, and the same of another authority
    /// that nobody trusts.
    ///
    /// # Errors
    ///
    /// [`StartError::Io`], if a file can't be written.
    pub fn create(folder: &Path) -> Result<Self, StartError> {
        fs::create_dir_all(folder).context(|| format!("create {}", folder.display()))?;
        let certificates = Self { folder: folder.to_owned() };
        let trusted = authority("the authority of a test");
        certificates.write(AUTHORITY, &trusted.pem())?;
        let (server, key) = signed(&trusted, "a server");
        certificates.write(SERVER, &[key, server].concat())?;
        certificates.write_identity("client", signed(&trusted, "a client"))?;
        let stranger = authority("an authority that nobody trusts");
        certificates.write(STRANGE_AUTHORITY, &stranger.pem())?;
        certificates.write_identity("stranger", signed(&stranger, "a stranger"))?;
        Ok(certificates)
    }

    /// The authority that servers and clients trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.join(AUTHORITY)
    }

    /// An authority that has signed no server.
    pub fn strange_authority(&self) -> PathBuf {
        self.folder.join(STRANGE_AUTHORITY)
    }

    /// What servers trust.
    pub fn client(&self) -> Identity {
        self.identity("client")
    }

    /// What servers don't trust.
    pub fn stranger(&self) -> Identity {
        self.identity("stranger")
    }

    /// The servers' key and certificate, in one file.
    pub(crate) fn server(&self) -> PathBuf {
        self.folder.join(SERVER)
    }

    fn identity(&self, who: &str) -> Identity {
        let file = |extension| self.folder.join(who).with_extension(extension);
        Identity { certificate: file("crt"), key: file("key") }
    }

    fn write_identity(&self, who: &str, (certificate, key): (String, String)) -> Result<(), StartError> {
        self.write(&format!("{who}.crt"), &certificate)?;
        self.write(&format!("{who}.key"), &key)
    }

    fn write(&self, name: &str, content: &str) -> Result<(), StartError> {
        let path = self.folder.join(name);
        fs::write(&path, content).context(|| format!("write {}", path.display()))
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, new_key()).expect("a certificate of these parameters")
}

/// A certificate and its key.
fn signed(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let key = new_key();
    let mut params = params(name);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, authority).expect("a certificate of these parameters");
    (certificate.pem(), key.serialize_pem())
}

fn params(name: &str) -> CertificateParams {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("these names are valid");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the operating system has entropy")
}

const AUTHORITY: &str = "authority.pem";
const STRANGE_AUTHORITY: &str = "strange-authority.pem";
const SERVER: &str = "server.pem";
