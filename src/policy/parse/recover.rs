//! Reads a broken file statement by statement, to report its other mistakes too.
//!
//! A statement begins at a word that can begin one, at the beginning of a line.
//! What comes of this is never run.

use std::ops::Range;

use pest::Parser as _;
use pest::iterators::Pair;

use super::{Grammar, Rule, expected, lower::Lower, tokens};
use crate::diagnostic::{Diagnostic, Source};
use crate::policy::ast::{Collection, File, Item, Statement};

/// Beyond this many findings a file is not a policy.
const MAX_FINDINGS: usize = 50;

/// The statements that can be read, and everything wrong with the others.
pub(super) fn file(source: &Source) -> (File, Vec<Diagnostic>) {
    let mut recovery = Recovery {
        source,
        file: File::default(),
        open: None,
        findings: Vec::new(),
    };
    for chunk in chunks(source.text()) {
        recovery.read(&chunk);
        if recovery.findings.len() >= MAX_FINDINGS {
            break;
        }
    }
    if let Some(open) = recovery.open.take()
        && open.collection.is_some()
        && recovery.findings.len() < MAX_FINDINGS
    {
        let at = open.name_at.clone();
        recovery.close(open);
        recovery.findings.push(
            Diagnostic::error("R0108", source, at, "this collection has no closing `}`")
                .help("add `}` behind its last statement"),
        );
    }
    if recovery.findings.is_empty() {
        // The strict grammar refused what every chunk alone accepts: never run it.
        recovery.findings.push(
            Diagnostic::error(
                "R0101",
                source,
                0..0,
                "the file as a whole is not understood",
            )
            .help("check that every `collection … {` has its `}` on a line of its own"),
        );
    }
    (recovery.file, recovery.findings)
}

struct Recovery<'a> {
    source: &'a Source,
    file: File,
    open: Option<Open>,
    findings: Vec<Diagnostic>,
}

/// A collection whose closing brace has not come yet.
struct Open {
    /// Missing when the head could not be read; its statements are judged all the same.
    collection: Option<Collection>,
    name_at: Range<usize>,
}

enum Chunk {
    Statement(Range<usize>),
    Head(Range<usize>),
    Close(Range<usize>),
}

impl Recovery<'_> {
    fn read(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Head(at) => {
                if let Some(open) = self.open.take() {
                    self.close(open);
                }
                let collection =
                    self.parse(Rule::one_head, Rule::collection_head, at, |lower, node| {
                        lower.head(node)
                    });
                self.open = Some(Open {
                    collection,
                    name_at: at.clone(),
                });
            }
            Chunk::Close(at) => match self.open.take() {
                Some(open) => self.close(open),
                None => self.findings.push(
                    Diagnostic::error("R0108", self.source, at.clone(), "this `}` closes nothing")
                        .help("remove it, or add the `collection … {` it belongs to"),
                ),
            },
            Chunk::Statement(at) if self.open.is_some() => {
                let member = self.parse(Rule::one_member, Rule::member, at, |lower, node| {
                    lower.member(node)
                });
                let collection = self.open.as_mut().and_then(|open| open.collection.as_mut());
                if let (Some(collection), Some(member)) = (collection, member) {
                    collection.members.push(member);
                }
            }
            Chunk::Statement(at) => {
                let statement =
                    self.parse(Rule::one_statement, Rule::statement, at, |lower, node| {
                        lower.statement(node)
                    });
                if statement.is_none() && self.source.slice(at).starts_with("collection") {
                    // Its `{` is missing or inside an unclosed text: what follows is meant
                    // for it all the same.
                    self.open = Some(Open {
                        collection: None,
                        name_at: at.clone(),
                    });
                }
                self.file.statements.extend(statement);
            }
        }
    }

    fn close(&mut self, open: Open) {
        if let Some(collection) = open.collection {
            let at = open.name_at;
            self.file.statements.push(Statement {
                at,
                label: None,
                because: None,
                item: Item::Collection(collection),
            });
        }
    }

    fn parse<T>(
        &mut self,
        whole: Rule,
        wanted: Rule,
        at: &Range<usize>,
        build: impl FnOnce(&mut Lower<'_>, Pair<'_, Rule>) -> Option<T>,
    ) -> Option<T> {
        let text = self.source.slice(at);
        match Grammar::parse(whole, text) {
            Ok(pairs) => {
                let node = pairs
                    .flat_map(Pair::into_inner)
                    .find(|pair| pair.as_rule() == wanted)?;
                let mut lower = Lower::at_offset(self.source, at.start);
                let built = build(&mut lower, node);
                self.findings.append(&mut lower.findings);
                built
            }
            Err(error) => {
                self.findings.push(expected::translate(
                    self.source,
                    at.start,
                    text.len(),
                    &error,
                ));
                None
            }
        }
    }
}

/// Words that begin a statement when they begin a line.
const STARTERS: [&str; 19] = [
    "edition",
    "timezone",
    "type",
    "let",
    "collection",
    "protect",
    "hold",
    "stop",
    "use",
    "test",
    "prove",
    "delete",
    "limit",
    "keep",
    "before",
    "replace",
    "age",
    "back",
    "when",
];

fn chunks(text: &str) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut start: Option<usize> = None;
    let mut end = 0;
    let mut in_collection = false;
    let mut depth = 0usize;
    let mut labelled = false;
    // Whether the statement being collected can head a collection; settled at its
    // first brace, since looking again at each would take quadratic time.
    let mut heads: Option<bool> = None;
    for token in tokens::tokens(text) {
        let word = token.text(text);
        let starts = token.begins_line
            && !labelled
            && depth == 0
            && (word == "@" || STARTERS.contains(&word));
        if starts && let Some(begun) = start.take() {
            chunks.push(Chunk::Statement(begun..end));
        }
        // `@label` on a line of its own belongs to the statement below it.
        labelled = word == "@" || (labelled && !STARTERS.contains(&word));
        if start.is_none() {
            heads = None;
        }
        let heads_collection = word == "{"
            && !in_collection
            && *heads.get_or_insert_with(|| is_head(text, start, token.at.start));
        match word {
            "{" if heads_collection => {
                chunks.push(Chunk::Head(
                    start.take().unwrap_or(token.at.start)..token.at.end,
                ));
                in_collection = true;
                labelled = false;
                end = token.at.end;
                continue;
            }
            "{" => depth += 1,
            "}" if depth > 0 => depth -= 1,
            "}" => {
                if let Some(begun) = start.take() {
                    chunks.push(Chunk::Statement(begun..end));
                }
                chunks.push(Chunk::Close(token.at.clone()));
                in_collection = false;
                end = token.at.end;
                continue;
            }
            _ => {}
        }
        start = start.or(Some(token.at.start));
        end = token.at.end;
    }
    if let Some(begun) = start {
        chunks.push(Chunk::Statement(begun..end));
    }
    chunks
}

fn is_head(text: &str, start: Option<usize>, brace: usize) -> bool {
    let Some(head) = start.and_then(|start| text.get(start..brace)) else {
        return true;
    };
    let mut words = tokens::tokens(head)
        .map(|token| token.text(head))
        .skip_while(|word| *word == "@");
    let first = words.next();
    let second = words.next();
    // Anything with a block of its own that is not known to be something else.
    !matches!(first, Some(word) if word != "collection" && STARTERS.contains(&word))
        && !matches!(second, Some("test" | "when"))
}
