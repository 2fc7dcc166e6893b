//! Variables below instances, executions and tasks, and `/variable-instance`.

use super::answer::{Answer, bytes, json, no_content};
use super::body::{Asked, Body};
use super::error::Refused;
use super::values;
use crate::error::Error;
use crate::lists::{Parameters, VARIABLES, variable_row};
use crate::machine::{Command, NodeKey, Values};
use crate::runtime::Handle;
use crate::store::{Loaded, Page, Row};
use crate::value::{File, Value};
use axum::Router;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, Path, State};
use axum::routing::{MethodRouter, get};
use serde_json::{Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    let mut all = Router::new()
        .route("/variable-instance", get(list).post(list_by_body))
        .route("/variable-instance/count", get(count).post(count_by_body))
        .route("/variable-instance/{id}", get(one))
        .route("/variable-instance/{id}/data", get(one_data));
    for (path, owner) in [
        ("/process-instance/{id}/variables", Owner::Instance),
        ("/execution/{id}/localVariables", Owner::Execution),
        ("/task/{id}/variables", Owner::Task),
        ("/task/{id}/localVariables", Owner::TaskLocal),
    ] {
        all = all
            .route(path, all_of(owner))
            .route(&format!("{path}/{{name}}"), one_of(owner))
            .route(&format!("{path}/{{name}}/data"), data_of(owner));
    }
    all
}

/// Whose variables a path names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Instance,
    Execution,
    Task,
    TaskLocal,
}

impl Owner {
    fn is_local(self) -> bool {
        matches!(self, Owner::Execution | Owner::TaskLocal)
    }

    fn word(self) -> &'static str {
        match self {
            Owner::Instance => "process instance",
            Owner::Execution => "execution",
            Owner::Task | Owner::TaskLocal => "task",
        }
    }
}

/// What a request wants of variables: what is refused begins with it.
#[derive(Clone, Copy)]
enum Tried<'a> {
    Read,
    Modify,
    Get(&'a str),
    Put(&'a str),
    Delete(&'a str),
}

impl Tried<'_> {
    fn told(self, owner: Owner, id: Option<&str>) -> String {
        let word = owner.word();
        match self {
            Tried::Read => format!("Cannot get variables of {word}"),
            Tried::Modify => {
                let id = id.map_or_else(String::new, |id| format!(" {id}"));
                format!("Cannot modify variables for {word}{id}")
            }
            Tried::Get(name) => format!("Cannot get {word} variable {name}"),
            Tried::Put(name) => format!("Cannot put {word} variable {name}"),
            Tried::Delete(name) => format!("Cannot delete {word} variable {name}"),
        }
    }

    /// What is wrong with the request, after what it wants.
    fn wrong<T>(self, owner: Owner, checked: Result<T, Refused>) -> Result<T, Refused> {
        checked.map_err(|refused| refused.within(&self.told(owner, None)))
    }
}

/// The instance and execution behind a path.
struct Scope {
    loaded: Loaded,
    node: NodeKey,
    owner: Owner,
}

impl Scope {
    async fn find(
        handle: &Handle,
        owner: Owner,
        id: &str,
        tried: Tried<'_>,
    ) -> Result<Scope, Refused> {
        let missing = |what: &str| {
            let error = Error::Null(format!("{what} {id} doesn't exist: {what} is null"));
            match tried {
                Tried::Read => error.into(),
                tried => Refused::failed(&tried.told(owner, Some(id)), &error),
            }
        };
        let (instance, execution) = match owner {
            Owner::Task | Owner::TaskLocal => {
                let row = handle
                    .store()
                    .task(id)
                    .await?
                    .ok_or_else(|| missing("task"))?;
                (
                    row.instance.ok_or_else(|| missing("execution"))?,
                    row.execution.unwrap_or_default(),
                )
            }
            Owner::Instance => (id.to_owned(), id.to_owned()),
            Owner::Execution => {
                let instance = handle.store().instance_of_execution(id).await?;
                (instance.ok_or_else(|| missing("execution"))?, id.to_owned())
            }
        };
        let loaded = handle
            .store()
            .load(&instance)
            .await?
            .ok_or_else(|| missing("execution"))?;
        let node = loaded
            .document
            .execution(&execution)
            .ok_or_else(|| missing("execution"))?;
        Ok(Scope {
            loaded,
            node,
            owner,
        })
    }

    /// All variables to be seen, inner before outer.
    fn all(&self) -> Vec<(&str, &Value)> {
        let document = &self.loaded.document;
        let around = if self.owner.is_local() {
            vec![self.node]
        } else {
            document.ancestry(self.node)
        };
        let mut out: Vec<(&str, &Value)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for key in around {
            let Some(scope) = document.nodes.get(&key) else {
                continue;
            };
            for (name, variable) in self.loaded.variables.of_scope(&scope.id) {
                if seen.insert(name) {
                    out.push((name, &variable.value));
                }
            }
        }
        out
    }

    fn one(&self, name: &str) -> Result<&Value, Refused> {
        let found = self
            .all()
            .into_iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value);
        let word = self.owner.word();
        found.ok_or_else(|| {
            Refused::missing(format!("{word} variable with name {name} does not exist"))
        })
    }

    async fn change(
        &self,
        handle: &Handle,
        set: Values,
        remove: Vec<String>,
    ) -> Result<(), Refused> {
        let document = &self.loaded.document;
        let execution = document
            .nodes
            .get(&self.node)
            .map(|n| n.id.clone())
            .unwrap_or_default();
        let command = Command::SetVariables {
            execution,
            set,
            remove,
            local: self.owner.is_local(),
        };
        if handle.command(&document.id, &command).await? {
            Ok(())
        } else {
            Err(Error::Engine(format!(
                "execution {} doesn't exist: execution is null",
                document.id
            ))
            .into())
        }
    }
}

