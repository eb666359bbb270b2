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
    if is_ordinary_path(path.as_bytes()) {
        return Ok(());
    }
    check_names(path)
}

fn check_names(path: &str) -> Result<(), PathErrorKind> {
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

/// Whether a path is plainly right, as nearly all are: absolute, printable ASCII, and no name empty or with a dot in
/// front. Such a path breaks no rule; [`validate_path`] tells of any other.
pub fn is_ordinary_path(path: &[u8]) -> bool {
    let Some(last) = path.last_chunk() else { return is_ordinary_short_path(path) };
    let mut rest = path;
    while let Some(window) = rest.first_chunk::<{ PLACES + 1 }>()
        && let (Some(bytes), Some(next)) = (window.first_chunk(), window.last_chunk())
    {
        if ordinary_places(u64::from_le_bytes(*bytes), u64::from_le_bytes(*next)) != HIGH_BITS {
            return false;
        }
        rest = rest.get(PLACES..).unwrap_or_default();
    }
    path.first() == Some(&b'/') && are_ordinary_last(last)
}

fn is_ordinary_short_path(path: &[u8]) -> bool {
    let mut padded = [b'_'; PLACES];
    padded.iter_mut().rev().zip(path.iter().rev()).for_each(|(place, byte)| *place = *byte);
    path == b"/" || path.first() == Some(&b'/') && are_ordinary_last(&padded)
}

/// Looks at the last eight bytes, as if a slash came behind them: no name that it ends may be empty.
#[inline]
fn are_ordinary_last(bytes: &[u8; PLACES]) -> bool {
    let bytes = u64::from_le_bytes(*bytes);
    ordinary_places(bytes, bytes >> 8 | u64::from(b'/') << 56) == HIGH_BITS
}

/// Looks at eight bytes at once, each with the one behind it: the high bit of each that is printable ASCII, and no slash
/// with a slash or a dot behind it. If one isn't ASCII its own bit is missing, and the others mean nothing.
#[inline]
fn ordinary_places(bytes: u64, next: u64) -> u64 {
    // Dot and slash differ in the lowest bit.
    let ends_name = (bytes ^ each(b'/')) | ((next | each(1)) ^ each(b'/'));
    let are_printable = bytes.wrapping_add(each(0x80 - b' ')) & !bytes.wrapping_add(each(1));
    are_printable & ends_name.wrapping_add(each(0x7F)) & !bytes & HIGH_BITS
}

const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; PLACES])
}

/// As many bytes are looked at at once.
const PLACES: usize = size_of::<u64>();
const HIGH_BITS: u64 = each(0x80);

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
    fn ordinary_is_said_only_of_what_keeps_to_the_rules() {
        let right = "/services/search/instance-0000000001.x/a:b,~ !";
        for len in (1..=right.len()).filter(|&len| !right[1..len].ends_with('/')) {
            assert!(is_ordinary_path(&right.as_bytes()[..len]), "{:?}", &right[..len]);
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut bytes = right.as_bytes()[..len].to_vec();
                    bytes[at] = byte;
                    let slowly = core::str::from_utf8(&bytes).is_ok_and(|path| check_names(path).is_ok());
                    let is_plain = bytes.is_ascii() && !bytes.windows(2).any(|pair| pair == b"/.");
                    assert_eq!(is_ordinary_path(&bytes), slowly && is_plain, "{bytes:?}");
                }
            }
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
