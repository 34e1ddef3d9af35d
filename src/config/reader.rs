//! Typed values out of TOML tables, with variables filled in and mistakes collected.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::config::codes;
use crate::config::environment::Environment;
use crate::config::interpolate::Template;
use crate::config::schema::{article, joined};
use crate::diagnostic::{Diagnostic, Severity, Source, nearest};
use crate::units::UnitError;

/// Everything found wrong so far.
pub(super) struct Findings {
    source: Source,
    list: Vec<Diagnostic>,
}

impl Findings {
    pub(super) fn new(source: Source) -> Findings {
        let list = Vec::new();
        Findings { source, list }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn push(&mut self, finding: Diagnostic) {
        self.list.push(finding);
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: String,
        help: impl Into<String>,
    ) {
        let finding = Diagnostic::error(code, &self.source, span, message).help(help);
        self.list.push(finding);
    }

    pub(super) fn has_errors(&self) -> bool {
        let mut severities = self.list.iter().map(Diagnostic::severity);
        severities.any(|severity| severity == Severity::Error)
    }

    /// In the order of the text.
    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|finding| finding.span().start);
        self.list
    }
}

/// A file or directory a configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Absolute; a relative path was taken from the configuration's directory.
    pub path: PathBuf,
    /// The text with its variables filled in, as messages name it.
    pub written: String,
    /// Where it is written in the configuration.
    pub span: Range<usize>,
}

/// One table and the name it has in messages.
pub(super) struct Section<'t> {
    pub(super) path: String,
    pub(super) span: Range<usize>,
    table: Option<&'t DeTable<'t>>,
}

impl<'t> Section<'t> {
    pub(super) fn document(table: &'t DeTable<'t>) -> Section<'t> {
        Section {
            path: String::new(),
            span: 0..0,
            table: Some(table),
        }
    }

    /// The table under a key; an absent one reads as empty.
    pub(super) fn section(&self, key: &str) -> Section<'t> {
        let entry = self.table.and_then(|table| table.get_key_value(key));
        Section {
            path: joined(&self.path, key),
            span: entry.map_or(self.span.clone(), |(key, _)| key.span()),
            table: entry.and_then(|(_, value)| value.get_ref().as_table()),
        }
    }

    /// The tables under the keys somebody chose, with their names.
    pub(super) fn named(&self) -> Vec<(String, Section<'t>)> {
        let names = self.table.into_iter().flat_map(DeTable::keys);
        names
            .map(|key| (key.get_ref().to_string(), self.section(key.get_ref())))
            .collect()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// The span of a key's value, or of the table where there is none.
    pub(super) fn value_span(&self, key: &str) -> Range<usize> {
        self.table
            .and_then(|table| table.get(key))
            .map_or(self.span.clone(), toml::Spanned::span)
    }

    fn value(&self, key: &str) -> Option<(&'t DeValue<'t>, Range<usize>)> {
        let value = self.table?.get(key)?;
        Some((value.get_ref(), value.span()))
    }

    /// Whether a key beside the wanted one looks like it mistyped.
    fn has_near(&self, wanted: &str) -> bool {
        let mut keys = self.table.into_iter().flat_map(DeTable::keys);
        keys.any(|key| nearest(key.get_ref(), [wanted]).is_some())
    }
}

/// Why a text is not the value that belongs there.
pub(super) struct Complaint {
    message: String,
    help: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Complaint {
        Complaint {
            message: message.into(),
            help: Some(help.into()),
        }
    }

    /// A unit's complaint, with an example where it has no better help.
    pub(super) fn unit(error: &UnitError, example: &str) -> Complaint {
        let help = error.help();
        Complaint {
            message: error.to_string(),
            help: Some(help.unwrap_or_else(|| format!("write it as `{example}`"))),
        }
    }
}

/// Reads sections; an absent key and a faulty one both read as nothing, and the
/// fault is among the findings.
pub(super) struct Reader<'e> {
    pub(super) environment: &'e Environment,
    pub(super) directory: PathBuf,
    pub(super) findings: Findings,
}

