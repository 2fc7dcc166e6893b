//! `[[dialect]]`: rules that make sense, each of which can be reached.
//!
//! Owns what each class needs. Must not match requests. Relies on `Pattern` for paths.

use super::Validate;
use super::placement::is_token;
use crate::diagnostic::Diagnostic;
use crate::file::dialect::{ClassFile, DialectFile, KeySourceFile, LearnFile, MergeFile, RuleFile};
use crate::settings::{Class, Dialect, KeySource, Learn, Merge, Pattern, Rule};
use crate::source::Span;
use crate::suggest;
use crate::text::At;
use std::collections::HashMap;

/// Dialects that Homing brings along and that rules cannot change.
pub(super) const BUILT_IN: [&str; 2] = ["engine-rest", "flowable"];

/// RFC 1035: a name's longest form.
const HOST_LENGTH_MAX: usize = 253;

impl Validate<'_> {
    pub(super) fn dialects(&mut self, files: &[DialectFile]) -> Vec<Dialect> {
        self.unique("dialect", files.iter().map(|file| &file.name));
        self.kinds(files);
        files.iter().map(|file| self.dialect(file)).collect()
    }

    /// A key is known by its kind and id, whatever dialect it was read in: two must not mean different things by it.
    fn kinds(&mut self, files: &[DialectFile]) {
        let mut seen: HashMap<&str, (&DialectFile, Span)> = HashMap::new();
        for file in files {
            for kind in file
                .rules
                .iter()
                .filter_map(|rule| rule.get().kind.as_ref())
            {
                let (other, first) = seen
                    .entry(kind.get())
                    .or_insert_with(|| (file, kind.span()));
                if other.name.get() == file.name.get() {
                    continue;
                }
                let (one, two, name) = (other.name.get(), file.name.get(), kind.get());
                let message =
                    format!("the dialects `{one}` and `{two}` both have the kind `{name}`");
                let problem = Diagnostic::error("kind-shared", message)
                    .at(&kind.span(), "another dialect's keys")
                    .at(first, "one dialect's keys");
                self.report(problem.help(format!(
                    "keys with one kind are one thing: give each dialect a kind of its own, such as \"{two}-{name}\""
                )));
                break;
            }
        }
    }

    /// The hosts under which a dialect is published.
    fn hosts(&mut self, file: &DialectFile) -> Vec<String> {
        let mut hosts = Vec::new();
        for host in &file.hosts {
            let name = host.get().to_ascii_lowercase();
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let is_sound =
                !name.is_empty() && name.len() <= HOST_LENGTH_MAX && name.chars().all(is_name);
            let parsed = if is_sound {
                Ok(name)
            } else {
                Err("a host name without scheme, port and path: \"orders.example.com\"".into())
            };
            hosts.extend(self.read("host", host, "a host name", parsed));
        }
        hosts
    }

    fn dialect(&mut self, file: &DialectFile) -> Dialect {
        let name = file.name.get();
        if BUILT_IN.contains(&name.as_str()) {
            let problem = Diagnostic::error("dialect-built-in", format!("`{name}` is built in"));
            self.report(
                problem
                    .at(&file.name.span(), "rules cannot change it")
                    .help("give the dialect a name of its own"),
            );
        }
        if file.rules.is_empty() && !self.said("`dialect.rules") {
            let problem = Diagnostic::error(
                "dialect-empty",
                format!("the dialect `{name}` has no rules"),
            );
            self.report(
                problem
                    .at(&file.name.span(), "every request would be refused")
                    .help("add a rule: { path = \"/**\", class = \"any\" }"),
            );
        }
        let mut rules: Vec<(Rule, Span)> = Vec::new();
        for file in &file.rules {
            if let Some(rule) = self.rule(file.get(), &file.span()) {
                let at = file.get().path.span();
                if let Some((_, earlier)) = rules.iter().find(|(earlier, _)| hides(earlier, &rule))
                {
                    self.report(
                        Diagnostic::error("rule-unreachable", "no request can reach this rule")
                            .at(&at, "never tried")
                            .at(earlier, "takes every request that would fit")
                            .help("rules are tried in order: put the narrower one first"),
                    );
                }
                rules.push((rule, at));
            }
        }
        Dialect {
            name: name.clone(),
            hosts: self.hosts(file),
            rules: rules.into_iter().map(|(rule, _)| rule).collect(),
        }
    }

    fn rule(&mut self, file: &RuleFile, span: &Span) -> Option<Rule> {
        let path = self.read(
            "path-pattern",
            &file.path,
            "a path pattern",
            Pattern::parse(file.path.get()),
        );
        let method = file.method.as_ref().and_then(|method| {
            let sound = !method.get().is_empty()
                && method
                    .get()
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c == '-');
            let parsed = if sound {
                Ok(method.get().clone())
            } else {
                Err("methods are written in capitals: \"GET\"".into())
            };
            self.read("method", method, "a method", parsed)
        });
        let key = file
            .key
            .as_ref()
            .and_then(|key| self.key(key, path.as_ref()));
        let learn = file.learn.as_ref().and_then(|learn| self.learn(learn));
        self.superfluous(file);
        let missing = self.missing(file, span);
        let class = self.class(file, key, learn)?;
        if missing > 0 {
            None
        } else {
            Some(Rule {
                method,
                path: path?,
                class,
            })
        }
    }

    fn class(
        &self,
        file: &RuleFile,
        key: Option<KeySource>,
        learn: Option<Learn>,
    ) -> Option<Class> {
        let kind = file.kind.as_ref().map(|kind| kind.get().clone());
        let merge = file.merge.as_ref().map(|merge| match merge.get() {
            MergeFile::Concat => Merge::Concat,
            MergeFile::Sum => Merge::Sum,
        });
        Some(match file.class.get() {
            ClassFile::Keyed => Class::Keyed {
                kind: kind?,
                key: key?,
            },
            ClassFile::Create => Class::Create {
                kind: kind?,
                learn: learn?,
                key,
            },
            ClassFile::Sticky => Class::Sticky {
                kind: kind?,
                key: key?,
                learn,
            },
            ClassFile::Any => Class::Any,
            ClassFile::Gather => Class::Gather(merge.unwrap_or(Merge::Concat)),
            ClassFile::Broadcast => Class::Broadcast,
            ClassFile::Refuse => Class::Refuse,
        })
    }

    /// Reports what the class needs and does not have.
    fn missing(&mut self, file: &RuleFile, span: &Span) -> usize {
        let (kind, key, learn) = (
            file.kind.is_none(),
            file.key.is_none(),
            file.learn.is_none(),
        );
        let needs: &[(&str, bool, &str)] = match file.class.get() {
            ClassFile::Keyed => &[
                ("kind", kind, "kind = \"order\""),
                ("key", key, "key = { path = \"id\" }"),
            ],
            ClassFile::Sticky => &[
                ("kind", kind, "kind = \"session\""),
                ("key", key, "key = { cookie = \"SID\" }"),
            ],
            ClassFile::Create => &[
                ("kind", kind, "kind = \"order\""),
                ("learn", learn, "learn = { body = \"/id\" }"),
            ],
            ClassFile::Gather => &[("merge", file.merge.is_none(), "merge = \"concat\"")],
            ClassFile::Any | ClassFile::Broadcast | ClassFile::Refuse => &[],
        };
        let word = class_word(*file.class.get());
        let mut count = 0;
        for (name, _, example) in needs.iter().filter(|(_, missing, _)| *missing) {
            count += 1;
            self.report(
                Diagnostic::error("rule-incomplete", format!("a `{word}` rule needs `{name}`"))
                    .at(
                        &file.class.span(),
                        format!("`{name}` is missing in this rule"),
                    )
                    .at(span, "")
                    .help(format!("add `{example}`")),
            );
        }
        count
    }

    /// Reports what has no meaning in the class.
    fn superfluous(&mut self, file: &RuleFile) {
        let class = *file.class.get();
        let word = class_word(class);
        let learns = matches!(class, ClassFile::Create | ClassFile::Sticky);
        let keyed = matches!(
            class,
            ClassFile::Keyed | ClassFile::Sticky | ClassFile::Create
        );
        let learn = file.learn.as_ref().filter(|_| !learns).map(|learn| {
            (
                "learn",
                learn.span(),
                "only `create` and `sticky` learn keys",
            )
        });
        let key = file.key.as_ref().filter(|_| !keyed).map(|key| {
            (
                "key",
                key.span(),
                "only `keyed`, `sticky` and `create` look for a key",
            )
        });
        let kind = file.kind.as_ref().filter(|_| !keyed).map(|kind| {
            (
                "kind",
                kind.span(),
                "only `keyed`, `sticky` and `create` have a kind of key",
            )
        });
        let merge = file
            .merge
            .as_ref()
            .filter(|_| class != ClassFile::Gather)
            .map(|merge| ("merge", merge.span(), "only `gather` merges answers"));
        for (name, span, why) in [learn, key, kind, merge].into_iter().flatten() {
            let problem = Diagnostic::error(
                "rule-superfluous",
                format!("`{name}` has no meaning in a `{word}` rule"),
            );
            self.report(
                problem
                    .at(&span, why)
                    .help(format!("leave `{name}` out, or change the class")),
            );
        }
    }

    fn key(&mut self, file: &At<KeySourceFile>, path: Option<&Pattern>) -> Option<KeySource> {
        let key = file.get();
        let sources = [
            ("path", &key.path),
            ("query", &key.query),
            ("header", &key.header),
            ("cookie", &key.cookie),
            ("body", &key.body),
            ("bearer", &key.bearer),
        ];
        let (source, name) = self.exactly_one("key", &file.span(), &sources)?;
        self.named(source, name)?;
        let text = name.get().clone();
        Some(match source {
            "path" => {
                if let Some(pattern) =
                    path.filter(|pattern| pattern.names().all(|known| known != text))
                {
                    let known: Vec<&str> = pattern.names().collect();
                    let help = if known.is_empty() {
                        format!("write `{{{text}}}` into the path")
                    } else {
                        suggest::did_you_mean(&text, known)
                    };
                    let problem =
                        Diagnostic::error("key-source", format!("the path has no `{{{text}}}`"));
                    self.report(
                        problem
                            .at(&name.span(), "no segment has this name")
                            .help(help),
                    );
                }
                KeySource::Path(text)
            }
            "query" => KeySource::Query(text),
            "header" => KeySource::Header(text.to_ascii_lowercase()),
            "cookie" => KeySource::Cookie(text),
            "body" => KeySource::Body(text),
            _ => KeySource::Bearer(text),
        })
    }

    fn learn(&mut self, file: &At<LearnFile>) -> Option<Learn> {
        let learn = file.get();
        let sources = [
            ("body", &learn.body),
            ("header", &learn.header),
            ("set_cookie", &learn.set_cookie),
        ];
        let (source, name) = self.exactly_one("learn", &file.span(), &sources)?;
        self.named(source, name)?;
        let text = name.get().clone();
        Some(match source {
            "body" => Learn::Body(text),
            "header" => Learn::Header(text.to_ascii_lowercase()),
            _ => Learn::SetCookie(text),
        })
    }

    fn exactly_one<'f, 'n>(
        &mut self,
        what: &str,
        span: &Span,
        sources: &[(&'n str, &'f Option<At<String>>)],
    ) -> Option<(&'n str, &'f At<String>)> {
        let given: Vec<_> = sources
            .iter()
            .filter_map(|(source, name)| name.as_ref().map(|name| (*source, name)))
            .collect();
        if let [one] = given.as_slice() {
            return Some(*one);
        }
        if given.is_empty() && self.said(&format!("`dialect.rules.{what}`")) {
            return None;
        }
        let known = suggest::list(sources.iter().map(|(source, _)| *source));
        let message = if given.is_empty() {
            format!("`{what}` says nothing")
        } else {
            format!("`{what}` names {} places", given.len())
        };
        self.report(
            Diagnostic::error("key-source", message)
                .at(span, "exactly one place")
                .help(format!("use one of {known}")),
        );
        None
    }

    /// The name fits the place: a token for headers and cookies, a JSON pointer for bodies.
    fn named(&mut self, source: &str, name: &At<String>) -> Option<()> {
        let text = name.get();
        let cure = match source {
            "body" if !text.starts_with('/') => {
                format!("a JSON pointer begins with `/`: \"/{text}\"")
            }
            "body" if bad_escape(text) => {
                "in a JSON pointer `~` is written `~0`, and `/` in a name `~1`".into()
            }
            "header" | "cookie" | "set_cookie" if !text.chars().all(is_token) => {
                "letters, digits and `-`".into()
            }
            _ if text.is_empty() => "give it a name".into(),
            _ => return Some(()),
        };
        let problem = Diagnostic::error(
            "key-source",
            format!("`{text}` cannot be the name of a {source}"),
        );
        self.report(problem.at(&name.span(), "not understood").help(cure));
        None
    }
}

fn bad_escape(pointer: &str) -> bool {
    pointer
        .split('~')
        .skip(1)
        .any(|rest| !rest.starts_with(['0', '1']))
}

fn hides(earlier: &Rule, later: &Rule) -> bool {
    (earlier.method.is_none() || earlier.method == later.method) && earlier.path.covers(&later.path)
}

fn class_word(class: ClassFile) -> &'static str {
    match class {
        ClassFile::Keyed => "keyed",
        ClassFile::Create => "create",
        ClassFile::Sticky => "sticky",
        ClassFile::Any => "any",
        ClassFile::Gather => "gather",
        ClassFile::Broadcast => "broadcast",
        ClassFile::Refuse => "refuse",
    }
}
