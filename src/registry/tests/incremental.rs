//! A registry that is checked change by change is the one that is checked from scratch. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::domain::Digest;
use crate::registry::check::{Checker, Definitions, Rules, check};
use crate::registry::diff::{apply, diff};
use crate::registry::snapshot::Snapshot;
use crate::registry::source::Source;

/// Files with clients.
const FILES: u8 = 4;

/// What a file is made to say.
#[derive(Clone, Debug)]
enum Edit {
    /// The clients of one of the files.
    Clients(u8, Vec<ModelClient>),
    /// The resources, in one of these editions, and a client beside them where there is one.
    Resources(u8, Option<ModelClient>),
    /// The policy, in one of these editions.
    Policy(u8),
    /// No TOML.
    Broken(u8),
    /// The file is gone.
    Gone(u8),
    /// Nothing but a comment changes.
    Comment(u8),
}

#[derive(Clone, Debug)]
struct ModelClient {
    /// Which of its file's clients; from 3 on it has the name of one in the next file.
    slot: u8,
    title: u8,
    disabled: bool,
    owned: bool,
    scopes: u8,
    other: bool,
    year: Option<u8>,
    /// None is a warning; 3 is the secret of another client.
    secrets: Vec<u8>,
}

fn client() -> impl Strategy<Value = ModelClient> {
    let slot = prop_oneof![30 => 0..3_u8, 1 => Just(3_u8)];
    let secret = prop_oneof![30 => 0..3_u8, 1 => Just(3_u8)];
    (
        (slot, 0..3_u8, any::<bool>(), prop::bool::weighted(0.9)),
        (
            1..4_u8,
            any::<bool>(),
            prop::option::of(0..4_u8),
            vec(secret, 0..3),
        ),
    )
        .prop_map(
            |((slot, title, disabled, owned), (scopes, other, year, secrets))| ModelClient {
                slot,
                title,
                disabled,
                owned,
                scopes,
                other,
                year,
                secrets,
            },
        )
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let file = || 0..FILES;
    let edit = prop_oneof![
        20 => (file(), vec(client(), 0..3)).prop_map(|(file, clients)| Edit::Clients(file, clients)),
        4 => (0..5_u8, prop::option::of(client())).prop_map(|(edition, it)| Edit::Resources(edition, it)),
        2 => (0..4_u8).prop_map(Edit::Policy),
        1 => file().prop_map(Edit::Broken),
        3 => (0..FILES + 2).prop_map(Edit::Gone),
        2 => (0..FILES + 2).prop_map(Edit::Comment),
    ];
    vec(edit, 1..25)
}

fn client_text(file: u8, client: &ModelClient) -> String {
    let id = match client.slot {
        3 => format!("c{}-0", (file + 1) % FILES),
        slot => format!("c{file}-{slot}"),
    };
    let mut text = format!("[client.{id}]\nname = \"Title {}\"\n", client.title);
    writeln!(text, "disabled = {}", client.disabled).unwrap();
    if client.owned {
        writeln!(text, "owner = \"team\"").unwrap();
    }
    if let Some(year) = client.year {
        writeln!(text, "expires = 203{year}-06-30").unwrap();
    }
    let scopes: Vec<_> = (0..client.scopes).map(|at| format!("\"s{at}\"")).collect();
    writeln!(text, "[client.{id}.grants]\none = [{}]", scopes.join(", ")).unwrap();
    if client.other {
        writeln!(text, "two = []").unwrap();
    }
    for secret in &client.secrets {
        let whose = if *secret == 3 { "shared" } else { id.as_str() };
        let hash = Digest::of(format!("{whose}{secret}").as_bytes()).to_base64url();
        writeln!(
            text,
            "[[client.{id}.secret]]\nhash = \"sha256:{hash}\"\ncreated = 2026-01-01\nexpires = 2026-0{}-01",
            secret + 2
        )
        .unwrap();
    }
    text
}

