//! Problems as text for people and as JSON for programs. Pure.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Snippet};

use super::{Problem, Severity};
use crate::registry::source::Place;

/// Renders problems in the style of rustc.
#[derive(Clone, Debug)]
pub struct Renderer {
    prefix: String,
    renderer: annotate_snippets::Renderer,
}

impl Renderer {
    /// A renderer that puts `folder` before each path, so that an editor or a terminal can follow
    /// it; empty for paths below the registry's root. Colour only where `colour` says that a
    /// terminal reads.
    #[must_use]
    pub fn new(folder: &str, colour: bool) -> Self {
        let prefix = match folder {
            "" => String::new(),
            folder => format!("{}/", folder.trim_end_matches('/')),
        };
        let renderer = if colour {
            annotate_snippets::Renderer::styled()
        } else {
            annotate_snippets::Renderer::plain()
        };
        Self { prefix, renderer }
    }

    /// One problem, with an empty line behind it.
    #[must_use]
    pub fn render(&self, problem: &Problem) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(problem.message.as_str()));
        group = self.place(group, &problem.place, AnnotationKind::Primary, "");
        if let Some(also) = &problem.also {
            group = self.place(group, &also.place, AnnotationKind::Context, &also.label);
        }
        if let Some(advice) = &problem.advice {
            group = group.element(Level::HELP.message(advice.as_str()));
        }
        let mut text = self.renderer.render(&[group]);
        let also = problem.also.iter().map(|also| &also.place);
        for place in std::iter::once(&problem.place).chain(also) {
            text = self.with_true_column(place, text);
        }
        text.push_str("\n\n");
        text
    }

    /// All of them, one after the other.
    #[must_use]
    pub fn render_all(&self, problems: &[Problem]) -> String {
        problems
            .iter()
            .map(|problem| self.render(problem))
            .collect()
    }

    fn place<'a>(
        &self,
        group: Group<'a>,
        place: &'a Place,
        kind: AnnotationKind,
        label: &'a str,
    ) -> Group<'a> {
        let path = format!("{}{}", self.prefix, place.file);
        let Some(spot) = &place.spot else {
            return group.element(Origin::path(path));
        };
        let mut annotation = kind.span(spot.mark.clone());
        if !label.is_empty() {
            annotation = annotation.label(label);
        }
        let snippet = Snippet::source(spot.text.as_str())
            .path(path)
            .line_start(spot.line)
            .annotation(annotation);
        group.element(snippet)
    }

    /// The column that the renderer counted is one of the line as it is shown. Where that was cut
    /// or masked before the mark, the file has another.
    fn with_true_column(&self, place: &Place, text: String) -> String {
        let Some(spot) = &place.spot else {
            return text;
        };
        let before = spot.text.get(..spot.mark.start).unwrap_or_default();
        let shown = before.chars().count() + 1;
        if shown == spot.column {
            return text;
        }
        let at = |column: usize| format!("{}{}:{}:{column}\n", self.prefix, place.file, spot.line);
        text.replacen(&at(shown), &at(spot.column), 1)
    }
}

/// Problems as a JSON array: `severity`, `file`, `line`, `column`, `text`, `message`, `advice`,
/// `also`; `line`, `column` and `text` are left out where a whole file is meant.
#[must_use]
pub fn to_json(problems: &[Problem]) -> String {
    // Serializing strings and numbers into memory has no way to fail.
    serde_json::to_string(problems).unwrap_or_default()
}
