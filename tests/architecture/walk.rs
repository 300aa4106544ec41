//! One walk over a parsed file: the imports, the paths, and what else the rules ask about. Items
//! under `#[cfg(test)]` are left out, and so are fuzz targets: tests may use what they like.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// What one file holds.
#[derive(Default)]
pub struct Facts {
    /// The first paragraph of the file's documentation, on one line.
    pub opening: String,
    /// Modules that it declares and that have files of their own.
    pub children: Vec<String>,
    /// The same, under `#[cfg(test)]`.
    pub test_children: Vec<String>,
    /// Leaves of its `use` trees.
    pub imports: Vec<Import>,
    /// Paths in expressions, types, patterns, bounds, attributes and the tokens of macros.
    pub paths: Vec<InlinePath>,
    /// Items that it defines, with their modules.
    pub defined: Vec<(Vec<String>, String)>,
    /// `#[derive(…)]`: the last segment of each name, and its line.
    pub derives: Vec<(String, usize)>,
    /// Method calls: the name and the line.
    pub calls: Vec<(String, usize)>,
    /// Lines with `async`: functions, blocks, closures.
    pub awaits: Vec<usize>,
    /// Functions.
    pub functions: Vec<Function>,
    /// First and last line of each item under `#[cfg(test)]`.
    pub tests: Vec<(usize, usize)>,
    /// `#[path]` on a `mod`, by line: nothing can follow such a tree by its names.
    pub detours: Vec<usize>,
}

/// A leaf of a `use` tree.
pub struct Import {
    /// The module in which it stands.
    pub module: Vec<String>,
    /// As written: `["super", "grant", "Grant"]`. A glob's last segment is left out.
    pub path: Vec<String>,
    /// The name that it brings, after `as`.
    pub name: String,
    /// Whether it is a glob.
    pub is_glob: bool,
    /// Its line.
    pub line: usize,
}

/// A path that stands in the code itself.
pub struct InlinePath {
    /// The module in which it stands.
    pub module: Vec<String>,
    /// As written. A leading `::` is an empty first segment.
    pub path: Vec<String>,
    /// Its line.
    pub line: usize,
}

/// A function with a body.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its first line.
    pub line: usize,
    /// First and last line of its body, braces included.
    pub body: (usize, usize),
    /// How many arguments it takes, `self` included.
    pub arguments: usize,
    /// Whether it has `#[expect(clippy::too_many_lines, …)]`.
    pub may_be_long: bool,
    /// Whether it has `#[expect(clippy::too_many_arguments, …)]`.
    pub may_take_many: bool,
}

/// Walks over one file, which is this module.
pub fn walk(file: &syn::File, module: &[String]) -> Facts {
    let mut walker = Walker {
        module: module.to_vec(),
        facts: Facts {
            opening: opening(&file.attrs),
            ..Facts::default()
        },
        depth: 0,
    };
    walker.visit_file(file);
    walker.facts
}

struct Walker {
    module: Vec<String>,
    facts: Facts,
    /// How many inline modules deep.
    depth: usize,
}

impl Walker {
    fn path(&mut self, path: Vec<String>, line: usize) {
        let module = self.module.clone();
        self.facts.paths.push(InlinePath { module, path, line });
    }

    fn tree(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before);
                }
            }
            UseTree::Name(leaf) => self.leaf(&leaf.ident, &leaf.ident, before),
            UseTree::Rename(leaf) => self.leaf(&leaf.ident, &leaf.rename, before),
            UseTree::Glob(star) => self.import(before.clone(), String::new(), true, star.span()),
        }
    }

    fn leaf(&mut self, ident: &syn::Ident, name: &syn::Ident, before: &[String]) {
        let mut path = before.to_vec();
        let mut name = name.to_string();
        if ident == "self" {
            // `use a::b::{self}` brings `b`.
            if name == "self" {
                name = before.last().cloned().unwrap_or_default();
            }
        } else {
            path.push(ident.to_string());
        }
        self.import(path, name, false, ident.span());
    }

    fn import(&mut self, path: Vec<String>, name: String, is_glob: bool, at: proc_macro2::Span) {
        self.facts.imports.push(Import {
            module: self.module.clone(),
            path,
            name,
            is_glob,
            line: at.start().line,
        });
    }

    /// Paths in tokens that `syn` does not parse: the arguments of macros.
    fn tokens(&mut self, tokens: &TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens.clone() {
            match &token {
                TokenTree::Ident(ident) if colons == 2 || path.is_empty() => {
                    path.push(ident.to_string());
                    line = ident.span().start().line;
                    colons = 0;
                    if ident == "async" {
                        self.facts.awaits.push(line);
                    }
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(&group.stream()),
                _ => {}
            }
            self.flush(&mut path, line);
            colons = 0;
            if let TokenTree::Ident(ident) = &token {
                path.push(ident.to_string());
                line = ident.span().start().line;
            }
        }
        self.flush(&mut path, line);
    }

    fn flush(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if !path.is_empty() {
            self.path(path, line);
        }
    }

    fn function(&mut self, signature: &syn::Signature, attrs: &[Attribute], block: &syn::Block) {
        self.facts.functions.push(Function {
            name: signature.ident.to_string(),
            line: signature.span().start().line,
            body: (block.span().start().line, block.span().end().line),
            arguments: signature.inputs.len(),
            may_be_long: expects(attrs, "too_many_lines"),
            may_take_many: expects(attrs, "too_many_arguments"),
        });
    }
}

