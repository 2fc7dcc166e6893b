//! Tidy rules as tests: what a reviewer would otherwise have to notice.
//!
//! The table of forbidden words per module says what each part of the code may not touch; a rule here is changed
//! only together with ARCHITECTURE.md.

use std::{
    fs,
    path::{Path, PathBuf},
};

use homing_harness::{outcome::Promise, paths::checkout};

/// A file longer than this has more than one subject.
const LINES_MAX: usize = 500;
/// Folders that are not ours to judge.
const FOREIGN: [&str; 4] = [".git", "target", "node_modules", "vendor"];
const CRATES: [&str; 6] = [
    "config",
    "mapping-store",
    "engine",
    "proxy",
    "tests",
    "benches",
];

/// Network, runtime and disk, as code names them.
const RUNTIME: [&str; 3] = ["tokio::", "hyper::", "async fn"];
const NETWORK: [&str; 4] = ["tokio::net", "std::net::Tcp", "hyper::client", "sqlx::"];
const STORE: [&str; 2] = ["sqlx::", "homing_mapping_store::sqlite"];
const CLOCK: [&str; 2] = ["Instant::now", "SystemTime::now"];
const HTTP: [&str; 4] = ["hyper::", "http::", "axum::", "StatusCode"];

/// `(path prefix, words that code below it must not contain, why)`.
const FORBIDDEN: [(&str, &[&[&str]], &str); 12] = [
    (
        "config/src",
        &[
            &NETWORK,
            &CLOCK,
            &["homing_mapping_store", "homing_engine", "homing_proxy"],
        ],
        "a file format needs neither network nor clock",
    ),
    (
        "mapping-store/src",
        &[&HTTP, &["homing_config", "homing_engine", "homing_proxy"]],
        "the store does not know what a workflow or HTTP is",
    ),
    (
        "mapping-store/src/key.rs",
        &[&RUNTIME, &CLOCK, &STORE],
        "words are pure",
    ),
    (
        "mapping-store/src/mapping.rs",
        &[&RUNTIME, &CLOCK, &STORE],
        "words are pure",
    ),
    (
        "mapping-store/src/assignment.rs",
        &[&RUNTIME, &CLOCK, &STORE],
        "words are pure",
    ),
    (
        "mapping-store/src/table",
        &[&["std::fs", "tokio::fs", "sqlx::"]],
        "the table is memory only",
    ),
    (
        "engine/src",
        &[&["homing_config", "homing_mapping_store", "homing_proxy"]],
        "the engine does not know that it sits behind a proxy",
    ),
    (
        "proxy/src/classify",
        &[&RUNTIME, &CLOCK, &STORE],
        "classify is pure",
    ),
    (
        "proxy/src/dialect",
        &[&RUNTIME, &CLOCK, &STORE],
        "a dialect is data and pure functions",
    ),
    (
        "proxy/src/agent/fence",
        &[&RUNTIME, &CLOCK, &STORE],
        "whether an installation may serve is decided purely",
    ),
    (
        "proxy/src/gate",
        &[&["async fn", "sqlx::"], &CLOCK],
        "the gate judges what it is given",
    ),
    (
        "proxy/src/forward",
        &[&["sqlx::", "PlacementPolicy"]],
        "forward never chooses a home and never touches the store",
    ),
];

/// Where this project was made is nobody's business; each is split so that this file does not break its own rule.
const WORKPLACE: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("../sha", "red"),
    concat!(".libr", "ary"),
    concat!("HELPER", ".md"),
    concat!("real-eng", "ines.md"),
];

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if FOREIGN.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            files_below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

fn all_files() -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    files_below(checkout(), &mut found)?;
    found.sort();
    Ok(found)
}

/// `(path from the checkout, text)` of every Rust file of the six crates.
fn sources() -> std::io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for name in CRATES {
        files_below(&checkout().join(name), &mut found)?;
    }
    found
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| Ok((relative(&path), fs::read_to_string(&path)?)))
        .collect()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(checkout())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The part of a file that ships: comments and the inline tests at its end are free.
fn production_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_source_file_says_what_it_owns() -> Promise {
    let silent: Vec<_> = sources()?
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert_none(&silent);
    Ok(())
}

