//! The files of a policy: what each one uses, and what it may do there.

use std::collections::HashMap;
use std::rc::Rc;

use super::Environment;
use super::scope::Scope;
use crate::diagnostic::{Diagnostic, Source};
use crate::policy::ast::{File, Item, Used};
use crate::policy::parse::{Parsed, parse};

/// A file of a policy, read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) source: Source,
    pub(crate) tree: File,
    /// Part of it could not be read: names it declares may be missing.
    pub(crate) partial: bool,
    /// What it uses, as indices into the files, and how far.
    pub(crate) uses: Vec<(usize, Grant)>,
}

/// What the statements of a file may do in the policy that uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    /// Name types.
    Types,
    /// Also protect.
    Protections,
    /// Also form collections, as long as they remove nothing.
    Additions,
    /// Everything.
    Everything,
}

/// Reads a policy and whatever it uses, each file once.
pub(in crate::policy) fn load_all(
    main: &Source,
    environment: Environment<'_>,
) -> (Vec<Loaded>, Vec<Diagnostic>) {
    let mut loader = Loader {
        environment,
        files: Vec::new(),
        known: HashMap::new(),
        open: Vec::new(),
        findings: Vec::new(),
    };
    loader.load(main.clone());
    (loader.files, loader.findings)
}

struct Loader<'a> {
    environment: Environment<'a>,
    files: Vec<Loaded>,
    known: HashMap<String, usize>,
    /// Names of the files that are being loaded, the policy's own first.
    open: Vec<String>,
    findings: Vec<Diagnostic>,
}

/// How deep files may use files.
const MAX_DEPTH: usize = 16;

impl Loader<'_> {
    fn load(&mut self, source: Source) -> usize {
        let index = self.files.len();
        self.known.insert(source.name().to_owned(), index);
        self.open.push(source.name().to_owned());
        let (tree, partial) = match parse(&source) {
            Parsed::Whole(tree) => (tree, false),
            Parsed::Partial(partial) => {
                let (tree, findings) = partial.for_report_only();
                self.findings.extend(findings.0);
                (tree, true)
            }
        };
        self.files.push(Loaded {
            source: source.clone(),
            tree,
            partial,
            uses: Vec::new(),
        });
        let wanted: Vec<_> = self
            .files
            .get(index)
            .into_iter()
            .flat_map(|file| &file.tree.statements)
            .filter_map(|statement| match &statement.item {
                Item::Use(used) => Some(used.clone()),
                _ => None,
            })
            .collect();
        for used in wanted {
            let grant = match (used.what, used.deletes) {
                (Used::Types, _) => Grant::Types,
                (Used::Protections, _) => Grant::Protections,
                (Used::All, false) => Grant::Additions,
                (Used::All, true) => Grant::Everything,
            };
            if used.deletes && used.what != Used::All {
                let finding = Diagnostic::error(
                    "R0231",
                    &source,
                    used.file.at.clone(),
                    "protections and types delete nothing, so there is nothing to allow",
                )
                .help("leave `allowing deletes` out, or use the whole file: `use \"…\" allowing deletes`");
                self.findings.push(finding);
            }
            if let Some(found) = self.find(&source, &used.file)
                && let Some(file) = self.files.get_mut(index)
            {
                file.uses.push((found, grant));
            }
        }
        self.open.pop();
        index
    }

    fn find(
        &mut self,
        source: &Source,
        file: &crate::policy::ast::Spanned<String>,
    ) -> Option<usize> {
        let refuse = |message: String, help: &str| {
            Diagnostic::error("R0230", source, file.at.clone(), message).help(help)
        };
        let found = match (self.environment.file)(source, &file.value) {
            Ok(found) => found,
            Err(reason) => {
                self.findings.push(refuse(
                    format!("cannot read `{}`: {reason}", file.value),
                    "the path is relative to the file that uses it",
                ));
                return None;
            }
        };
        if let Some(begin) = self.open.iter().position(|name| name == found.name()) {
            let mut chain: Vec<&str> = self.open.iter().skip(begin).map(String::as_str).collect();
            chain.push(found.name());
            self.findings.push(refuse(
                format!(
                    "these files use each other in a circle: {}",
                    chain.join(" → ")
                ),
                "move what both need into a third file",
            ));
            return None;
        }
        if self.open.len() >= MAX_DEPTH {
            self.findings.push(refuse(
                format!("files use each other more than {MAX_DEPTH} deep"),
                "use the file directly",
            ));
            return None;
        }
        Some(match self.known.get(found.name()) {
            Some(&known) => known,
            None => self.load(found),
        })
    }
}

/// What each file may do: the most that some way from the policy itself grants.
pub(super) fn grants(files: &[Loaded]) -> Vec<Grant> {
    let mut grants: Vec<Option<Grant>> = vec![None; files.len()];
    let mut queue = vec![(0, Grant::Everything)];
    while let Some((file, grant)) = queue.pop() {
        let Some(known) = grants.get_mut(file) else {
            continue;
        };
        if known.is_some_and(|known| known >= grant) {
            continue;
        }
        *known = Some(grant);
        let uses = files.get(file).map_or(&[][..], |file| &file.uses);
        queue.extend(
            uses.iter()
                .map(|(used, further)| (*used, grant.min(*further))),
        );
    }
    grants
        .into_iter()
        .map(|grant| grant.unwrap_or(Grant::Types))
        .collect()
}

/// The names of each file: its own, and the types of what it uses.
pub(super) fn scopes(
    files: &[Loaded],
    environment: Environment<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Rc<Scope>> {
    let mut scopes: Vec<Option<Rc<Scope>>> = vec![None; files.len()];
    // What is used has a greater index, or was loaded before by another way; repeated
    // passes settle every order, and there are no circles.
    for _ in 0..files.len() {
        for (index, file) in files.iter().enumerate().rev() {
            let done = |index: &usize| scopes.get(*index).is_some_and(Option::is_some);
            if done(&index) || !file.uses.iter().all(|(used, _)| done(used)) {
                continue;
            }
            let used: Vec<(String, Rc<Scope>)> = file
                .uses
                .iter()
                .filter_map(|(used, _)| {
                    let name = files.get(*used)?.source.name().to_owned();
                    Some((name, scopes.get(*used)?.clone()?))
                })
                .collect();
            let scope = Scope::read(file, &used, environment, findings);
            if let Some(slot) = scopes.get_mut(index) {
                *slot = Some(Rc::new(scope));
            }
        }
    }
    scopes.into_iter().map(Option::unwrap_or_default).collect()
}
