//! The part of the XML node API that reads: `XML(x).childElement("item").attr("n").value()`.

use super::coerce::to_text;
use super::operand::Operand;
use super::xml::{Attribute, Element, Name};
use super::{Error, MAX_RESULT};
use crate::value::Value;
use std::sync::Arc;

/// The element of a text; what is one stays as it is.
pub(super) fn node(argument: &Operand) -> Result<Operand, Error> {
    match argument {
        Operand::Xml(_) => Ok(argument.clone()),
        Operand::Scalar(Value::String(text) | Value::Xml(text)) => {
            Ok(Operand::Xml(Arc::new(Element::read(text)?)))
        }
        Operand::Scalar(Value::Null) => Err(Error::failed("Parameter 'parameter' is null")),
        other => Err(Error::failed(format!(
            "XML is read from a text, not from {}",
            other.kind()
        ))),
    }
}

/// Calls a method of an element; `None` if elements have no such method.
pub(super) fn of_element(
    element: &Element,
    name: &str,
    arguments: &[Operand],
) -> Result<Option<Operand>, Error> {
    let attributes = || element.attributes.iter();
    let found = match (name, arguments) {
        ("attr" | "hasAttr", [local]) => {
            let wanted = Wanted::new(None, local)?;
            wanted.attribute(element, name == "hasAttr")?
        }
        ("attrNs" | "hasAttrNs", [space, local]) => {
            let wanted = Wanted::new(given(space), local)?;
            wanted.attribute(element, name == "hasAttrNs")?
        }
        ("attrs", []) => Operand::List(attributes().map(whole).collect()),
        ("attrs", [space]) => Operand::List(within(element, space).map(whole).collect()),
        ("attrNames", []) => Operand::List(attributes().map(local).collect()),
        ("attrNames", [space]) => Operand::List(within(element, space).map(local).collect()),
        ("textContent", []) => Operand::text(element.text_content()),
        ("childElements", []) => parts(element.children().collect())?,
        ("childElement" | "childElements", [local]) => {
            let space = element.name.namespace.as_deref().map(str::to_owned);
            Wanted::new(space, local)?.children(element, name == "childElement")?
        }
        ("childElement" | "childElements", [space, local]) => {
            Wanted::new(given(space), local)?.children(element, name == "childElement")?
        }
        ("toString", []) => Operand::text(element.to_string()),
        _ => return Ok(of_name(&element.name, name, arguments)),
    };
    Ok(Some(found))
}

/// A name that is asked for. Attributes have no namespace unless one is asked for, children that of their parent.
struct Wanted {
    space: Option<String>,
    local: String,
}

impl Wanted {
    fn new(space: Option<String>, local: &Operand) -> Result<Wanted, Error> {
        let local = given(local).ok_or_else(|| Error::failed("the name is null"))?;
        Ok(Wanted { space, local })
    }

    fn is(&self, name: &Name) -> bool {
        name.namespace.as_deref() == self.space.as_deref() && *name.local == self.local
    }

    fn attribute(&self, element: &Element, asked_whether: bool) -> Result<Operand, Error> {
        let found = element.attributes.iter().find(|one| self.is(&one.name));
        if asked_whether {
            return Ok(Operand::bool(found.is_some()));
        }
        let missing = || self.failed("01006 Unable to find attribute with");
        found.map(whole).ok_or_else(missing)
    }

    fn children(&self, element: &Element, one: bool) -> Result<Operand, Error> {
        let found = element.children().filter(|child| self.is(&child.name));
        let found: Vec<&Arc<Element>> = found.collect();
        match found.as_slice() {
            [] => Err(self.failed("01007 Unable to find child element with")),
            [only] if one => Ok(Operand::Xml(Arc::clone(only))),
            _ if one => Err(self.failed("01008 More than one child element was found for")),
            _ => parts(found),
        }
    }

    fn failed(&self, what: &str) -> Error {
        let (space, local) = (self.space.as_deref().unwrap_or("null"), &self.local);
        Error::failed(format!(
            "SPIN/DOM-XML-{what} namespace '{space}' and name '{local}'"
        ))
    }
}

/// Elements as a list. Each may become a document of its own, with the namespaces that an element above it declares.
fn parts(found: Vec<&Arc<Element>>) -> Result<Operand, Error> {
    let borrowed: usize = found.iter().map(|one| one.borrowed()).sum();
    if borrowed > MAX_RESULT {
        return Err(Error::failed(format!(
            "the namespaces of all these elements are longer than {MAX_RESULT} bytes"
        )));
    }
    Ok(Operand::List(
        found.into_iter().cloned().map(Operand::Xml).collect(),
    ))
}

/// The text of an argument that is not null.
fn given(argument: &Operand) -> Option<String> {
    (!argument.is_null()).then(|| to_text(argument))
}

/// The attributes of a namespace.
fn within<'a>(
    element: &'a Element,
    space: &Operand,
) -> impl Iterator<Item = &'a Arc<Attribute>> + use<'a> {
    let space = given(space);
    let all = element.attributes.iter();
    all.filter(move |one| one.name.namespace.as_deref() == space.as_deref())
}

/// Calls a method of an attribute; `None` if attributes have no such method.
pub(super) fn of_attribute(
    attribute: &Attribute,
    name: &str,
    arguments: &[Operand],
) -> Option<Operand> {
    match (name, arguments.len()) {
        ("value" | "toString", 0) => Some(Operand::text(attribute.value.as_str())),
        _ => of_name(&attribute.name, name, arguments),
    }
}

/// What both have.
fn of_name(of: &Name, name: &str, arguments: &[Operand]) -> Option<Operand> {
    let told = |text: &Option<Arc<str>>| text.as_deref().map_or(Operand::NULL, Operand::text);
    let same = |text: &Option<Arc<str>>, wanted: &Operand| {
        Operand::bool(match text {
            Some(text) => !wanted.is_null() && **text == *to_text(wanted),
            None => wanted.is_null(),
        })
    };
    Some(match (name, arguments) {
        ("name", []) => Operand::text(&*of.local),
        ("namespace", []) => told(&of.namespace),
        ("prefix", []) => told(&of.prefix),
        ("hasPrefix", [wanted]) => same(&of.prefix, wanted),
        ("hasNamespace", [wanted]) => same(&of.namespace, wanted),
        ("getDataFormatName", []) => Operand::text("application/xml"),
        _ => return None,
    })
}

fn local(attribute: &Arc<Attribute>) -> Operand {
    Operand::text(&*attribute.name.local)
}

fn whole(attribute: &Arc<Attribute>) -> Operand {
    Operand::Attribute(attribute.clone())
}