/// Resources: as they are mostly, with a scope less, with another title, with one identifier twice, without one.
fn resources_text(edition: u8, client: Option<&ModelClient>) -> String {
    let scopes = if edition == 1 { 1..3 } else { 0..3 };
    let scopes: Vec<_> = scopes.map(|at| format!("s{at} = \"Scope {at}\"")).collect();
    let title = if edition == 2 { "Another" } else { "One" };
    let second = match edition {
        3 => "[resource.two]\nidentifier = \"urn:one\"\nowner = \"team\"\n",
        4 => "",
        _ => "[resource.two]\nidentifier = \"urn:two\"\nowner = \"team\"\n",
    };
    format!(
        "[resource.one]\nidentifier = \"urn:one\"\nname = \"{title}\"\nowner = \"team\"\n\
         [resource.one.scopes]\n{}\n{second}{}",
        scopes.join("\n"),
        client.map(|it| client_text(FILES, it)).unwrap_or_default()
    )
}

fn policy_text(edition: u8) -> &'static str {
    match edition {
        0 => "[policy]\nmax_token_lifetime = \"30m\"\n",
        1 => "[policy]\nrequire_owner = true\n",
        2 => "[policy]\nmax_secret_lifetime = \"40d\"\n",
        _ => "# no policy\n",
    }
}

/// The files as they stand; each is parsed when it changes, and then only.
#[derive(Default)]
struct Files(BTreeMap<String, Arc<Definitions>>);

impl Files {
    fn path(file: u8) -> String {
        match file {
            FILES => "api.toml".to_owned(),
            file if file > FILES => "policy/p.toml".to_owned(),
            file => format!("{file}.toml"),
        }
    }

    fn write(&mut self, file: u8, text: &str) {
        let path = Self::path(file);
        let source = Source::new(&path, text.as_bytes().to_vec());
        self.0
            .insert(path, Arc::new(Definitions::of(Arc::new(source))));
    }

    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Clients(file, clients) => {
                let texts: Vec<_> = clients.iter().map(|it| client_text(*file, it)).collect();
                self.write(*file, &texts.concat());
            }
            Edit::Resources(edition, client) => {
                self.write(FILES, &resources_text(*edition, client.as_ref()));
            }
            Edit::Policy(edition) => self.write(FILES + 1, policy_text(*edition)),
            Edit::Broken(file) => self.write(*file, "[client.c0-0]\nname = \"open\n"),
            Edit::Gone(file) => {
                self.0.remove(&Self::path(*file));
            }
            Edit::Comment(file) => {
                if let Some(known) = self.0.get(&Self::path(*file)) {
                    let text = format!("# more\n{}", known.source().text());
                    self.write(*file, &text);
                }
            }
        }
    }

    fn all(&self) -> Vec<Arc<Definitions>> {
        self.0.values().map(Arc::clone).collect()
    }
}

fn same(one: &Snapshot, other: &Snapshot) {
    assert_eq!(one.digest, other.digest);
    assert_eq!(one.clients, other.clients);
    assert_eq!(one.resources, other.resources);
    assert_eq!(one.by_identifier, other.by_identifier);
    assert_eq!(one.policy, other.policy);
    assert_eq!(one.deadlines, other.deadlines);
    for client in one.clients.values() {
        for grant in &client.grants {
            let resource = one.resources.get(&grant.resource.name);
            assert!(resource.is_some_and(|it| Arc::ptr_eq(it, &grant.resource)));
        }
    }
}

