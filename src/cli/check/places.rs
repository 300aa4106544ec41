//! What a file of the registry is called from the root of its repository. Touches: fs.

use std::path::{Path, PathBuf};

/// Turns paths below the registry into paths below the repository, as code hosts name files.
pub(super) struct Places {
    prefix: String,
}

impl Places {
    /// Those of this folder: below the work tree of git that it lies in, or as the folder was named.
    pub(super) fn of(folder: &Path) -> Self {
        let prefix = below_work_tree(folder).unwrap_or_else(|| folder.to_owned());
        let mut prefix = prefix.display().to_string();
        if prefix == "." {
            prefix.clear();
        }
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        Self { prefix }
    }

    /// The path of a file of the registry; of the registry itself for `.`.
    pub(super) fn path(&self, file: &str) -> String {
        match file {
            "." => match self.prefix.trim_end_matches('/') {
                "" => ".".to_owned(),
                folder => folder.to_owned(),
            },
            file => format!("{}{file}", self.prefix),
        }
    }
}

/// The folder below the nearest `.git`, which is a folder, or a file in a linked work tree.
fn below_work_tree(folder: &Path) -> Option<PathBuf> {
    let folder = std::fs::canonicalize(folder).ok()?;
    let root = folder.ancestors().find(|at| at.join(".git").exists())?;
    folder.strip_prefix(root).ok().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_the_root_of_the_work_tree() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let folder = root.path().join("deploy/registry.d");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(root.path().join(".git"), "gitdir: elsewhere")?;
        let places = Places::of(&folder);
        assert_eq!(places.path("team/a.toml"), "deploy/registry.d/team/a.toml");
        assert_eq!(places.path("."), "deploy/registry.d");
        let places = Places::of(root.path());
        assert_eq!(places.path("a.toml"), "a.toml");
        assert_eq!(places.path("."), ".");
        Ok(())
    }

    #[test]
    fn outside_of_a_work_tree_the_folder_is_what_it_was_named() {
        let gone = Places::of(Path::new("no/such/folder/"));
        assert_eq!(gone.path("a.toml"), "no/such/folder/a.toml");
    }
}
