//! XML documents as values: what `XML(x)` makes of a text.
//!
//! Owns the tree of elements and how it is written. Must not be changed once read: expressions read documents, they do
//! not write them. Relies on `roxmltree` for reading; document types, and with them entities, are refused.

use super::{Error, MAX_RESULT};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// Elements nest at most so deep.
const MAX_DEPTH: usize = 128;
/// A document declares at most so many namespaces: the reader keeps for each element all that are in scope.
const MAX_DECLARED: usize = 1_000;
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
    /// Reads a document.
    ///
    /// # Errors
    /// It is no XML, has a document type, nests deeper than 128 elements, declares more than 1,000 namespaces, or is
    /// longer than [`MAX_RESULT`].
    pub(super) fn read(text: &str) -> Result<Element, Error> {
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
            ..ParsingOptions::default()
        };
        // Blanks before an element are nothing; a declaration behind blanks is an error.
        let begins = text.trim_start();
        let text = if begins.starts_with("<?xml ") {
            text
        } else {
            begins
        };
        let document =
            Document::parse_with_options(text, options).map_err(|e| unreadable(e.to_string()))?;
        let element = Reader::default()
            .element(document.root_element(), 0)
            .ok_or_else(|| unreadable(format!("elements nest deeper than {MAX_DEPTH}")))?;
        match Writer::write(&element, MAX_RESULT) {
            Some(_) => Ok(element),
            None => Err(unreadable(format!("it is longer than {MAX_RESULT} bytes"))),
        }
    }

    /// The child elements in their order.
    pub(super) fn children(&self) -> impl Iterator<Item = &Arc<Element>> {
        self.content.iter().filter_map(|part| match part {
            Content::Element(child) => Some(child),
            Content::Text(_) | Content::Instruction(_) => None,
        })
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
        // No part of a document is longer than all of it and what it declares.
        f.write_str(&Writer::write(self, 2 * MAX_RESULT).ok_or(fmt::Error)?)
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

/// Writes an element and no more bytes than it may.
struct Writer {
    out: String,
    most: usize,
}

impl Writer {
    /// `None` if it is longer.
    fn write(element: &Element, most: usize) -> Option<String> {
        let out = r#"<?xml version="1.0" encoding="UTF-8"?>"#.to_owned();
        let mut writer = Writer { out, most };
        let mut outer = BTreeMap::new();
        undeclared(element, &mut Vec::new(), &mut outer);
        writer.element(element, &outer, 0).ok()?;
        writer.write_char('\n').ok()?;
        Some(writer.out)
    }

    fn element(&mut self, element: &Element, outer: &Declared<'_>, depth: usize) -> fmt::Result {
        let name = &element.name;
        write!(self, "<{name}")?;
        for (prefix, namespace) in outer {
            let (colon, prefix) = prefix.map_or(("", ""), |prefix| (":", prefix));
            self.attribute(&format!("xmlns{colon}{prefix}"), namespace)?;
        }
        let (declaring, others): (Vec<_>, Vec<_>) = element
            .attributes
            .iter()
            .partition(|one| one.name.declares());
        for attribute in declaring.into_iter().chain(others) {
            self.attribute(&attribute.name.to_string(), &attribute.value)?;
        }
        let blank =
            |part: &&Content| !matches!(part, Content::Text(text) if text.trim().is_empty());
        let parts: Vec<&Content> = element.content.iter().filter(blank).collect();
        if parts.iter().all(|part| matches!(part, Content::Text(_))) {
            let text = element.text_content();
            if text.is_empty() {
                return self.write_str("/>");
            }
            self.write_char('>')?;
            self.escaped(&text, false)?;
            return write!(self, "</{name}>");
        }
        self.write_char('>')?;
        for part in parts {
            self.line(depth + 1)?;
            match part {
                Content::Element(child) => self.element(child, &Declared::new(), depth + 1)?,
                Content::Text(text) => self.escaped(text, false)?,
                Content::Instruction(written) => write!(self, "<?{written}?>")?,
            }
        }
        self.line(depth)?;
        write!(self, "</{name}>")
    }

    fn attribute(&mut self, name: &str, value: &str) -> fmt::Result {
        write!(self, " {name}=\"")?;
        self.escaped(value, true)?;
        self.write_char('"')
    }

    fn line(&mut self, depth: usize) -> fmt::Result {
        write!(self, "\n{:width$}", "", width = depth * 2)
    }

    fn escaped(&mut self, text: &str, attribute: bool) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '<' => self.write_str("&lt;")?,
                '>' => self.write_str("&gt;")?,
                '&' => self.write_str("&amp;")?,
                '"' if attribute => self.write_str("&quot;")?,
                '\n' | '\t' if attribute => write!(self, "&#{};", u32::from(letter))?,
                '\r' | '\u{10000}'.. => write!(self, "&#{};", u32::from(letter))?,
                _ => self.write_char(letter)?,
            }
        }
        Ok(())
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.out.len() + text.len() > self.most {
            return Err(fmt::Error);
        }
        self.out.push_str(text);
        Ok(())
    }
}

/// Prefixes and what they stand for.
type Declared<'a> = BTreeMap<Option<&'a str>, &'a str>;

/// What an element and those below it use, but an element above it declares.
fn undeclared<'a>(element: &'a Element, inner: &mut Vec<Option<&'a str>>, out: &mut Declared<'a>) {
    let before = inner.len();
    for one in element.attributes.iter().filter(|one| one.name.declares()) {
        let named = one.name.prefix.is_some();
        inner.push(named.then_some(&*one.name.local));
    }
    let attributes = element.attributes.iter().map(|one| (&one.name, true));
    for (name, attribute) in std::iter::once((&element.name, false)).chain(attributes) {
        if let (Some(prefix), Some(namespace)) = (name.needs(attribute), name.namespace.as_deref())
            && !inner.contains(&prefix)
        {
            out.insert(prefix, namespace);
        }
    }
    for child in element.children() {
        undeclared(child, inner, out);
    }
    inner.truncate(before);
}
