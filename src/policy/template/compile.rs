//! Templates into automata.
//!
//! Everything is built as a syntax tree, never as pattern text: a name in a
//! template cannot turn into an operator.

use std::collections::HashMap;

use regex_automata::meta;
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_syntax::hir::{
    Capture as HirCapture, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange,
    Hir, HirKind, Look, Repetition,
};

use super::direct::Direct;
use super::text::{Capture, Component, Part, TemplateText};
use super::value::{DateFormat, FormatError, ValueKind};
use super::{Level, Names, Template};

/// What a typed capture may hold; never a `/`.
#[derive(Clone, Debug)]
pub(crate) struct ValueType {
    hir: Hir,
    kind: ValueKind,
}

/// Why a template or a type cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("type `{name}` does not exist")]
    UnknownType {
        name: String,
        at: std::ops::Range<usize>,
    },
    #[error("{0}")]
    Pattern(String),
    #[error("the pattern asks for `/`, which no name contains")]
    Slash,
    #[error("`^`, `$` and `\\b` do not belong here: a pattern always matches the whole value")]
    Anchor,
    #[error("no part of a name matches it")]
    Nothing,
    #[error("the pattern is too large")]
    TooLarge,
}

/// What one pattern's automaton may weigh; generous for names, small for a host.
const AUTOMATON_LIMIT: usize = 4 << 20;

impl ValueType {
    /// Values that match a regular expression from end to end.
    pub(crate) fn matching(pattern: &str) -> Result<ValueType, CompileError> {
        let hir = pattern_hir(pattern)?;
        if hir.properties().maximum_len() == Some(0) || is_impossible(&hir) {
            return Err(CompileError::Nothing);
        }
        // Fail where the type is written rather than where it is first used.
        whole(&hir)?;
        Ok(ValueType {
            hir,
            kind: ValueKind::Text,
        })
    }

    /// Dates in a format of strftime's letters.
    pub(crate) fn date(format: &str) -> Result<ValueType, FormatError> {
        let (format, pattern) = DateFormat::parse(format)?;
        // The pattern is made of what `LETTERS` holds and of escaped characters.
        let hir = pattern_hir(&pattern).unwrap_or_else(|_| Hir::fail());
        Ok(ValueType {
            hir,
            kind: ValueKind::Date(format.into()),
        })
    }

    /// Whole numbers.
    pub(crate) fn number() -> ValueType {
        ValueType {
            hir: pattern_hir("[0-9]+").unwrap_or_else(|_| Hir::fail()),
            kind: ValueKind::Number,
        }
    }

    /// Versions as semver.org writes them, item 2 to 10 of its 2.0.0.
    pub(crate) fn semver() -> ValueType {
        let number = "(0|[1-9][0-9]*)";
        let identifiers = r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*";
        let pattern = format!(r"{number}\.{number}\.{number}(-{identifiers})?(\+{identifiers})?");
        ValueType {
            hir: pattern_hir(&pattern).unwrap_or_else(|_| Hir::fail()),
            kind: ValueKind::Version,
        }
    }

    /// User names of the portable character set (POSIX.1-2024, 3.407), whether or not
    /// this machine knows them.
    pub(crate) fn user() -> ValueType {
        ValueType {
            hir: pattern_hir("[A-Za-z0-9._][A-Za-z0-9._-]*[$]?").unwrap_or_else(|_| Hir::fail()),
            kind: ValueKind::Text,
        }
    }

    /// One of some fixed values.
    pub(crate) fn one_of(values: &[String]) -> ValueType {
        ValueType {
            hir: Hir::alternation(
                values
                    .iter()
                    .map(|value| Hir::literal(value.as_bytes()))
                    .collect(),
            ),
            kind: ValueKind::Text,
        }
    }
}

fn pattern_hir(pattern: &str) -> Result<Hir, CompileError> {
    let hir = regex_syntax::ParserBuilder::new()
        .nest_limit(100)
        .build()
        .parse(pattern)
        .map_err(|error| CompileError::Pattern(first_words(&error)))?;
    without_slash(&hir)
}

/// Whether nothing matches: a class that lost its only character to `/` or NUL.
fn is_impossible(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => class.ranges().is_empty(),
        HirKind::Class(Class::Bytes(class)) => class.ranges().is_empty(),
        HirKind::Literal(literal) => literal.0.contains(&0),
        HirKind::Repetition(repetition) => repetition.min > 0 && is_impossible(&repetition.sub),
        HirKind::Capture(capture) => is_impossible(&capture.sub),
        HirKind::Concat(parts) => parts.iter().any(is_impossible),
        HirKind::Alternation(parts) => parts.iter().all(is_impossible),
        HirKind::Empty | HirKind::Look(_) => false,
    }
}

/// regex-syntax explains itself over several lines; the last one is the reason.
fn first_words(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default();
    reason
        .strip_prefix("error: ")
        .unwrap_or(reason)
        .trim_end_matches('.')
        .to_owned()
}

