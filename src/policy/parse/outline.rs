//! A text the strict grammar reads as its smallest parts, for writing it anew.
//!
//! The tree forgets comments and how a thing was written; this keeps both. Layout is
//! left to `format`, and commas are canonical here: where the grammar lets one be
//! left out, it is there, and none stands before a closing bracket.

use pest::Parser as _;
use pest::iterators::Pair;

use super::{Grammar, Rule, expected, tokens};
use crate::diagnostic::Source;

/// The smallest part of a text that is written without white space inside.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// As written, byte for byte, but for runs of spaces in `2026-03-10  12:00` and
    /// white space behind a comment.
    pub(crate) text: String,
    pub(crate) kind: PieceKind,
    pub(crate) begins: Begins,
    /// A comma follows it.
    pub(crate) comma: bool,
    /// Line breaks between it and the piece before.
    pub(crate) breaks: usize,
    /// What the grammar took it for; nothing for marks and comments.
    rule: Option<Rule>,
}

impl Piece {
    /// Whether both say the same, wherever they stand.
    pub(crate) fn says_the_same(&self, other: &Piece) -> bool {
        self.text == other.text
            && self.kind == other.kind
            && self.begins == other.begins
            && self.comma == other.comma
            && self.rule == other.rule
    }
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// A word, a number, a text, a capture.
    Word,
    /// `@name`.
    Label,
    /// A bracket, brace, colon or equals sign.
    Mark,
    /// The parenthesis that opens a plugin's arguments.
    Call,
    /// From `#` to the end of its line.
    Comment,
}

/// What begins with a piece, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Begins {
    /// Nothing of its own.
    Nothing,
    /// A further item of a list, a default, `per …`.
    Item,
    /// What `and` or `or` joins.
    Joined,
    /// `where …`, `evicting …`, `because …`.
    Clause,
    /// A statement, or a line of a block.
    Line,
}

/// The pieces of a text in order; none when the strict grammar does not read it.
///
/// The caller has to have parsed it before: that is where nesting is bounded.
pub(crate) fn outline(source: &Source) -> Option<Vec<Piece>> {
    let pairs = Grammar::parse(Rule::policy, source.text()).ok()?;
    let mut outline = Outline {
        text: source.text(),
        end: 0,
        pieces: Vec::new(),
        begins: Begins::Nothing,
        comma: false,
        call: None,
    };
    for pair in pairs {
        outline.visit(pair, None, None);
    }
    outline.between(source.text().len());
    Some(outline.pieces)
}

struct Outline<'a> {
    text: &'a str,
    /// Where the last piece ends.
    end: usize,
    pieces: Vec<Piece>,
    /// What begins with the next piece the grammar has a rule for.
    begins: Begins,
    /// Whether a comma belongs before it.
    comma: bool,
    /// Where a plugin's arguments open.
    call: Option<usize>,
}