impl<'ast> Visit<'ast> for Walker {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attrs, name) = attrs_and_name(item);
        if is_test(attrs) {
            if let Item::Mod(module) = item
                && module.content.is_none()
            {
                self.facts.test_children.push(module.ident.to_string());
            }
            let span = item.span();
            self.facts.tests.push((span.start().line, span.end().line));
            return;
        }
        if let Some(name) = name {
            self.facts.defined.push((self.module.clone(), name));
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.attrs.iter().any(|attr| attr.path().is_ident("path")) {
            self.facts.detours.push(item.span().start().line);
        }
        if item.content.is_none() {
            if self.depth == 0 {
                self.facts.children.push(item.ident.to_string());
            }
            return;
        }
        self.module.push(item.ident.to_string());
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut before = Vec::new();
        if item.leading_colon.is_some() {
            before.push(String::new());
        }
        self.tree(&item.tree, &mut before);
    }

    // `pub(super)` and `pub(in …)` say who may use a thing, not what is used.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if path.leading_colon.is_some() {
            segments.insert(0, String::new());
        }
        self.path(segments, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(&call.tokens);
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attr: &'ast Attribute) {
        if attr.path().is_ident("derive") {
            let line = attr.span().start().line;
            let _parsed = attr.parse_nested_meta(|meta| {
                if let Some(last) = meta.path.segments.last() {
                    self.facts.derives.push((last.ident.to_string(), line));
                }
                let segments = meta
                    .path
                    .segments
                    .iter()
                    .map(|segment| segment.ident.to_string())
                    .collect();
                self.path(segments, line);
                Ok(())
            });
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let line = call.method.span().start().line;
        self.facts.calls.push((call.method.to_string(), line));
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.facts.awaits.push(block.span().start().line);
        visit::visit_expr_async(self, block);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.facts.awaits.push(signature.span().start().line);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.attrs, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.attrs, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, &item.attrs, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// The first paragraph of a file's `//!` lines.
fn opening(attrs: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attr in attrs {
        let syn::Meta::NameValue(doc) = &attr.meta else {
            continue;
        };
        if !doc.path.is_ident("doc") {
            continue;
        }
        if let syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }) = &doc.value
        {
            let text = text.value();
            if text.trim().is_empty() {
                break;
            }
            lines.push(text.trim().to_owned());
        }
    }
    lines.join(" ")
}

/// Whether the attributes say `cfg(test)`, alone, within `all(…)`, or beside the fuzz targets' feature.
fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("cfg")
            && match &attr.meta {
                syn::Meta::List(list) => says_test(&list.tokens),
                _ => false,
            }
    })
}

fn says_test(tokens: &TokenStream) -> bool {
    let mut tokens = tokens.clone().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(word)), None) => word == "test",
        (Some(TokenTree::Ident(word)), Some(TokenTree::Group(group))) if word == "all" => group
            .stream()
            .into_iter()
            .any(|token| token.to_string() == "test"),
        (Some(TokenTree::Ident(word)), Some(TokenTree::Group(group))) if word == "any" => {
            group.stream().to_string() == "test , feature = \"fuzzing\""
        }
        _ => false,
    }
}

/// Whether the attributes expect this lint of clippy.
fn expects(attrs: &[Attribute], lint: &str) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("expect")
            && matches!(&attr.meta, syn::Meta::List(list) if list.tokens.to_string().contains(lint))
    })
}

fn attrs_and_name(item: &Item) -> (&[Attribute], Option<String>) {
    let name = |ident: &syn::Ident| Some(ident.to_string());
    match item {
        Item::Const(item) => (&item.attrs, name(&item.ident)),
        Item::Enum(item) => (&item.attrs, name(&item.ident)),
        Item::Fn(item) => (&item.attrs, name(&item.sig.ident)),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref().and_then(name)),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, name(&item.ident)),
        Item::Struct(item) => (&item.attrs, name(&item.ident)),
        Item::Trait(item) => (&item.attrs, name(&item.ident)),
        Item::TraitAlias(item) => (&item.attrs, name(&item.ident)),
        Item::Type(item) => (&item.attrs, name(&item.ident)),
        Item::Union(item) => (&item.attrs, name(&item.ident)),
        Item::ExternCrate(item) => (&item.attrs, None),
        Item::ForeignMod(item) => (&item.attrs, None),
        Item::Impl(item) => (&item.attrs, None),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}
