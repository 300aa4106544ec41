//! Where the two sockets are, and who may connect to them. Touches: fs, net.
//!
//! The kernel lets connect whoever may write to the socket's file: its mode and its group decide, with all
//! groups of the caller, which the peer's credentials do not tell. Where no group is set, the caller's user is
//! asked for besides.

use std::fs::{self, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::Gid;
use tokio::net::UnixListener;

/// Where the system lists its groups (group(5)).
const GROUPS: &str = "/etc/group";

/// Most bytes that are read of it: a thousand groups with a hundred members each.
const MAX_GROUPS: u64 = 1024 * 1024;

/// What a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything.
    Admin,
    /// Only what looks.
    Status,
}

/// A socket: where it is, and who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// What it takes.
    pub kind: Kind,
    /// Its file.
    pub path: PathBuf,
    /// The group of its file; `None` for the daemon's own.
    pub group: Option<GroupName>,
    /// The mode of its file.
    pub mode: u32,
}

/// A group, by its name in `/etc/group` or by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupName {
    /// Its name.
    Named(String),
    /// Its number.
    Numbered(u32),
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listening {
    pub(super) listener: UnixListener,
    pub(super) kind: Kind,
    /// Whether the file alone decides who may connect.
    pub(super) by_file: bool,
}

/// The socket can't be made.
#[derive(Debug, thiserror::Error)]
pub enum BindFault {
    /// The system refuses.
    #[error("cannot {doing} the socket {}{}", path.display(), advice(source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else is there.
    #[error("{} is there and is no socket: remove it, or name another place in [admin]", .0.display())]
    NoSocket(PathBuf),
    /// Another process serves it.
    #[error(
        "another process answers on {}: is it another daemon's? Name another place in [admin]",
        .0.display()
    )]
    InUse(PathBuf),
    /// No such group.
    #[error(
        "there is no group {0:?} in {GROUPS}: make it (groupadd), or write its number, which `getent group` shows"
    )]
    NoGroup(String),
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => {
            ": its folder is not there; systemd makes /run/grantd (RuntimeDirectory=grantd)"
        }
        io::ErrorKind::PermissionDenied => {
            ": the daemon's user must own the folder and be in the group"
        }
        _ => "",
    }
}

impl GroupName {
    /// A group as settings spell it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Named(text.to_owned()), Self::Numbered)
    }

    fn id(&self) -> Result<Gid, BindFault> {
        match self {
            Self::Numbered(number) => Ok(Gid::from_raw(*number)),
            Self::Named(name) => {
                let text = read_groups().unwrap_or_default();
                find(&text, name)
                    .map(Gid::from_raw)
                    .ok_or_else(|| BindFault::NoGroup(name.clone()))
            }
        }
    }
}

fn read_groups() -> io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(GROUPS)?;
    file.take(MAX_GROUPS).read_to_string(&mut text)?;
    Ok(text)
}

/// The number of a group: `name:password:number:members` (group(5)).
fn find(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let named = fields.next() == Some(name);
        fields
            .nth(1)
            .filter(|_| named)
            .and_then(|it| it.parse().ok())
    })
}

/// Makes a socket. One that is left of a daemon before is replaced. It has its mode and group before it can
/// be found, so that nobody gets in between.
///
/// # Errors
/// [`BindFault`]: the path is too long for a socket (103 bytes), something else is there, or the directory
/// can't be written.
pub fn bind(door: &Door) -> Result<Listening, BindFault> {
    let path = &door.path;
    let fault = |doing| {
        move |source: io::Error| BindFault::Io {
            doing,
            path: path.clone(),
            source,
        }
    };
    vacant(path)?;
    let mut made = path.clone().into_os_string();
    made.push(".new");
    let made = PathBuf::from(made);
    match fs::remove_file(&made) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(fault("replace")(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&made).map_err(fault("make"))?;
    if let Some(group) = &door.group {
        let chown = rustix::fs::chown(&made, None, Some(group.id()?));
        chown.map_err(|error| fault("give the group")(error.into()))?;
    }
    let mode = Permissions::from_mode(door.mode);
    fs::set_permissions(&made, mode).map_err(fault("protect"))?;
    fs::rename(&made, path).map_err(fault("make"))?;
    Ok(Listening {
        listener,
        kind: door.kind,
        by_file: door.mode & 0o077 != 0,
    })
}

/// Whether the place is free: nothing there, or a socket that nobody answers on.
fn vacant(path: &Path) -> Result<(), BindFault> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if metadata.is_symlink() {
        // What the daemon leaves where the socket usually is.
        return Ok(());
    }
    if !metadata.file_type().is_socket() {
        return Err(BindFault::NoSocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindFault::InUse(path.to_owned())),
        Err(_) => Ok(()),
    }
}

/// Leaves a link where commands look that know the state directory alone.
///
/// # Errors
/// [`BindFault`] when the state directory can't be written.
pub fn link(usual: &Path, door: &Door) -> Result<(), BindFault> {
    if usual == door.path {
        return Ok(());
    }
    let fault = |source| BindFault::Io {
        doing: "leave a link to",
        path: door.path.clone(),
        source,
    };
    match fs::remove_file(usual) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    symlink(&door.path, usual).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name() {
        let text = "root:x:0:\nstaff:x:50:anna,ben\nstaffing:x:51:\nbroken:x\nodd:x:many:\n";
        for (name, number) in [
            ("root", Some(0)),
            ("staff", Some(50)),
            ("staffing", Some(51)),
            ("broken", None),
            ("odd", None),
            ("none", None),
            ("", None),
        ] {
            assert_eq!(find(text, name), number, "{name}");
        }
        assert_eq!(GroupName::parse("27"), GroupName::Numbered(27));
        assert_eq!(
            GroupName::parse("staff"),
            GroupName::Named("staff".to_owned())
        );
    }
}
