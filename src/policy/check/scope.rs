//! Names of a file: types and constants, and what the environment says.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::uses::Loaded;
use super::{Environment, NotText};
use crate::diagnostic::{Diagnostic, Source};
use crate::policy::ast::{FromEnv, Item, LetValue, Literal, Shape, Spanned, Unit};
use crate::policy::parse::unit_of;
use crate::policy::template::{CompileError, FormatError, ValueType};
use crate::units::{Size, Span};

/// What the names of a file stand for.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) types: HashMap<String, ValueType>,
    /// The statement each type was defined by.
    pub(super) definitions: BTreeMap<String, String>,
    pub(super) constants: BTreeMap<String, Literal>,
    pub(super) from_environment: BTreeMap<String, String>,
    /// Some type could not be read, so an unknown one may be that one.
    pub(super) broken_types: bool,
    /// The same for constants.
    pub(super) broken_constants: bool,
}

impl Scope {
    /// Reads a file's own names; `used` are the scopes of the files it uses.
    pub(super) fn read(
        file: &Loaded,
        used: &[(String, std::rc::Rc<Scope>)],
        environment: Environment<'_>,
        findings: &mut Vec<Diagnostic>,
    ) -> Scope {
        let mut reader = Reader {
            source: &file.source,
            environment,
            scope: Scope::default(),
            names: HashMap::new(),
            imported: HashMap::new(),
            findings,
        };
        for (name, scope) in used {
            reader.import(name, scope);
        }
        // What a broken file lost on the way must not be reported as missing. A sound
        // one lost nothing, whatever its lines look like.
        let declared = |keyword: &str| {
            let lines = file.source.text().lines();
            lines
                .filter(|line| line.split_whitespace().next() == Some(keyword))
                .count()
        };
        let count = |wanted: fn(&Item) -> bool| {
            let statements = file.tree.statements.iter();
            statements.filter(|s| wanted(&s.item)).count()
        };
        if file.partial {
            reader.scope.broken_types |= declared("type") > count(|i| matches!(i, Item::Type(_)));
            reader.scope.broken_constants |= declared("let") > count(|i| matches!(i, Item::Let(_)));
        }
        for statement in &file.tree.statements {
            match &statement.item {
                Item::Type(definition) => {
                    reader.declare(&definition.name, "type");
                    reader.define_type(&definition.name, &definition.shape);
                    reader.scope.definitions.insert(
                        definition.name.value.clone(),
                        file.source.slice(&statement.at).to_owned(),
                    );
                }
                Item::Let(definition) => {
                    reader.declare(&definition.name, "constant");
                    reader.define_constant(&definition.name, &definition.value);
                }
                Item::Collection(collection) => reader.reserved(&collection.name),
                Item::Edition(_)
                | Item::Timezone(_)
                | Item::Protect { .. }
                | Item::Hold(_)
                | Item::Stop(_)
                | Item::Pressure(_)
                | Item::Use(_)
                | Item::Test(_) => {}
            }
        }
        reader.scope
    }
}

/// Words that mean something everywhere and so can name nothing.
const RESERVED: &[&str] = &[
    "a",
    "above",
    "accessed",
    "after",
    "age",
    "ago",
    "allowing",
    "always",
    "and",
    "anyway",
    "archive",
    "at",
    "back",
    "backups",
    "because",
    "before",
    "below",
    "by",
    "changed",
    "collection",
    "count",
    "created",
    "daily",
    "date",
    "delete",
    "deletes",
    "directories",
    "disk",
    "down",
    "edition",
    "empty",
    "env",
    "evict",
    "evicting",
    "expect",
    "files",
    "first",
    "for",
    "free",
    "from",
    "full",
    "given",
    "group",
    "hold",
    "hourly",
    "if",
    "in",
    "into",
    "is",
    "keep",
    "keeping",
    "largest",
    "last",
    "least",
    "let",
    "limit",
    "lowest",
    "matches",
    "matching",
    "measured",
    "modified",
    "monthly",
    "more",
    "most",
    "name",
    "never",
    "newer",
    "newest",
    "not",
    "now",
    "number",
    "of",
    "older",
    "oldest",
    "on",
    "one",
    "or",
    "otherwise",
    "over",
    "owner",
    "path",
    "per",
    "protect",
    "protections",
    "prove",
    "quarterly",
    "recently",
    "replace",
    "run",
    "semver",
    "size",
    "smallest",
    "stop",
    "store",
    "test",
    "text",
    "than",
    "then",
    "timezone",
    "to",
    "total",
    "true",
    "false",
    "type",
    "types",
    "under",
    "until",
    "up",
    "use",
    "used",
    "user",
    "using",
    "weekly",
    "when",
    "where",
    "within",
    "would",
    "yearly",
];

