//! What `--from`, `--to` and `--approved-by` say. Pure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::domain::{InvalidName, Owner, visible};

/// What a live daemon's URL begins with.
const LIVE: &str = "live=";

/// Where a registry comes from. The form alone decides, never what happens to lie in the folder: a pull
/// request that brings a folder called `origin/main` must not be taken for the branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A folder: a path that begins with `/`, `./`, `../` or ends in `/`.
    Folder(PathBuf),
    /// A git revision.
    Revision(String),
    /// What a daemon serves, by the URL of its `/readyz`.
    Live(Url),
}

/// A text that names no registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidSource {
    #[error("it is empty: write a git revision, a folder (./DIR) or live=URL")]
    Empty,
    #[error(
        "`live=` needs the URL at which the daemon shows /readyz, such as http://127.0.0.1:9464"
    )]
    Url,
}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        if let Some(url) = text.strip_prefix(LIVE) {
            let url = Url::parse(url).map_err(|_| InvalidSource::Url)?;
            let plain = url.username().is_empty() && url.password().is_none();
            return match url.scheme() {
                "http" | "https" if plain && url.has_host() => Ok(Self::Live(readyz(url))),
                _ => Err(InvalidSource::Url),
            };
        }
        let is_folder = matches!(text, "." | "..")
            || text.ends_with('/')
            || ["/", "./", "../"].iter().any(|it| text.starts_with(it));
        match text {
            "" => Err(InvalidSource::Empty),
            _ if is_folder => Ok(Self::Folder(PathBuf::from(text))),
            _ => Ok(Self::Revision(text.to_owned())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => f.write_str(&visible(&path.display().to_string())),
            Self::Revision(name) => f.write_str(&visible(name)),
            Self::Live(url) => write!(f, "{LIVE}{url}"),
        }
    }
}

/// The URL of `/readyz`, where only that of the listener is given.
fn readyz(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    if !path.ends_with("/readyz") {
        url.set_path(&format!("{path}/readyz"));
    }
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// The owners that have approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApprovedBy(Vec<Owner>);

impl ApprovedBy {
    /// The owners.
    pub(super) fn owners(&self) -> Vec<Owner> {
        self.0.clone()
    }
}

impl FromStr for ApprovedBy {
    type Err = InvalidName;

    /// Names with commas between them; nothing at all is nobody, as a workflow's empty list is.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let names = text.split(',').map(str::trim);
        let names = names.filter(|name| !name.is_empty());
        names.map(Owner::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_form_alone_says_what_is_meant() {
        for folder in [
            "./old",
            "../x",
            "/srv/registry.d",
            "registry.d/",
            ".",
            "..",
            "/",
        ] {
            let parsed: Source = folder.parse().unwrap();
            assert_eq!(parsed, Source::Folder(PathBuf::from(folder)));
        }
        for revision in [
            "HEAD",
            "origin/main",
            "v1.4",
            "HEAD~2",
            "main^{}",
            "registry.d",
        ] {
            let parsed: Source = revision.parse().unwrap();
            assert_eq!(parsed, Source::Revision(revision.to_owned()));
        }
        for (live, url) in [
            ("live=http://127.0.0.1:9464", "http://127.0.0.1:9464/readyz"),
            ("live=https://a.example/x/", "https://a.example/x/readyz"),
            ("live=http://[::1]:1/readyz?x#y", "http://[::1]:1/readyz"),
        ] {
            let parsed: Source = live.parse().unwrap();
            assert_eq!(parsed.to_string(), format!("live={url}"));
        }
        for wrong in [
            "",
            "live=",
            "live=x",
            "live=ftp://a",
            "live=http://u:p@a",
            "live=file:///x",
        ] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn nobody_has_approved_where_nothing_is_said() {
        let of = |text: &str| text.parse::<ApprovedBy>().unwrap().0.len();
        assert_eq!((of(""), of(" , "), of("a"), of("a, b c,")), (0, 0, 1, 2));
        assert!("a\u{7}b".parse::<ApprovedBy>().is_err());
    }
}
