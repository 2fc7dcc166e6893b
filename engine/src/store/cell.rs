//! Values on their way into and out of the database.

/// One value; typed also when it is nothing, as PostgreSQL wants it.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// Text.
    Text(Option<String>),
    /// A whole number, a moment in milliseconds, or 0 and 1.
    Int(Option<i64>),
    /// A floating number.
    Real(Option<f64>),
    /// Bytes.
    Blob(Option<Vec<u8>>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(Some(text.to_owned()))
    }
}
impl From<&String> for Cell {
    fn from(text: &String) -> Cell {
        Cell::Text(Some(text.clone()))
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(Some(text))
    }
}
impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Cell {
        Cell::Text(text)
    }
}
impl From<&Option<String>> for Cell {
    fn from(text: &Option<String>) -> Cell {
        Cell::Text(text.clone())
    }
}
impl From<i64> for Cell {
    fn from(n: i64) -> Cell {
        Cell::Int(Some(n))
    }
}
impl From<Option<i64>> for Cell {
    fn from(n: Option<i64>) -> Cell {
        Cell::Int(n)
    }
}
impl From<bool> for Cell {
    fn from(b: bool) -> Cell {
        Cell::Int(Some(i64::from(b)))
    }
}
impl From<Option<f64>> for Cell {
    fn from(n: Option<f64>) -> Cell {
        Cell::Real(n)
    }
}
impl From<Option<Vec<u8>>> for Cell {
    fn from(bytes: Option<Vec<u8>>) -> Cell {
        Cell::Blob(bytes)
    }
}

/// One row of an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Row(pub(super) Vec<Cell>);

impl Row {
    /// The columns from here on.
    pub(crate) fn from(&self, at: usize) -> Row {
        Row(self.0.iter().skip(at).cloned().collect())
    }

    /// Text, or nothing.
    pub fn maybe_text(&self, at: usize) -> Option<String> {
        match self.0.get(at) {
            Some(Cell::Text(text)) => text.clone(),
            Some(Cell::Int(Some(n))) => Some(n.to_string()),
            _ => None,
        }
    }

    /// Text; nothing is empty.
    pub fn text(&self, at: usize) -> String {
        self.maybe_text(at).unwrap_or_default()
    }

    /// A whole number, or nothing.
    pub fn maybe_int(&self, at: usize) -> Option<i64> {
        match self.0.get(at) {
            Some(Cell::Int(n)) => *n,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "SQLite gives whole numbers of REAL columns as floats"
            )]
            Some(Cell::Real(Some(n))) => Some(*n as i64),
            _ => None,
        }
    }

    /// A whole number; nothing is 0.
    pub fn int(&self, at: usize) -> i64 {
        self.maybe_int(at).unwrap_or(0)
    }

    /// Is it 1?
    pub fn flag(&self, at: usize) -> bool {
        self.int(at) != 0
    }

    /// A floating number, or nothing.
    pub fn maybe_real(&self, at: usize) -> Option<f64> {
        match self.0.get(at) {
            Some(Cell::Real(n)) => *n,
            #[expect(clippy::cast_precision_loss, reason = "a column that may hold both")]
            Some(Cell::Int(Some(n))) => Some(*n as f64),
            _ => None,
        }
    }

    /// Bytes, or nothing.
    pub fn maybe_blob(&self, at: usize) -> Option<Vec<u8>> {
        match self.0.get(at) {
            Some(Cell::Blob(bytes)) => bytes.clone(),
            Some(Cell::Text(Some(text))) => Some(text.clone().into_bytes()),
            _ => None,
        }
    }

    /// A variable's value, from five columns that begin at `at`: type, num, txt, bytes, meta.
    pub fn value(&self, at: usize) -> crate::value::Value {
        super::variable::value(self, at)
    }
}
