use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};
use zk_proto::ServerAddr;

/// How servers are spoken to by TLS, 1.2 or 1.3: whom to trust, and who one is oneself.
///
/// The files are in PEM, and are read anew at each connection: certificates can be replaced while a session lives. A
/// server must have a certificate of a trusted authority for its name as the connect string has it, or its address if
/// that has an address.
#[derive(Clone, Debug)]
pub struct Tls {
    authorities: PathBuf,
    identity: Option<(PathBuf, PathBuf)>,
    names: Names,
}

#[derive(Clone, Debug)]
enum Names {
    OfTheServer,
    One(String),
    Any,
}

impl Tls {
    /// Trusts servers whose certificates are of the authorities in this file.
    pub fn new(authorities: impl Into<PathBuf>) -> Self {
        Self { authorities: authorities.into(), identity: None, names: Names::OfTheServer }
    }

    /// Shows this certificate to servers that ask for one (mutual TLS): a file with the certificate, which those of
    /// intermediate authorities may follow, and a file with its key, in PKCS #8, PKCS #1 or SEC1.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Wants this name in the certificate of every server, instead of the server's own.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.names = Names::One(name.into());
        self
    }

    /// Takes any certificate of a trusted authority, whatever its name. Then whoever has one can pose as any server.
    #[must_use]
    pub fn any_server_name(mut self) -> Self {
        self.names = Names::Any;
        self
    }

    /// Reads the files, for one connection to this server.
    ///
    /// # Errors
    ///
    /// [`TlsError`], if a file can't be read, or doesn't hold what it should.
    pub fn load(&self, server: &ServerAddr) -> Result<(Arc<ClientConfig>, ServerName<'static>), TlsError> {
        let provider = Arc::new(ring::default_provider());
        let roots = self.roots()?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let builder = if let Names::Any = self.names {
            let verifier = AnyName::new(roots, provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        } else {
            builder.with_root_certificates(roots)
        };
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let read =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::in_file(key, error))?;
                builder.with_client_auth_cert(certificates(certificate)?, read).map_err(TlsError::Unusable)?
            }
        };
        Ok((Arc::new(config), self.name_of(server)?))
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authorities)? {
            roots.add(certificate).map_err(TlsError::Unusable)?;
        }
        Ok(roots)
    }

    fn name_of(&self, server: &ServerAddr) -> Result<ServerName<'static>, TlsError> {
        let name = match &self.names {
            Names::OfTheServer | Names::Any => server.host.to_string(),
            Names::One(name) => name.clone(),
        };
        ServerName::try_from(name.clone()).map_err(|_| TlsError::NotAName(name))
    }
}

/// All certificates of a file, of which it has one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::in_file(path, pem::Error::NoItemsFound)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::in_file(path, error)),
    }
}

/// Why a server isn't spoken to by TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read, or holds no certificate or key.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// The certificates or the key can't be used.
    #[error("unusable certificate or key: {0}")]
    Unusable(rustls::Error),
    /// No certificate can be for this name.
    #[error("{0:?} is neither a name nor an address")]
    NotAName(String),
    /// The server isn't trusted, or doesn't trust the client, or they speak no common dialect.
    #[error("TLS: {0}")]
    Refused(rustls::Error),
    /// The server closed the connection in the handshake: so does one that doesn't speak TLS on this port.
    #[error("the server closed the connection in the TLS handshake: does its port speak TLS?")]
    Closed,
    /// The connection failed in the handshake.
    #[error("the connection failed in the TLS handshake: {0}")]
    Io(io::Error),
    /// The attempt's time passed in the handshake.
    #[error("the TLS handshake wasn't done within the attempt's deadline")]
    Stalled,
}

impl TlsError {
    fn in_file(path: &Path, error: pem::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }

    /// What an error of the handshake means.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other errors are the connection's")]
    pub fn of_handshake(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Self::Closed,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Stalled,
            _ => match error.downcast::<rustls::Error>() {
                Ok(error) => Self::Refused(error),
                Err(error) => Self::Io(error),
            },
        }
    }
}

/// Checks a certificate as usual, but for its name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl AnyName {
    fn new(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let unusable = |error: rustls::client::VerifierBuilderError| {
            TlsError::Unusable(rustls::Error::General(error.to_string()))
        };
        Ok(Self(verifier.map_err(unusable)?))
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is looked at last.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