/// The same expression over values without `/`: a name's parts never contain one.
fn without_slash(hir: &Hir) -> Result<Hir, CompileError> {
    Ok(match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.contains(&b'/') => return Err(CompileError::Slash),
        HirKind::Literal(literal) => Hir::literal(literal.0.clone()),
        HirKind::Class(Class::Unicode(class)) => {
            let mut class = class.clone();
            class.difference(&ClassUnicode::new([
                ClassUnicodeRange::new('/', '/'),
                ClassUnicodeRange::new('\0', '\0'),
            ]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut class = class.clone();
            class.difference(&ClassBytes::new([
                ClassBytesRange::new(b'/', b'/'),
                ClassBytesRange::new(0, 0),
            ]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Look(_) => return Err(CompileError::Anchor),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(without_slash(&repetition.sub)?),
            ..repetition.clone()
        }),
        // The value is captured as a whole; groups inside it are only grouping.
        HirKind::Capture(capture) => without_slash(&capture.sub)?,
        HirKind::Concat(parts) => {
            Hir::concat(parts.iter().map(without_slash).collect::<Result<_, _>>()?)
        }
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().map(without_slash).collect::<Result<_, _>>()?)
        }
    })
}

impl TemplateText {
    /// Compiles the template with the types its captures name.
    pub(crate) fn compile(
        &self,
        types: &HashMap<String, ValueType>,
    ) -> Result<Template, CompileError> {
        let mut builder = Builder {
            types,
            captures: Vec::new(),
            kinds: Vec::new(),
        };
        let components = self
            .components
            .iter()
            .map(|component| builder.component(component))
            .collect::<Result<Vec<_>, _>>()?;
        let joined = |form: fn(&ComponentHir) -> &Hir| {
            join(
                components
                    .iter()
                    .map(|component| component.as_ref().map(|hir| form(hir).clone())),
            )
        };
        let strict = joined(|hir| &hir.strict);
        // Only a `?` makes a difference between the two.
        let has_one = self.has_one();
        let lenient = match has_one {
            true => Some(Names::Automaton(whole(&joined(|hir| &hir.lenient))?)),
            false => None,
        };
        let levels = self
            .components
            .iter()
            .zip(&components)
            .enumerate()
            .map(|(index, (component, hir))| match (component.parts(), hir) {
                (_, None) => Ok(Level::Deep),
                _ if index + 1 == components.len() => Ok(Level::Any),
                ([Part::Any], _) => Ok(Level::Any),
                ([Part::Literal(name)], _) => Ok(Level::Literal(name.as_bytes().to_vec())),
                (_, Some(hir)) => Ok(Level::One(whole(&hir.lenient)?)),
            })
            .collect::<Result<_, _>>()?;
        let names = match Direct::new(self) {
            Some(direct) => Names::Direct(direct),
            None => Names::Automaton(whole(&strict)?),
        };
        // What captures nothing has no type a name could fail.
        let relaxed = match (&lenient, builder.captures.is_empty()) {
            (Some(lenient), true) => lenient.clone(),
            (None, true) => names.clone(),
            (_, false) => Names::Automaton(whole(&joined(|hir| &hir.relaxed))?),
        };
        Ok(Template {
            names,
            lenient,
            relaxed,
            levels,
            prefix: self.literal_prefix().into_bytes(),
            nfa: automaton(&strict)?,
            lenient_nfa: match has_one {
                true => Some(automaton(&joined(|hir| &hir.lenient))?),
                false => None,
            },
            captures: builder.captures.into(),
            kinds: builder.kinds,
            directory: self.directory,
        })
    }
}

#[cfg(test)]
impl TemplateText {
    /// The automaton that reads names, also where none is needed.
    pub(super) fn automaton_of_names(
        &self,
        types: &HashMap<String, ValueType>,
    ) -> Result<meta::Regex, CompileError> {
        let mut builder = Builder {
            types,
            captures: Vec::new(),
            kinds: Vec::new(),
        };
        let components = self.components.iter().map(|c| builder.component(c));
        let components = components.collect::<Result<Vec<_>, _>>()?;
        let strict = components.into_iter();
        whole(&join(
            strict.map(|component| component.map(|hir| hir.strict)),
        ))
    }
}

fn automaton(hir: &Hir) -> Result<NFA, CompileError> {
    NFA::compiler()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(WhichCaptures::All)
                .nfa_size_limit(Some(AUTOMATON_LIMIT)),
        )
        .build_from_hir(hir)
        .map_err(|_| CompileError::TooLarge)
}

/// A component as written, and with any name where it captures.
struct ComponentHir {
    strict: Hir,
    /// For names that are not UTF-8: a `?` may be a stray byte.
    lenient: Hir,
    relaxed: Hir,
}

struct Builder<'a> {
    types: &'a HashMap<String, ValueType>,
    captures: Vec<String>,
    kinds: Vec<ValueKind>,
}

