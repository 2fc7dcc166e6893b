//! JSON pointers, many at once, in one pass over the text.
//!
//! Owns the compiled set of pointers and the walk. Never builds a tree, never fails on a value of another type than
//! expected; recursion is bounded by the parser's own depth limit.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A set of pointers, each with a mark that the walk hands back.
#[derive(Debug)]
pub(super) struct Pointers<T> {
    nodes: Vec<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    members: Vec<(Box<str>, usize)>,
    indexes: Vec<(usize, usize)>,
    each_element: Option<usize>,
    each_member: Option<usize>,
    mark: Option<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node {
            members: Vec::new(),
            indexes: Vec::new(),
            each_element: None,
            each_member: None,
            mark: None,
        }
    }
}

/// What the walk meets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen<'a, T> {
    /// A text, number or truth value, as text.
    Scalar(T, &'a str),
    /// An object or a list.
    Compound(T),
    /// The object that held the last scalars is over.
    Close,
}

/// The text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJson;

impl<T: Copy> Pointers<T> {
    pub(super) fn new() -> Pointers<T> {
        Pointers {
            nodes: vec![Node::default()],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes[0].mark.is_none()
    }

    /// Adds `/a/b`. `*` is each member or element, `[]` each element only, a number one element. `false`: not a pointer.
    pub(super) fn add(&mut self, pointer: &str, mark: T) -> bool {
        let mut at = 0;
        if !pointer.is_empty() {
            let Some(segments) = pointer.strip_prefix('/') else {
                return false;
            };
            for segment in segments.split('/') {
                at = self.child(at, &segment.replace("~1", "/").replace("~0", "~"));
            }
        }
        self.nodes[at].mark = Some(mark);
        true
    }

    fn child(&mut self, at: usize, segment: &str) -> usize {
        let next = self.nodes.len();
        let node = &mut self.nodes[at];
        let child = match segment {
            "*" => {
                let child = *node.each_member.get_or_insert(next);
                node.each_element = Some(child);
                child
            }
            "[]" => *node.each_element.get_or_insert(next),
            name => match node.members.iter().find(|(known, _)| &**known == name) {
                Some((_, child)) => *child,
                None => {
                    node.members.push((name.into(), next));
                    if let Some(index) = name
                        .parse()
                        .ok()
                        .filter(|index: &usize| index.to_string() == name)
                    {
                        node.indexes.push((index, next));
                    }
                    next
                }
            },
        };
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }

    /// Walks an answer and shows what the pointers meet, in the order of the text. The text has to be whole: a cut
    /// answer proves nothing.
    pub(super) fn walk(&self, json: &[u8], sink: impl FnMut(Seen<'_, T>)) -> Result<(), NotJson> {
        self.walk_to_end(json, sink)?.end().map_err(|_| NotJson)
    }

    /// Walks the body of a request, as the engines' parser does: what comes after the first value is not looked at.
    pub(super) fn walk_first(
        &self,
        json: &[u8],
        sink: impl FnMut(Seen<'_, T>),
    ) -> Result<(), NotJson> {
        self.walk_to_end(json, sink).map(|_| ())
    }

    fn walk_to_end<'j>(
        &self,
        json: &'j [u8],
        mut sink: impl FnMut(Seen<'_, T>),
    ) -> Result<Reader<'j>, NotJson> {
        let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
        let mut reader = serde_json::Deserializer::from_slice(json);
        let walk = Walk {
            nodes: &self.nodes,
            at: 0,
            sink: &mut sink,
        };
        walk.deserialize(&mut reader).map_err(|_| NotJson)?;
        Ok(reader)
    }
}

type Reader<'j> = serde_json::Deserializer<serde_json::de::SliceRead<'j>>;

/// Parsers skip it, so it must not hide a key.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

struct Walk<'w, T, S> {
    nodes: &'w [Node<T>],
    at: usize,
    sink: &'w mut S,
}

impl<T: Copy, S: FnMut(Seen<'_, T>)> Walk<'_, T, S> {
    fn below(&mut self, at: usize) -> Walk<'_, T, S> {
        Walk {
            nodes: self.nodes,
            at,
            sink: self.sink,
        }
    }

    fn scalar(self, text: &str) {
        if let Some(mark) = self.nodes[self.at].mark {
            (self.sink)(Seen::Scalar(mark, text));
        }
    }

    fn compound(&mut self) {
        if let Some(mark) = self.nodes[self.at].mark {
            (self.sink)(Seen::Compound(mark));
        }
    }
}

impl<'de, T: Copy, S: FnMut(Seen<'_, T>)> DeserializeSeed<'de> for Walk<'_, T, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Copy, S: FnMut(Seen<'_, T>)> Visitor<'de> for Walk<'_, T, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.compound();
        let node = &self.nodes[self.at];
        if node.each_element.is_none() && node.indexes.is_empty() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        for index in 0_usize.. {
            let one = node
                .indexes
                .iter()
                .find(|(wanted, _)| *wanted == index)
                .map(|(_, child)| *child);
            let more = match one.or(node.each_element) {
                Some(child) => list.next_element_seed(self.below(child))?.is_some(),
                None => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.compound();
        let node = &self.nodes[self.at];
        if node.each_member.is_none() && node.members.is_empty() {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        while let Some(child) = map.next_key_seed(Member(&node.members))? {
            match child.or(node.each_member) {
                Some(child) => map.next_value_seed(self.below(child))?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        (self.sink)(Seen::Close);
        Ok(())
    }
}

/// Compares a member's name in place, so that no name is copied.
struct Member<'w>(&'w [(Box<str>, usize)]);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self
            .0
            .iter()
            .find(|(known, _)| &**known == name)
            .map(|(_, child)| *child))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Option<usize>, E> {
        Err(E::custom("a member's name is text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn met(pointers: &[&str], json: &str) -> Result<Vec<String>, NotJson> {
        let mut set = Pointers::new();
        for (mark, pointer) in pointers.iter().enumerate() {
            assert!(set.add(pointer, mark));
        }
        let mut met = Vec::new();
        set.walk(json.as_bytes(), |seen| match seen {
            Seen::Scalar(mark, text) => met.push(format!("{mark}={text}")),
            Seen::Compound(mark) => met.push(format!("{mark}=...")),
            Seen::Close => {}
        })?;
        Ok(met)
    }

    #[test]
    fn pointers_meet_members_elements_and_numbers() {
        let json = r#"{"a":{"b":"x","c":7},"l":[{"i":1},{"i":"2"},3],"\u0061b":true,"n":null}"#;
        assert_eq!(
            met(&["/a/b", "/l/[]/i", "/ab", "/n", "/l/2", "/a"], json).unwrap(),
            ["5=...", "0=x", "1=1", "1=2", "4=3", "2=true"]
        );
        assert_eq!(
            met(&["/*/x"], r#"{"p":{"x":1},"q":[{"x":2}]}"#).unwrap(),
            ["0=1"]
        );
        assert_eq!(
            met(&["/[]/x"], r#"{"p":{"x":1}}"#).unwrap(),
            Vec::<String>::new()
        );
        assert_eq!(
            met(&["/a~1b/m~0n"], r#"{"a/b":{"m~n":"deep"}}"#).unwrap(),
            ["0=deep"]
        );
    }

    #[test]
    fn values_of_another_type_are_passed_over() {
        assert_eq!(
            met(&["/id/x"], r#"{"id":"scalar"}"#).unwrap(),
            Vec::<String>::new()
        );
        assert_eq!(
            met(&["/id"], r#"{"id":{"deep":[1,{"x":2}]},"id":"last"}"#).unwrap(),
            ["0=...", "0=last"]
        );
    }

    #[test]
    fn a_cut_text_is_not_json() {
        assert_eq!(met(&["/id"], r#"{"id":"a","#), Err(NotJson));
        assert_eq!(met(&["/id"], r#"{"id":"a"} x"#), Err(NotJson));
        assert_eq!(met(&["/id"], &"[".repeat(100_000)), Err(NotJson));
    }

    #[test]
    fn a_body_is_read_as_far_as_the_engines_read_it() {
        let mut set = Pointers::new();
        set.add("/id", ());
        let first = |json: &str| {
            let mut met = None;
            let walked = set.walk_first(json.as_bytes(), |seen| {
                if let Seen::Scalar((), text) = seen {
                    met = Some(text.to_owned());
                }
            });
            walked.ok().and(met)
        };
        assert_eq!(first("{\"id\":\"a\"} and more").as_deref(), Some("a"));
        assert_eq!(first("\u{feff}{\"id\":\"a\"}").as_deref(), Some("a"));
        assert_eq!(first("{\"id\":\"a\","), None);
        let deep = format!(
            "{{\"x\":{}{},\"id\":\"a\"}}",
            "[".repeat(5_000),
            "]".repeat(5_000)
        );
        assert_eq!(first(&deep).as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:a-c0-9 ]{0,60}") {
            let _ = met(&["/a", "/[]/b", "/*/c", "/0"], &text);
        }
    }
}
