//! Policy text into a tree.
//!
//! One strict grammar reads a whole file or nothing: only its tree may run. When
//! it refuses, the file is read again statement by statement, for the sake of the
//! other mistakes in it; that tree has a type of its own and ends in a report.

mod english;
mod expected;
mod foreign;
mod habit;
mod lower;
mod outline;
mod quotes;
mod recover;
mod tokens;

use pest::Parser as _;

use super::ast;
use crate::diagnostic::{Diagnostic, Diagnostics, Source};

pub(crate) use english::number_of;
pub(crate) use lower::unit_of;
pub(crate) use outline::{Begins, Piece, PieceKind, outline};

/// The generated parser; its `Rule` is named nowhere outside this module.
#[derive(pest_derive::Parser)]
#[grammar = "../grammar/retain.pest"]
struct Grammar;

/// How deep parentheses and braces may nest. pest descends recursively, so an
/// unbounded depth would be the writer's choice of our stack.
const MAX_NESTING: usize = 64;

/// What came of reading a file.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// The strict grammar read all of it.
    Whole(ast::File),
    /// It did not; here is what could be read, to be judged but never to run.
    Partial(Partial),
}

/// The readable statements of a broken file, with what broke the others.
#[derive(Debug)]
pub(crate) struct Partial {
    file: ast::File,
    findings: Diagnostics,
}

impl Partial {
    /// The statements, for finding further mistakes in them, and what is known to be
    /// wrong.
    pub(crate) fn for_report_only(self) -> (ast::File, Diagnostics) {
        (self.file, self.findings)
    }
}

/// Reads a policy.
pub(crate) fn parse(source: &Source) -> Parsed {
    if let Err(too_deep) = check_nesting(source) {
        return Parsed::Partial(Partial {
            file: ast::File::default(),
            findings: Diagnostics(vec![*too_deep]),
        });
    }
    let (file, findings) = match Grammar::parse(Rule::policy, source.text()) {
        Ok(pairs) => lower::file(source, pairs),
        Err(_) => recover::file(source),
    };
    if findings.is_empty() {
        Parsed::Whole(file)
    } else {
        Parsed::Partial(Partial {
            file,
            findings: Diagnostics(findings),
        })
    }
}

fn check_nesting(source: &Source) -> Result<(), Box<Diagnostic>> {
    // Counted apart: a `)` must not make up for a `{`.
    let (mut parentheses, mut braces) = (0usize, 0usize);
    for token in tokens::tokens(source.text()) {
        match token.text(source.text()) {
            "(" => parentheses += 1,
            ")" => parentheses = parentheses.saturating_sub(1),
            "{" => braces += 1,
            "}" => braces = braces.saturating_sub(1),
            _ => {}
        }
        if parentheses + braces > MAX_NESTING {
            let finding = Diagnostic::error(
                "R0107",
                source,
                token.at,
                format!("nested more than {MAX_NESTING} deep"),
            )
            .help("name parts of the condition's meaning by splitting it into several statements");
            return Err(Box::new(finding));
        }
    }
    Ok(())
}
