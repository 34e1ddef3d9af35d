//! Conditions, left-factored in the grammar and joined here.

use super::{Lower, Node, Rule, find, is_keyword};
use crate::policy::ast::{Comparison, Condition, Operand, Spanned, StampOf, Test, Who};

impl Lower<'_> {
    pub(super) fn condition(&mut self, node: Node<'_>) -> Option<Condition> {
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
        let negated = find(inner.clone(), Rule::is_not).is_some();
        let test = Condition::Test(Spanned {
            value: self.test(inner)?,
            at,
        });
        Some(match negated {
            true => Condition::Not(Box::new(test)),
            false => test,
        })
    }

    fn test(&mut self, node: Node<'_>) -> Option<Test> {
        Some(match node.as_rule() {
            Rule::older => Test::Older(self.value(find(node, Rule::value)?)?),
            Rule::newer => Test::Newer(self.value(find(node, Rule::value)?)?),
            Rule::stamp_test => return self.stamp_test(node),
            Rule::size_test => return self.size_test(node),
            Rule::capture_test => return self.capture_test(node),
            Rule::path_test => Test::PathMatches(self.text_in(node)?),
            Rule::name_test => Test::NameIs(self.text_in(node)?),
            _ => return self.owner_test(node),
        })
    }

    fn stamp_test(&mut self, node: Node<'_>) -> Option<Test> {
        let mut parts = node.into_inner();
        let stamp = stamp_of(&parts.next()?);
        let form = parts.next()?;
        Some(match form.as_rule() {
            Rule::more_ago => Test::MoreThanAgo(stamp, self.value(find(form, Rule::value)?)?),
            Rule::within => Test::Within(stamp, self.value(find(form, Rule::value)?)?),
            Rule::before_date => Test::StampBefore(stamp, self.date(find(form, Rule::date)?)?),
            _ => Test::StampAfter(stamp, self.date(find(form, Rule::date)?)?),
        })
    }

    fn owner_test(&mut self, node: Node<'_>) -> Option<Test> {
        let mut parts = node.into_inner();
        let is_group = parts.next()?.as_rule() == Rule::k_group;
        let who = parts.find(|part| matches!(part.as_rule(), Rule::text | Rule::number))?;
        let who = self.who(who)?;
        Some(match is_group {
            true => Test::GroupIs(who),
            false => Test::OwnerIs(who),
        })
    }

    /// A user or a group by name or number.
    pub(super) fn who(&mut self, node: Node<'_>) -> Option<Spanned<Who>> {
        Some(match node.as_rule() {
            Rule::text => {
                let text = self.text(node);
                Spanned {
                    value: Who::Name(text.value),
                    at: text.at,
                }
            }
            _ => {
                let number = self.count(node)?;
                Spanned {
                    value: Who::Number(number.value),
                    at: number.at,
                }
            }
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
        let mut parts = node.into_inner();
        let capture = self.identifier(parts.next()?);
        let form = parts.next()?;
        Some(match form.as_rule() {
            Rule::capture_is => Test::CaptureIs(capture, self.text_in(form)?),
            Rule::capture_is_not => Test::CaptureIsNot(capture, self.text_in(form)?),
            Rule::capture_matches => Test::CaptureMatches(capture, self.text_in(form)?),
            Rule::capture_over => Test::CaptureOver(capture, self.operand(form)?),
            Rule::capture_under => Test::CaptureUnder(capture, self.operand(form)?),
            Rule::before_date => Test::CaptureBefore(capture, self.date(find(form, Rule::date)?)?),
            Rule::after_date => Test::CaptureAfter(capture, self.date(find(form, Rule::date)?)?),
            _ => {
                let texts = form
                    .into_inner()
                    .filter(|part| part.as_rule() == Rule::text);
                Test::CaptureIn(capture, texts.map(|text| self.text(text)).collect())
            }
        })
    }

    fn operand(&mut self, node: Node<'_>) -> Option<Spanned<Operand>> {
        let inner = find(node, Rule::operand)?.into_inner().next()?;
        let at = self.at(&inner);
        let value = match inner.as_rule() {
            Rule::name => Operand::Name(inner.as_str().to_owned()),
            Rule::text => Operand::Text(self.text(inner).value),
            _ => Operand::Text(inner.as_str().trim().replace('_', "")),
        };
        Some(Spanned { value, at })
    }
}

/// Which stamp a keyword names.
pub(super) fn stamp_of(keyword: &Node<'_>) -> StampOf {
    match keyword.as_rule() {
        Rule::k_changed => StampOf::Changed,
        Rule::k_accessed => StampOf::Accessed,
        Rule::k_created => StampOf::Created,
        _ => StampOf::Modified,
    }
}
