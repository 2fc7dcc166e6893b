//! Tokens to a tree; composite texts such as `order-${id}` to a template.

use super::lexer::{Token, syntax, tokens};
use super::{Error, MAX_DEPTH, MAX_LENGTH, Spot};
use crate::value::Value;
use std::sync::Arc;

/// A node of a parsed expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Node {
    /// A literal.
    Literal(Value),
    /// A name.
    Name(String),
    /// `base.name`
    Property(Box<Node>, String),
    /// `base[index]`
    Index(Box<Node>, Box<Node>),
    /// `base.name(arguments)`
    Method(Box<Node>, String, Vec<Node>),
    /// `name(arguments)`
    Function(String, Vec<Node>),
    /// `!x`, `-x`, `empty x`
    Unary(&'static str, Box<Node>),
    /// `x op y`
    Binary(&'static str, Box<Node>, Box<Node>),
    /// `c ? x : y`
    Choice(Box<Node>, Box<Node>, Box<Node>),
}

/// A text with expressions in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Template {
    /// As written.
    pub text: String,
    parts: Vec<Part>,
    /// Where it stands, if it is of a model.
    spot: Option<Arc<Spot>>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Part {
    Text(String),
    Expression(Node),
}

impl Template {
    /// Parses a text; one without `${` or `#{` is a literal.
    pub fn parse(text: &str) -> Result<Template, Error> {
        Template::parts_of(text).map_err(|e| e.within(text))
    }

    fn parts_of(text: &str) -> Result<Template, Error> {
        if text.len() > MAX_LENGTH {
            return Err(syntax(
                format!("an expression may have {MAX_LENGTH} bytes"),
                MAX_LENGTH,
            ));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if rest.starts_with("\\${") || rest.starts_with("\\#{") {
                literal.push_str(&rest[1..3]);
                at += 3;
            } else if rest.starts_with("${") || rest.starts_with("#{") {
                let (tokens, end) = tokens(text, at + 2)?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Expression(
                    Parser {
                        tokens: &tokens,
                        at: 0,
                        end,
                        depth: 0,
                    }
                    .whole()?,
                ));
                at = end;
            } else {
                let c = rest.chars().next().unwrap_or_default();
                literal.push(c);
                at += c.len_utf8();
            }
        }
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template {
            text: text.to_owned(),
            parts,
            spot: None,
        })
    }

    /// A text that is no expression, whatever stands in it.
    pub fn literally(text: &str) -> Template {
        Template {
            text: text.to_owned(),
            parts: vec![Part::Text(text.to_owned())],
            spot: None,
        }
    }

    /// Each literal and each expression of a text by itself.
    pub fn pieces(text: &str) -> Result<Vec<Template>, Error> {
        let whole = Template::parse(text)?;
        let piece = |part| Template {
            text: whole.text.clone(),
            parts: vec![part],
            spot: None,
        };
        Ok(whole.parts.iter().cloned().map(piece).collect())
    }

    /// The same, with where it stands.
    pub(crate) fn standing_at(mut self, spot: Spot) -> Template {
        self.spot = Some(Arc::new(spot));
        self
    }

    /// Where it stands, if it is of a model.
    pub fn spot(&self) -> Option<&Spot> {
        self.spot.as_deref()
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text, if there is no expression in it.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The names an expression starts from, if the template is exactly one bare name (`${list}`).
    pub fn bare_name(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Expression(Node::Name(name))] => Some(name),
            _ => None,
        }
    }
}

/// Binary operators by how tightly they bind, loosest first.
const LEVELS: [&[&str]; 6] = [
    &["||"],
    &["&&"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["+", "-"],
    &["*", "/", "%"],
];

struct Parser<'a> {
    tokens: &'a [(Token, usize)],
    at: usize,
    end: usize,
    depth: usize,
}

