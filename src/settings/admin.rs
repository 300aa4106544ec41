//! The settings of `[admin]`: where the two sockets are, and who may use them. Pure.

use std::path::{Path, PathBuf};

use super::check::Problems;
use super::file;

/// The mode of a socket that is its owner's alone.
const OWNER_ONLY: u32 = 0o600;

/// The mode of a socket that has a group, where no other is set.
const WITH_GROUP: u32 = 0o660;

/// Longest path of a socket in bytes: 108 of `sun_path` (unix(7)), less its end and the ending of the name under
/// which it is made.
const MAX_PATH: usize = 103;

/// Most bytes of a group's name (useradd(8): 32).
const MAX_GROUP: usize = 32;

/// The two sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// The one that takes every request.
    pub admin: SocketSettings,
    /// The one that only looks.
    pub status: SocketSettings,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSettings {
    /// Its file.
    pub path: PathBuf,
    /// The name or the number of its group; `None` for the daemon's own.
    pub group: Option<String>,
    /// The mode of its file.
    pub mode: u32,
}

/// Turns `[admin]` into the settings of the two sockets.
pub(super) fn convert(
    admin: file::Admin,
    (usual, usual_status): (PathBuf, PathBuf),
    problems: &mut Problems<'_>,
) -> AdminSettings {
    let file::Admin {
        socket,
        group,
        mode,
        status_socket,
        status_group,
        status_mode,
    } = admin;
    let socket = socket.map_or(usual, |path| problems.path(&path));
    let status_socket = status_socket.map_or(usual_status, |path| problems.path(&path));
    for (name, path) in [("socket", &socket), ("status_socket", &status_socket)] {
        let length = path.as_os_str().len();
        if length > MAX_PATH {
            problems.add(format!(
                "admin.{name}: the path {} has {length} bytes: a socket's may have {MAX_PATH}; name a shorter one, such as \"/run/grantd/{name}\"",
                path.display()
            ));
        }
    }
    if same(&socket, &status_socket) {
        problems.add(format!(
            "admin.status_socket = {status_socket:?} is admin.socket: the one that only looks needs a place of its own"
        ));
    }
    AdminSettings {
        admin: SocketSettings {
            mode: convert_mode(("mode", mode), group.is_some(), 0o660, problems),
            group: convert_group("group", group, problems),
            path: socket,
        },
        status: SocketSettings {
            mode: convert_mode(
                ("status_mode", status_mode),
                status_group.is_some(),
                0o666,
                problems,
            ),
            group: convert_group("status_group", status_group, problems),
            path: status_socket,
        },
    }
}

fn same(one: &Path, other: &Path) -> bool {
    one.components().eq(other.components())
}

fn convert_group(name: &str, group: Option<String>, problems: &mut Problems<'_>) -> Option<String> {
    let group = group?;
    let fits = (1..=MAX_GROUP).contains(&group.len())
        && group
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':');
    if !fits {
        problems.add(format!(
            "admin.{name} = {group:?}: write the name of a group in /etc/group, or its number in quotes"
        ));
    }
    Some(group)
}

/// A mode: read and write for the owner, at most `most`; a socket is never executed.
fn convert_mode(
    (name, mode): (&str, Option<String>),
    grouped: bool,
    most: u32,
    problems: &mut Problems<'_>,
) -> u32 {
    let default = if grouped { WITH_GROUP } else { OWNER_ONLY };
    let Some(text) = mode else {
        return default;
    };
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode & 0o600 == 0o600 && mode & !most == 0 => mode,
        _ => {
            problems.add(format!(
                "admin.{name} = {text:?}: write \"0600\" (the owner alone){}",
                if most == 0o666 {
                    ", \"0660\" (its group too) or \"0666\" (everybody on this machine)"
                } else {
                    " or \"0660\" (its group too); others never get a socket that changes things"
                }
            ));
            default
        }
    }
}
