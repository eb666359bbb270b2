use alloc::string::{String, ToString};

/// A path that clients must not send: which one, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?}: {kind}")]
pub struct PathError {
    /// The path.
    pub path: String,
    /// What is wrong with it.
    pub kind: PathErrorKind,
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathErrorKind {
    /// It has no characters.
    #[error("is empty")]
    Empty,
    /// It doesn't begin with a slash.
    #[error("does not begin with /")]
    NotAbsolute,
    /// It ends with a slash and isn't the root.
    #[error("ends with /")]
    TrailingSlash,
    /// Two slashes follow each other.
    #[error("empty name at byte {at}")]
    EmptyName {
        /// Where the name should be, in bytes.
        at: usize,
    },
    /// A name is `.` or `..`.
    #[error("relative name {name:?} at byte {at}")]
    RelativeName {
        /// The name.
        name: &'static str,
        /// Where it begins, in bytes.
        at: usize,
    },
    /// A character that no path may have.
    #[error("character {char:?} at byte {at} is not allowed")]
    Character {
        /// The character.
        char: char,
        /// Where it is, in bytes.
        at: usize,
    },
}

/// Checks a znode's path by the rules of ZooKeeper's `PathUtils.validatePath`.
///
/// Trees of 3.4 can have a few paths that break the character rule; a server doesn't mind when such are read or deleted.
///
/// # Errors
/// If the path breaks a rule.
pub fn validate_path(path: &str) -> Result<(), PathError> {
    check(path).map_err(|kind| PathError { path: path.to_string(), kind })
}

/// Checks a path for a create: a sequential one gets its number appended, so it may end with a slash,
/// `.` or `..`.
///
/// # Errors
/// If the path breaks a rule.
pub fn validate_create_path(path: &str, sequential: bool) -> Result<(), PathError> {
    if !sequential {
        return validate_path(path);
    }
    let mut numbered = String::with_capacity(path.len() + 1);
    numbered.push_str(path);
    numbered.push('1');
    check(&numbered).map_err(|kind| {
        let kind = if path.is_empty() { PathErrorKind::Empty } else { kind };
        PathError { path: path.to_string(), kind }
    })
}

fn check(path: &str) -> Result<(), PathErrorKind> {
    if is_ordinary(path) {
        return Ok(());
    }
    if path.is_empty() {
        return Err(PathErrorKind::Empty);
    }
    let Some(names) = path.strip_prefix('/') else { return Err(PathErrorKind::NotAbsolute) };
    if names.is_empty() {
        return Ok(());
    }
    if names.ends_with('/') {
        return Err(PathErrorKind::TrailingSlash);
    }
    let mut at = 1;
    for name in names.split('/') {
        match name {
            "" => return Err(PathErrorKind::EmptyName { at }),
            "." => return Err(PathErrorKind::RelativeName { name: ".", at }),
            ".." => return Err(PathErrorKind::RelativeName { name: "..", at }),
            _ => {}
        }
        if let Some((offset, char)) = name.char_indices().find(|(_, char)| is_refused(*char)) {
            return Err(PathErrorKind::Character { char, at: at + offset });
        }
        at += name.len() + 1;
    }
    Ok(())
}

/// Whether the path is plainly right, as nearly all are: printable ASCII, and no name empty or with a dot in front.
fn is_ordinary(path: &str) -> bool {
    let mut before = 0;
    for &byte in path.as_bytes() {
        if !matches!(byte, b' '..=b'~') || (before == b'/' && matches!(byte, b'/' | b'.')) {
            return false;
        }
        before = byte;
    }
    path.starts_with('/') && before != b'/'
}

/// Java checks UTF-16 code units and refuses surrogates, so nothing above U+FFFF is left.
fn is_refused(char: char) -> bool {
    matches!(char, '\0'..='\x1F' | '\x7F'..='\u{9F}' | '\u{E000}'..='\u{F8FF}' | '\u{FFF0}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_and_odd_names_are_allowed() {
        for path in [
            "/",
            "/a",
            "/a/b",
            "/...",
            "/.x",
            "/x.",
            "/a b,c:d",
            "/é",
            "/\u{A0}",
            "/\u{D7FF}",
            "/\u{F900}",
            "/\u{FFEF}",
        ] {
            assert_eq!(validate_path(path), Ok(()), "{path:?}");
        }
    }

    #[test]
    fn each_rule_refuses_what_breaks_it() {
        let cases = [
            ("", "path \"\": is empty"),
            ("a", "path \"a\": does not begin with /"),
            ("/a/", "path \"/a/\": ends with /"),
            ("/a//b", "path \"/a//b\": empty name at byte 3"),
            ("/a/../b", "path \"/a/../b\": relative name \"..\" at byte 3"),
            ("/.", "path \"/.\": relative name \".\" at byte 1"),
            ("/a\0", "path \"/a\\0\": character '\\0' at byte 2 is not allowed"),
        ];
        for (path, message) in cases {
            assert_eq!(validate_path(path).expect_err(path).to_string(), message);
        }
        for char in [
            '\u{1}',
            '\u{1F}',
            '\u{7F}',
            '\u{9F}',
            '\u{E000}',
            '\u{F8FF}',
            '\u{FFF0}',
            '\u{FFFF}',
            '\u{10000}',
        ] {
            let kind = PathErrorKind::Character { char, at: 2 };
            let path = alloc::format!("/a{char}b");
            assert_eq!(validate_path(&path), Err(PathError { path, kind }));
        }
    }

    #[test]
    fn a_sequential_create_is_checked_with_its_number() {
        for path in ["/q/", "/q/.", "/q/..", "/"] {
            assert_eq!(validate_create_path(path, true), Ok(()), "{path}");
        }
        assert!(validate_create_path("/q/", false).is_err());
        assert!(validate_create_path("", true).is_err());
        assert!(validate_create_path("q", true).is_err());
    }
}