impl Parser<'_> {
    fn whole(mut self) -> Result<Node, Error> {
        let node = self.choice()?;
        match self.tokens.get(self.at) {
            None => Ok(node),
            Some((_, position)) => Err(syntax("something left over", *position)),
        }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(syntax(
                format!("an expression may nest {MAX_DEPTH} deep"),
                self.position(),
            ));
        }
        let out = parse(self);
        self.depth -= 1;
        out
    }

    fn choice(&mut self) -> Result<Node, Error> {
        self.deeper(|p| {
            let condition = p.binary(0)?;
            if !p.take("?") {
                return Ok(condition);
            }
            let yes = p.choice()?;
            p.expect(":")?;
            Ok(Node::Choice(
                Box::new(condition),
                Box::new(yes),
                Box::new(p.choice()?),
            ))
        })
    }

    fn binary(&mut self, level: usize) -> Result<Node, Error> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        let mut operands = 0;
        while let Some(operator) = operators.iter().find(|o| self.take(o)) {
            operands += 1;
            if operands > MAX_DEPTH * 4 {
                return Err(syntax("too many operands", self.position()));
            }
            left = Node::Binary(operator, Box::new(left), Box::new(self.binary(level + 1)?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, Error> {
        for operator in ["!", "-"] {
            if self.take(operator) {
                return self.deeper(|p| Ok(Node::Unary(operator, Box::new(p.unary()?))));
            }
        }
        if matches!(self.peek(), Some(Token::Name(name)) if name == "empty") {
            self.at += 1;
            return self.deeper(|p| Ok(Node::Unary("empty", Box::new(p.unary()?))));
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Node, Error> {
        let mut node = self.primary()?;
        let mut steps = 0;
        loop {
            steps += 1;
            if steps > MAX_DEPTH {
                return Err(syntax("too many steps in a path", self.position()));
            }
            if self.take(".") {
                let name = self.name()?;
                node = if self.take("(") {
                    Node::Method(Box::new(node), name, self.arguments()?)
                } else {
                    Node::Property(Box::new(node), name)
                };
            } else if self.take("[") {
                let index = self.choice()?;
                self.expect("]")?;
                node = Node::Index(Box::new(node), Box::new(index));
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Result<Node, Error> {
        let position = self.position();
        let Some(token) = self.peek().cloned() else {
            return Err(syntax("an operand is missing", position));
        };
        self.at += 1;
        Ok(match token {
            Token::Int(n) => Node::Literal(Value::Long(n)),
            Token::Float(n) => Node::Literal(Value::Double(n)),
            Token::Text(text) => Node::Literal(Value::String(text)),
            Token::Name(name) => match name.as_str() {
                "true" => Node::Literal(Value::Boolean(true)),
                "false" => Node::Literal(Value::Boolean(false)),
                "null" => Node::Literal(Value::Null),
                _ if self.take("(") => Node::Function(name, self.arguments()?),
                _ if self.peek() == Some(&Token::Sign(":")) && self.is_prefixed_function() => {
                    self.at += 1;
                    let local = self.name()?;
                    self.expect("(")?;
                    Node::Function(format!("{name}:{local}"), self.arguments()?)
                }
                _ => Node::Name(name),
            },
            Token::Sign("(") => {
                let inner = self.choice()?;
                self.expect(")")?;
                inner
            }
            Token::Sign(sign) => {
                return Err(syntax(
                    format!("'{sign}' where an operand is expected"),
                    position,
                ));
            }
        })
    }

    /// `prefix:name(`, as against the `:` of a choice.
    fn is_prefixed_function(&self) -> bool {
        matches!(self.tokens.get(self.at + 1), Some((Token::Name(_), _)))
            && matches!(self.tokens.get(self.at + 2), Some((Token::Sign("("), _)))
            && !self.tokens[..self.at]
                .iter()
                .any(|(token, _)| *token == Token::Sign("?"))
    }

    fn arguments(&mut self) -> Result<Vec<Node>, Error> {
        let mut out = Vec::new();
        if self.take(")") {
            return Ok(out);
        }
        loop {
            out.push(self.choice()?);
            if self.take(")") {
                return Ok(out);
            }
            self.expect(",")?;
        }
    }

    fn name(&mut self) -> Result<String, Error> {
        let position = self.position();
        match self.peek().cloned() {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(syntax("a name is missing", position)),
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn position(&self) -> usize {
        self.tokens
            .get(self.at)
            .map_or(self.end, |(_, position)| *position)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(s)) if *s == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Error> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(syntax(format!("'{sign}' is missing"), self.position()))
        }
    }
}
