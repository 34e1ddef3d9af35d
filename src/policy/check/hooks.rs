//! What a policy hands to a plugin.

use serde_json::Value as Json;

use super::Checker;
use crate::policy::ast::{self, Argument, Literal, Spanned};
use crate::policy::ir::Hook;
use crate::units::Span;

impl Checker<'_> {
    pub(super) fn hook(
        &mut self,
        rule: usize,
        plugin: &Spanned<String>,
        given: &ast::Arguments,
    ) -> Option<Hook> {
        let mut arguments = serde_json::Map::new();
        let mut arguments_at = Vec::new();
        let mut whole = true;
        for (name, argument) in given {
            if arguments.contains_key(&name.value) {
                self.error(
                    "R0341",
                    name.at.clone(),
                    format!("the argument `{}` is given twice", name.value),
                    "keep one of the two",
                );
            }
            match self.argument(argument) {
                Some(value) => {
                    arguments.insert(name.value.clone(), value);
                    arguments_at.push((name.value.clone(), name.at.start..argument.at.end));
                }
                None => whole = false,
            }
        }
        whole.then(|| Hook {
            rule,
            plugin: plugin.value.clone(),
            plugin_at: plugin.at.clone(),
            arguments,
            arguments_at,
            destination: None,
            delete_anyway: false,
            in_place: false,
            backs_up: false,
            source: self.source.clone(),
        })
    }

    fn argument(&mut self, argument: &Spanned<Argument>) -> Option<Json> {
        Some(match &argument.value {
            Argument::Flag(flag) => Json::Bool(*flag),
            Argument::Value(value) => {
                let value = Spanned {
                    value: value.clone(),
                    at: argument.at.clone(),
                };
                self.json(&value)?
            }
            Argument::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.json(item)).collect();
                Json::Array(items.into_iter().collect::<Option<_>>()?)
            }
        })
    }

    /// Sizes arrive at a plugin as bytes, ages as milliseconds.
    pub(super) fn json(&mut self, value: &Spanned<ast::Value>) -> Option<Json> {
        Some(match self.resolve(value)? {
            Literal::Text(text) => Json::String(text),
            Literal::Count(count) => Json::from(count),
            Literal::Size(size) => Json::from(size.0),
            Literal::Span(Span::Exact(seconds)) => Json::from(seconds.saturating_mul(1000)),
            Literal::Span(Span::Months(_)) => {
                self.error(
                    "R0341",
                    value.at.clone(),
                    "a plugin is given exact times only",
                    "write it in days, such as `90 days`",
                );
                return None;
            }
        })
    }
}
