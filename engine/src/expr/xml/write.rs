//! Elements as text, as the transformer of the Java platform indents them.
//!
//! Owns the layout, and which namespaces are declared where. Must not write more than it may.

use super::{Content, Element};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// A document of its own, with every namespace that it uses, indented by two; `None` if it is longer.
pub(super) fn written(element: &Element, most: usize) -> Option<String> {
    let mut writer = Writer {
        out: r#"<?xml version="1.0" encoding="UTF-8"?>"#.to_owned(),
        most,
        keeps_blanks: false,
    };
    let mut outer = BTreeMap::new();
    undeclared(element, &mut Vec::new(), &mut outer);
    writer.element(element, &outer, 0).ok()?;
    writer.write_char('\n').ok()?;
    Some(writer.out)
}

/// The length of the namespaces that it uses and an element above it declares.
pub(super) fn borrowed(element: &Element) -> usize {
    let mut outer = BTreeMap::new();
    undeclared(element, &mut Vec::new(), &mut outer);
    outer.values().map(|namespace| namespace.len()).sum()
}

/// Writes an element and no more bytes than it may.
struct Writer {
    out: String,
    most: usize,
    /// Whether blanks stand for themselves here (XML 1.0, section 2.10).
    keeps_blanks: bool,
}

impl Writer {
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
        let keeps = element.keeps_blanks().unwrap_or(self.keeps_blanks);
        let outer = std::mem::replace(&mut self.keeps_blanks, keeps);
        self.content(element, depth)?;
        self.keeps_blanks = outer;
        Ok(())
    }

    fn content(&mut self, element: &Element, depth: usize) -> fmt::Result {
        let name = &element.name;
        let blank = |part: &Content| matches!(part, Content::Text(text) if text.trim().is_empty());
        let shown = |part: &&Content| self.keeps_blanks || !blank(part);
        let parts: Vec<&Content> = element.content.iter().filter(shown).collect();
        if parts.is_empty() {
            return self.write_str("/>");
        }
        let text_alone = parts.iter().all(|part| matches!(part, Content::Text(_)));
        let lines = !text_alone && !self.keeps_blanks;
        self.write_char('>')?;
        for part in parts {
            if lines {
                self.line(depth + 1)?;
            }
            match part {
                Content::Element(child) => self.element(child, &Declared::new(), depth + 1)?,
                Content::Text(text) if lines => {
                    self.escaped(text.trim_start_matches('\n'), false)?
                }
                Content::Text(text) => self.escaped(text, false)?,
                Content::Instruction(written) => write!(self, "<?{written}?>")?,
            }
        }
        if lines {
            self.line(depth)?;
        }
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
