//! XML documents as values: what `XML(x)` makes of a text.
//!
//! Owns the tree of elements. Must not be changed once read: expressions read documents, they do not write them. Relies on
//! `roxmltree` for reading; document types, and with them entities, are refused.

mod read;
mod write;

use std::fmt;
use std::sync::Arc;

/// The namespace of the attributes that declare namespaces (Namespaces in XML 1.0, section 3).
const DECLARES: &str = "http://www.w3.org/2000/xmlns/";

/// An element with everything below it.
#[derive(PartialEq, Debug)]
pub struct Element {
    pub(super) name: Name,
    /// In the order of their names, those that declare namespaces among them, as in a document object model.
    pub(super) attributes: Vec<Arc<Attribute>>,
    pub(super) content: Vec<Content>,
}

/// An attribute of an element.
#[derive(PartialEq, Debug)]
pub struct Attribute {
    pub(super) name: Name,
    pub(super) value: String,
}

impl Attribute {
    /// What it says.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// A name with its namespace. Each text stands once in memory however many names share it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Name {
    pub(super) namespace: Option<Arc<str>>,
    pub(super) prefix: Option<Arc<str>>,
    pub(super) local: Arc<str>,
}

#[derive(PartialEq, Debug)]
pub(super) enum Content {
    Element(Arc<Element>),
    Text(String),
    /// A processing instruction: target and what follows it.
    Instruction(String),
}

impl Element {
    /// The child elements in their order.
    pub(super) fn children(&self) -> impl Iterator<Item = &Arc<Element>> {
        self.content.iter().filter_map(|part| match part {
            Content::Element(child) => Some(child),
            Content::Text(_) | Content::Instruction(_) => None,
        })
    }

    /// How long that is which it has to declare beyond what stands in it, when it is written by itself.
    pub(super) fn borrowed(&self) -> usize {
        write::borrowed(self)
    }

    /// What it says itself of the blanks in it.
    fn keeps_blanks(&self) -> Option<bool> {
        let is = |name: &Name| name.prefix.as_deref() == Some("xml") && &*name.local == "space";
        let said = self.attributes.iter().find(|one| is(&one.name))?;
        Some(said.value == "preserve")
    }

    /// All text in it, without markup.
    pub(super) fn text_content(&self) -> String {
        let mut out = String::new();
        self.add_text(&mut out);
        out
    }

    fn add_text(&self, out: &mut String) {
        for part in &self.content {
            match part {
                Content::Element(child) => child.add_text(out),
                Content::Text(text) => out.push_str(text),
                Content::Instruction(_) => {}
            }
        }
    }
}

/// A document of its own, with every namespace that it uses, indented by two.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was read is bounded, in nodes and in depth.
        f.write_str(&write::written(self, usize::MAX).unwrap_or_default())
    }
}

/// As it stands in a document.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prefix {
            Some(prefix) => write!(f, "{prefix}:{}", self.local),
            None => f.write_str(&self.local),
        }
    }
}

impl Name {
    fn declares(&self) -> bool {
        self.namespace.as_deref() == Some(DECLARES)
    }

    /// The prefix that it needs a declaration for: an element without one needs that of the default.
    fn needs(&self, attribute: bool) -> Option<Option<&str>> {
        let bound = !attribute || self.prefix.is_some();
        let known = self.declares() || self.prefix.as_deref() == Some("xml");
        (bound && !known).then_some(self.prefix.as_deref())
    }
}
