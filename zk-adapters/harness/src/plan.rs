use core::fmt::Write;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Context;
use crate::options::Topology;
use crate::server::Server;
use crate::{Certificates, ClientCertificates, Distribution, Options, ReservedPort, StartError};

/// What is to be started: everything but the folder.
pub(crate) struct Plan<'a> {
    options: &'a Options,
    distribution: &'a Distribution,
    topology: Topology,
    certificates: Option<Certificates>,
    ports: Vec<Ports>,
}

struct Ports {
    client: ReservedPort,
    secure: Option<ReservedPort>,
    quorum: ReservedPort,
    election: ReservedPort,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        options: &'a Options,
        distribution: &'a Distribution,
        topology: Topology,
        folder: &Path,
    ) -> Result<Self, StartError> {
        let count = match topology {
            Topology::Standalone => 1,
            Topology::Quorum { servers } => servers,
        };
        let is_secure = options.tls.is_some();
        let ports = (0..count).map(|_| Ports::take(is_secure)).collect::<Result<_, _>>()?;
        let certificates =
            options.tls.map(|_| Certificates::create(&folder.join(CERTIFICATES))).transpose()?;
        Ok(Self { options, distribution, topology, certificates, ports })
    }

    pub(crate) fn certificates(&self) -> Option<Certificates> {
        self.certificates.clone()
    }

    /// Writes each server's folder.
    pub(crate) fn write(self, folder: &Path) -> Result<Vec<Server>, StartError> {
        let configs: Vec<_> = (0..self.ports.len()).map(|server| self.config(server, folder)).collect();
        let ensemble_ports = self.ports.into_iter();
        let mut servers = Vec::new();
        for ((number, config), ports) in configs.into_iter().enumerate().zip(ensemble_ports) {
            let folder = server_folder(folder, number);
            let data = folder.join("data");
            fs::create_dir_all(&data).context(|| format!("create {}", data.display()))?;
            write(&data.join("myid"), &(number + 1).to_string())?;
            write(&folder.join(CONFIG), &config)?;
            write(&folder.join(LOG4J), LOG4J_PROPERTIES)?;
            let command = command(self.options, self.distribution, &folder);
            servers.push(Server::new(number, folder, ports.client, ports.secure, command));
        }
        Ok(servers)
    }

    fn config(&self, server: usize, folder: &Path) -> String {
        let data = server_folder(folder, server).join("data");
        let tick_time = self.options.tick_time;
        let min_session_timeout = self.options.min_session_timeout.unwrap_or(tick_time * 2);
        let mut config = format!(
            "dataDir={}\ntickTime={}\nminSessionTimeout={}\nmaxSessionTimeout={}\n\
             initLimit=20\nsyncLimit=10\nmaxClientCnxns=0\n",
            data.display(),
            tick_time.as_millis(),
            min_session_timeout.as_millis(),
            self.options.max_session_timeout.as_millis(),
        );
        let mut line = |text: &str| writeln!(config, "{text}").expect("a string can be written to");
        let is_dynamic = self.distribution.has_dynamic_configuration();
        if is_dynamic {
            line("reconfigEnabled=true");
        }
        match self.topology {
            Topology::Quorum { .. } if is_dynamic => line("standaloneEnabled=false"),
            Topology::Quorum { .. } | Topology::Standalone => {
                line("clientPortAddress=127.0.0.1");
                line(&format!("clientPort={}", self.ports[server].client.number()));
            }
        }
        if let Topology::Quorum { .. } = self.topology {
            for (server, ports) in self.ports.iter().enumerate() {
                line(&ports.server_line(server, is_dynamic));
            }
        }
        self.tls_lines(server).iter().for_each(|text| line(text));
        for extra in &self.options.config_lines {
            line(extra);
        }
        config
    }

    fn tls_lines(&self, server: usize) -> Vec<String> {
        let (Some(certificates), Some(port)) = (&self.certificates, &self.ports[server].secure) else {
            return Vec::new();
        };
        let clients = match self.options.tls {
            Some(ClientCertificates::Needed) => "need",
            Some(ClientCertificates::Ignored) | None => "none",
        };
        vec![
            "secureClientPortAddress=127.0.0.1".to_owned(),
            format!("secureClientPort={}", port.number()),
            format!("ssl.clientAuth={clients}"),
            format!("ssl.keyStore.location={}", certificates.server().display()),
            "ssl.keyStore.type=PEM".to_owned(),
            format!("ssl.trustStore.location={}", certificates.authority().display()),
            "ssl.trustStore.type=PEM".to_owned(),
        ]
    }
}

impl Ports {
    fn take(is_secure: bool) -> Result<Self, StartError> {
        let take = ReservedPort::take;
        let secure = is_secure.then(take).transpose()?;
        Ok(Self { secure, client: take()?, quorum: take()?, election: take()? })
    }

    fn server_line(&self, server: usize, is_dynamic: bool) -> String {
        let (quorum, election) = (self.quorum.number(), self.election.number());
        let mut line = format!("server.{}=127.0.0.1:{quorum}:{election}", server + 1);
        if is_dynamic {
            line += &format!(":participant;{}", self.client.address());
        }
        line
    }
}

fn server_folder(folder: &Path, server: usize) -> PathBuf {
    folder.join(format!("server.{}", server + 1))
}

fn write(path: &Path, content: &str) -> Result<(), StartError> {
    fs::write(path, content).context(|| format!("write {}", path.display()))
}

fn command(options: &Options, distribution: &Distribution, folder: &Path) -> Vec<OsString> {
    let mut command = vec![distribution.java().into()];
    command.extend(JVM_FLAGS.map(OsString::from));
    command.push(format!("-Dlog4j.configuration=file:{}", folder.join(LOG4J).display()).into());
    if options.tls.is_some() {
        command.push(NETTY.into());
    }
    command.extend(options.jvm_flags.iter().map(OsString::from));
    command.extend(["-cp".into(), distribution.class_path().into(), MAIN_CLASS.into()]);
    command.push(folder.join(CONFIG).into());
    command
}

const MAIN_CLASS: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
/// Only Netty's server speaks TLS.
const NETTY: &str = "-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory";
const CERTIFICATES: &str = "certificates";
const CONFIG: &str = "zoo.cfg";
const LOG4J: &str = "log4j.properties";

const JVM_FLAGS: [&str; 16] = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    // Its file would be left behind by a killed server.
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
    "-Dzookeeper.admin.enableServer=false",
    "-Dzookeeper.4lw.commands.whitelist=*",
    "-Dzookeeper.forceSync=no",
    "-Dzookeeper.extendedTypesEnabled=true",
    "-Dznode.container.checkIntervalMs=1000",
    "-Dzookeeper.jmx.log4j.disable=true",
    // super:super-secret, as DigestAuthenticationProvider.generateDigest makes it.
    "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:2KCAOlea08rlrYvOZvQwvrr82Jc=",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showShortLogName=true",
    "-Dorg.apache.logging.log4j.level=INFO",
];

/// For old releases, which log nothing unless told where to.
const LOG4J_PROPERTIES: &str = "\
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ABSOLUTE} %-5p [%t] %c{1} %m%n
";
