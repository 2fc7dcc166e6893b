//! Generated lists and counts: every filter, every sort key, pages of every size.
//!
//! Owns reading the table beside this file, putting queries together, and the agenda: every filter and every sort key in
//! both directions once, before any of it comes again. Must not ask anybody.

use serde_json::{Value, json};

use super::{
    step::{Check, Kind, Order, Step},
    world::{Thing, World},
};

pub(super) struct Lists {
    lists: Vec<List>,
    agenda: Vec<Want>,
    /// What could never be asked, because the script never had what it names.
    pub(super) given_up: Vec<String>,
}

/// A filter or a sort key that is still to be asked with.
#[derive(Clone, Copy)]
struct Want {
    list: usize,
    what: What,
    tries: usize,
}

#[derive(Clone, Copy)]
enum What {
    Filter(usize),
    Sort(usize, bool),
}

/// So often a filter is put off until the script has what it names.
const TRIES_MAX: usize = 400;

struct List {
    path: &'static str,
    methods: &'static str,
    scopes: Vec<Filter>,
    filters: Vec<Filter>,
    sorts: Vec<(&'static str, &'static str, Kind)>,
}

struct Filter {
    name: &'static str,
    kind: &'static str,
    values: Vec<&'static str>,
}

fn filter(text: &'static str) -> Option<Filter> {
    let (name, rest) = text.split_once(':')?;
    let (kind, values) = rest.split_once(':')?;
    Some(Filter {
        name,
        kind,
        values: values.split('|').collect(),
    })
}

fn kind(word: &str) -> Option<Kind> {
    Some(match word {
        "text" => Kind::Text,
        "folded" => Kind::Folded,
        "number" => Kind::Number,
        "time" => Kind::Time,
        "id" => Kind::Id,
        "measured" => Kind::Measured,
        "absent" => Kind::Absent,
        _ => return None,
    })
}

/// One query, before it is written as a GET or a POST.
struct Query<'l> {
    list: &'l List,
    pairs: Vec<(&'static str, &'static str, String)>,
    sorts: Vec<(&'static str, &'static str, Kind, bool)>,
    page: Option<(usize, usize)>,
}