proptest! {
    #[test]
    fn a_change_is_judged_as_if_everything_were_read_anew(edits in edits()) {
        let mut files = Files::default();
        files.write(FILES, &resources_text(0, None));
        let mut checker = Checker::new(Rules::default());
        let mut before = checker.check(&files.all()).unwrap().snapshot;
        for edit in &edits {
            files.edit(edit);
            let all = files.all();
            match (checker.check(&all), check(&all, &Rules::default())) {
                (Ok(judged), Ok(checked)) => {
                    same(&judged.snapshot, &checked.snapshot);
                    prop_assert_eq!(&judged.warnings, &checked.warnings);
                    let changes = diff(&before, &judged.snapshot);
                    same(&apply(&before, &changes), &judged.snapshot);
                    prop_assert_eq!(before.digest == judged.snapshot.digest, changes.is_empty());
                    before = judged.snapshot;
                }
                (Err(judged), Err(checked)) => prop_assert_eq!(judged, checked),
                (judged, checked) => prop_assert!(false, "{:?} is not {:?}", judged, checked),
            }
        }
    }
}

fn usual(title: u8) -> ModelClient {
    ModelClient {
        slot: 0,
        title,
        disabled: false,
        owned: true,
        scopes: 1,
        other: false,
        year: None,
        secrets: vec![0],
    }
}

fn kept(old: &Snapshot, new: &Snapshot, id: &str) -> bool {
    match (old.clients.get(id), new.clients.get(id)) {
        (Some(old), Some(new)) => Arc::ptr_eq(old, new),
        _ => false,
    }
}

#[test]
fn what_says_the_same_stays_the_same_object() {
    let mut files = Files::default();
    files.write(FILES, &resources_text(0, Some(&usual(0))));
    for file in 0..FILES {
        files.edit(&Edit::Clients(file, vec![usual(0)]));
    }
    let mut checker = Checker::new(Rules::default());
    let mut check = |files: &Files| checker.check(&files.all()).map(|it| it.snapshot);
    let first = check(&files).unwrap();
    assert_eq!(first.clients.len(), usize::from(FILES) + 1);
    // One changed file, and one that only has another comment.
    files.edit(&Edit::Clients(0, vec![usual(1)]));
    files.edit(&Edit::Comment(1));
    let second = check(&files).unwrap();
    assert!(!kept(&first, &second, "c0-0") && kept(&first, &second, "c1-0"));
    assert!(kept(&first, &second, "c2-0") && kept(&first, &second, "c4-0"));
    // The file with the resources, which says the same of them.
    files.write(FILES, &resources_text(0, Some(&usual(1))));
    let third = check(&files).unwrap();
    assert!(kept(&second, &third, "c0-0") && !kept(&second, &third, "c4-0"));
    // A refusal forgets nothing.
    files.edit(&Edit::Broken(0));
    assert!(check(&files).is_err());
    files.edit(&Edit::Clients(0, vec![usual(1)]));
    let fourth = check(&files).unwrap();
    assert!(Arc::ptr_eq(&third, &fourth));
    // Another policy looks at everything, and what stands by it is shared all the same.
    files.edit(&Edit::Policy(0));
    let fifth = check(&files).unwrap();
    assert!(kept(&fourth, &fifth, "c0-0") && fifth.digest != fourth.digest);
}

/// Hashes are what a file says: two that begin the same must not hide a third.
#[test]
fn a_hash_is_known_by_all_its_bytes() {
    let mut files = Files::default();
    files.write(FILES, &resources_text(0, None));
    let write = |files: &mut Files, file: u8, differs: &str| {
        let hash = format!("{}{differs}{}", "A".repeat(30), "A".repeat(12));
        let text = format!(
            "[client.c{file}]\ngrants = {{ two = [] }}\n[[client.c{file}.secret]]\nhash = \"sha256:{hash}\"\n"
        );
        files.write(file, &text);
    };
    write(&mut files, 0, "A");
    write(&mut files, 1, "B");
    let mut checker = Checker::new(Rules::default());
    assert!(checker.check(&files.all()).is_ok());
    files.edit(&Edit::Gone(1));
    assert!(checker.check(&files.all()).is_ok());
    write(&mut files, 2, "A");
    let judged = checker.check(&files.all()).unwrap_err();
    assert_eq!(judged, check(&files.all(), &Rules::default()).unwrap_err());
}
