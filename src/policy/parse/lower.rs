//! pest's pairs into the tree, judging what the grammar took in whole: units,
//! numbers, mixed junctions, and words this version does not know yet.

use std::ops::Range;

use pest::iterators::{Pair, Pairs};

use super::Rule;
use crate::diagnostic::{Diagnostic, Source};
use crate::policy::ast::{
    Argument, Before, Bound, Clock, Collection, Comparison, Condition, DownTo, File, FromEnv, Item,
    Keep, LetDef, LetValue, Limit, Literal, Measure, Member, Order, Shape, Spanned, Statement,
    Stop, Test, TypeDef, Unit, Value, When,
};
use crate::units::{Size, SpanUnit};

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

    fn at(&self, node: &Node<'_>) -> Range<usize> {
        let span = node.as_span();
        // A pair ends after the white space its last optional part skipped.
        let length = span.as_str().trim_end().len();
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
            Rule::stop => Item::Stop(self.stop(node)?),
            _ => return self.later(node),
        })
    }

    fn member_item(&mut self, node: Node<'_>) -> Option<Member> {
        Some(match node.as_rule() {
            Rule::clock => Member::Clock(self.clock(node)?),
            Rule::delete => Member::Delete(match find(node, Rule::condition) {
                Some(condition) => When::If(self.condition(condition)?),
                None => When::Always,
            }),
            Rule::limit_size => Member::Limit(self.limit(node, Measure::TotalSize)?),
            Rule::limit_count => Member::Limit(self.limit(node, Measure::Count)?),
            Rule::keep => Member::Keep(self.keep(node)?),
            Rule::before_delete => Member::Before(self.before(node)?),
            Rule::stop => Member::Stop(self.stop(node)?),
            _ => return self.later(node),
        })
    }

    /// Reports a word that belongs to the language but not to this version.
    fn later<T>(&mut self, node: Node<'_>) -> Option<T> {
        let at = self.at(&node);
        let words = self.source.slice(&at);
        if let Some(number) = newest_in_front(words) {
            let finding = self
                .error("R0102", at.clone(), "the number stands behind `newest`")
                .help(format!("write `keep newest {number}`"));
            self.wrong(finding);
            return None;
        }
        let shown: Vec<&str> = words.split_whitespace().take(2).collect();
        let name = match shown.as_slice() {
            [
                first @ ("hold" | "use" | "prove" | "test" | "replace" | "when" | "lowest" | "user"
                | "number"),
                ..,
            ] => (*first).to_owned(),
            [keep @ "keep", number] => {
                let slot = words.split_whitespace().nth(2).unwrap_or_default();
                format!("{keep} {number} {}", slot.trim_end_matches(','))
            }
            words => words.join(" "),
        };
        let help = match name.as_str() {
            // Leaving the hook out would delete without any backup at all.
            "delete anyway" => "write `otherwise keep`: a file whose backup fails stays",
            "last accessed" | "created" => "write `last modified` or `last modified or changed`",
            _ => {
                "leave the statement out for now; the policy is refused as a whole rather than run without it"
            }
        };
        let finding = self
            .error(
                "R0190",
                at.start..at.start + name.len().min(at.len()),
                format!("`{name}` is not in this version of retain yet"),
            )
            .label("part of the language, reserved for a later version")
            .help(help);
        self.wrong(finding);
        None
    }

    // ---- tokens ---------------------------------------------------------------

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

    // ---- values ---------------------------------------------------------------

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
        let finding = unknown_unit(self.source, at, word, number);
        self.wrong(finding);
        None
    }

    // ---- file level -----------------------------------------------------------

    fn type_def(&mut self, node: Node<'_>) -> Option<TypeDef> {
        let mut parts = node.into_inner().filter(|part| !is_keyword(part));
        let name = self.identifier(parts.next()?);
        let shape = parts.next()?;
        let shape = match shape.as_rule() {
            Rule::one_of => {
                let texts = shape
                    .into_inner()
                    .filter(|part| part.as_rule() == Rule::text);
                Shape::OneOf(texts.map(|text| self.text(text)).collect())
            }
            Rule::text_matching => Shape::Matching(self.text_in(shape)?),
            _ => return self.later(shape),
        };
        Some(TypeDef { name, shape })
    }

    fn let_def(&mut self, node: Node<'_>) -> Option<LetDef> {
        let mut parts = node.into_inner().filter(|part| !is_keyword(part));
        let name = self.identifier(parts.next()?);
        let value = parts.next()?;
        let value = match value.as_rule() {
            Rule::from_env => LetValue::Env(self.environment(value)?),
            _ => LetValue::Literal(self.literal(value)?),
        };
        Some(LetDef { name, value })
    }

    fn environment(&mut self, node: Node<'_>) -> Option<FromEnv> {
        let (mut variable, mut unit, mut default, mut at_least, mut at_most) =
            (None, None, None, None, None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::text => variable = Some(self.text(part)),
                Rule::in_unit => {
                    let word = find(part, Rule::unit)?;
                    let at = self.at(&word);
                    unit = Some(Spanned {
                        value: self.unit(word, 6)?,
                        at,
                    });
                }
                Rule::literal => default = Some(self.literal(part)?),
                Rule::at_least => at_least = Some(self.literal(find(part, Rule::literal)?)?),
                Rule::at_most => at_most = Some(self.literal(find(part, Rule::literal)?)?),
                _ => {}
            }
        }
        Some(FromEnv {
            variable: variable?,
            unit,
            default: default?,
            at_least,
            at_most,
        })
    }

    pub(super) fn collection(&mut self, node: Node<'_>) -> Option<Collection> {
        let mut parts = node.into_inner();
        let mut collection = self.head(parts.next()?)?;
        for member in parts {
            collection.members.extend(self.member(member));
        }
        Some(collection)
    }

    pub(super) fn head(&mut self, node: Node<'_>) -> Option<Collection> {
        let mut parts = node.into_inner().filter(|part| !is_keyword(part));
        let name = self.identifier(parts.next()?);
        let template = self.text(parts.next()?);
        Some(Collection {
            name,
            template,
            members: Vec::new(),
        })
    }

    fn stop(&mut self, node: Node<'_>) -> Option<Stop> {
        let Some(bound) = find(node, Rule::stop_bound) else {
            return Some(Stop::Never);
        };
        let at = self.at(&bound);
        let amount = bound.into_inner().find(|part| !is_keyword(part))?;
        let value = match amount.as_rule() {
            Rule::percent => Bound::Percent(self.percent(amount)?.value),
            Rule::number => Bound::Files(self.count(amount)?.value),
            _ => Bound::Size(self.value(amount)?.value),
        };
        Some(Stop::Over(Spanned { value, at }))
    }

    // ---- inside a collection --------------------------------------------------

    fn clock(&mut self, node: Node<'_>) -> Option<Spanned<Clock>> {
        let at = self.at(&node);
        let clock = node.into_inner().find(|part| !is_keyword(part))?;
        if clock.as_rule() == Rule::later_clock {
            return self.later(clock);
        }
        let value = match find(clock, Rule::or_changed) {
            Some(_) => Clock::LastModifiedOrChanged,
            None => Clock::LastModified,
        };
        Some(Spanned { value, at })
    }

    fn limit(&mut self, node: Node<'_>, measure: Measure) -> Option<Limit> {
        let whole = self.at(&node);
        let (mut cap, mut per, mut filter, mut order, mut down_to) =
            (None, Vec::new(), None, None, None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::value => cap = Some(self.value(part)?),
                Rule::per => per = self.per(part),
                Rule::filter => filter = self.filter(Some(part))?,
                Rule::evicting => order = Some(self.order(find(part, Rule::order)?)?),
                Rule::down_to => down_to = Some(self.down_to(part)?),
                _ => {}
            }
        }
        let Some(order) = order else {
            let finding = self
                .error("R0111", whole.end..whole.end, "this limit does not say which files go first")
                .help("add `, evicting oldest first` (or `largest first`, `smallest first`, `least recently used first`)")
                .edit(whole.end..whole.end, ", evicting oldest first");
            self.wrong(finding);
            return None;
        };
        Some(Limit {
            measure,
            cap: cap?,
            per,
            filter,
            order,
            down_to,
        })
    }

    fn per(&self, node: Node<'_>) -> Vec<Spanned<String>> {
        let grouping = find(node, Rule::grouping)
            .into_iter()
            .flat_map(Pair::into_inner);
        grouping
            .filter(|part| part.as_rule() == Rule::capture)
            .map(|part| self.identifier(part))
            .collect()
    }

    fn order(&mut self, node: Node<'_>) -> Option<Spanned<Order>> {
        let at = self.at(&node);
        let order = node.into_inner().next()?;
        let value = match order.as_rule() {
            Rule::oldest => Order::OldestFirst,
            Rule::largest => Order::LargestFirst,
            Rule::smallest => Order::SmallestFirst,
            Rule::least_recently_used => Order::LeastRecentlyUsedFirst,
            _ => return self.later(order),
        };
        Some(Spanned { value, at })
    }

    fn down_to(&mut self, node: Node<'_>) -> Option<Spanned<DownTo>> {
        let amount = node.into_inner().find(|part| !is_keyword(part))?;
        let at = self.at(&amount);
        let value = match amount.as_rule() {
            Rule::percent => DownTo::Percent(self.percent(amount)?.value),
            _ => DownTo::Value(self.value(amount)?.value),
        };
        Some(Spanned { value, at })
    }

    fn keep(&mut self, node: Node<'_>) -> Option<Keep> {
        let whole = self.at(&node);
        let form = node.into_inner().nth(1)?;
        if form.as_rule() == Rule::k_always {
            return Some(Keep::Always);
        }
        let rule = form.as_rule();
        let (mut amount, mut per, mut filter, mut condition) = (None, Vec::new(), None, None);
        for part in form.into_inner() {
            match part.as_rule() {
                Rule::value => amount = Some(self.value(part)?),
                Rule::per => per = self.per(part),
                Rule::filter => filter = self.filter(Some(part))?,
                Rule::condition => condition = Some(self.condition(part)?),
                _ => {}
            }
        }
        match rule {
            Rule::keep_when => Some(Keep::When(condition?)),
            Rule::keep_for => Some(Keep::For {
                span: amount?,
                filter,
            }),
            Rule::keep_newest => Some(Keep::Newest {
                count: amount?,
                per,
                filter,
            }),
            _ => {
                let finding = keep_at_most(self.source, whole, amount.as_ref(), &per);
                self.wrong(finding);
                None
            }
        }
    }

    fn filter(&mut self, node: Option<Node<'_>>) -> Option<Option<Condition>> {
        match node.and_then(|node| find(node, Rule::condition)) {
            Some(condition) => self.condition(condition).map(Some),
            None => Some(None),
        }
    }

    fn before(&mut self, node: Node<'_>) -> Option<Before> {
        let (mut plugin, mut arguments, mut destination) = (None, Vec::new(), None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::ident => plugin = Some(self.identifier(part)),
                Rule::arguments => {
                    for argument in part.into_inner() {
                        arguments.push(self.argument(argument)?);
                    }
                }
                Rule::into => {
                    destination = find(part, Rule::ident).map(|name| self.identifier(name))
                }
                Rule::otherwise => {
                    if let Some(anyway) = find(part, Rule::delete_anyway) {
                        return self.later(anyway);
                    }
                }
                _ => {}
            }
        }
        Some(Before {
            plugin: plugin?,
            arguments,
            destination,
        })
    }

    fn argument(&mut self, node: Node<'_>) -> Option<(Spanned<String>, Spanned<Argument>)> {
        let mut parts = node.into_inner();
        let name = self.identifier(parts.next()?);
        let value = parts.next()?;
        let at = self.at(&value);
        let inner = value.into_inner().next()?;
        let value = match inner.as_rule() {
            Rule::k_true => Argument::Flag(true),
            Rule::k_false => Argument::Flag(false),
            Rule::text => Argument::Value(Value::Literal(Literal::Text(self.text(inner).value))),
            Rule::list => Argument::List(self.list(inner)?),
            _ => Argument::Value(self.value(inner)?.value),
        };
        Some((name, Spanned { value, at }))
    }

    fn list(&mut self, node: Node<'_>) -> Option<Vec<Spanned<Value>>> {
        let items = node
            .into_inner()
            .filter_map(|item| item.into_inner().next());
        items
            .map(|item| match item.as_rule() {
                Rule::text => {
                    let text = self.text(item);
                    Some(Spanned {
                        value: Value::Literal(Literal::Text(text.value)),
                        at: text.at,
                    })
                }
                _ => self.value(item),
            })
            .collect()
    }

    // ---- conditions -----------------------------------------------------------

    fn condition(&mut self, node: Node<'_>) -> Option<Condition> {
        let at = self.at(&node);
        let (mut parts, mut junctions) = (Vec::new(), Vec::new());
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::junction => junctions.push((part.as_str().trim() == "and", self.at(&part))),
                _ => parts.push(self.unary(part)?),
            }
        }
        let Some((conjunction, first)) = junctions.first().cloned() else {
            return parts.pop();
        };
        if let Some((_, second)) = junctions.iter().find(|(and, _)| *and != conjunction) {
            let finding = self
                .error(
                    "R0106",
                    second.clone(),
                    "`and` and `or` are mixed without parentheses",
                )
                .label("which of the two binds first?")
                .also(first, "the other one")
                .help("put parentheses around the part that belongs together: `(a and b) or c`");
            self.wrong(finding);
            return None;
        }
        if parts.len() > usize::from(u16::MAX) {
            let finding = self
                .error("R0107", at, "this condition has too many parts")
                .help("use `in [\"a\", \"b\"]` for a list of values");
            self.wrong(finding);
            return None;
        }
        Some(if conjunction {
            Condition::All(parts)
        } else {
            Condition::Any(parts)
        })
    }

    fn unary(&mut self, node: Node<'_>) -> Option<Condition> {
        let mut parts = node.into_inner();
        let first = parts.next()?;
        if first.as_rule() == Rule::negation {
            return Some(Condition::Not(Box::new(self.primary(parts.next()?)?)));
        }
        self.primary(first)
    }

    fn primary(&mut self, node: Node<'_>) -> Option<Condition> {
        let at = self.at(&node);
        let inner = node.into_inner().next()?;
        if inner.as_rule() == Rule::condition {
            return self.condition(inner);
        }
        Some(Condition::Test(Spanned {
            value: self.test(inner)?,
            at,
        }))
    }

    fn test(&mut self, node: Node<'_>) -> Option<Test> {
        Some(match node.as_rule() {
            Rule::older => Test::Older(self.value(find(node, Rule::value)?)?),
            Rule::newer => Test::Newer(self.value(find(node, Rule::value)?)?),
            Rule::modified => return self.modified(node),
            Rule::size_test => return self.size_test(node),
            Rule::capture_test => return self.capture_test(node),
            Rule::path_test => Test::PathMatches(self.text_in(node)?),
            _ => return self.later(node),
        })
    }

    fn modified(&mut self, node: Node<'_>) -> Option<Test> {
        let whole = node.clone();
        let form = node.into_inner().find(|part| !is_keyword(part))?;
        Some(match form.as_rule() {
            Rule::modified_ago => Test::ModifiedMoreThanAgo(self.value(find(form, Rule::value)?)?),
            Rule::modified_within => Test::ModifiedWithin(self.value(find(form, Rule::value)?)?),
            _ => return self.later(whole),
        })
    }

    fn size_test(&mut self, node: Node<'_>) -> Option<Test> {
        let mut parts = node.into_inner().filter(|part| !is_keyword(part));
        let comparison = match parts.next()?.as_rule() {
            Rule::size_over => Comparison::Over,
            Rule::size_under => Comparison::Under,
            Rule::size_at_least => Comparison::AtLeast,
            _ => Comparison::AtMost,
        };
        Some(Test::Size(comparison, self.value(parts.next()?)?))
    }

    fn capture_test(&mut self, node: Node<'_>) -> Option<Test> {
        let whole = node.clone();
        let mut parts = node.into_inner();
        let capture = self.identifier(parts.next()?);
        let form = parts.next()?;
        Some(match form.as_rule() {
            Rule::capture_is => Test::CaptureIs(capture, self.text_in(form)?),
            Rule::capture_is_not => Test::CaptureIsNot(capture, self.text_in(form)?),
            Rule::capture_matches => Test::CaptureMatches(capture, self.text_in(form)?),
            Rule::capture_in => {
                let texts = form
                    .into_inner()
                    .filter(|part| part.as_rule() == Rule::text);
                Test::CaptureIn(capture, texts.map(|text| self.text(text)).collect())
            }
            _ => return self.later(whole),
        })
    }
}