/// The variables that a task sees.
pub(super) async fn seen_by_task(
    handle: &Handle,
    id: &str,
) -> Result<Vec<(String, Value)>, Refused> {
    let scope = Scope::find(handle, Owner::Task, id, Tried::Read).await?;
    let all = scope.all().into_iter();
    Ok(all
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect())
}

fn all_of(owner: Owner) -> MethodRouter<Handle> {
    let read = move |State(handle): State<Handle>, Path(id): Path<String>, asked: Asked| async move {
        let scope = Scope::find(&handle, owner, &id, Tried::Read).await?;
        Answer::Ok(json(values::write_all(
            scope.all(),
            asked.unless_false("deserializeValues"),
        )))
    };
    let write = move |State(handle): State<Handle>, Path(id): Path<String>, body: Body| async move {
        let set = Tried::Modify.wrong(owner, values::read_all(body.get("modifications")))?;
        let scope = Scope::find(&handle, owner, &id, Tried::Modify).await?;
        scope.change(&handle, set, body.texts("deletions")).await?;
        Answer::Ok(no_content())
    };
    get(read).post(write)
}

fn one_of(owner: Owner) -> MethodRouter<Handle> {
    let read = move |State(handle): State<Handle>,
                     Path((id, name)): Path<(String, String)>,
                     asked: Asked| async move {
        let scope = Scope::find(&handle, owner, &id, Tried::Get(&name)).await?;
        let value = scope.one(&name)?;
        Answer::Ok(json(Json::Object(values::write(
            value,
            asked.unless_false("deserializeValue"),
        ))))
    };
    let write = move |State(handle): State<Handle>,
                      Path((id, name)): Path<(String, String)>,
                      body: Body| async move {
        let tried = Tried::Put(&name);
        let value = tried.wrong(owner, values::read(&Json::Object(body.0)))?;
        values::named(&name)?;
        let scope = Scope::find(&handle, owner, &id, tried).await?;
        scope
            .change(&handle, vec![(name, value)], Vec::new())
            .await?;
        Answer::Ok(no_content())
    };
    let remove = move |State(handle): State<Handle>, Path((id, name)): Path<(String, String)>| async move {
        let scope = Scope::find(&handle, owner, &id, Tried::Delete(&name)).await?;
        scope.change(&handle, Vec::new(), vec![name]).await?;
        Answer::Ok(no_content())
    };
    get(read).put(write).delete(remove)
}

