//! One problem found in the configuration, and how it is shown.
//!
//! Owns the form of messages: what is wrong, where (file, line, column, underlined), and the cure. Must not find
//! problems. Relies on `Sources` for places, which never shows a secret.

use crate::source::{Place, Sources, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Origin as Path, Renderer, Snippet};

/// Whether a problem stops the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is taken; somebody should look.
    Warning,
}

/// A text under an underlined part of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What is underlined.
    pub span: Span,
    /// What is said about it.
    pub text: String,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the load.
    pub severity: Severity,
    /// Stable name of the class of mistake.
    pub code: &'static str,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The first label is the place of the mistake; the others say what it collides with.
    pub labels: Vec<Label>,
    /// The cure.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A problem that stops the load.
    pub fn error(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code,
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// A problem that does not.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(code, message)
        }
    }

    /// Adds a place.
    pub fn at(mut self, span: &Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label {
            span: span.clone(),
            text: text.into(),
        });
        self
    }

    /// Adds the cure.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// File, line and column of the mistake, if it has a place.
    pub fn place(&self, sources: &Sources) -> Option<Place> {
        self.labels
            .first()
            .and_then(|label| sources.place(&label.span))
    }
}

/// How diagnostics are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Plain characters.
    Plain,
    /// With colours, for a terminal.
    Coloured,
}

/// `diagnostic` as text for people.
pub fn render(diagnostic: &Diagnostic, sources: &Sources, style: Style) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(
        level
            .primary_title(diagnostic.message.as_str())
            .id(diagnostic.code),
    );
    let mut drawn: Vec<usize> = Vec::new();
    for (index, label) in diagnostic.labels.iter().enumerate() {
        let Some((source, _)) = sources.find(&label.span) else {
            continue;
        };
        if drawn.contains(&source.base) {
            continue;
        }
        drawn.push(source.base);
        let text = source.shown();
        if text.is_empty() {
            group = group.element(Path::path(source.origin.to_string()));
            continue;
        }
        let mut snippet = Snippet::source(text).path(source.origin.to_string());
        for (other, label) in diagnostic.labels.iter().enumerate() {
            if let Some((found, inside)) = sources.find(&label.span)
                && found.base == source.base
            {
                let kind = if other == index && index == 0 {
                    AnnotationKind::Primary
                } else {
                    AnnotationKind::Context
                };
                snippet = snippet.annotation(kind.span(inside).label(label.text.as_str()));
            }
        }
        group = group.element(snippet);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    renderer.render(&[group])
}