/// The number of `keep 3 newest`, which the grammar takes for a calendar slot.
fn newest_in_front(words: &str) -> Option<&str> {
    let rest = words.strip_prefix("keep")?;
    let mut words = rest.split_whitespace();
    let number = words.next()?;
    matches!(words.next()?, "newest" | "latest" | "last").then_some(number)
}

fn find(node: Node<'_>, rule: Rule) -> Option<Node<'_>> {
    node.into_inner().find(|part| part.as_rule() == rule)
}

/// Keyword rules are all named `k_…`; their pairs carry nothing.
fn is_keyword(node: &Node<'_>) -> bool {
    super::expected::keyword(node.as_rule()).is_some()
}

/// What a unit word counts.
pub(crate) fn unit_of(word: &str) -> Option<Unit> {
    SpanUnit::of(word)
        .map(Unit::Time)
        .or_else(|| Size::unit(word).map(Unit::Bytes))
}

/// `m` may be minutes or months, `M` anything: never guessed.
pub(crate) fn unknown_unit(
    source: &Source,
    at: Range<usize>,
    word: &str,
    number: u64,
) -> Diagnostic {
    let error = |message: String| Diagnostic::error("R0103", source, at.clone(), message);
    match word {
        "m" => error("`m` is not a unit of time here".into())
            .label("minutes or months?")
            .help(format!("write `{number} min` or `{number} months`; guessing wrong is a factor of 43,800")),
        "M" => error("`M` is not a unit here".into())
            .label("megabytes, mebibytes or months?")
            .help(format!("write `{number} MB` (1,000,000 bytes each), `{number} MiB` (1,048,576) or `{number} months`")),
        "K" | "k" => error(format!("`{word}` is not a unit of size here"))
            .label("1,000 or 1,024 bytes?")
            .help(format!("write `{number} kB` (1,000 bytes each) or `{number} KiB` (1,024)")),
        "G" | "T" => error(format!("`{word}` is not a unit of size here"))
            .label("decimal or binary?")
            .help(format!("write `{number} {word}B` (powers of 1,000) or `{number} {word}iB` (powers of 1,024)")),
        _ => {
            const UNITS: [&str; 21] = [
                "seconds", "second", "minutes", "minute", "min", "hours", "hour", "days", "day", "weeks", "week", "months",
                "month", "quarters", "years", "year", "kB", "MB", "GB", "MiB", "GiB",
            ];
            let finding = error(format!("`{word}` is not a unit this language knows"));
            let folded = word.to_ascii_lowercase();
            let same = UNITS.iter().copied().find(|unit| unit.to_ascii_lowercase() == folded);
            match same.or_else(|| crate::diagnostic::nearest(word, UNITS)) {
                Some(near) => finding.help(format!("did you mean `{number} {near}`?")).edit(at.clone(), near),
                None => finding.help("times are `min`, `hours`, `days`, `weeks`, `months`, `years`; sizes are `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`"),
            }
        }
    }
}

fn keep_at_most(
    source: &Source,
    at: Range<usize>,
    amount: Option<&Spanned<Value>>,
    per: &[Spanned<String>],
) -> Diagnostic {
    let count = amount.map_or("3", |amount| source.slice(&amount.at));
    let groups: Vec<String> = per
        .iter()
        .map(|capture| format!("{{{}}}", capture.value))
        .collect();
    let per = if groups.is_empty() {
        String::new()
    } else {
        format!(" per {}", groups.join("/"))
    };
    let instead = format!("limit count to {count}{per}, evicting oldest first");
    Diagnostic::error(
        "R0110",
        source,
        at.clone(),
        "`keep` can never delete, so it has no `at most`",
    )
    .help(format!("write `{instead}`"))
    .edit(at, instead)
}
