//! The registry as requests see it: resolved, immutable, shared. Pure.
//!
//! **Invariant:** everything in a snapshot has passed `check`: each reference is resolved, each
//! name is well-formed, each lifetime keeps to the policy.

use std::collections::HashMap;
use std::sync::Arc;

use super::deadlines::Deadlines;
use super::digest::Digests;
use super::last_use::LastUse;
use super::policy::{NamePatterns, NeverTogether, RemovalLimit, RequiredFields, TwoOwners};
use crate::domain::{
    Algorithm, AuthMethod, ClientId, CommitId, CredentialId, Digest, Lifetime, Owner,
    ResourceIdentifier, ResourceName, ScopeName, SecretVerifier, UnixSeconds,
};

/// One whole registry, as `check` accepted it.
#[derive(Debug)]
pub struct Snapshot {
    /// The clients by id.
    pub clients: HashMap<ClientId, Arc<Client>>,
    /// The resources by the name of their table.
    pub resources: HashMap<ResourceName, Arc<Resource>>,
    /// The same resources by the identifier that requests send.
    pub by_identifier: HashMap<ResourceIdentifier, Arc<Resource>>,
    /// The policy, with a default for what `[policy]` leaves out.
    pub policy: Policy,
    /// When clients and secrets expire.
    pub deadlines: Deadlines,
    /// SHA-256 over the canonical content: not over file names, layout or comments.
    pub digest: Digest,
}

/// A protected resource (RFC 8707): an API that tokens are for.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// The name of its table.
    pub name: ResourceName,
    /// What a client sends as `resource` and a token names as `aud`.
    pub identifier: ResourceIdentifier,
    /// The name for people.
    pub title: String,
    /// Who answers for it.
    pub owner: Option<Owner>,
    /// How long tokens for it live, at most the policy's `max_token_lifetime`.
    pub token_lifetime: Lifetime,
    /// What its tokens are signed with; `None` for the first ring of `grantd.toml`.
    pub algorithm: Option<Algorithm>,
    /// Its scopes with their descriptions, in the order of their names.
    pub scopes: Vec<(ScopeName, String)>,
    /// Claims that each of its tokens carries; never a registered or reserved name.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// A client (RFC 6749 section 2): a machine that asks for tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Its id: the name of its table.
    pub id: ClientId,
    /// The name for people.
    pub title: String,
    /// Who answers for it.
    pub owner: Option<Owner>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// The first moment from which it may do nothing any more.
    pub expires: Option<UnixSeconds>,
    /// A lifetime of its tokens, shorter than the resource's.
    pub token_lifetime: Option<Lifetime>,
    /// What it may ask for, a resource once, in the order of the resources' names.
    pub grants: Vec<ResourceGrant>,
    /// Which of `grants` a request without `resource` means: `default_resource`, or the only one.
    pub default_grant: Option<usize>,
    /// Its generated secrets.
    pub secrets: Vec<StoredSecret>,
    /// Claims that each of its tokens carries; never a registered or reserved name.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// What a client may ask for on one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceGrant {
    /// The resource.
    pub resource: Arc<Resource>,
    /// The scopes, in the order of their names; never empty unless the resource has none.
    pub scopes: Vec<ScopeName>,
    /// The same scopes as a token's `scope` claim spells them: separated by single spaces.
    pub scope: Arc<str>,
}

/// A generated secret of a client, by its verifier.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSecret {
    /// Which credential this is, for events and status.
    pub id: CredentialId,
    /// The hash that a presented secret must have.
    pub verifier: SecretVerifier,
    /// What people call it.
    pub label: Option<String>,
    /// When it was made.
    pub created: Option<UnixSeconds>,
    /// The first moment at which it may be used.
    pub not_before: Option<UnixSeconds>,
    /// The first moment from which on it may not be used.
    pub expires: Option<UnixSeconds>,
    /// When it was last used: no part of what the registry says.
    pub last_use: LastUse,
}

/// The rules above all files: `[policy]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Who approves changes of the policy itself.
    pub owner: Option<Owner>,
    /// Longest lifetime of a token.
    pub max_token_lifetime: Lifetime,
    /// Longest life of a secret, from `created` to `expires`; `None` for no limit.
    pub max_secret_lifetime: Option<Lifetime>,
    /// Whether each client and resource must name its owner.
    pub require_owner: bool,
    /// Most clients that one change may remove or disable; `None` for no limit.
    pub max_removed_clients: Option<RemovalLimit>,
    /// How clients may prove who they are, in the order of [`AuthMethod::ALL`], never empty; `None`
    /// for every way that grantd offers.
    pub allowed_auth_methods: Option<Vec<AuthMethod>>,
    /// What clients, resources and secrets must say.
    pub required_fields: RequiredFields,
    /// The form of names.
    pub names: NamePatterns,
    /// Scopes that need two owners, in the order of their resources.
    pub two_owners: Vec<TwoOwners>,
    /// Grants that no client may have together, in order.
    pub never_together: Vec<NeverTogether>,
}

