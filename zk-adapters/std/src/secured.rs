use core::{fmt, time::Duration};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustls::ClientConnection;
use zk_client::{Tls, TlsError};
use zk_proto::ServerAddr;

use crate::link::is_pause;

/// A TCP connection with TLS on it. Its lock is held while bytes are turned, and never while they move.
pub(crate) struct Secured {
    stream: TcpStream,
    connection: Mutex<ClientConnection>,
    /// What was read and isn't deciphered yet.
    inbox: Mutex<Inbox>,
    outbox: Mutex<Outbox>,
}

#[derive(Default)]
struct Outbox {
    /// What is enciphered and hasn't left yet.
    bytes: Vec<u8>,
    /// Why nothing more can leave.
    broken: Option<io::Error>,
}

struct Inbox {
    bytes: Box<[u8]>,
    begin: usize,
    end: usize,
}

impl Secured {
    /// Does the handshake, in the time that is given for each of its messages.
    pub(crate) fn handshake(
        tls: &Tls,
        server: &ServerAddr,
        mut stream: TcpStream,
        limit: Duration,
    ) -> Result<Self, TlsError> {
        let (config, name) = tls.load(server)?;
        let mut connection = ClientConnection::new(config, name).map_err(TlsError::Refused)?;
        stream.set_read_timeout(Some(limit)).map_err(TlsError::Io)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(TlsError::of_handshake)?;
        }
        stream.set_read_timeout(None).map_err(TlsError::Io)?;
        let inbox = Inbox { bytes: vec![0; RECORD].into(), begin: 0, end: 0 };
        Ok(Self {
            stream,
            connection: Mutex::new(connection),
            inbox: Mutex::new(inbox),
            outbox: Mutex::default(),
        })
    }

    /// Writes what the socket takes. Each record is enciphered once the one before has left, and counts as taken then:
    /// some of it may have left where the rest can't, which the next call tells.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Outbox { bytes: outbox, broken } = &mut *lock(&self.outbox);
        if let Some(error) = broken.take() {
            return Err(error);
        }
        self.flush(outbox)?;
        let mut taken = 0;
        for record in bytes.chunks(RECORD) {
            let outcome = self.encipher(record, outbox).and_then(|()| self.flush(outbox));
            taken += record.len();
            if let Err(error) = outcome {
                *broken = Some(error).filter(|error| !is_pause(error.kind()));
                break;
            }
        }
        Ok(taken)
    }

    fn encipher(&self, record: &[u8], outbox: &mut Vec<u8>) -> io::Result<()> {
        let mut connection = lock(&self.connection);
        connection.writer().write_all(record)?;
        while connection.wants_write() {
            connection.write_tls(outbox)?;
        }
        Ok(())
    }

    fn flush(&self, outbox: &mut Vec<u8>) -> io::Result<()> {
        while !outbox.is_empty() {
            match (&self.stream).write(outbox)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => drop(outbox.drain(..sent)),
            }
        }
        Ok(())
    }

    pub(crate) fn has_rest(&self) -> bool {
        let outbox = lock(&self.outbox);
        !outbox.bytes.is_empty() || outbox.broken.is_some()
    }

    /// Reads until something is deciphered; if it may wait for the socket only once, until that has brought something.
    pub(crate) fn read(&self, buffer: &mut [u8], waits_once: bool) -> io::Result<usize> {
        let mut inbox = lock(&self.inbox);
        let mut has_waited = false;
        loop {
            let received = self.decipher(&mut inbox, buffer)?;
            if received > 0 {
                return Ok(received);
            }
            if core::mem::replace(&mut has_waited, true) && waits_once {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            (inbox.begin, inbox.end) = (0, 0);
            inbox.end = (&self.stream).read(&mut inbox.bytes)?;
            if inbox.end == 0 {
                return Ok(0);
            }
        }
    }

    /// Deciphers as much of the inbox as the buffer has room for.
    fn decipher(&self, inbox: &mut Inbox, buffer: &mut [u8]) -> io::Result<usize> {
        let mut connection = lock(&self.connection);
        let mut received = 0;
        loop {
            match connection.reader().read(&mut buffer[received..]) {
                Ok(0) => return Ok(received),
                Ok(count) => received += count,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if inbox.begin == inbox.end => return Ok(received),
                Err(_) => {
                    let mut rest = &inbox.bytes[inbox.begin..inbox.end];
                    inbox.begin += connection.read_tls(&mut rest)?;
                    match connection.process_new_packets() {
                        Ok(_) => {}
                        // It is told again, or the end of the stream is, once what came before it is taken.
                        Err(_) if received > 0 => return Ok(received),
                        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                    }
                }
            }
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("stream", &self.stream).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most that a record holds.
const RECORD: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener, sync::mpsc, thread, time::Instant};

    use rustls::{
        ServerConfig, ServerConnection, StreamOwned,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    };
    use zk_harness::Certificates;

    use super::*;

    /// A client's end, in a folder of its own, and what the server's end does.
    fn connected<T: Send + 'static>(
        name: &str,
        serve: impl FnOnce(ServerConnection, TcpStream) -> T + Send + 'static,
    ) -> (Secured, thread::JoinHandle<T>) {
        let folder = std::env::temp_dir().join(format!("zk-std-{name}-{}", std::process::id()));
        let certificates = Certificates::create(&folder).expect("certificates");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let config = server_config(&certificates);
        let server = thread::spawn(move || {
            let connection = ServerConnection::new(config.into()).expect("a connection");
            serve(connection, listener.accept().expect("a client").0)
        });
        let stream = TcpStream::connect(address).expect("a connection");
        let tls = Tls::new(certificates.authority());
        let name = ServerAddr { host: "localhost".into(), port: address.port() };
        let secured = Secured::handshake(&tls, &name, stream, Duration::from_secs(20)).expect("a handshake");
        fs::remove_dir_all(folder).expect("it is there");
        (secured, server)
    }

    /// It sends nothing of its own accord.
    fn server_config(certificates: &Certificates) -> ServerConfig {
        let identity = certificates.client();
        let chain = CertificateDer::pem_file_iter(&identity.certificate).expect("a file");
        let chain = chain.collect::<Result<_, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(&identity.key).expect("a key");
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a pair");
        config.send_tls13_tickets = 0;
        config
    }

    /// INV-03: of what a server can have heard, nobody says that it was never sent.
    #[test]
    fn what_has_left_is_taken_though_the_rest_can_not_leave() {
        let (secured, server) = connected("taken", |connection, socket| {
            // It reads so much and then is gone.
            let mut stream = StreamOwned::new(connection, socket);
            let mut heard = 0;
            while heard < 5 * RECORD {
                heard += stream.read(&mut [0; RECORD]).expect("bytes");
            }
            heard
        });
        let bytes = vec![7; 64 << 20];
        let mut taken = 0;
        while let Ok(count) = secured.write(&bytes[taken..]) {
            taken += count;
        }
        let heard = server.join().expect("it has read enough");
        assert!(taken >= heard && taken < bytes.len(), "{taken} are taken, {heard} were heard");
    }

    #[test]
    fn a_limited_read_waits_once_for_a_record_that_comes_in_parts() {
        let (ask, asked) = mpsc::channel();
        let (secured, server) = connected("parts", move |mut connection, mut socket| {
            while connection.is_handshaking() {
                connection.complete_io(&mut socket).expect("a handshake");
            }
            connection.writer().write_all(&[7; 1000]).expect("room for it");
            let mut record = Vec::new();
            connection.write_tls(&mut record).expect("room for it");
            let (part, rest) = record.split_at(500);
            socket.write_all(part).expect("a client");
            asked.recv().expect("it is asked for");
            socket.write_all(rest).expect("a client");
        });
        let limit = Duration::from_secs(5);
        secured.socket().set_read_timeout(Some(limit)).expect("a socket");
        let begun = Instant::now();
        let mut buffer = [0; RECORD];
        let pause = secured.read(&mut buffer, true).expect_err("a record that is begun");
        assert!(is_pause(pause.kind()) && begun.elapsed() < limit, "{pause} after {:?}", begun.elapsed());
        ask.send(()).expect("a server");
        assert_eq!(secured.read(&mut buffer, false).expect("the record"), 1000);
        server.join().expect("it has said all");
    }
}
