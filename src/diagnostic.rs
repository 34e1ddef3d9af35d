//! What is wrong with a text somebody wrote, where, and what to write instead.
//!
//! Policies and configuration report through this one type, so every mistake has a
//! stable code, a span and, where there is one, an edit. Rendering is miette's.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode, SourceSpan, SpanContents,
};

/// A text with the name it is reported under, shared by everything that points into it.
#[derive(Clone, Debug)]
pub struct Source(Arc<Named>);

#[derive(Debug)]
struct Named {
    name: String,
    text: String,
    /// Where each line begins but the first; found when a position is asked for, since
    /// every rule of a policy asks for its own.
    lines: OnceLock<Vec<usize>>,
}

impl Source {
    /// Names a text; the name is what a reader sees (`policies/charts.retain`).
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        Source(Arc::new(Named {
            name: name.into(),
            text: text.into(),
            lines: OnceLock::new(),
        }))
    }

    /// The name the text is reported under.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The text a span covers; empty when the span lies outside.
    pub fn slice(&self, span: &Range<usize>) -> &str {
        self.0.text.get(span.clone()).unwrap_or_default()
    }

    /// Line and column of a byte offset, both from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let text = &self.0.text;
        let before = text.get(..offset).unwrap_or(text);
        let lines = self.0.lines.get_or_init(|| {
            let newlines = text.match_indices('\n');
            newlines.map(|(newline, _)| newline + 1).collect()
        });
        let line = lines.partition_point(|&start| start <= before.len());
        let start = line
            .checked_sub(1)
            .and_then(|line| lines.get(line))
            .copied();
        let in_line = before.get(start.unwrap_or(0)..).unwrap_or_default();
        (line + 1, in_line.chars().count() + 1)
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, miette::MietteError> {
        let contents = self.0.text.read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.0.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

/// Whether a finding stops the text from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but somebody should look.
    Warning,
}

/// A replacement a program may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes to replace.
    pub span: Range<usize>,
    /// What to put there.
    pub replacement: String,
}

/// One finding about one text.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    code: &'static str,
    severity: Severity,
    message: String,
    source: Source,
    labels: Vec<(Range<usize>, String)>,
    help: Option<String>,
    edit: Option<Edit>,
}

impl Diagnostic {
    /// An error with its stable code (`R0103`) and the span it is about.
    ///
    /// The message is lower case without a full stop, user input in backticks.
    pub fn error(
        code: &'static str,
        source: &Source,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            source: source.clone(),
            labels: vec![(span, String::new())],
            help: None,
            edit: None,
        }
    }

    /// The same as a warning.
    pub fn warning(
        code: &'static str,
        source: &Source,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(code, source, span, message)
        }
    }

    /// Words beside the underlined span.
    pub fn label(mut self, words: impl Into<String>) -> Diagnostic {
        if let Some(first) = self.labels.first_mut() {
            first.1 = words.into();
        }
        self
    }

    /// A second place in the same text that has to do with it.
    pub fn also(mut self, span: Range<usize>, words: impl Into<String>) -> Diagnostic {
        self.labels.push((span, words.into()));
        self
    }

    /// What to do or write instead.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// An edit that mends it.
    pub fn edit(mut self, span: Range<usize>, replacement: impl Into<String>) -> Diagnostic {
        self.edit = Some(Edit {
            span,
            replacement: replacement.into(),
        });
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Error or warning.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The message without its place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The help line, if there is one.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The edit, if there is one.
    pub fn edit_text(&self) -> Option<&Edit> {
        self.edit.as_ref()
    }

    /// The text it is about.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The span it is about.
    pub fn span(&self) -> Range<usize> {
        self.labels.first().map_or(0..0, |(span, _)| span.clone())
    }

    /// Rendered with its source lines; `colour` also picks Unicode box drawing.
    pub fn render(&self, look: Look) -> String {
        let theme = match look {
            Look::Colour => GraphicalTheme::unicode(),
            Look::Plain => GraphicalTheme::unicode_nocolor(),
        };
        let mut out = String::new();
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(100)
            .with_links(false);
        match handler.render_report(&mut out, self) {
            Ok(()) => out,
            // A span outside its text cannot be drawn; the words must still arrive.
            Err(fmt::Error) => format!("{} {}\n", self.code, self.message),
        }
    }
}

/// How a finding is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// For a terminal.
    Colour,
    /// For files, logs and tests.
    Plain,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.labels.iter().map(|(span, words)| {
            let words = (!words.is_empty()).then(|| words.clone());
            LabeledSpan::new(words, span.start, span.len())
        });
        Some(Box::new(labels))
    }
}

/// Everything found wrong, in the order of the texts it was found in.
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("{}", summary(.0))]
pub struct Diagnostics(pub Vec<Diagnostic>);

fn summary(findings: &[Diagnostic]) -> String {
    match findings {
        [] => "no findings".to_owned(),
        [one] => one.message.clone(),
        [first, rest @ ..] => format!("{} (and {} more)", first.message, rest.len()),
    }
}

impl Diagnostics {
    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }
}

/// The candidate nearest to a mistyped word, within two edits.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= 2 && distance < candidate.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Whether no other candidate is as near as the nearest: only then may a program put
/// it in the word's place.
pub fn is_sole_nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> bool {
    let mut distances: Vec<(usize, &str)> = candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .collect();
    distances.sort_unstable();
    distances.dedup();
    match distances.as_slice() {
        [] => false,
        [_] => true,
        [(first, _), (second, _), ..] => first < second,
    }
}

/// Levenshtein's distance in characters, one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (cb, &above) in b.chars().zip(row.iter().skip(1)) {
            let cost = (diagonal + usize::from(ca != cb))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            left = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// An error and its causes in one line. Many of ours say their cause in their own words,
/// which is not said again.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut full = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let said = cause.to_string();
        // The system's words, which ours say without their number.
        let words = said.split(" (os error ").next().unwrap_or_default();
        if full.is_empty() {
            full = said;
        } else if !full.to_lowercase().contains(&words.to_lowercase()) {
            full = format!("{full}: {said}");
        }
        next = cause.source();
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_needs_to_be_near() {
        let words = ["delete", "limit", "keep"];
        assert_eq!(nearest("delte", words), Some("delete"));
        assert_eq!(nearest("limti", words), Some("limit"));
        assert_eq!(nearest("protect", words), None);
    }

    #[test]
    fn two_words_as_near_leave_the_choice_to_a_person() {
        assert!(is_sole_nearest("delte", ["delete", "keep", "delete"]));
        assert!(!is_sole_nearest("aad", ["aab", "aac"]));
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("x", "a\nüb");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(4), (2, 2));
    }

    #[test]
    fn a_span_outside_the_text_still_gives_its_words() {
        let source = Source::new("x", "a");
        let rendered = Diagnostic::error("R0000", &source, 50..60, "broken").render(Look::Plain);
        assert!(rendered.contains("broken"), "{rendered}");
    }
}