impl Builder<'_> {
    /// `None` for `**`.
    fn component(&mut self, component: &Component) -> Result<Option<ComponentHir>, CompileError> {
        let Component::Parts(parts) = component else {
            return Ok(None);
        };
        let (mut strict, mut lenient, mut relaxed) = (Vec::new(), Vec::new(), Vec::new());
        for (index, part) in parts.iter().enumerate() {
            let hir = match part {
                Part::Literal(text) => Hir::literal(text.as_bytes()),
                Part::Any => repeated(not_slash_byte(), 0),
                Part::One => {
                    let stray = ClassBytes::new([ClassBytesRange::new(0x80, 0xff)]);
                    let either = vec![one_character(), Hir::class(Class::Bytes(stray))];
                    strict.push(one_character());
                    lenient.push(Hir::alternation(either.clone()));
                    relaxed.push(Hir::alternation(either));
                    continue;
                }
                Part::Capture(capture) => {
                    // A value that is missing fails its type as a wrong one does.
                    let least = u32::from(capture.value_type.is_none());
                    relaxed.push(repeated(not_slash_byte(), least));
                    let hir = self.capture(capture, parts.get(index + 1))?;
                    lenient.push(hir.clone());
                    strict.push(hir);
                    continue;
                }
            };
            relaxed.push(hir.clone());
            lenient.push(hir.clone());
            strict.push(hir);
        }
        Ok(Some(ComponentHir {
            strict: Hir::concat(strict),
            lenient: Hir::concat(lenient),
            relaxed: Hir::concat(relaxed),
        }))
    }

    fn capture(&mut self, capture: &Capture, next: Option<&Part>) -> Result<Hir, CompileError> {
        let mut kind = ValueKind::Text;
        let sub = match &capture.value_type {
            Some(name) => {
                let unknown = || CompileError::UnknownType {
                    name: name.clone(),
                    at: capture.at.clone(),
                };
                let found = self.types.get(name).ok_or_else(unknown)?;
                kind = found.kind.clone();
                found.hir.clone()
            }
            None => {
                let stop = match next {
                    Some(Part::Literal(text)) => text.chars().next(),
                    _ => None,
                };
                let mut excluded = vec![
                    ClassUnicodeRange::new('/', '/'),
                    ClassUnicodeRange::new('\0', '\0'),
                ];
                excluded.extend(stop.map(|c| ClassUnicodeRange::new(c, c)));
                let mut class = ClassUnicode::new(excluded);
                class.negate();
                repeated(Hir::class(Class::Unicode(class)), 1)
            }
        };
        self.captures.push(capture.name.clone());
        self.kinds.push(kind);
        let index = u32::try_from(self.captures.len()).map_err(|_| CompileError::TooLarge)?;
        Ok(Hir::capture(HirCapture {
            index,
            name: None,
            sub: Box::new(sub),
        }))
    }
}

/// Joins components with `/`; `**` takes any number of them, and as the last at least one.
fn join(components: impl ExactSizeIterator<Item = Option<Hir>>) -> Hir {
    let count = components.len();
    let name = || repeated(not_slash_byte(), 1);
    let mut parts = Vec::new();
    for (index, component) in components.enumerate() {
        let last = index + 1 == count;
        match component {
            None => {
                parts.push(repeated(Hir::concat(vec![name(), Hir::literal(*b"/")]), 0));
                if last {
                    parts.push(name());
                }
            }
            Some(hir) => {
                parts.push(hir);
                if !last {
                    parts.push(Hir::literal(*b"/"));
                }
            }
        }
    }
    Hir::concat(parts)
}

fn repeated(sub: Hir, min: u32) -> Hir {
    Hir::repetition(Repetition {
        min,
        max: None,
        greedy: true,
        sub: Box::new(sub),
    })
}

fn not_slash_byte() -> Hir {
    let mut class = ClassBytes::new([ClassBytesRange::new(b'/', b'/'), ClassBytesRange::new(0, 0)]);
    class.negate();
    Hir::class(Class::Bytes(class))
}

fn one_character() -> Hir {
    let mut characters = ClassUnicode::new([
        ClassUnicodeRange::new('/', '/'),
        ClassUnicodeRange::new('\0', '\0'),
    ]);
    characters.negate();
    Hir::class(Class::Unicode(characters))
}

/// An automaton that matches only from the first byte to the last.
fn whole(hir: &Hir) -> Result<meta::Regex, CompileError> {
    let anchored = Hir::concat(vec![
        Hir::look(Look::Start),
        hir.clone(),
        Hir::look(Look::End),
    ]);
    // A policy may have thousands of these and a path is short: neither pays for tables
    // of a DFA, built at once or bit by bit.
    let config = meta::Config::new()
        .utf8_empty(false)
        .dfa(false)
        .hybrid(false)
        .nfa_size_limit(Some(AUTOMATON_LIMIT));
    meta::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().utf8(false))
        .build_from_hir(&anchored)
        .map_err(|_| CompileError::TooLarge)
}