impl Lists {
    pub(super) fn read() -> anyhow::Result<Lists> {
        let file = homing_harness::paths::checkout().join("tests/e2e/oracle/lists.tsv");
        let lines = std::fs::read_to_string(file)?.leak().lines();
        let lists = lines.filter(|line| !line.starts_with('#')).map(|line| {
            let columns: Vec<&'static str> = line.split('\t').collect();
            let &[path, methods, scopes, filters, sorts] = columns.as_slice() else {
                anyhow::bail!("{line}");
            };
            let wrong = || anyhow::anyhow!("{path}");
            let filters_of = |text: &'static str| -> anyhow::Result<Vec<Filter>> {
                text.split_whitespace()
                    .map(|word| filter(word).ok_or_else(wrong))
                    .collect()
            };
            let sorts = sorts.split_whitespace().map(|word| {
                let mut parts = word.split(':');
                let (by, member) = (parts.next()?, parts.next()?);
                Some((by, member, kind(parts.next()?)?))
            });
            Ok(List {
                path,
                methods,
                scopes: filters_of(scopes)?,
                filters: filters_of(filters)?,
                sorts: sorts.collect::<Option<_>>().ok_or_else(wrong)?,
            })
        });
        Ok(Lists {
            lists: lists.collect::<anyhow::Result<_>>()?,
            agenda: Vec::new(),
            given_up: Vec::new(),
        })
    }

    /// Everything is to be asked once at least.
    pub(super) fn sweep(&mut self) {
        for (list, of) in self.lists.iter().enumerate() {
            let filters = (0..of.filters.len()).map(What::Filter);
            let sorts = (0..of.sorts.len())
                .flat_map(|sort| [false, true].map(|descends| What::Sort(sort, descends)));
            let wants = filters.chain(sorts).map(|what| Want {
                list,
                what,
                tries: 0,
            });
            self.agenda.extend(wants);
        }
    }

    /// How much is still to be asked.
    pub(super) fn left(&self) -> usize {
        self.agenda.len()
    }

    /// One want of any list, and one of the other sort of the same list.
    fn wanted(&mut self, random: &mut fastrand::Rng) -> Vec<Want> {
        if self.agenda.is_empty() {
            return Vec::new();
        }
        let one = self.agenda.swap_remove(random.usize(..self.agenda.len()));
        let other = self.agenda.iter().position(|want| {
            let is_filter = matches!(want.what, What::Filter(_));
            want.list == one.list && is_filter != matches!(one.what, What::Filter(_))
        });
        let other = other.map(|at| self.agenda.swap_remove(at));
        std::iter::once(one).chain(other).collect()
    }

    fn put_off(&mut self, wants: Vec<Want>) {
        for want in wants {
            if want.tries < TRIES_MAX {
                let tries = want.tries + 1;
                self.agenda.push(Want { tries, ..want });
                continue;
            }
            let list = &self.lists[want.list];
            let name = match want.what {
                What::Filter(at) => list.filters[at].name,
                What::Sort(at, _) => list.sorts[at].0,
            };
            self.given_up.push(format!("{} {name}", list.path));
        }
    }

    /// A list and its count. `None`: what it is to name is not there yet.
    pub(super) fn generate(
        &mut self,
        random: &mut fastrand::Rng,
        world: &World,
    ) -> Option<Vec<Step>> {
        let wants = self.wanted(random);
        let steps = self.query(random, world, &wants);
        if steps.is_none() {
            self.put_off(wants);
        }
        steps
    }

    fn query(
        &self,
        random: &mut fastrand::Rng,
        world: &World,
        wants: &[Want],
    ) -> Option<Vec<Step>> {
        let at = wants.first().map(|want| want.list);
        let list = &self.lists[at.unwrap_or_else(|| random.usize(..self.lists.len()))];
        let scope = &list.scopes[random.usize(..list.scopes.len())];
        let mut pairs = vec![(scope.name, scope.kind, scope.value(random, world)?)];
        let mut sorts = Vec::new();
        let mut filters: Vec<&Filter> = Vec::new();
        for want in wants {
            match want.what {
                What::Filter(at) => filters.push(&list.filters[at]),
                What::Sort(at, descends) => sorts.push((at, descends)),
            }
        }
        if wants.is_empty() {
            filters.extend((0..random.usize(..3)).filter_map(|_| random.choice(&list.filters)));
        }
        for filter in filters {
            if pairs.iter().all(|(name, ..)| *name != filter.name) {
                pairs.push((filter.name, filter.kind, filter.value(random, world)?));
            }
        }
        let needs_post = pairs.iter().any(|(_, kind, _)| *kind == "o")
            || sorts.iter().any(|(at, _)| list.sorts[*at].1 == "-");
        let is_post = match list.methods {
            "GP" => needs_post || random.bool(),
            _ => false,
        };
        if !is_post {
            pairs.retain(|(_, kind, _)| *kind != "o");
        }
        let many = if is_post && !list.path.starts_with("/history/detail") {
            random.usize(..4)
        } else {
            random.usize(..2)
        };
        while sorts.len() < many.min(list.sorts.len()) {
            sorts.push((random.usize(..list.sorts.len()), random.bool()));
        }
        let query = Query {
            list,
            pairs,
            sorts: sorts
                .into_iter()
                .map(|(at, descends)| {
                    let (by, member, kind) = list.sorts[at];
                    (by, member, kind, descends)
                })
                .collect(),
            page: page(random),
        };
        Some(if is_post { query.posted() } else { query.got() })
    }
}

/// Where a page begins and how long it is, if one is asked for.
fn page(random: &mut fastrand::Rng) -> Option<(usize, usize)> {
    let sizes = [1, 2, 3, 5, 10, 50];
    (random.usize(..3) > 0).then(|| {
        let far = [1, 1, 3, 10, 40][random.usize(..5)];
        (random.usize(..far), sizes[random.usize(..sizes.len())])
    })
}

