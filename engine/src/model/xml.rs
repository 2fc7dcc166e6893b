//! The XML under a model: reading it safely, and collecting what is wrong with it.

use super::problem::{Failure, Problem};
use super::{MAX_BYTES, MAX_DEPTH, MAX_NODES};
use crate::expr::{Spot, Template};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::HashMap;

/// Parses XML; document types, and with them entities, are refused.
pub(super) fn document(text: &str) -> Result<Document<'_>, Failure> {
    if text.len() > MAX_BYTES {
        return Err(plain(format!(
            "limit xml_bytes reached: the resource has {} bytes, the limit is {MAX_BYTES}",
            text.len()
        )));
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|e| {
        let (line, column) = place(text, &e);
        Failure::Xml {
            line,
            column,
            message: match e {
                roxmltree::Error::NodesLimitReached => {
                    format!("limit xml_nodes reached: the resource has more than {MAX_NODES} nodes")
                }
                other => other.to_string(),
            },
        }
    })?;
    let mut depth = 0_usize;
    let mut at = document.root().first_child();
    while let Some(node) = at {
        if depth > MAX_DEPTH {
            let at = document.text_pos_at(node.range().start);
            return Err(Failure::Xml {
                line: at.row,
                column: at.col,
                message: format!("limit xml_depth reached: elements nest deeper than {MAX_DEPTH}"),
            });
        }
        at = if let Some(child) = node.first_child() {
            depth += 1;
            Some(child)
        } else {
            let mut up = Some(node);
            loop {
                match up {
                    Some(n) if n.next_sibling().is_some() => break n.next_sibling(),
                    Some(n) => {
                        up = n.parent();
                        depth = depth.saturating_sub(1);
                    }
                    None => break None,
                }
            }
        };
    }
    Ok(document)
}

/// Where it is wrong. Of what ends too early or is no element, the parser itself does not say.
fn place(text: &str, error: &roxmltree::Error) -> (u32, u32) {
    let until = match error {
        roxmltree::Error::UnexpectedEndOfStream | roxmltree::Error::UnclosedRootNode => Some(text),
        roxmltree::Error::DtdDetected => text.split_once("<!DOCTYPE").map(|(before, _)| before),
        _ => None,
    };
    let Some(until) = until else {
        let at = error.pos();
        return (at.row, at.col);
    };
    let line = until.matches('\n').count();
    let column = until
        .rsplit('\n')
        .next()
        .map_or(0, |last| last.chars().count());
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
    (number(line), number(column))
}

fn plain(message: String) -> Failure {
    Failure::Xml {
        line: 1,
        column: 1,
        message,
    }
}

/// Where each line begins.
pub(super) fn lines(text: &str) -> Vec<usize> {
    let after = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(after).collect()
}

/// The text of an element, trimmed.
pub(super) fn text(node: Node<'_, '_>) -> String {
    let parts: String = node
        .children()
        .filter(Node::is_text)
        .filter_map(|t| t.text())
        .collect();
    parts.trim().to_owned()
}

/// Collects problems while a model is read.
pub(super) struct Reader<'d, 'i> {
    pub(super) document: &'d Document<'i>,
    /// Top-level elements (messages, signals, errors ...) by id.
    pub(super) roots: HashMap<&'d str, Node<'d, 'i>>,
    /// Where each line of the file begins.
    pub(super) lines: Vec<usize>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Is it a model that was taken before? What has come to be refused since then is not refused of it.
    pub(super) taken: bool,
    /// Did the model ask for a script?
    pub(super) scripts: bool,
    pub(super) delegates: &'d super::delegate::Delegates,
}

impl Reader<'_, '_> {
    fn finding(&self, node: Node<'_, '_>, message: String) -> Problem {
        let (line, column) = self.place(node);
        let element = node
            .ancestors()
            .find_map(|n| n.attribute("id"))
            .map(str::to_owned);
        Problem {
            element,
            line,
            column,
            message,
        }
    }

    /// Line and column of a node, both from 1.
    pub(super) fn place(&self, node: Node<'_, '_>) -> (u32, u32) {
        let at = node.range().start;
        let line = self.lines.partition_point(|begin| *begin <= at);
        let begin = self.lines.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        let before = self.document.input_text().get(begin..at).unwrap_or("");
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let column = before.chars().count().saturating_add(1);
        (number(line), number(column))
    }

    /// Where an expression stands: in which element of the process, and in which line.
    fn spot(&self, node: Node<'_, '_>) -> Spot {
        let inside = |n: &Node<'_, '_>| {
            let parent = n.parent().map(|p| p.tag_name().name());
            n.has_attribute("id")
                && (n.tag_name().name() == "process"
                    || matches!(parent, Some("process" | "subProcess")))
        };
        let owner = node.ancestors().find(inside);
        let element = owner.and_then(|n| n.attribute("id")).unwrap_or_default();
        let (line, column) = self.place(node);
        Spot {
            element: element.to_owned(),
            line,
            column,
        }
    }

    /// Records why the model cannot run.
    pub(super) fn problem(&mut self, node: Node<'_, '_>, message: impl Into<String>) {
        let finding = self.finding(node, message.into());
        self.problems.push(finding);
    }

    /// Records what people should know about the model.
    pub(super) fn warn(&mut self, node: Node<'_, '_>, message: impl Into<String>) {
        let finding = self.finding(node, message.into());
        self.warnings.push(finding);
    }

    /// An expression.
    pub(super) fn template(&mut self, node: Node<'_, '_>, text: &str) -> Option<Template> {
        match Template::parse(text) {
            Ok(template) => Some(template.standing_at(self.spot(node))),
            Err(error) => {
                self.problem(node, error.to_string());
                None
            }
        }
    }

    /// An expression in an extension attribute.
    pub(super) fn attribute(&mut self, node: Node<'_, '_>, name: &str) -> Option<Template> {
        let text = super::namespace::extension(node, name)?;
        self.template(node, text)
    }

    /// Expressions in an extension attribute, separated by commas outside of braces.
    pub(super) fn attributes(&mut self, node: Node<'_, '_>, name: &str) -> Vec<Template> {
        let Some(text) = super::namespace::extension(node, name) else {
            return Vec::new();
        };
        parts(text)
            .iter()
            .filter_map(|p| self.template(node, p))
            .collect()
    }

    /// The name of a referenced top-level element.
    pub(super) fn reference(
        &mut self,
        node: Node<'_, '_>,
        attribute: &str,
        kind: &str,
        field: &str,
    ) -> Option<String> {
        let id = node.attribute(attribute)?;
        // A reference is a qualified name; models in use write it with and without prefix.
        let local = id.rsplit(':').next().unwrap_or(id);
        let root = self
            .roots
            .get(id)
            .or_else(|| self.roots.get(local))
            .copied();
        match root.filter(|root| super::namespace::is(*root, kind)) {
            Some(root) => root.attribute(field).map(str::to_owned),
            None => {
                self.problem(node, format!("'{id}' is no {kind} of this file"));
                None
            }
        }
    }
}

/// The parts of a text that commas outside of braces separate.
pub(super) fn parts(text: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let parts = text.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth <= 0
    });
    let parts = parts.map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty()).collect()
}