struct Reader<'a> {
    source: &'a Source,
    environment: Environment<'a>,
    scope: Scope,
    names: HashMap<(&'static str, String), Range<usize>>,
    /// Types that came from other files, and from which.
    imported: HashMap<String, String>,
    findings: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn error(
        &self,
        code: &'static str,
        at: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, self.source, at, message)
    }

    fn declare(&mut self, name: &Spanned<String>, what: &'static str) {
        let key = (what, name.value.clone());
        if let Some(first) = self.names.get(&key) {
            let finding = self
                .error(
                    "R0205",
                    name.at.clone(),
                    format!("there are two {what}s named `{}`", name.value),
                )
                .also(first.clone(), "the first one")
                .help("give one of them another name");
            self.findings.push(finding);
            return;
        }
        if what == "type"
            && let Some(from) = self.imported.get(&name.value)
        {
            let message = format!("`{}` is a type of `{from}` already", name.value);
            let finding = self
                .error("R0205", name.at.clone(), message)
                .help("use that one, or give this one another name");
            self.findings.push(finding);
        }
        self.reserved(name);
        self.names.insert(key, name.at.clone());
    }

    /// The types of a file that is used.
    fn import(&mut self, from: &str, scope: &Scope) {
        for (name, value_type) in &scope.types {
            self.imported.insert(name.clone(), from.to_owned());
            self.scope.types.insert(name.clone(), value_type.clone());
        }
        for (name, text) in &scope.definitions {
            self.scope.definitions.insert(name.clone(), text.clone());
        }
        self.scope.broken_types |= scope.broken_types;
    }

    fn reserved(&mut self, name: &Spanned<String>) {
        if RESERVED.contains(&name.value.as_str()) || unit_of(&name.value).is_some() {
            let finding = self
                .error(
                    "R0206",
                    name.at.clone(),
                    format!("`{}` is a word of the language", name.value),
                )
                .help(format!("choose another name, such as `my-{}`", name.value));
            self.findings.push(finding);
        }
    }

    fn define_type(&mut self, name: &Spanned<String>, shape: &Shape) {
        let defined = match shape {
            Shape::OneOf(values) => self.one_of(values),
            Shape::Matching(pattern) => match ValueType::matching(&pattern.value) {
                Ok(value_type) => Some(value_type),
                Err(error) => {
                    let finding = self
                        .error(
                            "R0207",
                            pattern.at.clone(),
                            format!("this is not a pattern for a value: {error}"),
                        )
                        .help(pattern_help(&error));
                    self.findings.push(finding);
                    None
                }
            },
            Shape::Date(format) => match ValueType::date(&format.value) {
                Ok(value_type) => Some(value_type),
                Err(error) => {
                    let finding = self
                        .error(
                            "R0207",
                            format.at.clone(),
                            format!("this is not the format of a date: {error}"),
                        )
                        .help(format_help(&error));
                    self.findings.push(finding);
                    None
                }
            },
            Shape::Number => Some(ValueType::number()),
            Shape::Semver => Some(ValueType::semver()),
            Shape::User => Some(ValueType::user()),
        };
        match defined {
            Some(value_type) => {
                self.scope.types.insert(name.value.clone(), value_type);
            }
            None => self.scope.broken_types = true,
        }
    }

    fn one_of(&mut self, values: &[Spanned<String>]) -> Option<ValueType> {
        let impossible = values
            .iter()
            .find(|value| value.value.is_empty() || value.value.contains(['/', '\0']));
        if let Some(value) = impossible {
            let finding = self
                .error(
                    "R0207",
                    value.at.clone(),
                    format!("no part of a file's name is `{}`", value.value),
                )
                .help("list values that can stand between two `/`");
            self.findings.push(finding);
            return None;
        }
        Some(ValueType::one_of(
            &values
                .iter()
                .map(|value| value.value.clone())
                .collect::<Vec<_>>(),
        ))
    }

    fn define_constant(&mut self, name: &Spanned<String>, value: &LetValue) {
        let literal = match value {
            LetValue::Literal(literal) => Some(literal.value.clone()),
            LetValue::Env(from_env) => self.environment_value(from_env),
        };
        match literal {
            Some(literal) => {
                self.scope.constants.insert(name.value.clone(), literal);
            }
            None => self.scope.broken_constants = true,
        }
    }

    fn environment_value(&mut self, from: &FromEnv) -> Option<Literal> {
        let kind = from.unit.as_ref().map_or_else(
            || kind_of(&from.default.value),
            |unit| kind_of_unit(unit.value),
        );
        for bound in std::iter::once(&from.default)
            .chain(&from.at_least)
            .chain(&from.at_most)
        {
            if kind_of(&bound.value) != kind {
                let message = format!(
                    "this is {}, but `{}` holds {}",
                    kind_of(&bound.value),
                    from.variable.value,
                    kind
                );
                let finding = self
                    .error("R0208", bound.at.clone(), message)
                    .help(format!("write {kind} here too"));
                self.findings.push(finding);
                return None;
            }
        }
        if kind == Kind::Text
            && let Some(bound) = from.at_least.as_ref().or(from.at_most.as_ref())
        {
            let finding = self
                .error("R0208", bound.at.clone(), "a text has no bounds")
                .help("leave `at least` and `at most` out");
            self.findings.push(finding);
            return None;
        }
        let set = match (self.environment.variable)(&from.variable.value) {
            Ok(value) => value.filter(|value| !value.trim().is_empty()),
            Err(NotText) => {
                let message = format!(
                    "the environment variable `{}` is not UTF-8 text",
                    from.variable.value
                );
                let finding = self
                    .error("R0208", from.variable.at.clone(), message)
                    .help("set it to a value this policy can use, or unset it to use the default");
                self.findings.push(finding);
                return None;
            }
        };
        let Some(value) = set else {
            return self.within_bounds(
                from,
                from.default.value.clone(),
                &from.default.at.clone(),
                "the default",
            );
        };
        let Some(literal) = read(value.trim(), from, kind) else {
            let unit = from.unit.as_ref().map_or(String::new(), |unit| {
                format!(" of {}", self.source.slice(&unit.at))
            });
            let wanted = if from.unit.is_some() {
                format!("a whole number{unit}")
            } else {
                kind.to_string()
            };
            let message = format!(
                "the environment variable `{}` is `{}`, which is not {wanted}",
                from.variable.value,
                value.escape_debug()
            );
            let finding = self
                .error("R0208", from.variable.at.clone(), message)
                .help("set it to a value this policy can use, or unset it to use the default");
            self.findings.push(finding);
            return None;
        };
        self.scope
            .from_environment
            .insert(from.variable.value.clone(), value.trim().to_owned());
        let what = format!(
            "the environment variable `{}` is `{}`, which",
            from.variable.value,
            value.trim().escape_debug()
        );
        self.within_bounds(from, literal, &from.variable.at.clone(), &what)
    }

    fn within_bounds(
        &mut self,
        from: &FromEnv,
        literal: Literal,
        at: &Range<usize>,
        what: &str,
    ) -> Option<Literal> {
        let magnitude = magnitude(&literal);
        let too_small = from
            .at_least
            .as_ref()
            .filter(|bound| magnitude < self::magnitude(&bound.value))
            .map(|bound| ("less than", bound));
        let too_large = from
            .at_most
            .as_ref()
            .filter(|bound| magnitude > self::magnitude(&bound.value))
            .map(|bound| ("more than", bound));
        let Some((relation, bound)) = too_small.or(too_large) else {
            return Some(literal);
        };
        let finding = self
            .error(
                "R0209",
                at.clone(),
                format!("{what} is {relation} {}", self.source.slice(&bound.at)),
            )
            .also(bound.at.clone(), "the bound set here")
            .help("change the value or the bound; a value out of bounds is never used");
        self.findings.push(finding);
        None
    }
}