fn data_of(owner: Owner) -> MethodRouter<Handle> {
    let read = move |State(handle): State<Handle>, Path((id, name)): Path<(String, String)>| async move {
        let scope = Scope::find(&handle, owner, &id, Tried::Get(&name)).await?;
        raw(scope.one(&name)?, &name)
    };
    let write = move |State(handle): State<Handle>,
                      Path((id, name)): Path<(String, String)>,
                      multipart: Result<Multipart, MultipartRejection>| async move {
        let value = uploaded(super::multipart::parts(multipart).await?)?;
        values::named(&name)?;
        let scope = Scope::find(&handle, owner, &id, Tried::Put(&name)).await?;
        scope
            .change(&handle, vec![(name, value)], Vec::new())
            .await?;
        Answer::Ok(no_content())
    };
    get(read).post(write)
}

fn uploaded(parts: Vec<super::multipart::Part>) -> Result<Value, Refused> {
    let text = |wanted: &str| {
        let part = parts.iter().find(|part| part.name == wanted)?;
        Some(String::from_utf8_lossy(&part.bytes).into_owned())
    };
    let kind = text("valueType").unwrap_or_else(|| "Bytes".to_owned());
    let object_type = text("type");
    let data = parts.into_iter().find(|part| part.name == "data");
    let data = data.ok_or_else(|| Refused::invalid("No 'data' part found"))?;
    match (kind.as_str(), object_type) {
        ("File", _) => Ok(Value::File(File {
            filename: data.filename.unwrap_or_default(),
            mimetype: data.media_type,
            encoding: None,
            bytes: data.bytes,
        })),
        (_, Some(_)) => Err(Refused::not_built(
            "uploading a serialised object; send it as a value of type Object",
        )),
        _ => Ok(Value::Bytes(data.bytes)),
    }
}

/// The raw content of a value.
pub(super) fn raw(value: &Value, name: &str) -> Answer {
    let (media, filename, content) = values::data(value).ok_or_else(|| {
        Refused::invalid(format!(
            "Value of variable '{name}' is not a binary value: it is of type {}",
            value.type_name()
        ))
    })?;
    Ok(bytes(&media, filename.as_deref(), content))
}

async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let (page, deserialize) = (asked.page()?, asked.unless_false("deserializeValues"));
    page_of(&handle, &asked.parameters(), page, deserialize).await
}

async fn list_by_body(State(handle): State<Handle>, asked: Asked, body: Body) -> Answer {
    page_of(
        &handle,
        &body.parameters(),
        asked.page()?,
        asked.unless_false("deserializeValues"),
    )
    .await
}

async fn page_of(
    handle: &Handle,
    parameters: &Parameters,
    page: Page,
    deserialize: bool,
) -> Answer {
    let query = VARIABLES
        .query(parameters, handle.clock().now())
        .map_err(crate::lists::Error::from)?;
    let rows = handle.store().list(&query, page).await?;
    Ok(json(
        rows.iter()
            .map(|row| shown(row, deserialize))
            .collect::<Vec<Json>>(),
    ))
}

async fn count(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&VARIABLES, &asked.parameters()).await? }),
    ))
}

async fn count_by_body(State(handle): State<Handle>, body: Body) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&VARIABLES, &body.parameters()).await? }),
    ))
}

fn shown(row: &Row, deserialize: bool) -> Json {
    let mut out = VARIABLES.row(row);
    out.extend(values::write(&variable_row(&VARIABLES, row), deserialize));
    Json::Object(out)
}

async fn found(handle: &Handle, id: &str) -> Result<Row, Refused> {
    let mut query = VARIABLES
        .query(&Parameters::default(), handle.clock().now())
        .map_err(crate::lists::Error::from)?;
    query.conditions.push(crate::store::Condition {
        sql: "v.id = ?".to_owned(),
        cells: vec![id.into()],
    });
    let rows = handle
        .store()
        .list(
            &query,
            Page {
                first: 0,
                most: Some(1),
            },
        )
        .await?;
    let missing = || Refused::missing(format!("Variable instance with Id '{id}' does not exist."));
    rows.into_iter().next().ok_or_else(missing)
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>, asked: Asked) -> Answer {
    Ok(json(shown(
        &found(&handle, &id).await?,
        asked.unless_false("deserializeValue"),
    )))
}

async fn one_data(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    raw(&variable_row(&VARIABLES, &found(&handle, &id).await?), &id)
}
