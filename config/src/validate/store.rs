//! Stores: the mapping store, and those of engine and agent.
//!
//! Owns which of URL and URL file counts, and where the journal is by default. Must not open a store.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::store::StoreFile;
use crate::settings::{Store, StoreUrl};
use crate::text::At;
use std::path::{Path, PathBuf};

impl Validate<'_> {
    pub(super) fn store(&mut self, file: &StoreFile, router: &str) -> Store {
        let url = self.store_url(Some(&file.url), file.url_file.as_ref(), ["url", "url_file"]);
        // A placeholder after a reported error: the settings are not handed out then.
        let url = url.unwrap_or_else(|| StoreUrl::Sqlite(PathBuf::from("homing.db")));
        let journal = match (&file.journal, url.folder()) {
            (Some(journal), _) => {
                if journal.get().is_empty() || Path::new(journal.get()).is_file() {
                    self.report(
                        Diagnostic::error("journal", "the journal is a folder")
                            .at(&journal.span(), "this is none")
                            .help("name a folder on a local disk; it is made when it is missing"),
                    );
                }
                PathBuf::from(journal.get())
            }
            (None, Some(folder)) => folder.join(format!("{router}.journal")),
            (None, None) => Path::new("/var/lib/homing").join(router),
        };
        Store { url, journal }
    }

    /// The URL itself, or that in the file; both at once contradict each other.
    pub(super) fn store_url(
        &mut self,
        url: Option<&At<String>>,
        file: Option<&At<String>>,
        keys: [&str; 2],
    ) -> Option<StoreUrl> {
        let Some(file) = file else {
            let url = url?;
            return self.read(
                "store-url",
                url,
                "the URL of a store",
                StoreUrl::parse(url.get()),
            );
        };
        let given = url.map(At::span).filter(|span| *span != (0..0));
        if let Some(span) = given {
            let [key, file_key] = keys;
            self.report(
                Diagnostic::error(
                    "store-url",
                    format!("`{key}` and `{file_key}` contradict each other"),
                )
                .at(&file.span(), "the URL is in this file")
                .at(&span, "and here")
                .help("leave one of them out"),
            );
        }
        let secret = self.secret_of(file)?;
        match StoreUrl::parse(secret.expose()) {
            Ok(url) => Some(url),
            Err(cure) => {
                // The cure may quote what it found: not from a secret file.
                let cure = if cure.contains(secret.expose()) {
                    "write \"postgres://USER@HOST:PORT/DATABASE\" into it".into()
                } else {
                    cure
                };
                let problem = Diagnostic::error(
                    "store-url",
                    format!("`{}` does not hold the URL of a store", file.get()),
                );
                self.report(problem.at(&file.span(), "not understood").help(cure));
                None
            }
        }
    }
}
