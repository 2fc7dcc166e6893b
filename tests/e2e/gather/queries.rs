//! Generated lists and counts, and what the databases say that they must answer.

use std::cmp::Ordering;

use anyhow::{Context, Result, ensure};
use homing_harness::client::{Answer, Client};
use serde_json::{Value, json};

use super::world::{Row, World};

/// One generated query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    list: List,
    filters: Vec<Filter>,
    sort: Vec<(Sort, Way)>,
    page: Option<(usize, usize)>,
    way: Method,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum List {
    Tasks,
    Instances,
    History,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    Get,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Up,
    Down,
}

/// Parameter, value, column, and what a row must have there.
#[derive(Clone, Debug)]
struct Filter {
    name: &'static str,
    value: Value,
    column: &'static str,
    wants: Wants,
}

#[derive(Clone, Debug)]
enum Wants {
    Text(String),
    AtLeast(i64),
    Nothing,
    Something,
}

/// Sort key, column, and whether it is a number.
#[derive(Clone, Copy, Debug)]
struct Sort {
    by: &'static str,
    column: &'static str,
    numeric: bool,
}

const fn sort(by: &'static str, column: &'static str, numeric: bool) -> Sort {
    Sort {
        by,
        column,
        numeric,
    }
}

impl List {
    fn path(self) -> &'static str {
        match self {
            List::Tasks => "/task",
            List::Instances => "/process-instance",
            List::History => "/history/process-instance",
        }
    }

    /// Other tests use the same engines.
    fn mine(self) -> &'static str {
        match self {
            List::Tasks | List::History => "processInstanceBusinessKeyLike",
            List::Instances => "businessKeyLike",
        }
    }

    fn sorts(self) -> &'static [Sort] {
        const TASKS: &[Sort] = &[
            sort("priority", "priority_", true),
            sort("dueDate", "due_date_", false),
            sort("name", "name_", false),
            sort("nameCaseInsensitive", "folded_", false),
            sort("assignee", "assignee_", false),
            sort("created", "create_time_", false),
            sort("instanceId", "proc_inst_id_", false),
            sort("id", "id_", false),
        ];
        const INSTANCES: &[Sort] = &[
            sort("instanceId", "id_", false),
            sort("businessKey", "business_key_", false),
        ];
        const HISTORY: &[Sort] = &[
            sort("instanceId", "id_", false),
            sort("businessKey", "business_key_", false),
            sort("startTime", "start_time_", false),
            sort("endTime", "end_time_", false),
            sort("duration", "duration_", true),
        ];
        match self {
            List::Tasks => TASKS,
            List::Instances => INSTANCES,
            List::History => HISTORY,
        }
    }
}

impl Query {
    pub(super) fn generate(seed: u64) -> Query {
        let mut random = fastrand::Rng::with_seed(seed);
        let list = [List::Tasks, List::Tasks, List::History, List::Instances][random.usize(..4)];
        let way = if random.bool() {
            Method::Get
        } else {
            Method::Post
        };
        let sorts = list.sorts();
        let parts = match way {
            Method::Get => random.usize(..2),
            Method::Post => random.usize(..3),
        };
        let mut sort = Vec::new();
        for _ in 0..parts {
            sort.push((
                sorts[random.usize(..sorts.len())],
                if random.bool() { Way::Up } else { Way::Down },
            ));
        }
        let page = (random.usize(..4) > 0).then(|| (random.usize(..40), random.usize(1..30)));
        Query {
            list,
            filters: filters(list, &mut random),
            sort,
            page,
            way,
        }
    }

    pub(super) fn unpaged(mut self) -> Query {
        self.page = None;
        self
    }

    pub(super) fn page(&self, first: usize, max: usize) -> Query {
        Query {
            page: Some((first, max)),
            ..self.clone()
        }
    }

    /// List and count are what the databases hold.
    pub(super) async fn check(&self, client: &Client, world: &World) -> Result<()> {
        let rows = self.expected(world);
        let page = match self.page {
            Some((first, max)) => rows.iter().skip(first).take(max).cloned().collect(),
            None => rows.clone(),
        };
        let list = self.list(client).await?;
        ensure!(list == page, "{self:?}\n got {list:?}\nwant {page:?}");
        let count = self.ask(client, "/count").await?.expect(200)?;
        ensure!(
            count.json()? == json!({ "count": rows.len() }),
            "{self:?} counts {}, not {}",
            count.text(),
            rows.len()
        );
        Ok(())
    }

    /// The ids of the list.
    pub(super) async fn list(&self, client: &Client) -> Result<Vec<String>> {
        let answer = self.ask(client, "").await?.expect(200)?;
        ensure!(
            answer.header("homing-missing-sites").is_none(),
            "{self:?}: a site is missing"
        );
        ids(&answer.json()?)
    }

