//! pest's pairs into the tree, judging what the grammar took in whole: units,
//! numbers, mixed junctions, and words this version does not know yet.

mod answers;
mod conditions;
mod members;
mod statements;
mod test_blocks;

use std::ops::Range;

use pest::iterators::{Pair, Pairs};

use super::{Rule, tokens};
use crate::diagnostic::{Diagnostic, Source};
use crate::policy::ast::{File, Item, Literal, Member, Moment, Spanned, Statement, Unit, Value};
use crate::units::Size;

pub(crate) use answers::unit_of;

/// The whole file, and what is wrong in it.
pub(super) fn file(source: &Source, pairs: Pairs<'_, Rule>) -> (File, Vec<Diagnostic>) {
    let mut lower = Lower::new(source);
    let statements = pairs
        .flat_map(Pair::into_inner)
        .filter(|pair| pair.as_rule() == Rule::statement)
        .filter_map(|pair| lower.statement(pair))
        .collect();
    (File { statements }, lower.findings)
}

/// Builds the tree of one text; a part that is wrong is left out and reported.
pub(super) struct Lower<'a> {
    source: &'a Source,
    /// Where the text handed to pest begins in the source.
    offset: usize,
    pub(super) findings: Vec<Diagnostic>,
}

type Node<'i> = Pair<'i, Rule>;

