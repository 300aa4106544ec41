//! The sources as a house: every file that `lib.rs` and `main.rs` reach by `mod`, parsed by `syn`,
//! with every path that it uses, resolved to where the thing really stands.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::walk::{Facts, walk};

/// Most re-exports that a path is followed through; real chains have two or three.
const MAX_HOPS: usize = 16;

/// One source file.
pub struct Source {
    /// Its path from the root of the repository: `src/mint/jws.rs`.
    pub file: String,
    /// Its module without `crate`: `["mint", "jws"]`; `["main"]` for the binary.
    pub module: Vec<String>,
    /// Its text.
    pub text: String,
    /// What the walk found in it, tests left out.
    pub facts: Facts,
    /// Every path that it uses, each resolved.
    pub used: Vec<Used>,
}

/// A path that a file uses.
pub struct Used {
    /// Where it leads.
    pub target: Target,
    /// The line in the file.
    pub line: usize,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// To a module of the crate, the one that defines the thing: `mint::jws`; empty for `lib.rs`. Then
    /// the name of the thing, `*` for all of them, nothing for the module itself.
    Inside(String, Option<String>),
    /// Out of the crate: `["std", "fs", "read"]`. A glob ends in `*`.
    Outside(Vec<String>),
}

/// All sources, with what each module defines and re-exports.
pub struct House {
    /// The files, in the order in which `mod` reaches them; files of tests are left out.
    pub sources: Vec<Source>,
    /// Files below `src` that no `mod` reaches, and other faults of the tree itself.
    pub faults: Vec<String>,
    modules: BTreeMap<String, Module>,
}

#[derive(Default)]
struct Module {
    defined: BTreeSet<String>,
    exports: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

impl House {
    /// The house below this folder, which has `src`.
    pub fn read(root: &Path) -> Self {
        let mut texts = BTreeMap::new();
        read_folder(&root.join("src"), "src", &mut texts);
        Self::build(&texts)
    }

    /// A house of these files, for the tests of the rules themselves. A file `src/lib.rs` with a
    /// `mod` line for each folder and file is added when there is none.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let mut texts: BTreeMap<String, String> = files
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect();
        let missing: Vec<_> = texts.keys().flat_map(|file| parents(file)).collect();
        for (parent, child) in missing {
            let text = texts
                .entry(parent)
                .or_insert_with(|| "//! Pure.\n".to_owned());
            if !text.contains(&format!("mod {child};")) {
                text.push_str(&format!("pub mod {child};\n"));
            }
        }
        Self::build(&texts)
    }

    fn build(texts: &BTreeMap<String, String>) -> Self {
        let mut house = Self {
            sources: Vec::new(),
            faults: Vec::new(),
            modules: BTreeMap::new(),
        };
        let mut reached = BTreeSet::new();
        for (root, module) in [
            ("src/lib.rs", &[][..]),
            ("src/main.rs", &["main".to_owned()][..]),
        ] {
            if texts.contains_key(root) {
                house.enter(texts, root, module, &mut reached);
            }
        }
        for file in texts.keys().filter(|file| !reached.contains(*file)) {
            house.faults.push(format!("{file}: no `mod` leads to it"));
        }
        let used: Vec<_> = house
            .sources
            .iter()
            .map(|source| house.used_by(source))
            .collect();
        for (source, used) in house.sources.iter_mut().zip(used) {
            source.used = used;
        }
        house
    }

    fn enter(
        &mut self,
        texts: &BTreeMap<String, String>,
        file: &str,
        module: &[String],
        reached: &mut BTreeSet<String>,
    ) {
        reached.insert(file.to_owned());
        let text = &texts[file];
        let ast = match syn::parse_file(text) {
            Ok(ast) => ast,
            Err(error) => {
                self.faults.push(format!("{file}: does not parse: {error}"));
                return;
            }
        };
        let facts = walk(&ast, module);
        let folder = folder_of(file);
        for child in &facts.children {
            let candidates = [
                format!("{folder}/{child}.rs"),
                format!("{folder}/{child}/mod.rs"),
            ];
            let path = module_path(module, child);
            match candidates
                .iter()
                .find(|candidate| texts.contains_key(*candidate))
            {
                Some(found) => self.enter(texts, found, &path, reached),
                None => self.faults.push(format!("{file}: mod {child} has no file")),
            }
        }
        for child in &facts.test_children {
            for candidate in [
                format!("{folder}/{child}.rs"),
                format!("{folder}/{child}/mod.rs"),
            ] {
                mark_tests(texts, &candidate, reached);
            }
        }
        for import in &facts.imports {
            let entry = self.modules.entry(import.module.join("::")).or_default();
            if import.is_glob {
                entry.globs.push(import.path.clone());
            } else {
                entry
                    .exports
                    .insert(import.name.clone(), import.path.clone());
            }
        }
        for (module, name) in &facts.defined {
            let entry = self.modules.entry(module.join("::")).or_default();
            entry.defined.insert(name.clone());
        }
        self.modules.entry(module.join("::")).or_default();
        self.sources.push(Source {
            file: file.to_owned(),
            module: module.to_vec(),
            text: text.clone(),
            facts,
            used: Vec::new(),
        });
    }

    fn used_by(&self, source: &Source) -> Vec<Used> {
        let imports = source.facts.imports.iter().map(|import| {
            let mut path = import.path.clone();
            if import.is_glob {
                path.push("*".to_owned());
            }
            (path, import.module.clone(), import.line)
        });
        let inline = source
            .facts
            .paths
            .iter()
            .map(|path| (path.path.clone(), path.module.clone(), path.line));
        imports
            .chain(inline)
            .filter_map(|(path, module, line)| {
                let target = self.resolve(&path, &module)?;
                Some(Used { target, line })
            })
            .collect()
    }

