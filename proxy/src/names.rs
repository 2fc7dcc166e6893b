//! Names that people type.
//!
//! Owns the words for one that is not known. Must not know what is named.

/// "site frankfrut; did you mean frankfurt? there are: frankfurt, paris".
pub(crate) fn unknown(word: &str, name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("{word} {name}; there is no {word} at all");
    }
    let near = homing_config::nearest(name, known.iter().copied());
    let meant = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    format!("{word} {name}; {meant}there are: {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        assert_eq!(
            unknown("site", "frankfrut", &["frankfurt", "paris"]),
            "site frankfrut; did you mean frankfurt? there are: frankfurt, paris"
        );
        assert_eq!(
            unknown("zone", "mars", &["eu-1", "eu-2"]),
            "zone mars; there are: eu-1, eu-2"
        );
        assert_eq!(unknown("zone", "x", &[]), "zone x; there is no zone at all");
    }
}