#[test]
fn no_source_file_is_too_long() -> Promise {
    let long: Vec<_> = sources()?
        .into_iter()
        // Tables of cases beside the code are read by looking one up.
        .filter(|(path, _)| !path.ends_with("/tests.rs") && !path.contains("/tests/"))
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(path, text)| {
            format!(
                "{path}: {} lines, {LINES_MAX} at most",
                text.lines().count()
            )
        })
        .collect();
    assert_none(&long);
    Ok(())
}

#[test]
fn modules_are_named_after_their_subject() -> Promise {
    let unnamed: Vec<_> = sources()?
        .into_iter()
        .map(|(path, _)| path)
        // Beside integration tests cargo would take any other name for a test of its own.
        .filter(|path| path.ends_with("/mod.rs") && !path.contains("/tests/"))
        .collect();
    assert_none(&unnamed);
    Ok(())
}

#[test]
fn no_module_touches_what_it_must_not() -> Promise {
    let sources = sources()?;
    let mut broken = Vec::new();
    for (prefix, words, why) in FORBIDDEN {
        // `foo` stands for `foo.rs` and everything in `foo/`.
        let folder = format!("{prefix}/");
        let covered = |path: &str| {
            path == prefix || path == format!("{prefix}.rs") || path.starts_with(&folder)
        };
        for (path, text) in sources
            .iter()
            .filter(|(path, _)| covered(path) && !path.ends_with("tests.rs"))
        {
            for (number, line) in production_lines(text) {
                for word in words
                    .iter()
                    .flat_map(|words| words.iter())
                    .filter(|word| line.contains(**word))
                {
                    broken.push(format!("{path}:{}: `{word}`, but {why}", number + 1));
                }
            }
        }
    }
    assert_none(&broken);
    Ok(())
}

#[test]
fn only_clock_modules_read_time() -> Promise {
    let mut broken = Vec::new();
    for (path, text) in sources()? {
        let is_test = path.contains("/tests/") || path.starts_with("benches/");
        if is_test || path.ends_with("/clock.rs") || path.ends_with("/tidy.rs") {
            continue;
        }
        let reads = |line: &str| CLOCK.iter().any(|word| line.contains(word));
        broken.extend(
            production_lines(&text)
                .filter(|(_, line)| reads(line))
                .map(|(n, _)| format!("{path}:{}", n + 1)),
        );
    }
    assert_none(&broken);
    Ok(())
}

#[test]
fn nothing_tells_where_the_project_was_made() -> Promise {
    let mut broken = Vec::new();
    for path in all_files()? {
        // What is not text cannot be read by anybody.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for word in WORKPLACE.iter().filter(|word| text.contains(**word)) {
            broken.push(format!("{}: `{word}`", relative(&path)));
        }
    }
    assert_none(&broken);
    Ok(())
}

/// The names in `limit_hit("NAME")` and `LIMIT: &str = "NAME"`.
fn counted_limits(text: &str) -> impl Iterator<Item = &str> {
    ["limit_hit(\"", "LIMIT: &str = \""]
        .into_iter()
        .flat_map(|before| text.split(before).skip(1))
        .filter_map(|after| after.split('"').next())
}

#[test]
fn every_limit_is_on_its_page() -> Promise {
    let docs = checkout().join("docs/reference");
    let page = fs::read_to_string(docs.join("limits.md"))?;
    let keys = fs::read_to_string(docs.join("configuration.md"))?;
    let keys = keys.split("## `[limits]`").nth(1).unwrap_or_default();
    let keys = keys.split("\n## ").next().unwrap_or_default();
    let mut names: Vec<String> = keys
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 10, "no keys found");
    let mut sources = Vec::new();
    files_below(&checkout().join("proxy/src"), &mut sources)?;
    for source in sources
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
    {
        names.extend(counted_limits(&fs::read_to_string(source)?).map(str::to_owned));
    }
    names.retain(|name| !page.contains(&format!("`{name}`")));
    assert!(
        names.is_empty(),
        "not in docs/reference/limits.md: {names:?}"
    );
    Ok(())
}
