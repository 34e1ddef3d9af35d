//! `test` blocks: a tree, a moment, and what is expected of them.

use super::conditions::stamp_of;
use super::{Lower, Node, Rule, find};
use crate::policy::ast::{Expectation, Fate, GivenFact, GivenFile, Spanned, TestBlock};

impl Lower<'_> {
    pub(super) fn test_block(&mut self, node: Node<'_>) -> Option<TestBlock> {
        let mut parts = node.into_inner();
        let name = parts.find(|part| part.as_rule() == Rule::text)?;
        let mut block = TestBlock {
            name: self.text(name),
            now: None,
            disk: None,
            variables: Vec::new(),
            files: Vec::new(),
            expectations: Vec::new(),
        };
        for part in parts {
            match part.as_rule() {
                Rule::given => self.given(part, &mut block),
                _ => self.expect(part, &mut block),
            }?;
        }
        Some(block)
    }

    fn given(&mut self, node: Node<'_>, block: &mut TestBlock) -> Option<()> {
        let form = node.into_inner().nth(1)?;
        let at = self.at(&form);
        match form.as_rule() {
            Rule::given_now => {
                self.once(block.now.is_some(), &at, "the moment");
                block.now = Some(self.date(find(form, Rule::date)?)?);
            }
            Rule::given_disk => {
                self.once(block.disk.is_some(), &at, "how full the disk is");
                block.disk = Some(self.percent(find(form, Rule::percent)?)?);
            }
            Rule::given_env => {
                let mut texts = form
                    .into_inner()
                    .filter(|part| part.as_rule() == Rule::text);
                let (name, value) = (texts.next()?, texts.next()?);
                block.variables.push((self.text(name), self.text(value)));
            }
            _ => {
                let file = self.given_file(form)?;
                block.files.push(file);
            }
        }
        Some(())
    }

    fn once(&mut self, again: bool, at: &std::ops::Range<usize>, what: &str) {
        if again {
            let finding = self
                .error("R0351", at.clone(), format!("this test says {what} twice"))
                .help("keep one of the two");
            self.wrong(finding);
        }
    }

    fn given_file(&mut self, node: Node<'_>) -> Option<GivenFile> {
        let mut parts = node.into_inner();
        let path = self.text(parts.next()?);
        let mut facts = Vec::new();
        for part in parts {
            let at = self.at(&part);
            let value = self.fact(part.into_inner().next()?)?;
            facts.push(Spanned { value, at });
        }
        Some(GivenFile { path, facts })
    }

    fn fact(&mut self, node: Node<'_>) -> Option<GivenFact> {
        Some(match node.as_rule() {
            Rule::fact_ago => {
                let mut parts = node.into_inner();
                let stamp = stamp_of(&parts.next()?.into_inner().next()?);
                GivenFact::Ago(stamp, self.value(parts.next()?)?)
            }
            Rule::fact_at => {
                let mut parts = node.into_inner();
                let stamp = stamp_of(&parts.next()?.into_inner().next()?);
                GivenFact::At(stamp, self.date(parts.next()?)?)
            }
            Rule::fact_owner => {
                let mut parts = node.into_inner();
                let is_group = parts.next()?.as_rule() == Rule::k_group;
                let who = self.who(parts.next()?)?;
                match is_group {
                    true => GivenFact::Group(who),
                    false => GivenFact::Owner(who),
                }
            }
            Rule::fact_empty => GivenFact::Empty,
            _ => GivenFact::Size(self.value(node)?),
        })
    }

    fn expect(&mut self, node: Node<'_>, block: &mut TestBlock) -> Option<()> {
        let at = self.at(&node);
        let (mut fate, mut path, mut by) = (Fate::Keep, None, None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::k_delete => fate = Fate::Delete,
                Rule::k_replace => fate = Fate::Replace,
                Rule::text => path = Some(self.text(part)),
                Rule::label => by = Some(self.identifier(part)),
                _ => {}
            }
        }
        block.expectations.push(Expectation {
            at,
            fate,
            path: path?,
            by,
        });
        Some(())
    }
}
