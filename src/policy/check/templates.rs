//! Templates that can be read in one way, and what is said of the others.

use std::ops::Range;

use super::{Checker, Written};
use crate::diagnostic::Diagnostic;
use crate::policy::ast::Spanned;
use crate::policy::template::{CompileError, Template, TemplateText, TooLarge};

impl Checker<'_> {
    pub(super) fn template(&mut self, text: &Spanned<String>) -> Option<Template> {
        let template = match TemplateText::parse(&text.value) {
            Ok(parts) => match parts.compile(&self.scope.types) {
                Ok(template) => template,
                Err(error) => {
                    self.template_error(text, &error);
                    return None;
                }
            },
            Err(error) => {
                let at = self.inside(text, &error.at);
                self.error("R0301", at, error.message, error.help);
                return None;
            }
        };
        match template.ambiguity() {
            Ok(None) => Some(template),
            Ok(Some(witness)) => {
                let message = format!(
                    "this template reads `{}` in two ways",
                    witness.escape_ascii()
                );
                self.error("R0303", text.at.clone(), message, "give the captures types that cannot run into each other, or put a character between them that neither may hold");
                None
            }
            Err(TooLarge) => {
                self.error(
                    "R0304",
                    text.at.clone(),
                    "this template is too large to be shown unambiguous",
                    "use simpler types for its captures",
                );
                None
            }
        }
    }

    fn template_error(&mut self, text: &Spanned<String>, error: &CompileError) {
        match error {
            // The type may be one that could not be read; that is reported already.
            CompileError::UnknownType { .. } if self.scope.broken_types => {}
            CompileError::UnknownType { name, at } => {
                // The capture is pointed to; its type alone is wrong.
                let capture = self.inside(text, at);
                let written = self.source.slice(&capture);
                let at = match written
                    .strip_suffix('}')
                    .is_some_and(|it| it.ends_with(name))
                {
                    true => capture.end - 1 - name.len()..capture.end - 1,
                    false => capture,
                };
                let message = format!("there is no type `{name}`");
                let finding = Diagnostic::error("R0302", &self.source, at.clone(), message);
                match name.as_str() {
                    "number" | "semver" | "user" => self.report(finding.help(format!(
                        "declare it under a name of your own: `type my-{name} = {name}`"
                    ))),
                    "date" => self.report(finding.help(
                        "declare it under a name of your own: `type dated = date \"%Y-%m-%d\"`",
                    )),
                    _ => {
                        let known: Vec<String> = self.scope.types.keys().cloned().collect();
                        let finding = finding.help(format!(
                            "declare it: `type {name} = text matching \"…\"`, or leave `:{name}` out"
                        ));
                        let write = match self.source.slice(&at) == name {
                            true => Written::Plain,
                            false => Written::Elsewhere,
                        };
                        self.unknown(finding, name, &known, write);
                    }
                }
            }
            other => self.error(
                "R0304",
                text.at.clone(),
                other.to_string(),
                "use simpler types for its captures",
            ),
        }
    }

    /// A span inside a string literal: right as long as the string has no escapes before it.
    pub(super) fn inside(&self, text: &Spanned<String>, at: &Range<usize>) -> Range<usize> {
        let raw = self.source.slice(&text.at);
        if raw.contains("\\\\") || raw.contains("\\\"") {
            return text.at.clone();
        }
        text.at.start + 1 + at.start..text.at.start + 1 + at.end
    }
}