impl Reader<'_> {
    /// Reads something again whose faults have been reported the first time.
    pub(super) fn silently<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let reported = self.findings.list.len();
        let value = read(self);
        self.findings.list.truncate(reported);
        value
    }

    /// Reports a complaint about a key's value.
    pub(super) fn complain(&mut self, section: &Section<'_>, key: &str, complaint: Complaint) {
        let path = joined(&section.path, key);
        let message = format!("`{path}`: {}", complaint.message);
        let span = section.value_span(key);
        let finding = Diagnostic::error(codes::VALUE, self.findings.source(), span, message);
        self.findings.push(match complaint.help {
            Some(help) => finding.help(help),
            None => finding,
        });
    }

    /// A text under a key that must be there.
    pub(super) fn required(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        if section.has(key) {
            return self.text(section, key);
        }
        // One slip of the finger is one finding: the unknown key has been reported.
        if !section.has_near(key) {
            let message = format!("`{}` has no `{key}`", section.path);
            let help = format!(
                "add a line `{key} = \"…\"` to the table `[{}]`",
                section.path
            );
            self.findings
                .error(codes::MISSING_KEY, section.span.clone(), message, help);
        }
        None
    }

    /// A text, its variables filled in.
    pub(super) fn text(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        let (value, span) = section.value(key)?;
        let path = joined(&section.path, key);
        match value {
            DeValue::String(text) => self.fill(text, &path, span),
            other => {
                let message = format!("`{path}` must be a text, not {}", article(other));
                let help = match other {
                    DeValue::Integer(_) | DeValue::Float(_) => {
                        "write it in quotes and with its unit, such as `\"15 min\"` or `\"80%\"`"
                    }
                    _ => "write it in double quotes",
                };
                self.findings.error(codes::TYPE, span, message, help);
                None
            }
        }
    }

    /// A text that means something.
    pub(super) fn parsed<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let text = self.text(section, key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.complain(section, key, complaint);
                None
            }
        }
    }

    /// A truth value, itself or as the text a variable gave.
    pub(super) fn flag(&mut self, section: &Section<'_>, key: &str) -> Option<bool> {
        match section.value(key)? {
            (DeValue::Boolean(flag), _) => Some(*flag),
            (DeValue::String(_), _) => self.parsed(section, key, parse_flag),
            (other, span) => {
                let path = joined(&section.path, key);
                let message = format!("`{path}` must be `true` or `false`, not {}", article(other));
                let help = format!("write `{key} = true` or `{key} = false`");
                self.findings.error(codes::TYPE, span, message, help);
                None
            }
        }
    }

    /// A positive whole number, itself or as the text a variable gave.
    pub(super) fn count(&mut self, section: &Section<'_>, key: &str) -> Option<u32> {
        match section.value(key)? {
            (DeValue::Integer(number), _) => {
                match u32::from_str_radix(number.as_str(), number.radix()) {
                    Ok(count) if count > 0 => Some(count),
                    Ok(_) | Err(_) => {
                        self.complain(section, key, not_a_count(number.as_str()));
                        None
                    }
                }
            }
            (DeValue::String(_), _) => self.parsed(section, key, |text| {
                let count = text.trim().parse().ok().filter(|&count| count > 0);
                count.ok_or_else(|| not_a_count(text))
            }),
            (other, span) => {
                let path = joined(&section.path, key);
                let message = format!("`{path}` must be a whole number, not {}", article(other));
                let help = format!("write `{key} = 100`");
                self.findings.error(codes::TYPE, span, message, help);
                None
            }
        }
    }

    /// A list of texts with the span of each; absent reads as empty.
    pub(super) fn texts(
        &mut self,
        section: &Section<'_>,
        key: &str,
    ) -> Vec<(String, Range<usize>)> {
        let Some((value, span)) = section.value(key) else {
            return Vec::new();
        };
        let path = joined(&section.path, key);
        let Some(list) = value.as_array() else {
            let message = format!("`{path}` must be a list of texts, not {}", article(value));
            let help = format!("write `{key} = [\"…\"]`");
            self.findings.error(codes::TYPE, span, message, help);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in list {
            match item.get_ref() {
                DeValue::String(text) => {
                    let filled = self.fill(text, &path, item.span());
                    texts.extend(filled.map(|text| (text, item.span())));
                }
                other => {
                    let message = format!("`{path}` has {} among its texts", article(other));
                    let help = "write each of them in double quotes";
                    self.findings.error(codes::TYPE, item.span(), message, help);
                }
            }
        }
        texts
    }

    /// A plugin's settings as JSON, variables filled in.
    pub(super) fn settings(
        &mut self,
        section: &Section<'_>,
    ) -> serde_json::Map<String, serde_json::Value> {
        let entries = section.table.into_iter().flat_map(DeTable::iter);
        let mut settings = serde_json::Map::new();
        for (key, value) in entries {
            let path = joined(&section.path, key.get_ref());
            if let Some(json) = self.json(value.get_ref(), &path, value.span()) {
                settings.insert(key.get_ref().to_string(), json);
            }
        }
        settings
    }

    fn json(
        &mut self,
        value: &DeValue<'_>,
        path: &str,
        span: Range<usize>,
    ) -> Option<serde_json::Value> {
        let scalar = match value {
            DeValue::String(text) => return self.fill(text, path, span).map(Into::into),
            DeValue::Array(list) => {
                let items = list
                    .iter()
                    .map(|item| self.json(item.get_ref(), path, item.span()));
                return items.collect::<Option<Vec<_>>>().map(Into::into);
            }
            DeValue::Table(table) => {
                let members = table.iter().map(|(key, value)| {
                    let path = joined(path, key.get_ref());
                    let json = self.json(value.get_ref(), &path, value.span())?;
                    Some((key.get_ref().to_string(), json))
                });
                return members
                    .collect::<Option<serde_json::Map<_, _>>>()
                    .map(Into::into);
            }
            DeValue::Boolean(flag) => Some((*flag).into()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(serde_json::Value::from),
            DeValue::Float(number) => {
                let number: Option<f64> = number.as_str().parse().ok();
                number
                    .and_then(serde_json::Number::from_f64)
                    .map(Into::into)
            }
            DeValue::Datetime(_) => None,
        };
        if scalar.is_none() {
            let message = format!("`{path}`: {} like this has no form in JSON", article(value));
            let help = "write it as a text in double quotes";
            self.findings.error(codes::VALUE, span, message, help);
        }
        scalar
    }

    /// A path, made absolute from the configuration's directory.
    pub(super) fn place(&mut self, section: &Section<'_>, key: &str) -> Option<Place> {
        let written = self.required(section, key)?;
        let complaint = match written.as_str() {
            "" => Complaint::new("the path is empty", "write `.` for this directory"),
            text if text.contains('\0') => Complaint::new("the path has a NUL byte", "remove it"),
            text if text.starts_with('~') => Complaint::new(
                format!("`{text}` is not expanded here"),
                "write `${HOME}` instead of `~`, or `./~` for a directory of that name",
            ),
            text => {
                return Some(Place {
                    path: absolute(&self.directory, Path::new(text)),
                    span: section.value_span(key),
                    written,
                });
            }
        };
        self.complain(section, key, complaint);
        None
    }

    fn fill(&mut self, text: &str, path: &str, span: Range<usize>) -> Option<String> {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => {
                let message = format!("`{path}`: {error}");
                self.findings.push(
                    Diagnostic::error(codes::TEMPLATE, self.findings.source(), span, message)
                        .help(error.help()),
                );
                return None;
            }
        };
        match template.fill(self.environment) {
            Ok(text) => Some(text),
            Err(error) => {
                let name = error.name().to_owned();
                let span = self.narrowed(span, &format!("${{{name}"));
                let help = format!("set `{name}`, or give a default: `${{{name}:-…}}`");
                let message = format!("`{path}`: {error}");
                self.findings.push(
                    Diagnostic::error(codes::VARIABLE, self.findings.source(), span, message)
                        .help(help),
                );
                None
            }
        }
    }

    /// The part of a span that a variable takes, where it can be found as written.
    fn narrowed(&self, span: Range<usize>, needle: &str) -> Range<usize> {
        match self.findings.source().slice(&span).find(needle) {
            Some(at) => span.start + at..span.start + at + needle.len(),
            None => span,
        }
    }
}

/// `./a/./b` below a directory, without the `.`; a `..` stays the kernel's business.
pub(super) fn absolute(directory: &Path, path: &Path) -> PathBuf {
    let plain = path
        .components()
        .filter(|component| *component != Component::CurDir);
    directory.components().chain(plain).collect()
}

fn parse_flag(text: &str) -> Result<bool, Complaint> {
    // `True` is what a Python program writes into its environment.
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Complaint::new(
            format!("`{text}` is neither `true` nor `false`"),
            "write `true` or `false`",
        )),
    }
}

fn not_a_count(text: &str) -> Complaint {
    Complaint::new(
        format!("`{text}` is no whole number from 1 on"),
        "leave the key out for no limit",
    )
}
