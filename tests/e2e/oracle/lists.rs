//! Generated lists and counts: every filter, every sort key, pages of every size.
//!
//! Owns reading the table beside this file and putting queries together. Must not ask anybody.

use serde_json::{Value, json};

use super::{
    step::{Check, Kind, Order, Step},
    world::{Thing, World},
};

pub(super) struct Lists(Vec<List>);

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
        let lines = include_str!("lists.tsv").lines();
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
        Ok(Lists(lists.collect::<anyhow::Result<_>>()?))
    }

    /// A list and its count. `None`: what it is to name is not there yet.
    pub(super) fn generate(&self, random: &mut fastrand::Rng, world: &World) -> Option<Vec<Step>> {
        let list = &self.0[random.usize(..self.0.len())];
        let is_post = match list.methods {
            "P" => true,
            "GP" => random.bool(),
            _ => false,
        };
        let mut pairs = Vec::new();
        let scope = &list.scopes[random.usize(..list.scopes.len())];
        pairs.push((scope.name, scope.kind, scope.value(random, world)?));
        for _ in 0..random.usize(..3) {
            let Some(filter) = random.choice(&list.filters) else {
                break;
            };
            if pairs.iter().all(|(name, ..)| *name != filter.name) {
                pairs.push((filter.name, filter.kind, filter.value(random, world)?));
            }
        }
        let many = if is_post && !list.path.starts_with("/history/detail") {
            random.usize(..4)
        } else {
            random.usize(..2)
        };
        let sorts = (0..many.min(list.sorts.len()))
            .map(|_| {
                let (by, member, kind) = list.sorts[random.usize(..list.sorts.len())];
                (by, member, kind, random.bool())
            })
            .collect();
        let sizes = [1, 2, 3, 5, 10, 50];
        let page = (random.usize(..3) > 0).then(|| {
            let far = [1, 3, 10, 40][random.usize(..4)];
            (random.usize(..far), sizes[random.usize(..sizes.len())])
        });
        let query = Query {
            list,
            pairs,
            sorts,
            page,
        };
        Some(if is_post { query.posted() } else { query.got() })
    }
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
        "task" => Thing::Task,
        "execution" => Thing::Execution,
        "activity" => Thing::Activity,
        "external" => Thing::External,
        "job" => Thing::Job,
        "incident" => Thing::Incident,
        _ => return None,
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
            .map(|(by, _, _, descends)| json!({ "sortBy": by, "sortOrder": way(*descends) }))
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
        "l" => value
            .split(',')
            .map(|word| word.replace('+', " "))
            .collect(),
        "d" => value.into(),
        "v" => compared(value),
        _ => value.replace('+', " ").into(),
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

/// Variables that a list without any other scope is narrowed by have the mark in their names.
fn marked(text: &str) -> String {
    text.replace("city", "cityMARK").replace("note", "noteMARK")
}

fn way(descends: bool) -> &'static str {
    if descends { "desc" } else { "asc" }
}
