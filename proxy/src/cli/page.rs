//! Lists that come page by page.
//!
//! Owns `--limit`, `--cursor` and the hint at the next page. Must not know what is listed.

use super::client::segment;
use super::output;
use serde_json::Value;

/// Which page.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Paging {
    /// Items on the page, 1 to 1000.
    #[arg(long, default_value_t = 100)]
    pub(super) limit: usize,
    /// Where the page before this one ended.
    #[arg(long)]
    pub(super) cursor: Option<String>,
}

impl Paging {
    /// The call for this page of a list.
    pub(super) fn of(&self, list: &str) -> String {
        let limit = self.limit;
        match &self.cursor {
            None => format!("{list}?limit={limit}"),
            Some(cursor) => format!("{list}?limit={limit}&cursor={}", segment(cursor)),
        }
    }
}

/// Prints a page as a table, and how to get the next one.
pub(super) fn print(columns: &[&str], page: &Value) {
    let items = page.get("items").and_then(Value::as_array);
    output::rows(columns, items.map(Vec::as_slice).unwrap_or_default());
    if let Some(next) = page.get("next").and_then(Value::as_str) {
        output::say(&format!("more: --cursor {next}"));
    }
}