impl Filter {
    fn value(&self, random: &mut fastrand::Rng, world: &World) -> Option<String> {
        let value = self.values[random.usize(..self.values.len())];
        let mut filled = Vec::new();
        for word in value.split(',') {
            filled.push(match word.strip_prefix('$') {
                None => word.to_owned(),
                Some("key") => world.key(random),
                Some(what) => format!("{{{{{}}}}}", named(what, random, world)?),
            });
        }
        Some(filled.join(","))
    }
}

fn named(what: &str, random: &mut fastrand::Rng, world: &World) -> Option<String> {
    let thing = match what {
        "instance" if random.usize(..3) == 0 => return random.choice(&world.ended).cloned(),
        "instance" => return random.choice(&world.live).cloned(),
        "definition" => return random.choice(&world.definitions).cloned(),
        "deployment" => return random.choice(&world.deployments).cloned(),
        "variable" => Thing::Variable,
        "subscription" => Thing::Subscription,
        "task" => Thing::Task,
        "execution" => Thing::Execution,
        "activity" => Thing::Activity,
        "external" => Thing::External,
        "job" => Thing::Job,
        "incident" => Thing::Incident,
        other => return world.further(random, other),
    };
    world.any(random, thing)
}

impl Query<'_> {
    fn order(&self) -> Check {
        Check::List(Order {
            by: self
                .sorts
                .iter()
                .map(|(_, member, kind, descends)| ((*member).to_owned(), *kind, *descends))
                .collect(),
            page: self.page,
        })
    }

    fn paging(&self) -> String {
        self.page.map_or_else(String::new, |(first, max)| {
            format!("firstResult={first}&maxResults={max}")
        })
    }

    fn got(&self) -> Vec<Step> {
        let mut parameters: Vec<String> = self
            .pairs
            .iter()
            .map(|(name, kind, value)| match *kind {
                "b" => format!("{name}=true"),
                "x" => "variableName=prio&variableValue=50".to_owned(),
                "e" => format!("{name}={}", encoded(&expression(value))),
                "d" => format!("{name}={}", value.replace('+', "%2B")),
                "v" => format!(
                    "{name}={}",
                    marked(value)
                        .replace('%', "%25")
                        .replace("+0000", "%2B0000")
                ),
                _ => format!("{name}={}", value.replace('%', "%25")),
            })
            .collect();
        let filters = parameters.join("&");
        for (by, _, _, descends) in &self.sorts {
            parameters.push(format!("sortBy={by}&sortOrder={}", way(*descends)));
        }
        parameters.push(self.paging());
        let path = self.list.path;
        vec![
            Step::get(format!(
                "{path}?{}",
                parameters.join("&").trim_end_matches('&')
            ))
            .check(self.order()),
            Step::get(format!("{path}/count?{filters}")),
        ]
    }

    fn posted(&self) -> Vec<Step> {
        let mut body = json!({});
        for (name, kind, value) in &self.pairs {
            if *kind == "x" {
                body["variableName"] = "prio".into();
            }
            body[*name] = member(kind, value);
        }
        let count = body.clone();
        let sorting: Vec<Value> = self
            .sorts
            .iter()
            .map(|(by, _, _, descends)| {
                let mut sort = json!({ "sortBy": by, "sortOrder": way(*descends) });
                if by.ends_with("Variable") {
                    sort["parameters"] = json!({ "variable": "prio", "type": "Integer" });
                }
                sort
            })
            .collect();
        if !sorting.is_empty() {
            body["sorting"] = sorting.into();
        }
        let path = self.list.path;
        let paging = self.paging();
        vec![
            Step::post(format!("{path}?{paging}").trim_end_matches('?'), body).check(self.order()),
            Step::post(format!("{path}/count"), count),
        ]
    }
}