impl Outline<'_> {
    fn visit(&mut self, pair: Pair<'_, Rule>, parent: Option<Rule>, previous: Option<Rule>) {
        let rule = pair.as_rule();
        let span = pair.as_span();
        let (begins, comma) = self.opening(rule, parent, previous);
        self.begins = self.begins.max(begins);
        self.comma |= comma;
        if rule == Rule::arguments {
            self.call = Some(span.start());
        }
        if is_piece(rule) {
            self.piece(rule, span.start(), span.end());
            return;
        }
        let mut previous = None;
        for inner in pair.into_inner() {
            let next = inner.as_rule();
            self.visit(inner, Some(rule), previous);
            previous = Some(next);
        }
    }

    /// What begins with a rule, and whether a comma stands before it.
    fn opening(&self, rule: Rule, parent: Option<Rule>, previous: Option<Rule>) -> (Begins, bool) {
        let again = previous == Some(rule);
        match rule {
            Rule::statement | Rule::member | Rule::given | Rule::expect => (Begins::Line, false),
            Rule::k_then if parent == Some(Rule::pressure) => (Begins::Line, false),
            Rule::evict if previous != Some(Rule::k_then) => (Begins::Line, false),
            Rule::filter | Rule::because | Rule::hold_on | Rule::until | Rule::into => {
                (Begins::Clause, false)
            }
            Rule::evicting
            | Rule::keeping
            | Rule::down_to
            | Rule::otherwise
            | Rule::at_least
            | Rule::at_most => (Begins::Clause, true),
            Rule::k_using if parent == Some(Rule::replace) => (Begins::Clause, true),
            Rule::k_run if matches!(parent, Some(Rule::before_delete | Rule::back_up)) => {
                (Begins::Clause, true)
            }
            Rule::k_free if parent == Some(Rule::pressure) => (Begins::Clause, true),
            Rule::order if parent == Some(Rule::evict) => (Begins::Clause, true),
            Rule::junction => (Begins::Joined, false),
            Rule::per => (Begins::Item, false),
            Rule::k_or if parent == Some(Rule::from_env) => (Begins::Item, false),
            Rule::fact => (Begins::Item, again),
            Rule::slot | Rule::argument | Rule::list_item if again => (Begins::Item, false),
            Rule::text if again && parent != Some(Rule::given_env) => (Begins::Item, false),
            _ => (Begins::Nothing, false),
        }
    }

    fn piece(&mut self, rule: Rule, start: usize, end: usize) {
        self.between(start);
        let text = self.text.get(start..end).unwrap_or_default();
        let text = match rule {
            Rule::moment => text.split_whitespace().collect::<Vec<_>>().join(" "),
            _ => text.to_owned(),
        };
        if self.comma {
            self.comma_behind_last(true);
        }
        let kind = match rule {
            Rule::label => PieceKind::Label,
            _ => PieceKind::Word,
        };
        let begins = self.begins;
        self.push(text, kind, begins, Some(rule), self.end, start);
        self.begins = Begins::Nothing;
        self.comma = false;
        self.end = end;
    }

    /// The marks and comments up to a position.
    fn between(&mut self, until: usize) {
        let whole = self.text;
        while let Some(rest) = whole.get(self.end..until) {
            let Some(offset) = rest.find(|c: char| !c.is_ascii_whitespace()) else {
                return;
            };
            let start = self.end + offset;
            let rest = rest.get(offset..).unwrap_or_default();
            if rest.starts_with('#') {
                let comment = rest.lines().next().unwrap_or_default();
                let text = comment.trim_ascii_end().to_owned();
                let from = self.end;
                self.push(text, PieceKind::Comment, Begins::Nothing, None, from, start);
                self.end = start + comment.len();
                continue;
            }
            let length = tokens::tokens(rest)
                .next()
                .map_or(rest.len(), |token| token.at.end);
            let mark = rest.get(..length).unwrap_or(rest);
            match mark {
                "," => self.comma_behind_last(true),
                _ => {
                    if matches!(mark, ")" | "]") {
                        self.comma_behind_last(false);
                    }
                    let kind = match self.call == Some(start) {
                        true => PieceKind::Call,
                        false => PieceKind::Mark,
                    };
                    let from = self.end;
                    self.push(mark.to_owned(), kind, Begins::Nothing, None, from, start);
                }
            }
            self.end = start + length;
        }
    }

    /// `from` is where the line breaks before the piece are counted from.
    fn push(
        &mut self,
        text: String,
        kind: PieceKind,
        begins: Begins,
        rule: Option<Rule>,
        from: usize,
        start: usize,
    ) {
        let gap = self.text.get(from..start).unwrap_or_default();
        self.pieces.push(Piece {
            text,
            kind,
            begins,
            comma: false,
            breaks: gap.matches('\n').count(),
            rule,
        });
    }

    /// A comma stands behind what it follows, even with a comment between the two.
    fn comma_behind_last(&mut self, comma: bool) {
        let mut pieces = self.pieces.iter_mut().rev();
        if let Some(last) = pieces.find(|piece| piece.kind != PieceKind::Comment) {
            last.comma = comma;
        }
    }
}

/// Rules whose text holds no white space that could be written otherwise.
fn is_piece(rule: Rule) -> bool {
    let is_word = matches!(
        rule,
        Rule::text
            | Rule::capture
            | Rule::label
            | Rule::percent
            | Rule::grouping
            | Rule::moment
            | Rule::version
            | Rule::number
            | Rule::ident
            | Rule::name
            | Rule::unit
    );
    is_word || expected::keyword(rule).is_some()
}
