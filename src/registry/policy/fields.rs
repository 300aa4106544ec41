//! Fields that a policy may require: `required_fields`. Pure.
//!
//! Only what a snapshot can tell: a field that has a value whether it is written or not, such as
//! `disabled`, can't be required.

use std::marker::PhantomData;

/// A field of a table, by the key that files spell.
pub trait Field: Copy + 'static {
    /// The key under `required_fields` that lists such fields.
    const TABLE: &'static str;
    /// Every field that may be required.
    const ALL: &'static [Self];

    /// The key.
    fn name(self) -> &'static str;

    /// Its bit in a [`FieldSet`].
    fn bit(self) -> u8;
}

macro_rules! fields {
    ($($(#[$doc:meta])* $kind:ident of $table:literal { $($(#[$field_doc:meta])* $field:ident = $name:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind {
            $($(#[$field_doc])* $field,)*
        }

        impl Field for $kind {
            const TABLE: &'static str = $table;
            const ALL: &'static [Self] = &[$(Self::$field),*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)*
                }
            }

            fn bit(self) -> u8 {
                1 << self as u8
            }
        }
    )*};
}

fields! {
    /// A field of `[client.NAME]`.
    ClientField of "client" {
        /// A name for people that says more than the table's name.
        Name = "name",
        /// Who answers for it.
        Owner = "owner",
        /// When it ends.
        Expires = "expires",
        /// A token lifetime of its own.
        TokenLifetime = "token_lifetime",
        /// What it means when it names no resource; who has one grant means that.
        DefaultResource = "default_resource",
        /// Static claims.
        Claims = "claims",
        /// At least one secret.
        Secret = "secret",
    }

    /// A field of `[resource.NAME]`.
    ResourceField of "resource" {
        /// A name for people that says more than the table's name.
        Name = "name",
        /// Who answers for it.
        Owner = "owner",
        /// The algorithm of its tokens.
        Algorithm = "algorithm",
        /// Static claims.
        Claims = "claims",
        /// At least one scope.
        Scopes = "scopes",
    }

    /// A field of `[[client.NAME.secret]]`.
    SecretField of "secret" {
        /// What people call it.
        Label = "label",
        /// When it was made.
        Created = "created",
        /// From when on it may be used.
        NotBefore = "not_before",
        /// When it ends.
        Expires = "expires",
    }
}

/// A set of fields: those that are required, or those that something lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldSet<F>(u8, PhantomData<F>);

impl<F: Field> FieldSet<F> {
    /// None.
    pub const EMPTY: Self = Self(0, PhantomData);

    /// Those of these fields that come with `true`.
    #[must_use]
    pub fn of<const N: usize>(fields: [(F, bool); N]) -> Self {
        let chosen = fields.into_iter().filter(|(_, chosen)| *chosen);
        chosen.map(|(field, _)| field).collect()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this field is one of them.
    #[must_use]
    pub fn contains(self, field: F) -> bool {
        self.0 & field.bit() != 0
    }

    /// What both sets have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0, PhantomData)
    }

    /// The fields in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = F> {
        F::ALL
            .iter()
            .copied()
            .filter(move |field| self.contains(*field))
    }
}

impl<F: Field> FromIterator<F> for FieldSet<F> {
    fn from_iter<I: IntoIterator<Item = F>>(fields: I) -> Self {
        let bits = fields.into_iter().fold(0, |bits, field| bits | field.bit());
        Self(bits, PhantomData)
    }
}

impl<F: Field> Default for FieldSet<F> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// `required_fields`: what each table must say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequiredFields {
    /// Of each client.
    pub client: FieldSet<ClientField>,
    /// Of each resource.
    pub resource: FieldSet<ResourceField>,
    /// Of each secret.
    pub secret: FieldSet<SecretField>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_given() {
        let set: FieldSet<ClientField> = [ClientField::Secret, ClientField::Name]
            .into_iter()
            .collect();
        let names: Vec<&str> = set.iter().map(Field::name).collect();
        assert_eq!(names, ["name", "secret"]);
        assert!(set.contains(ClientField::Name) && !set.contains(ClientField::Owner));
        let other = FieldSet::of([(ClientField::Name, true), (ClientField::Secret, false)]);
        assert_eq!(
            set.and(other).iter().collect::<Vec<_>>(),
            [ClientField::Name]
        );
        assert!(FieldSet::<SecretField>::default().is_empty());
    }

    #[test]
    fn no_two_fields_share_a_bit() {
        fn bits<F: Field>() -> usize {
            let all: FieldSet<F> = F::ALL.iter().copied().collect();
            all.iter().count()
        }
        assert_eq!(bits::<ClientField>(), ClientField::ALL.len());
        assert_eq!(bits::<ResourceField>(), ResourceField::ALL.len());
        assert_eq!(bits::<SecretField>(), SecretField::ALL.len());
    }
}