impl Policy {
    /// A policy of one rule: the longest lifetime of a token, which every policy has.
    #[must_use]
    pub fn of_lifetime(max_token_lifetime: Lifetime) -> Self {
        Self {
            owner: None,
            max_token_lifetime,
            max_secret_lifetime: None,
            require_owner: false,
            max_removed_clients: None,
            allowed_auth_methods: None,
            required_fields: RequiredFields::default(),
            names: NamePatterns::default(),
            two_owners: Vec::new(),
            never_together: Vec::new(),
        }
    }

    /// Whether clients may prove who they are this way.
    #[must_use]
    pub fn allows(&self, method: AuthMethod) -> bool {
        let allowed = self.allowed_auth_methods.as_ref();
        allowed.is_none_or(|allowed| allowed.contains(&method))
    }
}

/// A snapshot with its place in time: what is being served.
#[derive(Clone, Debug)]
pub struct Served {
    /// The registry itself.
    pub snapshot: Arc<Snapshot>,
    /// Counts the registries that this state directory has served, from 1.
    pub generation: u64,
    /// The git commit, when the folder is a git work tree.
    pub commit: Option<CommitId>,
    /// Whether the folder differs from that commit, where that is known.
    pub dirty: Option<bool>,
    /// When it was published.
    pub since: UnixSeconds,
    /// From when on no token is issued by it any more. Set while the folder does not hold it, where
    /// the settings refuse a last good registry that is too old.
    pub until: Option<UnixSeconds>,
}

impl Served {
    /// Whether tokens may be issued by it at this moment.
    #[must_use]
    pub fn is_usable(&self, now: UnixSeconds) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Snapshot {
    /// A snapshot of these, with its index and its digest. The caller has checked that names and
    /// identifiers are unique.
    #[must_use]
    pub(super) fn assemble(
        resources: Vec<Arc<Resource>>,
        clients: Vec<Arc<Client>>,
        policy: Policy,
    ) -> Self {
        Self::assemble_with_digests(resources, clients, policy).0
    }

    /// The same, and the digest of each client.
    pub(super) fn assemble_with_digests(
        resources: Vec<Arc<Resource>>,
        clients: Vec<Arc<Client>>,
        policy: Policy,
    ) -> (Self, Digests) {
        let digests = Digests::of(clients.iter().map(Arc::as_ref));
        let snapshot = Self {
            deadlines: Deadlines::of(clients.iter().map(Arc::as_ref)),
            digest: digests.registry(&policy, resources.iter()),
            by_identifier: resources
                .iter()
                .map(|resource| (resource.identifier.clone(), Arc::clone(resource)))
                .collect(),
            resources: resources
                .into_iter()
                .map(|resource| (resource.name.clone(), resource))
                .collect(),
            clients: clients
                .into_iter()
                .map(|client| (client.id.clone(), client))
                .collect(),
            policy,
        };
        (snapshot, digests)
    }

    /// The same with other clients: without some, with others that are new or changed. `digests` are those of
    /// its clients, and become those of the new one's. What is left as it is, is shared.
    pub(super) fn replaced(
        &self,
        removed: &[ClientId],
        changed: &[Arc<Client>],
        digests: &mut Digests,
    ) -> Self {
        let before = removed
            .iter()
            .chain(changed.iter().map(|client| &client.id));
        let gone = before
            .filter_map(|id| self.clients.get(id))
            .map(Arc::as_ref);
        let come = changed.iter().map(Arc::as_ref);
        digests.replace(gone.clone(), come.clone());
        let deadlines = self.deadlines.replaced(gone, come);
        let mut clients = self.clients.clone();
        for id in removed {
            clients.remove(id);
        }
        clients.extend(
            changed
                .iter()
                .map(|client| (client.id.clone(), Arc::clone(client))),
        );
        Self {
            clients,
            resources: self.resources.clone(),
            by_identifier: self.by_identifier.clone(),
            policy: self.policy.clone(),
            deadlines,
            digest: digests.registry(&self.policy, self.resources.values()),
        }
    }
}

impl ResourceGrant {
    /// A grant of these scopes, which are in the order of their names.
    #[must_use]
    pub(super) fn new(resource: Arc<Resource>, scopes: Vec<ScopeName>) -> Self {
        let names: Vec<&str> = scopes.iter().map(ScopeName::as_str).collect();
        Self {
            scope: Arc::from(names.join(" ")),
            resource,
            scopes,
        }
    }
}

impl Client {
    /// The grant on this resource, if there is one.
    #[must_use]
    pub fn grant_on(&self, resource: &ResourceName) -> Option<&ResourceGrant> {
        self.grants
            .binary_search_by(|grant| grant.resource.name.cmp(resource))
            .ok()
            .and_then(|at| self.grants.get(at))
    }
}
