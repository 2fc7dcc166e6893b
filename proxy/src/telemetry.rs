//! What the router tells about itself: metrics, access log, error texts.
//!
//! Owns names and formats. Must not decide anything.

pub mod access_log;
pub mod metrics;

/// An error and everything below it, in one line; no text twice.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        below = error.source();
    }
    text
}
