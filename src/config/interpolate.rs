//! `${VAR}` and `${VAR:-default}` inside a text.
//!
//! A text is taken apart first and filled in afterwards, so a mistake in a default
//! that is not needed today is still found today. What a variable holds is never
//! interpreted again.

use crate::config::environment::{Environment, Variable};

/// Defaults inside defaults; nobody writes this many, and recursion must end.
const MAX_DEPTH: usize = 16;

/// A text with the places variables go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable {
        name: String,
        default: Option<Template>,
    },
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    #[error("a `$` stands alone")]
    LoneDollar,
    #[error("`${{` is never closed")]
    Unclosed,
    #[error("`{0}` is no name of a variable")]
    Name(String),
    #[error("defaults are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

impl TemplateError {
    pub(super) fn help(&self) -> &'static str {
        match self {
            TemplateError::LoneDollar => "write `${NAME}` for a variable, `$$` for a dollar sign",
            TemplateError::Unclosed => "close it with `}`, or write `$$` for a dollar sign",
            TemplateError::Name(_) => {
                "a name has letters, digits and `_`; a default follows `:-`, as in `${NAME:-x}`"
            }
            TemplateError::TooDeep => "give the inner variable a default of its own elsewhere",
        }
    }
}

/// A variable a text cannot do without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum VariableError {
    #[error("the variable `{0}` is not set")]
    Unset(String),
    #[error("the variable `{0}` does not hold UTF-8 text")]
    NotText(String),
}

impl VariableError {
    pub(super) fn name(&self) -> &str {
        match self {
            VariableError::Unset(name) | VariableError::NotText(name) => name,
        }
    }
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Template, TemplateError> {
        let (template, _) = parse_until(text, Until::End, 0)?;
        Ok(template)
    }

    pub(super) fn fill(&self, environment: &Environment) -> Result<String, VariableError> {
        self.0.iter().try_fold(String::new(), |mut out, part| {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable { name, default } => {
                    out.push_str(&value(name, default.as_ref(), environment)?);
                }
            }
            Ok(out)
        })
    }
}

fn value(
    name: &str,
    default: Option<&Template>,
    environment: &Environment,
) -> Result<String, VariableError> {
    match (environment.variable(name), default) {
        (Variable::Set(text), _) => Ok(text.to_owned()),
        (Variable::NotText, _) => Err(VariableError::NotText(name.to_owned())),
        (Variable::Unset, Some(default)) => default.fill(environment),
        (Variable::Unset, None) => Err(VariableError::Unset(name.to_owned())),
    }
}

/// Where a template ends: with the text, or at the brace that closes a default.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    Brace,
}

/// Parses up to the end asked for; returns what follows it.
fn parse_until(text: &str, until: Until, depth: usize) -> Result<(Template, &str), TemplateError> {
    if depth > MAX_DEPTH {
        return Err(TemplateError::TooDeep);
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    loop {
        let mut chars = rest.chars();
        match (chars.next(), until) {
            (None, Until::End) => break,
            (None, Until::Brace) => return Err(TemplateError::Unclosed),
            (Some('}'), Until::Brace) => {
                rest = chars.as_str();
                break;
            }
            (Some('$'), _) => {
                let (part, tail) = parse_dollar(chars.as_str(), depth)?;
                match part {
                    Part::Text(text) => literal.push_str(&text),
                    variable @ Part::Variable { .. } => {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                        parts.push(variable);
                    }
                }
                rest = tail;
            }
            (Some(c), _) => {
                literal.push(c);
                rest = chars.as_str();
            }
        }
    }
    parts.push(Part::Text(literal));
    Ok((Template(parts), rest))
}

/// Parses what follows a `$`.
fn parse_dollar(text: &str, depth: usize) -> Result<(Part, &str), TemplateError> {
    if let Some(rest) = text.strip_prefix('$') {
        return Ok((Part::Text("$".to_owned()), rest));
    }
    let inner = text.strip_prefix('{').ok_or(TemplateError::LoneDollar)?;
    let end = inner.find([':', '}']).ok_or(TemplateError::Unclosed)?;
    let (name, rest) = inner.split_at(end);
    let name = variable_name(name)?;
    if let Some(rest) = rest.strip_prefix('}') {
        let default = None;
        return Ok((Part::Variable { name, default }, rest));
    }
    let default = rest
        .strip_prefix(":-")
        .ok_or_else(|| TemplateError::Name(format!("{name}:")))?;
    let (default, rest) = parse_until(default, Until::Brace, depth + 1)?;
    let default = Some(default);
    Ok((Part::Variable { name, default }, rest))
}

fn variable_name(text: &str) -> Result<String, TemplateError> {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let only_word = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match begins_well && only_word {
        true => Ok(text.to_owned()),
        false => Err(TemplateError::Name(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(text: &str) -> Result<String, VariableError> {
        let environment = Environment::default()
            .with("BASE", "/app/data")
            .with("EMPTY", "")
            .with("ODD", "${BASE}");
        Template::parse(text).unwrap().fill(&environment)
    }

    #[test]
    fn variables_and_nested_defaults_are_filled_in() {
        let filled = |text| fill(text).unwrap();
        assert_eq!(filled("${BASE}/charts"), "/app/data/charts");
        assert_eq!(filled("${NONE:-${BASE:-/x}/charts}"), "/app/data/charts");
        assert_eq!(
            filled("${NONE:-${NEITHER:-./output}/charts}"),
            "./output/charts"
        );
        assert_eq!(filled("${EMPTY:-15} min"), "15 min");
        assert_eq!(filled("a $$ b $${BASE}"), "a $ b ${BASE}");
        assert_eq!(filled("{\"a\": 1}"), "{\"a\": 1}");
    }

    #[test]
    fn what_a_variable_holds_is_not_interpreted_again() {
        assert_eq!(fill("${ODD}").unwrap(), "${BASE}");
    }

    #[test]
    fn an_empty_variable_without_default_is_named() {
        assert_eq!(fill("${EMPTY}"), Err(VariableError::Unset("EMPTY".into())));
        assert_eq!(
            fill("${NONE:-${INNER}}"),
            Err(VariableError::Unset("INNER".into()))
        );
    }

    #[test]
    fn a_mistake_in_an_unused_default_is_found_too() {
        let parse = |text| Template::parse(text).unwrap_err();
        assert_eq!(parse("${BASE:-${}"), TemplateError::Name(String::new()));
        assert_eq!(parse("${BASE:-x"), TemplateError::Unclosed);
        assert_eq!(parse("$BASE"), TemplateError::LoneDollar);
        assert_eq!(parse("${BASE"), TemplateError::Unclosed);
        assert_eq!(parse("${BA SE}"), TemplateError::Name("BA SE".into()));
        assert_eq!(parse("${BASE:+x}"), TemplateError::Name("BASE:".into()));
        assert_eq!(parse(&"${A:-".repeat(1_000)), TemplateError::TooDeep);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"[${}:\-A-Z ü]{0,40}") {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.fill(&Environment::default());
            }
        }

        #[test]
        fn a_text_with_doubled_dollars_stays_itself(text in "[^$]{0,20}") {
            prop_assert_eq!(fill(&text).unwrap(), text);
        }
    }
}
