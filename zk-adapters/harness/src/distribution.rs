use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::StartError;

/// A ZooKeeper that can be run: its jars, and the Java to run them with.
#[derive(Clone, Debug)]
pub struct Distribution {
    class_path: String,
    version: Option<String>,
    java: PathBuf,
}

impl Distribution {
    /// The one that tests run against: the folder that the environment variable `ZOOKEEPER_HOME` names (see
    /// [`at`](Self::at)), or else Debian's package.
    ///
    /// # Errors
    ///
    /// [`StartError::NoDistribution`] if there is none, or if `ZOOKEEPER_HOME` names something else.
    pub fn find() -> Result<Self, StartError> {
        match env::var_os("ZOOKEEPER_HOME") {
            Some(home) if !home.is_empty() => Self::at(home),
            _ => Self::debian(),
        }
    }

    /// A release as unpacked (`lib/*.jar`, in old releases also `zookeeper-*.jar`), or a flat folder of jars.
    ///
    /// # Errors
    ///
    /// [`StartError::NoDistribution`] if there is no `zookeeper-<version>.jar` in the folder or its `lib`.
    pub fn at(home: impl AsRef<Path>) -> Result<Self, StartError> {
        let home = home.as_ref();
        let lib = home.join("lib");
        let version = version_in(home).or_else(|| version_in(&lib));
        if version.is_none() {
            let looked_at =
                format!("neither {} nor its folder lib holds a zookeeper-<version>.jar", home.display());
            return Err(StartError::NoDistribution { looked_at });
        }
        // The release's folder conf configures its logging.
        let class_path =
            format!("{0}/*:{1}/*:{2}", home.display(), lib.display(), home.join("conf").display());
        Ok(Self { class_path, version, java: java() })
    }

    /// Debian's package `libzookeeper-java`, which `zookeeper` needs.
    ///
    /// # Errors
    ///
    /// [`StartError::NoDistribution`] if it is not installed.
    pub fn debian() -> Result<Self, StartError> {
        let jars = DEBIAN_JARS.map(|name| Path::new(DEBIAN_FOLDER).join(name));
        if let Some(missing) = jars.iter().find(|jar| !jar.exists()) {
            let looked_at = format!("ZOOKEEPER_HOME is not set, and there is no {}", missing.display());
            return Err(StartError::NoDistribution { looked_at });
        }
        // A link beside the jar has the version in its name.
        let version = version_in(Path::new(DEBIAN_FOLDER));
        let class_path = jars.map(|jar| jar.display().to_string()).join(":");
        Ok(Self { class_path, version, java: java() })
    }

    /// The server's version as its jar's name tells it, such as `3.8.0`.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// A program of this ZooKeeper, such as `org.apache.zookeeper.ZooKeeperMain`, its command line client.
    pub fn program(&self, main_class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command.args(["-cp", &self.class_path, main_class]);
        command
    }

    pub(crate) fn class_path(&self) -> &str {
        &self.class_path
    }

    pub(crate) fn java(&self) -> &Path {
        &self.java
    }

    /// Whether servers can be named with their client ports, and can be reconfigured: from 3.5 on.
    pub(crate) fn has_dynamic_configuration(&self) -> bool {
        !self.version().is_some_and(|version| version.starts_with("3.4."))
    }
}

fn java() -> PathBuf {
    match env::var_os("JAVA_HOME") {
        Some(home) if !home.is_empty() => Path::new(&home).join("bin/java"),
        _ => PathBuf::from("java"),
    }
}

fn version_in(folder: &Path) -> Option<String> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| version_of(&entry.path()))
}

/// The version in the name of ZooKeeper's main jar; its other jars have a word where this has a digit.
fn version_of(jar: &Path) -> Option<String> {
    let version = jar.file_name()?.to_str()?.strip_prefix("zookeeper-")?.strip_suffix(".jar")?;
    let is_release = version.starts_with(|c: char| c.is_ascii_digit())
        && version.chars().all(|c| c.is_ascii_digit() || c == '.');
    is_release.then(|| version.to_owned())
}

const DEBIAN_FOLDER: &str = "/usr/share/java";

/// The first names most of what it needs in its manifest, but no log back end, and not all of Netty.
const DEBIAN_JARS: [&str; 4] = ["zookeeper.jar", "netty-codec.jar", "netty-resolver.jar", "slf4j-simple.jar"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_main_jar_tells_the_version() {
        let cases = [
            ("/lib/zookeeper-3.9.2.jar", Some("3.9.2")),
            ("/lib/zookeeper-jute-3.9.2.jar", None),
            ("/lib/zookeeper-3.9.2-tests.jar", None),
            ("/lib/zookeeper.jar", None),
        ];
        for (jar, version) in cases {
            assert_eq!(version_of(Path::new(jar)).as_deref(), version, "{jar}");
        }
    }

    #[test]
    fn a_folder_without_zookeeper_is_refused_with_both_ways_to_get_one() {
        let folder = tempfile::tempdir().unwrap();
        let message = Distribution::at(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
        assert!(message.contains("apt-get install libzookeeper-java"), "{message}");
        assert!(message.contains("ZOOKEEPER_HOME"), "{message}");
    }

    #[test]
    fn a_release_and_a_flat_folder_are_both_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/zookeeper-3.9.2.jar"), "").unwrap();
        let release = Distribution::at(folder.path()).unwrap();
        let flat = Distribution::at(folder.path().join("lib")).unwrap();
        assert_eq!(release.version(), Some("3.9.2"));
        assert_eq!(flat.version(), Some("3.9.2"));
    }
}