impl<'a> Lower<'a> {
    pub(super) fn new(source: &'a Source) -> Lower<'a> {
        Lower::at_offset(source, 0)
    }

    /// For a text that is a slice of the source.
    pub(super) fn at_offset(source: &'a Source, offset: usize) -> Lower<'a> {
        Lower {
            source,
            offset,
            findings: Vec::new(),
        }
    }

    /// Where a node stands, from its first token to the end of its last: a pair also
    /// covers the white space and the comments its last optional part skipped.
    fn at(&self, node: &Node<'_>) -> Range<usize> {
        let span = node.as_span();
        let text = span.as_str();
        let length = match text.contains('#') {
            true => tokens::tokens(text).last().map_or(0, |token| token.at.end),
            false => text.trim_end().len(),
        };
        let start = span.start() + self.offset;
        start..start + length
    }

    fn wrong(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    fn error(
        &self,
        code: &'static str,
        at: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, self.source, at, message)
    }

    pub(super) fn statement(&mut self, node: Node<'_>) -> Option<Statement<Item>> {
        self.frame(node, Lower::item)
    }

    pub(super) fn member(&mut self, node: Node<'_>) -> Option<Statement<Member>> {
        self.frame(node, Lower::member_item)
    }

    fn frame<T>(
        &mut self,
        node: Node<'_>,
        item: fn(&mut Self, Node<'_>) -> Option<T>,
    ) -> Option<Statement<T>> {
        let at = self.at(&node);
        let (mut label, mut because, mut body) = (None, None, None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::label => label = Some(self.identifier(part)),
                Rule::because => because = self.text_in(part),
                _ => body = item(self, part),
            }
        }
        Some(Statement {
            at,
            label,
            because,
            item: body?,
        })
    }

    fn item(&mut self, node: Node<'_>) -> Option<Item> {
        Some(match node.as_rule() {
            Rule::edition => Item::Edition(self.count(find(node, Rule::number)?)?),
            Rule::timezone => Item::Timezone(self.text_in(node)?),
            Rule::type_def => Item::Type(self.type_def(node)?),
            Rule::let_def => Item::Let(self.let_def(node)?),
            Rule::collection => Item::Collection(self.collection(node)?),
            Rule::protect => {
                let mut parts = node.into_inner().filter(|part| !is_keyword(part));
                let template = self.text(parts.next()?);
                Item::Protect {
                    template,
                    filter: self.filter(parts.next())?,
                }
            }
            Rule::hold => Item::Hold(self.hold(node)?),
            Rule::stop => Item::Stop(self.stop(node)?),
            Rule::pressure => Item::Pressure(self.pressure(node)?),
            Rule::r#use => Item::Use(self.used(node)?),
            Rule::test => Item::Test(self.test_block(node)?),
            _ => return self.later(node),
        })
    }

    fn member_item(&mut self, node: Node<'_>) -> Option<Member> {
        Some(match node.as_rule() {
            Rule::clock => Member::Clock(self.clock(node)?),
            Rule::delete => Member::Delete(self.delete(node)?),
            Rule::empty_directories => {
                let age = match find(node, Rule::value) {
                    Some(age) => Some(self.value(age)?),
                    None => None,
                };
                Member::EmptyDirectories(age)
            }
            Rule::limit_size | Rule::limit_count => Member::Limit(self.limit(node)?),
            Rule::keep => Member::Keep(self.keep(node)?),
            Rule::before_delete => Member::Before(self.before(node)?),
            Rule::replace => Member::Replace(self.replace(node)?),
            Rule::delete_backups => Member::DeleteBackups(self.delete_backups(node)?),
            Rule::back_up => Member::BackUp(self.back_up(node)?),
            Rule::stop => Member::Stop(self.stop(node)?),
            _ => return self.later(node),
        })
    }

    /// Reports a word that belongs to the language but not to this version.
    fn later<T>(&mut self, node: Node<'_>) -> Option<T> {
        let at = self.at(&node);
        let words = self.source.slice(&at).split_whitespace();
        let name = match words.clone().next() {
            Some("prove") => "prove".to_owned(),
            _ => words.take(2).collect::<Vec<_>>().join(" "),
        };
        let finding = self
            .error(
                "R0190",
                at.start..at.start + name.len().min(at.len()),
                format!("`{name}` is not in this version of retain yet"),
            )
            .label("part of the language, reserved for a later version")
            .help(
                "leave the statement out for now; the policy is refused as a whole rather than run without it",
            );
        self.wrong(finding);
        None
    }

    fn identifier(&self, node: Node<'_>) -> Spanned<String> {
        let at = self.at(&node);
        Spanned {
            value: node.as_str().trim_matches(['@', '{', '}']).to_owned(),
            at,
        }
    }

    /// A string's value: a backslash before `"` or `\` is that character, any other stays.
    fn text(&self, node: Node<'_>) -> Spanned<String> {
        let at = self.at(&node);
        let raw = node.into_inner().next().map_or("", |body| body.as_str());
        let mut value = String::with_capacity(raw.len());
        let mut characters = raw.chars().peekable();
        while let Some(c) = characters.next() {
            match (c, characters.peek()) {
                ('\\', Some('"')) => continue,
                // Kept as two: the pattern the string holds reads `\\` as one.
                ('\\', Some('\\')) => {
                    value.push('\\');
                    characters.next();
                }
                _ => value.push(c),
            }
        }
        Spanned { value, at }
    }

    fn text_in(&self, node: Node<'_>) -> Option<Spanned<String>> {
        find(node, Rule::text).map(|text| self.text(text))
    }

    fn count(&mut self, node: Node<'_>) -> Option<Spanned<u64>> {
        let at = self.at(&node);
        let digits = node.as_str().trim().replace('_', "");
        if digits.contains('.') {
            let finding = self
                .error("R0104", at, format!("`{digits}` is not a whole number"))
                .help("write it in a smaller unit: `1500 MB` for 1.5 GB, `90 min` for 1.5 hours");
            self.wrong(finding);
            return None;
        }
        match digits.parse() {
            Ok(value) => Some(Spanned { value, at }),
            Err(_) => {
                let finding = self
                    .error("R0104", at, format!("`{digits}` is too large a number"))
                    .help("the largest number is 18446744073709551615");
                self.wrong(finding);
                None
            }
        }
    }

    fn percent(&mut self, node: Node<'_>) -> Option<Spanned<u64>> {
        let at = self.at(&node);
        let percent = self.count(find(node, Rule::number)?)?;
        if (1..=100).contains(&percent.value) {
            return Some(Spanned {
                value: percent.value,
                at,
            });
        }
        let finding = self
            .error(
                "R0104",
                at,
                format!("`{}%` is not a share of the whole", percent.value),
            )
            .help("write a percentage from 1% to 100%");
        self.wrong(finding);
        None
    }

    /// A day, or a minute or second of one: `2026-03-10`, `2026-03-10 12:00`.
    fn date(&mut self, node: Node<'_>) -> Option<Spanned<Moment>> {
        let inner = node.into_inner().next()?;
        let at = self.at(&inner);
        let text = match inner.as_rule() {
            Rule::text => self.text(inner).value,
            _ => inner.as_str().to_owned(),
        };
        match Moment::parse(&text) {
            Some(value) => Some(Spanned { value, at }),
            None => {
                let finding = self
                    .error("R0109", at, format!("`{text}` is no day of the calendar"))
                    .help("write it as `2026-03-10` or `2026-03-10 12:00`: year, month, day");
                self.wrong(finding);
                None
            }
        }
    }

    fn literal(&mut self, node: Node<'_>) -> Option<Spanned<Literal>> {
        let at = self.at(&node);
        let value = match self.value(node)?.value {
            Value::Literal(literal) => literal,
            Value::Name(_) => return None,
        };
        Some(Spanned { value, at })
    }

    fn value(&mut self, node: Node<'_>) -> Option<Spanned<Value>> {
        let at = self.at(&node);
        let mut parts = node.into_inner();
        let first = parts.next()?;
        let value = match first.as_rule() {
            Rule::name => Value::Name(first.as_str().to_owned()),
            Rule::text => Value::Literal(Literal::Text(self.text(first).value)),
            _ => {
                let number = self.count(first)?;
                let unit = match parts.next() {
                    Some(unit) => Some(self.unit(unit, number.value)?),
                    None => None,
                };
                Value::Literal(self.quantity(number.value, unit, &at)?)
            }
        };
        Some(Spanned { value, at })
    }

    fn quantity(&mut self, number: u64, unit: Option<Unit>, at: &Range<usize>) -> Option<Literal> {
        let literal = match unit {
            None => Some(Literal::Count(number)),
            Some(Unit::Time(unit)) => unit.times(number).map(Literal::Span),
            Some(Unit::Bytes(factor)) => number
                .checked_mul(factor)
                .map(|bytes| Literal::Size(Size(bytes))),
        };
        if literal.is_none() {
            let finding = self
                .error("R0104", at.clone(), "this amount is too large to count")
                .help("write a smaller number or a smaller unit");
            self.wrong(finding);
        }
        literal
    }

    fn unit(&mut self, node: Node<'_>, number: u64) -> Option<Unit> {
        let at = self.at(&node);
        let word = node.as_str();
        if let Some(unit) = unit_of(word) {
            return Some(unit);
        }
        let finding = answers::unknown_unit(self.source, at, word, number);
        self.wrong(finding);
        None
    }
}

fn find(node: Node<'_>, rule: Rule) -> Option<Node<'_>> {
    node.into_inner().find(|part| part.as_rule() == rule)
}

/// Keyword rules are all named `k_…`; their pairs carry nothing.
fn is_keyword(node: &Node<'_>) -> bool {
    super::expected::keyword(node.as_rule()).is_some()
}
