//! `[[engine.delegate]]`: what Java names stand for.
//!
//! Owns the check that each name stands for one thing, and what a call over HTTP may be told. Must not read models.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::delegate::{DelegateFile, HttpCallFile, HttpMethodFile};
use crate::settings::{Delegate, Does, HttpCall};
use crate::text::At;
use url::Url;

/// What the engine sets itself, or takes from a file.
const HEADERS_OF_OURS: [&str; 7] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "content-type",
    "idempotency-key",
    "homing-process-instance",
];

impl Validate<'_> {
    pub(super) fn delegates(&mut self, files: &[DelegateFile]) -> Option<Vec<Delegate>> {
        self.unique("delegate", files.iter().map(|file| &file.name));
        let all: Vec<_> = files.iter().map(|file| self.delegate(file)).collect();
        all.into_iter().collect()
    }

    fn delegate(&mut self, file: &DelegateFile) -> Option<Delegate> {
        let name = file.name.get().trim();
        let does = match (&file.topic, &file.script, &file.http, file.nothing) {
            (Some(topic), None, None, false) => Does::Topic(topic.get().clone()),
            (None, Some(script), None, false) => Does::Script(script.get().clone()),
            (None, None, Some(call), false) => Does::Http(Box::new(self.http_call(call)?)),
            (None, None, None, true) => Does::Nothing,
            _ => {
                let problem = Diagnostic::error(
                    "delegate",
                    "a delegate has exactly one of `topic`, `script`, `http` and `nothing`",
                );
                self.report(
                    problem
                        .at(&file.name.span(), "none or several beside this name")
                        .help("write topic = \"charge\", script = \"...\", http = { url = \"...\" } or nothing = true"),
                );
                return None;
            }
        };
        let empty = match &does {
            Does::Topic(text) | Does::Script(text) => text.trim().is_empty(),
            Does::Http(_) | Does::Nothing => false,
        };
        if name.is_empty() || empty {
            let problem = Diagnostic::error("delegate", "an empty text stands for nothing");
            self.report(
                problem
                    .at(
                        &file.name.span(),
                        "this name, or what it stands for, is empty",
                    )
                    .help("write the name as it stands in the model, and a topic or a script"),
            );
            return None;
        }
        Some(Delegate {
            name: name.to_owned(),
            does,
        })
    }

    fn http_call(&mut self, file: &HttpCallFile) -> Option<HttpCall> {
        let what = "the URL of a call";
        let url = self.read("delegate", &file.url, what, url(file.url.get()));
        let headers: Vec<_> = file.headers.iter().map(|text| self.header(text)).collect();
        let errors: Vec<_> = file
            .errors
            .iter()
            .map(|text| {
                let what = "a status with the code of a BPMN error";
                self.read("delegate", text, what, error(text.get()))
            })
            .collect();
        let retry = self.read(
            "delegate",
            &file.retry,
            "a retry cycle",
            retry(file.retry.get()),
        );
        let path = file.authorization_file.as_ref();
        let authorization = match path.map(|path| self.secret_of(path)) {
            Some(read) => Some(read?),
            None => None,
        };
        let texts = |all: &Vec<At<String>>| all.iter().map(|one| one.get().clone()).collect();
        let (origin, path) = url?;
        Some(HttpCall {
            origin,
            path,
            method: method(file.method),
            headers: headers.into_iter().collect::<Option<_>>()?,
            authorization,
            ca: file.ca.as_ref().map(|path| self.pem(path, "CERTIFICATE")),
            timeout: file.timeout.0,
            send: file.send.as_ref().map(texts),
            result: file.result.as_ref().map(|name| name.get().clone()),
            retry: retry?,
            errors: errors.into_iter().collect::<Option<_>>()?,
        })
    }

    /// A header may hold a secret where none should be: what is wrong with it is told without it.
    fn header(&mut self, text: &At<String>) -> Option<(String, String)> {
        match header(text.get()) {
            Ok(header) => Some(header),
            Err(cure) => {
                self.sources.hide(&text.span());
                let problem = Diagnostic::error("delegate", "a header of a call is not taken");
                self.report(problem.at(&text.span(), "this one").help(cure));
                None
            }
        }
    }
}

fn method(file: HttpMethodFile) -> &'static str {
    match file {
        HttpMethodFile::Get => "GET",
        HttpMethodFile::Post => "POST",
        HttpMethodFile::Put => "PUT",
        HttpMethodFile::Patch => "PATCH",
        HttpMethodFile::Delete => "DELETE",
    }
}

/// What stands before the path, and the path: no variable can name another host.
fn url(text: &str) -> Result<(Url, String), String> {
    let begins =
        "write http:// or https:// and a host: `\"https://billing:8443/charge/${orderId}\"`";
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme))
        .ok_or(begins)?;
    let end = text
        .get(scheme.len()..)
        .and_then(|rest| rest.find(['/', '?', '#']))
        .map_or(text.len(), |at| at + scheme.len());
    let (before, path) = text.split_at(end);
    if before.contains(['$', '{']) {
        return Err("host and port are fixed; expressions stand after the first `/`".to_owned());
    }
    let origin = Url::parse(before).map_err(|error| format!("{error}; {begins}"))?;
    if before.contains('@') {
        return Err(
            "leave user and password out; put `Basic …` into `authorization_file`".to_owned(),
        );
    }
    let path = match path.chars().next() {
        Some('/') => path.to_owned(),
        _ => format!("/{path}"),
    };
    if outside_expressions(&path).contains('#') {
        return Err("leave out what follows `#`: it is never sent".to_owned());
    }
    Ok((origin, path))
}

/// A path without its expressions.
fn outside_expressions(path: &str) -> String {
    let mut parts = path.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.filter_map(|part| Some(part.split_once('}')?.1));
    rest.fold(first, |all, part| all + part)
}

fn header(text: &str) -> Result<(String, String), String> {
    let cure = "write `\"NAME: VALUE\"`";
    let (name, value) = text.split_once(':').ok_or(cure)?;
    let (name, value) = (name.trim(), value.trim());
    let sound = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(sound) || value.contains(|c: char| c.is_control()) {
        return Err(cure.to_owned());
    }
    let lower = name.to_ascii_lowercase();
    if lower == "authorization" {
        return Err("put it into a file, and its path into `authorization_file`".to_owned());
    }
    if HEADERS_OF_OURS.contains(&lower.as_str()) {
        return Err("leave it out: the engine sets this header".to_owned());
    }
    Ok((lower, value.to_owned()))
}

fn error(text: &str) -> Result<(u16, String), String> {
    let parts = text.trim().split_once(' ');
    let parts = parts.and_then(|(status, code)| Some((status.parse().ok()?, code.trim())));
    match parts {
        Some((status @ 100..=599, code)) if !code.is_empty() => Ok((status, code.to_owned())),
        _ => Err("write `\"404 NOT_FOUND\"`".to_owned()),
    }
}

/// The form only: the engine, which counts by it, reads the durations when it starts.
fn retry(text: &str) -> Result<String, String> {
    let tries = text.strip_prefix('R').and_then(|rest| rest.split_once('/'));
    let sound = match tries {
        Some((times, pause)) => times.parse::<u16>().is_ok_and(|n| n > 0) && pause.starts_with('P'),
        None => text.split(',').all(|pause| pause.trim().starts_with('P')),
    };
    if sound {
        Ok(text.to_owned())
    } else {
        Err(
            "write `\"R3/PT10S\"` (tries and the pause between them) or `\"PT1S,PT10S\"`"
                .to_owned(),
        )
    }
}