fn pattern_help(error: &CompileError) -> &'static str {
    match error {
        CompileError::Anchor => "leave the anchors out",
        CompileError::Slash => {
            "a capture stands for a part of one name; put the `/` into the template"
        }
        CompileError::TooLarge => "use smaller repetitions",
        CompileError::Nothing => "write a pattern that some part of a name matches",
        CompileError::Pattern(_) | CompileError::UnknownType { .. } => {
            "the syntax is that of Rust's regex crate, such as `\"[A-Z]{1,5}\"`"
        }
    }
}

fn format_help(error: &FormatError) -> &'static str {
    match error {
        FormatError::NoDay => {
            "name a day, such as `\"%Y-%m-%d\"` or `\"%Y-%j\"`; a month alone does not say how old a file of it is"
        }
        FormatError::Slash => {
            "a capture stands for a part of one name; put the `/` into the template"
        }
        FormatError::Letter(_) | FormatError::Twice(_) | FormatError::Open => {
            "the letters are `%Y` year, `%m` month, `%b` its short name, `%d` day, `%j` day of the year, `%H` `%M` `%S` time, `%%` itself"
        }
    }
}

/// What a constant is, for messages and for comparing kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Age,
    Size,
    Number,
    Text,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Age => "an age such as `6 hours`",
            Kind::Size => "a size such as `200 MB`",
            Kind::Number => "a number",
            Kind::Text => "a text",
        })
    }
}

