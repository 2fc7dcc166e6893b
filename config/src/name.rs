//! Names of sites, installations, zones, routers, dialects and kinds.
//!
//! Owns their form: they stand in host names, file names, metrics and URLs without quoting. Must not know what bears
//! a name.

/// Longest name: that of a DNS label.
pub const MAX: usize = 63;

/// Whether `name` is one; else the cure.
pub(crate) fn check(name: &str) -> Result<(), String> {
    let sound = name
        .chars()
        .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
    if sound && (1..=MAX).contains(&name.len()) {
        return Ok(());
    }
    let near = near(name);
    if near.is_empty() {
        Err("use small letters, digits and `-`".into())
    } else {
        Err(format!("for example `{near}`"))
    }
}

/// The name most like `text`; empty when nothing of it can stay.
pub(crate) fn near(text: &str) -> String {
    let letters = text
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let name: String = letters.take(MAX).collect();
    name.trim_matches('-').to_owned()
}
