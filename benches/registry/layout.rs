//! The registry that is measured: 100,000 clients of 500 teams, in as many files as is asked for.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use grantd::domain::ClientId;

use super::support::registry::secret;

/// Clients of the registry.
pub const CLIENTS: usize = 100_000;

/// Teams: each has a folder and a resource.
pub const TEAMS: usize = 500;

/// How many files the clients are spread over.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Files with clients.
    pub files: usize,
    /// What a table calls it.
    pub name: &'static str,
}

/// Those that are measured.
pub const LAYOUTS: [Layout; 2] = [
    Layout {
        files: 1_000,
        name: "1,000 files",
    },
    Layout {
        files: 100_000,
        name: "100,000 files",
    },
];

impl Layout {
    /// Writes the registry below a folder.
    pub fn write(self, folder: &Path) {
        for team in 0..TEAMS {
            let path = folder.join(team_folder(team));
            fs::create_dir_all(&path).expect("a folder");
            fs::write(path.join("api.toml"), resource(team)).expect("written");
        }
        for file in 0..self.files {
            fs::write(folder.join(self.path(file)), self.text(file, 0)).expect("written");
        }
    }

    /// Writes one file anew, so that its first client has another name: a change that is real, and no
    /// longer than what was there.
    pub fn change(self, folder: &Path, file: usize, edition: usize) {
        let path = folder.join(self.path(file));
        // As an editor and git do: a new file is renamed over the old one.
        let next = path.with_extension("next");
        fs::write(&next, self.text(file, edition)).expect("written");
        fs::rename(&next, &path).expect("renamed");
    }

    /// Where a file stands.
    pub fn path(self, file: usize) -> PathBuf {
        let team = file % TEAMS;
        Path::new(&team_folder(team)).join(format!("clients-{file:06}.toml"))
    }

    fn text(self, file: usize, edition: usize) -> String {
        let each = CLIENTS / self.files;
        let mut text = String::new();
        for at in 0..each {
            let edition = if at == 0 { edition } else { 0 };
            push_client(&mut text, file * each + at, file % TEAMS, edition);
        }
        text
    }
}

/// The id of a client.
pub fn client(number: usize) -> String {
    format!("nightly-job-{number:06}")
}

fn team_folder(team: usize) -> String {
    format!("team-{team:03}")
}

fn resource(team: usize) -> String {
    format!(
        "[resource.api-{team:03}]\nidentifier = \"https://api-{team:03}.example.com\"\n\
         name = \"API of team {team}\"\nowner = \"team-{team:03}\"\ntoken_lifetime = \"15m\"\n\n\
         [resource.api-{team:03}.scopes]\n\"invoice:read\" = \"Read invoices\"\n\
         \"invoice:write\" = \"Create and amend invoices\"\n\"report:read\" = \"Read reports\"\n"
    )
}

/// A client as a team would write it: two grants, a secret in use and, for every fourth, its successor.
fn push_client(text: &mut String, number: usize, team: usize, edition: usize) {
    let name = client(number);
    let other = (team + 1 + number % 7) % TEAMS;
    write!(
        text,
        "[client.{name}]\nname = \"Nightly job {number:06}, edition {edition:06}\"\n\
         owner = \"team-{team:03}\"\nexpires = 2031-0{}-{:02}\n\n\
         [client.{name}.grants]\napi-{team:03} = [\"invoice:read\", \"invoice:write\"]\n\
         api-{other:03} = [\"report:read\"]\n\n",
        1 + number % 9,
        1 + number % 28,
    )
    .expect("written");
    for nth in 0..=usize::from(number.is_multiple_of(4)) {
        let id = ClientId::parse(&name).expect("a name");
        let hash = secret(&format!("{name}/{nth}")).verifier(&id);
        write!(
            text,
            "[[client.{name}.secret]]\nlabel = \"host {nth}\"\nhash = \"{hash}\"\n\
             created = 2026-0{}-{:02}\nexpires = 2030-0{}-{:02}\n\n",
            1 + nth,
            1 + number % 28,
            1 + number % 9,
            1 + number % 28,
        )
        .expect("written");
    }
}