pub(super) fn kind_of(literal: &Literal) -> Kind {
    match literal {
        Literal::Span(_) => Kind::Age,
        Literal::Size(_) => Kind::Size,
        Literal::Count(_) => Kind::Number,
        Literal::Text(_) => Kind::Text,
    }
}

fn kind_of_unit(unit: Unit) -> Kind {
    match unit {
        Unit::Time(_) => Kind::Age,
        Unit::Bytes(_) => Kind::Size,
    }
}

/// An environment's value: a bare number of the stated unit, or number and unit.
fn read(value: &str, from: &FromEnv, kind: Kind) -> Option<Literal> {
    if kind == Kind::Text {
        return Some(Literal::Text(value.to_owned()));
    }
    let digits = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let (number, word) = value.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = match (word.trim(), &from.unit) {
        ("", Some(unit)) => Some(unit.value),
        ("", None) => None,
        (word, _) => Some(unit_of(word)?),
    };
    let literal = match unit {
        None => Literal::Count(number),
        Some(Unit::Time(unit)) => Literal::Span(unit.times(number)?),
        Some(Unit::Bytes(factor)) => Literal::Size(Size(number.checked_mul(factor)?)),
    };
    (kind_of(&literal) == kind).then_some(literal)
}

/// For comparing two literals of one kind; texts have none.
fn magnitude(literal: &Literal) -> u64 {
    match literal {
        Literal::Span(span) => Span::approximate_seconds(*span),
        Literal::Size(size) => size.0,
        Literal::Count(count) => *count,
        Literal::Text(_) => 0,
    }
}
