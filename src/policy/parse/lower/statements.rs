//! What stands at file level.

use super::{Lower, Node, Rule, find, is_keyword};
use crate::policy::ast::{
    Bound, Collection, Fill, FromEnv, Hold, LetDef, LetValue, Pressure, PressureOn, Shape, Spanned,
    Stage, Stop, TypeDef, Use, Used,
};

impl Lower<'_> {
    pub(super) fn type_def(&mut self, node: Node<'_>) -> Option<TypeDef> {
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
            Rule::date_type => Shape::Date(self.text_in(shape)?),
            Rule::number_type => Shape::Number,
            Rule::semver_type => Shape::Semver,
            _ => Shape::User,
        };
        Some(TypeDef { name, shape })
    }

    pub(super) fn let_def(&mut self, node: Node<'_>) -> Option<LetDef> {
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

    pub(in crate::policy::parse) fn collection(&mut self, node: Node<'_>) -> Option<Collection> {
        let mut parts = node.into_inner();
        let mut collection = self.head(parts.next()?)?;
        for member in parts {
            collection.members.extend(self.member(member));
        }
        Some(collection)
    }

    pub(in crate::policy::parse) fn head(&mut self, node: Node<'_>) -> Option<Collection> {
        let mut parts = node.into_inner().filter(|part| !is_keyword(part));
        let name = self.identifier(parts.next()?);
        let template = self.text(parts.next()?);
        Some(Collection {
            name,
            template,
            members: Vec::new(),
        })
    }

    pub(super) fn stop(&mut self, node: Node<'_>) -> Option<Stop> {
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

    pub(super) fn hold(&mut self, node: Node<'_>) -> Option<Hold> {
        let (mut name, mut template, mut filter, mut until) = (None, None, None, None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::text => name = Some(self.text(part)),
                Rule::hold_on => template = self.text_in(part),
                Rule::filter => filter = self.filter(Some(part))?,
                Rule::until => until = Some(self.date(find(part, Rule::date)?)?),
                _ => {}
            }
        }
        Some(Hold {
            name: name?,
            template,
            filter,
            until,
        })
    }

    pub(super) fn pressure(&mut self, node: Node<'_>) -> Option<Pressure> {
        let (mut on, mut fills, mut stages) = (PressureOn::Disk, Vec::new(), Vec::new());
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::on_store => on = PressureOn::Store,
                Rule::fill => fills.push(self.fill(part)?),
                Rule::evict => stages.push(self.stage(part)?),
                _ => {}
            }
        }
        let mut fills = fills.into_iter();
        Some(Pressure {
            on,
            above: fills.next()?,
            below: fills.next()?,
            stages,
        })
    }

    fn fill(&mut self, node: Node<'_>) -> Option<Spanned<Fill>> {
        let at = self.at(&node);
        let amount = node.into_inner().next()?;
        let value = match amount.as_rule() {
            Rule::percent => Fill::Percent(self.percent(amount)?.value),
            _ => Fill::Value(self.value(amount)?.value),
        };
        Some(Spanned { value, at })
    }

    fn stage(&mut self, node: Node<'_>) -> Option<Stage> {
        let (mut collection, mut filter, mut order) = (None, None, None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::ident => collection = Some(self.identifier(part)),
                Rule::filter => filter = self.filter(Some(part))?,
                Rule::order => order = Some(self.order(part)?),
                _ => {}
            }
        }
        Some(Stage {
            collection: collection?,
            filter,
            order: order?,
        })
    }

    pub(super) fn used(&mut self, node: Node<'_>) -> Option<Use> {
        let (mut what, mut file, mut deletes) = (Used::All, None, false);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::use_what => {
                    what = match find(part, Rule::k_types) {
                        Some(_) => Used::Types,
                        None => Used::Protections,
                    }
                }
                Rule::text => file = Some(self.text(part)),
                Rule::allowing => deletes = true,
                _ => {}
            }
        }
        Some(Use {
            what,
            file: file?,
            deletes,
        })
    }
}
