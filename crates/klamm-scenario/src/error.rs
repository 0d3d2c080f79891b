//! What is wrong with a scenario's text, and how a person is told.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use crate::line::Span;

/// Lines longer than this, in bytes, are not shown.
const MAX_SHOWN: usize = 1_000;

/// One thing that is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What is said at that place.
    pub label: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        Self { message: message.into(), span, label: label.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The help that the nearest known word is, or the list of all of them.
    pub(crate) fn suggest<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        match crate::syntax::nearest::nearest(word, known.iter().copied()) {
            Some(nearest) => self.help(format!("did you mean `{nearest}`?")),
            // A list that nobody reads helps nobody.
            None if known.is_empty() || known.len() > 40 => {
                match known.iter().find(|known| known.starts_with(word) && !word.is_empty()) {
                    Some(longer) => self.help(format!("did you mean `{longer}`?")),
                    None => self,
                }
            }
            None => self.help(format!("known here: {}", known.join(", "))),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with one text. It is shown with the lines it is about; nothing of the text was carried out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{name} is no scenario that can be run: {} {}", .mistakes.len(), if .mistakes.len() == 1 { "mistake" } else { "mistakes" })]
pub struct Mistakes {
    name: String,
    source_code: NamedSource<String>,
    mistakes: Vec<Shown>,
}

#[derive(Debug, Clone)]
struct Shown {
    mistake: Mistake,
    source_code: NamedSource<String>,
    /// The place in words, where the text is not shown.
    place: Option<String>,
}

impl Mistakes {
    pub(crate) fn new(name: &str, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        mistakes.dedup();
        let source_code = NamedSource::new(name, text.to_owned());
        let long = text.lines().any(|line| line.len() > MAX_SHOWN);
        let shown = |mistake: Mistake| {
            let place = long.then(|| place(name, text, mistake.span.start));
            Shown { mistake, source_code: source_code.clone(), place }
        };
        let mistakes = mistakes.into_iter().map(shown).collect();
        Self { name: name.to_owned(), source_code, mistakes }
    }

    /// Each of them, in the order of their places.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Mistake> {
        self.mistakes.iter().map(|shown| &shown.mistake)
    }

    /// The whole message for a person, with the lines it is about; with colours when `colour` says so.
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour {
            miette::GraphicalTheme::unicode()
        } else {
            miette::GraphicalTheme::unicode_nocolor()
        };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(120).with_links(false);
        let mut out = String::new();
        for shown in &self.mistakes {
            // Writing to a string does not fail.
            let _ = handler.render_report(&mut out, shown);
            out.push('\n');
        }
        out
    }
}

/// `file:line:column`, both from 1.
fn place(name: &str, text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
    format!("{name}:{line}:{column}")
}

impl Diagnostic for Mistakes {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source_code)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.mistakes.iter().map(|shown| shown as &dyn Diagnostic)))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.mistake),
            None => self.mistake.fmt(f),
        }
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.is_none().then_some(&self.source_code as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Mistake { span, label, .. } = &self.mistake;
        Some(Box::new(std::iter::once(LabeledSpan::new(Some(label.clone()), span.start, span.len.max(1)))))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.mistake.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}
