//! The tree of path patterns.
//!
//! Owns matching. A literal segment wins over a parameter, and a pattern that leads nowhere is given up for the next:
//! the order in which the engines' own routers decide. Compares raw segments, as they do.

use crate::dialect::path::{self, Params};

/// Nodes of all patterns; the first is the root.
#[derive(Debug)]
pub(in crate::dialect) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literals: Vec<(Box<str>, usize)>,
    param: Option<usize>,
    /// The number of the pattern that ends here.
    end: Option<usize>,
    /// The number of the pattern that ends here with `**`: one segment or more.
    rest: Option<usize>,
}

impl Tree {
    pub(in crate::dialect) fn new() -> Tree {
        Tree {
            nodes: vec![Node::default()],
        }
    }

    /// Adds a pattern such as `/task/{id}` or `/files/**`; gives its number, the same for equal patterns.
    pub(in crate::dialect) fn add(&mut self, pattern: &str, number: usize) -> usize {
        let mut at = 0;
        for segment in pattern.split('/').skip(1) {
            if segment == "**" {
                return *self.nodes[at].rest.get_or_insert(number);
            }
            let next = self.nodes.len();
            let node = &mut self.nodes[at];
            at = if segment.starts_with('{') {
                *node.param.get_or_insert(next)
            } else {
                match node
                    .literals
                    .binary_search_by(|(known, _)| (**known).cmp(segment))
                {
                    Ok(found) => node.literals[found].1,
                    Err(place) => {
                        node.literals.insert(place, (segment.into(), next));
                        next
                    }
                }
            };
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        *self.nodes[at].end.get_or_insert(number)
    }

    /// The number of the pattern that the path has from `at` on, and its parameters.
    pub(in crate::dialect) fn find(&self, path: &str, at: usize) -> Option<(usize, Params)> {
        let mut params = Params::default();
        let end = self.descend(0, path, at, &mut params)?;
        Some((end, params))
    }

    /// Recurses once per segment of a pattern, so never deeper than the longest pattern.
    fn descend(&self, node: usize, path: &str, at: usize, params: &mut Params) -> Option<usize> {
        let node = &self.nodes[node];
        if path::is_end(path, at) {
            return node.end;
        }
        let (name, next) = path::segment(path, at)?;
        let text = &path[name.clone()];
        if let Ok(found) = node
            .literals
            .binary_search_by(|(known, _)| (**known).cmp(text))
            && let Some(end) = self.descend(node.literals[found].1, path, next, params)
        {
            return Some(end);
        }
        if let Some(param) = node.param
            && params.push(name)
        {
            let end = self.descend(param, path, next, params);
            if end.is_some() {
                return end;
            }
            params.pop();
        }
        node.rest.filter(|_| !path::has_dots(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_one_segment_or_more_and_comes_last() {
        let mut tree = Tree::new();
        for (number, pattern) in ["/a/{x}/r/**", "/a/{x}/r/b"].into_iter().enumerate() {
            assert_eq!(tree.add(pattern, number), number);
        }
        let found = |path: &str| tree.find(path, 0).map(|(end, _)| end);
        assert_eq!(found("/a/1/r/b"), Some(1));
        for path in ["/a/1/r/c", "/a/1/r/b/c", "/a/1/r/x/y/z.bpmn"] {
            assert_eq!(found(path), Some(0), "{path}");
        }
        for path in ["/a/1/r", "/a/1/r/x/../y", "/a/1/r/%2e%2e"] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn literals_win_and_dead_ends_are_given_up() {
        let mut tree = Tree::new();
        for (number, pattern) in ["/a/b", "/a/{x}", "/a/{x}/c", "/a/b/d/{y}"]
            .into_iter()
            .enumerate()
        {
            assert_eq!(tree.add(pattern, number), number);
        }
        assert_eq!(tree.add("/a/b", 9), 0);
        let found = |path: &str| {
            tree.find(path, 0)
                .map(|(end, params)| (end, params.raw(path, 0).map(str::to_owned)))
        };
        assert_eq!(found("/a/b"), Some((0, None)));
        assert_eq!(found("/a/z/"), Some((1, Some("z".into()))));
        assert_eq!(found("/a/b/c"), Some((2, Some("b".into()))));
        assert_eq!(found("/a/b/d/e"), Some((3, Some("e".into()))));
        for path in [
            "",
            "/",
            "/a",
            "/a//",
            "/a/b//",
            "/a/b/d",
            "/a/z/x",
            "a/b",
            "/a/z/c/e/f",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