    /// Where a path, as it is written in `module`, leads. `None` for a local name, a prelude type
    /// and the like.
    fn resolve(&self, path: &[String], module: &[String]) -> Option<Target> {
        let mut path = self.absolute(path, module, 0)?;
        for _ in 0..MAX_HOPS {
            if path[0] != "crate" {
                return Some(Target::Outside(path));
            }
            match self.step(&path[1..]) {
                Step::Here(module, item) => return Some(Target::Inside(module, item)),
                Step::Elsewhere(next) => path = next,
            }
        }
        None
    }

    /// The path from `crate` or from the name of another crate.
    fn absolute(&self, path: &[String], module: &[String], hops: usize) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let within = |base: &[String]| {
            let mut whole = vec!["crate".to_owned()];
            whole.extend(base.iter().cloned());
            whole.extend(rest.iter().cloned());
            whole
        };
        match first.as_str() {
            "crate" | "grantd" => return Some(within(&[])),
            "self" => return Some(within(module)),
            "super" => {
                let parent = &module[..module.len().saturating_sub(1)];
                if rest.first().is_some_and(|next| next == "super") {
                    return self.absolute(rest, parent, hops);
                }
                return Some(within(parent));
            }
            "" => return Some(rest.to_vec()),
            _ => {}
        }
        if let Some(known) = self.modules.get(&module.join("::")) {
            if let Some(export) = known.exports.get(first)
                && hops < MAX_HOPS
                && export != path
            {
                let mut whole = export.clone();
                whole.extend(rest.iter().cloned());
                return self.absolute(&whole, module, hops + 1);
            }
            if self
                .modules
                .contains_key(&module_path(module, first).join("::"))
            {
                return Some(within(&module_path(module, first)));
            }
            // A name that came by a glob; the glob's own path is not looked up that way again.
            if hops < MAX_HOPS {
                let found = |glob: &Vec<String>| self.through(glob, module, first, rest);
                if let Some(whole) = known.globs.iter().find_map(found) {
                    return Some(whole);
                }
            }
        }
        let is_crate = first.starts_with(|c: char| c.is_lowercase()) && !rest.is_empty();
        is_crate.then(|| path.to_vec())
    }

    /// Follows `crate::…` as far as modules go, then one re-export.
    fn step(&self, path: &[String]) -> Step {
        let mut module: Vec<String> = Vec::new();
        for (at, segment) in path.iter().enumerate() {
            let deeper = module_path(&module, segment);
            if self.modules.contains_key(&deeper.join("::")) {
                module = deeper;
                continue;
            }
            let name = module.join("::");
            let Some(known) = self.modules.get(&name) else {
                return Step::Here(name, None);
            };
            let rest = &path[at + 1..];
            if let Some(export) = known.exports.get(segment)
                && let Some(mut next) = self.absolute(export, &module, 0)
            {
                next.extend(rest.iter().cloned());
                return Step::Elsewhere(next);
            }
            if !known.defined.contains(segment) {
                for glob in &known.globs {
                    if let Some(next) = self.through(glob, &module, segment, rest) {
                        return Step::Elsewhere(next);
                    }
                }
            }
            return Step::Here(name, Some(segment.clone()));
        }
        Step::Here(module.join("::"), None)
    }

    /// The path of `name` behind a glob, when that module has it.
    fn through(
        &self,
        glob: &[String],
        module: &[String],
        name: &str,
        rest: &[String],
    ) -> Option<Vec<String>> {
        let mut base = self.absolute(glob, module, MAX_HOPS)?;
        if base[0] != "crate" {
            return None;
        }
        let known = self.modules.get(&base[1..].join("::"))?;
        if !known.defined.contains(name) && !known.exports.contains_key(name) {
            return None;
        }
        base.push(name.to_owned());
        base.extend(rest.iter().cloned());
        Some(base)
    }
}

enum Step {
    Here(String, Option<String>),
    Elsewhere(Vec<String>),
}

fn module_path(module: &[String], child: &str) -> Vec<String> {
    let mut path = module.to_vec();
    path.push(child.to_owned());
    path
}

/// The folder in which the children of a file's module stand.
fn folder_of(file: &str) -> String {
    let stem = file.trim_end_matches(".rs");
    for root in ["/mod", "/lib", "/main"] {
        if let Some(folder) = stem.strip_suffix(root) {
            return folder.to_owned();
        }
    }
    stem.to_owned()
}

/// The files that must declare this file's module, each with the name that it must declare.
fn parents(file: &str) -> Vec<(String, String)> {
    let path = file
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    let segments: Vec<_> = path.split('/').collect();
    if matches!(path, "lib" | "main") {
        return Vec::new();
    }
    (0..segments.len())
        .map(|at| match segments[..at].join("/").as_str() {
            "" => ("src/lib.rs".to_owned(), segments[at].to_owned()),
            folder => (format!("src/{folder}/mod.rs"), segments[at].to_owned()),
        })
        .collect()
}

fn mark_tests(texts: &BTreeMap<String, String>, file: &str, reached: &mut BTreeSet<String>) {
    if texts.contains_key(file) {
        reached.insert(file.to_owned());
        let below = format!("{}/", folder_of(file));
        reached.extend(
            texts
                .keys()
                .filter(|other| other.starts_with(&below))
                .cloned(),
        );
    }
}

fn read_folder(folder: &Path, name: &str, texts: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("the folder of sources can be read") {
        let entry = entry.expect("its entries can be read");
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_folder(&entry.path(), &name, texts);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(entry.path()).expect("a source is UTF-8");
            texts.insert(name, text);
        }
    }
}
