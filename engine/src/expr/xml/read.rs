//! Elements out of a text.
//!
//! Owns what is refused. Must not lose what `write` needs to say the same again: prefixes, and where they are declared.

use super::{Attribute, Content, DECLARES, Element, Name, write};
use crate::expr::{Error, MAX_RESULT};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::HashMap;
use std::sync::Arc;

/// Elements nest at most so deep.
const MAX_DEPTH: usize = 128;
/// A document has at most so many elements, texts and comments: each costs much more memory than it has letters.
const MAX_NODES: u32 = 250_000;
/// A document declares at most so many namespaces: the reader keeps for each element all that are in scope.
const MAX_DECLARED: usize = 1_000;

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// It is no XML, has a document type, nests deeper than 128 elements, has more than 250,000 nodes, declares more than
    /// 1,000 namespaces, or is longer than [`MAX_RESULT`].
    pub(in crate::expr) fn read(text: &str) -> Result<Element, Error> {
        let unreadable = |why: String| {
            Error::failed(format!(
                "SPIN/DOM-XML-01009 Unable to parse input into DOM document: {why}"
            ))
        };
        if text.len() > MAX_RESULT {
            return Err(unreadable(format!("it is longer than {MAX_RESULT} bytes")));
        }
        if text.matches("xmlns").count() > MAX_DECLARED {
            let most = format!("it declares more than {MAX_DECLARED} namespaces");
            return Err(unreadable(most));
        }
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        // Blanks before an element are nothing; a declaration behind blanks is an error.
        let begins = text.trim_start();
        let text = if begins.starts_with("<?xml ") {
            text
        } else {
            begins
        };
        let document = Document::parse_with_options(text, options).map_err(|e| match e {
            roxmltree::Error::NodesLimitReached => {
                unreadable(format!("it has more than {MAX_NODES} nodes"))
            }
            other => unreadable(other.to_string()),
        })?;
        let element = Reader::default()
            .element(document.root_element(), 0)
            .ok_or_else(|| unreadable(format!("elements nest deeper than {MAX_DEPTH}")))?;
        match write::written(&element, MAX_RESULT) {
            Some(_) => Ok(element),
            None => Err(unreadable(format!("it is longer than {MAX_RESULT} bytes"))),
        }
    }
}

/// Makes elements of a parsed document's nodes.
#[derive(Default)]
struct Reader<'a> {
    known: HashMap<&'a str, Arc<str>>,
}

impl<'a> Reader<'a> {
    fn shared(&mut self, text: &'a str) -> Arc<str> {
        self.known
            .entry(text)
            .or_insert_with(|| text.into())
            .clone()
    }

    /// `None` if it nests too deep.
    fn element(&mut self, node: Node<'a, 'a>, depth: usize) -> Option<Element> {
        if depth > MAX_DEPTH {
            return None;
        }
        let tag = &node.document().input_text()[node.range()];
        let end = tag[1..].find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'));
        let name = self.name(&tag[1..=end?], node.tag_name().namespace());
        let mut attributes = self.declared(node);
        for attribute in node.attributes() {
            let written = &node.document().input_text()[attribute.range_qname()];
            attributes.push(Arc::new(Attribute {
                name: self.name(written, attribute.namespace()),
                value: attribute.value().to_owned(),
            }));
        }
        attributes.sort_by_key(|attribute| attribute.name.to_string());
        let mut content = Vec::new();
        for child in node.children() {
            if child.is_element() {
                content.push(Content::Element(Arc::new(self.element(child, depth + 1)?)));
            } else if let Some(instruction) = child.pi() {
                let value = instruction.value.unwrap_or_default();
                let written = format!("{} {value}", instruction.target);
                content.push(Content::Instruction(written));
            } else if child.is_text() {
                let text = child.text().unwrap_or_default();
                match content.last_mut() {
                    Some(Content::Text(before)) => before.push_str(text),
                    _ => content.push(Content::Text(text.to_owned())),
                }
            }
        }
        Some(Element {
            name,
            attributes,
            content,
        })
    }

    /// The attributes that declare namespaces.
    fn declared(&mut self, node: Node<'a, 'a>) -> Vec<Arc<Attribute>> {
        let outer = |prefix| node.parent_element()?.lookup_namespace_uri(prefix);
        let new = node.namespaces().filter(|space| {
            space.name() != Some("xml") && outer(space.name()) != Some(space.uri())
        });
        new.map(|space| {
            let (prefix, local) = match space.name() {
                Some(name) => (Some(self.shared("xmlns")), self.shared(name)),
                None => (None, self.shared("xmlns")),
            };
            let namespace = Some(self.shared(DECLARES));
            let value = space.uri().to_owned();
            Arc::new(Attribute {
                name: Name {
                    namespace,
                    prefix,
                    local,
                },
                value,
            })
        })
        .collect()
    }

    fn name(&mut self, written: &'a str, namespace: Option<&'a str>) -> Name {
        let (prefix, local) = match written.split_once(':') {
            Some((prefix, local)) => (Some(self.shared(prefix)), local),
            None => (None, written),
        };
        Name {
            namespace: namespace.map(|text| self.shared(text)),
            prefix,
            local: self.shared(local),
        }
    }
}
