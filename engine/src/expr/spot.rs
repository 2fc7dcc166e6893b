//! Where in a model an expression stands, for people who have to find it.

/// A place in a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spot {
    /// The element of the process.
    pub element: String,
    /// Line in the file, from 1.
    pub line: u32,
    /// Column in the line, in characters, from 1.
    pub column: u32,
}

/// How every place begins when it is told.
const TOLD: &str = " (element '";

impl Spot {
    /// A message with its place; one that has a place keeps it.
    pub(crate) fn add_to(&self, message: String) -> String {
        if message.ends_with(')') && message.contains(TOLD) {
            return message;
        }
        format!("{message}{self}")
    }
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (element, line, column) = (&self.element, self.line, self.column);
        write!(f, "{TOLD}{element}', line {line}, column {column})")
    }
}

/// At most so many characters of a message; its place is kept.
pub(crate) fn shortened(message: &str, most: usize) -> String {
    let count = message.chars().count();
    if count <= most {
        return message.to_owned();
    }
    let place = message.rfind(TOLD).filter(|_| message.ends_with(')'));
    let place = place.map_or("", |at| &message[at..]);
    let place = if place.chars().count() < most {
        place
    } else {
        ""
    };
    let kept = most - place.chars().count();
    message.chars().take(kept).chain(place.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_cut_keeps_its_place() {
        let spot = Spot {
            element: "a".to_owned(),
            line: 7,
            column: 3,
        };
        let told = spot.add_to("it failed".to_owned());
        assert_eq!(told, "it failed (element 'a', line 7, column 3)");
        assert_eq!(spot.add_to(told.clone()), told);
        assert_eq!(shortened(&told, 100), told);
        assert_eq!(
            shortened(&told, 37),
            "it fa (element 'a', line 7, column 3)"
        );
        assert_eq!(shortened(&told, 10), "it failed ");
        assert_eq!(shortened("ärger", 2), "är");
    }
}