fn member(kind: &str, value: &str) -> Value {
    match kind {
        "b" => json!(true),
        "x" => json!(50),
        "n" => value.parse::<i64>().map_or(Value::Null, Value::from),
        "l" => value.split(',').map(spaced).collect(),
        "d" => value.into(),
        "v" => compared(value),
        "e" => expression(value).into(),
        "o" => json!([alternatives(value)]),
        _ => spaced(value).into(),
    }
}

/// `NAME_OPERATOR_VALUE` as a list of one comparison; due dates have no name.
fn compared(text: &str) -> Value {
    let parts: Vec<&str> = text.splitn(3, '_').collect();
    match parts.as_slice() {
        [operator, value] => json!([{ "operator": operator, "value": value }]),
        [name, operator, value] => {
            let name = marked(name);
            let value = match *value {
                "true" => json!(true),
                text => text
                    .parse::<i64>()
                    .map_or_else(|_| json!(text), |number| json!(number)),
            };
            json!([{ "name": name, "operator": operator, "value": value }])
        }
        _ => Value::Null,
    }
}

/// Symbols are taken as they are.
fn spaced(text: &str) -> String {
    let plus = if text.contains("{{") { "+" } else { " " };
    text.replace('+', plus)
}

fn expression(text: &str) -> String {
    format!("${{{text}}}")
}

/// What an address may not hold as it is.
fn encoded(text: &str) -> String {
    [
        ("%", "%25"),
        ("$", "%24"),
        ("{", "%7B"),
        ("}", "%7D"),
        ("'", "%27"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (plain, code)| {
        text.replace(plain, code)
    })
}

/// `NAME=VALUE&NAME=VALUE` as one alternative.
fn alternatives(text: &str) -> Value {
    let members = text.split('&').filter_map(|member| member.split_once('='));
    members
        .map(|(name, value)| {
            let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            (name.to_owned(), value)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Variables that a list without any other scope is narrowed by have the mark in their names.
fn marked(text: &str) -> String {
    text.replace("city", "cityMARK").replace("note", "noteMARK")
}

fn way(descends: bool) -> &'static str {
    if descends { "desc" } else { "asc" }
}

/// What the engines know, less what stands in `left.tsv` with its reason, is what the script asks with.
#[test]
fn every_filter_and_sort_key_of_the_engines_is_asked_with() -> anyhow::Result<()> {
    let lists = Lists::read()?.lists;
    let (mut filters, mut sorts, mut missing) = ((0, 0), (0, 0), Vec::new());
    let left = include_str!("left.tsv");
    let members = include_str!("members.tsv").lines();
    for line in members.filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[path, known_filters, known_sorts] = columns.as_slice() else {
            anyhow::bail!("{line}");
        };
        let list = lists.iter().find(|list| list.path == path);
        let has_filter = |name: &str| {
            list.is_some_and(|list| {
                let mut all = list.scopes.iter().chain(&list.filters);
                all.any(|filter| filter.name == name)
            })
        };
        let has_sort =
            |name: &str| list.is_some_and(|list| list.sorts.iter().any(|(by, ..)| *by == name));
        let mut count = |names: &str, has: &dyn Fn(&str) -> bool, sum: &mut (usize, usize)| {
            for name in names.split_whitespace() {
                sum.1 += 1;
                if has(name) {
                    sum.0 += 1;
                } else if !left
                    .lines()
                    .any(|line| line.starts_with(&format!("{path}\t{name}\t")))
                {
                    missing.push(format!("{path} {name}"));
                }
            }
        };
        count(known_filters, &has_filter, &mut filters);
        count(known_sorts, &has_sort, &mut sorts);
    }
    anyhow::ensure!(
        missing.is_empty(),
        "neither asked nor explained: {missing:?}"
    );
    let told = format!(
        "{} of {} filters and {} of {} sort keys",
        filters.0, filters.1, sorts.0, sorts.1
    );
    let page = homing_harness::paths::checkout().join("docs/dialects/engine-rest.md");
    let page = std::fs::read_to_string(page)?;
    anyhow::ensure!(
        page.contains(&told),
        "the documentation does not say: {told}"
    );
    Ok(())
}