    async fn ask(&self, client: &Client, suffix: &str) -> Result<Answer> {
        let mut parameters = Vec::new();
        if let Some((first, max)) = self.page {
            parameters.push(format!("firstResult={first}&maxResults={max}"));
        }
        let path = format!("{}{suffix}", self.list.path());
        match self.way {
            Method::Get => {
                parameters.push(format!("{}=gather-%25", self.list.mine()));
                for filter in &self.filters {
                    let value = filter
                        .value
                        .as_str()
                        .map_or_else(|| filter.value.to_string(), |text| text.replace(' ', "%20"));
                    parameters.push(format!("{}={value}", filter.name));
                }
                for (sort, way) in &self.sort {
                    parameters.push(format!("sortBy={}&sortOrder={}", sort.by, order(*way)));
                }
                client
                    .get(&format!("{path}?{}", parameters.join("&")))
                    .await
            }
            Method::Post => {
                let mut body = json!({ self.list.mine(): "gather-%" });
                for filter in &self.filters {
                    body[filter.name] = filter.value.clone();
                }
                let sorting: Vec<Value> = self
                    .sort
                    .iter()
                    .map(|(sort, way)| json!({ "sortBy": sort.by, "sortOrder": order(*way) }))
                    .collect();
                if !sorting.is_empty() && suffix.is_empty() {
                    body["sorting"] = Value::Array(sorting);
                }
                client
                    .post(&format!("{path}?{}", parameters.join("&")), &body)
                    .await
            }
        }
    }

    fn expected(&self, world: &World) -> Vec<String> {
        let rows = match self.list {
            List::Tasks => &world.tasks,
            List::Instances => &world.instances,
            List::History => &world.history,
        };
        let mut rows: Vec<&Row> = rows
            .iter()
            .filter(|row| self.filters.iter().all(|filter| filter.takes(row)))
            .collect();
        rows.sort_by(|one, two| {
            let by_keys = self
                .sort
                .iter()
                .map(|(sort, way)| sort.compare(*way, one, two));
            by_keys
                .fold(Ordering::Equal, Ordering::then)
                .then_with(|| one.id.cmp(&two.id))
        });
        rows.into_iter().map(|row| row.id.clone()).collect()
    }
}

impl Filter {
    fn takes(&self, row: &Row) -> bool {
        let held = row.text(self.column);
        match &self.wants {
            Wants::Text(text) => held == Some(text),
            Wants::AtLeast(least) => held
                .and_then(|text| text.parse::<i64>().ok())
                .is_some_and(|value| value >= *least),
            Wants::Nothing => held.is_none(),
            Wants::Something => held.is_some(),
        }
    }
}

impl Sort {
    /// As PostgreSQL does: a missing value is above all others.
    fn compare(&self, way: Way, one: &Row, two: &Row) -> Ordering {
        let up = match (one.text(self.column), two.text(self.column)) {
            (Some(one), Some(two)) if self.numeric => {
                one.parse::<i64>().ok().cmp(&two.parse().ok())
            }
            (Some(one), Some(two)) => one.cmp(two),
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
        };
        if way == Way::Up { up } else { up.reverse() }
    }
}

fn order(way: Way) -> &'static str {
    match way {
        Way::Up => "asc",
        Way::Down => "desc",
    }
}

fn filters(list: List, random: &mut fastrand::Rng) -> Vec<Filter> {
    let filter = |name, value: Value, column, wants| Filter {
        name,
        value,
        column,
        wants,
    };
    let some = match (list, random.usize(..6)) {
        (List::Tasks, 0) => {
            let priority = random.i64(0..5) * 10;
            filter(
                "priority",
                json!(priority),
                "priority_",
                Wants::Text(priority.to_string()),
            )
        }
        (List::Tasks, 1) => filter("minPriority", json!(20), "priority_", Wants::AtLeast(20)),
        (List::Tasks, 2) => filter(
            "assignee",
            json!("demo"),
            "assignee_",
            Wants::Text("demo".into()),
        ),
        (List::Tasks, 3) => filter("unassigned", json!(true), "assignee_", Wants::Nothing),
        (List::Tasks, 4) => filter(
            "name",
            json!("approve it"),
            "name_",
            Wants::Text("approve it".into()),
        ),
        (List::History, 0) => filter("finished", json!(true), "end_time_", Wants::Something),
        (List::History, 1) => filter("unfinished", json!(true), "end_time_", Wants::Nothing),
        (List::Instances | List::History, 2) => {
            let key = format!("gather-{:03}", random.u32(..70) * 37 % 101);
            let name = if list == List::History {
                "processInstanceBusinessKey"
            } else {
                "businessKey"
            };
            filter(name, json!(key), "business_key_", Wants::Text(key))
        }
        _ => return Vec::new(),
    };
    vec![some]
}

/// The ids of a list.
pub(super) fn ids(list: &Value) -> Result<Vec<String>> {
    let rows = list
        .as_array()
        .with_context(|| format!("not a list: {list}"))?;
    rows.iter()
        .map(|row| {
            row["id"]
                .as_str()
                .map(str::to_owned)
                .context("a row without id")
        })
        .collect()
}
