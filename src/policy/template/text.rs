//! A template as written, taken apart: components, wildcards, captures.

use std::ops::Range;

/// A template's parts, with byte offsets into its text.
#[derive(Clone, Debug)]
pub(crate) struct TemplateText {
    pub(super) components: Vec<Component>,
    /// A trailing `/`: whole directories are meant.
    pub(super) directory: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Component {
    Deep,
    Parts(Vec<Part>),
}

impl Component {
    /// What it is made of; nothing for `**`.
    pub(super) fn parts(&self) -> &[Part] {
        match self {
            Component::Deep => &[],
            Component::Parts(parts) => parts,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Literal(String),
    Any,
    One,
    Capture(Capture),
}

/// `{name}` or `{name:type}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Capture {
    pub(crate) name: String,
    pub(crate) value_type: Option<String>,
    /// Where it stands in the template's text.
    pub(crate) at: Range<usize>,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TemplateError {
    /// Where, in the template's text.
    pub(crate) at: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: String,
}

fn wrong(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> TemplateError {
    TemplateError {
        at,
        message: message.into(),
        help: help.into(),
    }
}

impl TemplateText {
    /// Takes a template apart.
    pub(crate) fn parse(text: &str) -> Result<TemplateText, TemplateError> {
        let whole = 0..text.len();
        if text.is_empty() {
            return Err(wrong(
                whole,
                "this template is empty",
                "write which files are meant, such as `\"**\"` for all of the store",
            ));
        }
        if text.starts_with('/') {
            return Err(wrong(
                whole,
                "this template is an absolute path",
                "templates are relative to the store's path in retain.toml; leave out the leading `/`",
            ));
        }
        let directory = text.len() > 1 && text.ends_with('/');
        let text = match directory {
            true => text.get(..text.len() - 1).unwrap_or_default(),
            false => text,
        };
        let mut components = Vec::new();
        let mut start = 0;
        for component in split_components(text) {
            components.push(parse_component(component, start)?);
            start += component.len() + 1;
        }
        if directory && components.last() == Some(&Component::Deep) {
            return Err(wrong(
                start.saturating_sub(3)..text.len(),
                "`**/` names no particular directory",
                "name the directories that go as a whole, such as `\"builds/*/\"`",
            ));
        }
        let template = TemplateText {
            components,
            directory,
        };
        template.check_duplicates()?;
        Ok(template)
    }

    /// What every name it matches begins with.
    pub(super) fn literal_prefix(&self) -> String {
        let mut prefix = String::new();
        for (index, component) in self.components.iter().enumerate() {
            let Component::Parts(parts) = component else {
                return prefix;
            };
            for part in parts {
                match part {
                    Part::Literal(text) => prefix.push_str(text),
                    Part::Any | Part::One | Part::Capture(_) => return prefix,
                }
            }
            if index + 1 < self.components.len() {
                prefix.push('/');
            }
        }
        prefix
    }

    /// Whether a `?` stands in it.
    pub(super) fn has_one(&self) -> bool {
        self.components.iter().any(|component| match component {
            Component::Deep => false,
            Component::Parts(parts) => parts.contains(&Part::One),
        })
    }

    /// Its captures from left to right.
    pub(crate) fn captures(&self) -> impl Iterator<Item = &Capture> {
        self.components
            .iter()
            .flat_map(|component| match component {
                Component::Deep => &[][..],
                Component::Parts(parts) => parts.as_slice(),
            })
            .filter_map(|part| match part {
                Part::Capture(capture) => Some(capture),
                Part::Literal(_) | Part::Any | Part::One => None,
            })
    }

    fn check_duplicates(&self) -> Result<(), TemplateError> {
        let mut seen: std::collections::HashSet<&str> = std::collections::HashSet::new();
        for capture in self.captures() {
            if !seen.insert(&capture.name) {
                return Err(wrong(
                    capture.at.clone(),
                    format!("`{{{}}}` is captured twice", capture.name),
                    "give the second capture another name; two places with the same value cannot be asked for",
                ));
            }
        }
        Ok(())
    }
}

/// Splits at `/` outside captures; a type never contains one.
fn split_components(text: &str) -> impl Iterator<Item = &str> {
    text.split('/')
}

fn parse_component(text: &str, offset: usize) -> Result<Component, TemplateError> {
    let at = offset..offset + text.len();
    match text {
        "**" => return Ok(Component::Deep),
        "" => {
            return Err(wrong(
                at.start.saturating_sub(1)..at.end,
                "this template has an empty component",
                "remove the doubled `/`",
            ));
        }
        "." | ".." => {
            return Err(wrong(
                at,
                format!("`{text}` cannot stand in a template"),
                "templates name files below the store and cannot leave it",
            ));
        }
        _ => {}
    }
    let mut reader = Reader {
        text,
        offset,
        position: 0,
        parts: Vec::new(),
    };
    reader.read()?;
    check_captures(&reader.parts)?;
    Ok(Component::Parts(reader.parts))
}

struct Reader<'a> {
    text: &'a str,
    offset: usize,
    position: usize,
    parts: Vec<Part>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), TemplateError> {
        while let Some(c) = self.rest().chars().next() {
            let here = self.offset + self.position;
            match c {
                '*' if self.rest().starts_with("**") => {
                    return Err(wrong(
                        here..here + 2,
                        "`**` stands for whole directories",
                        "write it alone between slashes, as in `logs/**/*.gz`, or use a single `*`",
                    ));
                }
                '*' => self.push(Part::Any, 1),
                '?' => self.push(Part::One, 1),
                '{' => self.capture()?,
                '}' => {
                    return Err(wrong(
                        here..here + 1,
                        "this `}` closes no capture",
                        "write `\\}` for the character itself",
                    ));
                }
                '\\' => self.escape()?,
                '\0' => {
                    return Err(wrong(
                        here..here + 1,
                        "no file name contains a NUL character",
                        "remove it",
                    ));
                }
                c => self.literal(c, c.len_utf8()),
            }
        }
        Ok(())
    }

    fn rest(&self) -> &str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn push(&mut self, part: Part, length: usize) {
        self.parts.push(part);
        self.position += length;
    }

    fn literal(&mut self, c: char, length: usize) {
        match self.parts.last_mut() {
            Some(Part::Literal(text)) => text.push(c),
            _ => self.parts.push(Part::Literal(c.to_string())),
        }
        self.position += length;
    }

    fn escape(&mut self) -> Result<(), TemplateError> {
        let here = self.offset + self.position;
        match self.rest().chars().nth(1) {
            Some(c) => {
                self.literal(c, 1 + c.len_utf8());
                Ok(())
            }
            None => Err(wrong(
                here..here + 1,
                "this backslash escapes nothing",
                "write `\\\\` for the character itself",
            )),
        }
    }

    fn capture(&mut self) -> Result<(), TemplateError> {
        let here = self.offset + self.position;
        let Some(close) = self.rest().find('}') else {
            return Err(wrong(
                here..here + 1,
                "this capture has no closing `}`",
                "write `{name}` or `{name:type}`, or `\\{` for the character itself",
            ));
        };
        let inner = self.rest().get(1..close).unwrap_or_default();
        let at = here..here + close + 1;
        let (name, value_type) = match inner.split_once(':') {
            Some((name, value_type)) => (name.trim(), Some(value_type.trim())),
            None => (inner.trim(), None),
        };
        if inner.contains(',') {
            return Err(wrong(
                at,
                format!("`{{{inner}}}` is no list of alternatives here"),
                "give a capture a type that lists them: `{kind:image}` with `type image = one of \"png\", \"jpg\"`",
            ));
        }
        for word in std::iter::once(name).chain(value_type) {
            if !is_name(word) {
                return Err(wrong(
                    at,
                    format!("`{{{inner}}}` is not a capture"),
                    "write `{name}` or `{name:type}`; names begin with a letter",
                ));
            }
        }
        let capture = Capture {
            name: name.to_owned(),
            value_type: value_type.map(str::to_owned),
            at,
        };
        self.push(Part::Capture(capture), close + 1);
        Ok(())
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// An untyped capture ends at the literal behind it, so something literal must follow.
fn check_captures(parts: &[Part]) -> Result<(), TemplateError> {
    for pair in parts.windows(2) {
        if let [
            Part::Capture(capture),
            Part::Any | Part::One | Part::Capture(_),
        ] = pair
            && capture.value_type.is_none()
        {
            let name = &capture.name;
            return Err(wrong(
                capture.at.clone(),
                format!("nothing says where `{{{name}}}` ends"),
                format!(
                    "put a character between the two, or give the capture a type: `{{{name}:ticker}}`"
                ),
            ));
        }
    }
    Ok(())
}
