//! An id in JSON text, however its letters are written.
//!
//! Owns the spellings: plain, or escaped as clients do that write ASCII only. Pure.

/// The text with one id in place of another.
pub fn exchanged(text: &str, id: &str, own: &str) -> String {
    let quoted = |id: &str| serde_json::Value::from(id).to_string();
    let (plain, own) = (quoted(id), quoted(own));
    let exchanged = text.replace(&plain, &own);
    if plain.is_ascii() {
        return exchanged;
    }
    let escaped = |unit: fn(u16) -> String| -> String {
        let letter = |letter: char| match letter.is_ascii() {
            true => letter.to_string(),
            false => {
                let mut units = [0; 2];
                letter
                    .encode_utf16(&mut units)
                    .iter()
                    .copied()
                    .map(unit)
                    .collect()
            }
        };
        plain.chars().map(letter).collect()
    };
    exchanged
        .replace(&escaped(|unit| format!("\\u{unit:04x}")), &own)
        .replace(&escaped(|unit| format!("\\u{unit:04X}")), &own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_however_it_is_spelt() {
        let (id, own) = ("pr\u{fc}fung:1:\u{1d11e}", "pr\u{fc}fung:1:own");
        let wanted = format!(r#"{{"processDefinitionId":"{own}"}}"#);
        for spelt in [
            id,
            r"pr\u00fcfung:1:\ud834\udd1e",
            r"pr\u00FCfung:1:\uD834\uDD1E",
        ] {
            let text = format!(r#"{{"processDefinitionId":"{spelt}"}}"#);
            assert_eq!(exchanged(&text, id, own), wanted, "{spelt}");
        }
        // Another id that begins alike stays.
        let other = r#"{"processDefinitionId":"plain:1:12"}"#;
        assert_eq!(exchanged(other, "plain:1:1", "x"), other);
    }
}
