//! Variables: as rows of their own, and as conditions on instances.

use super::{Constant, Filter, Kind, List, Parameters, Problem};
use crate::store::{Cell, Condition, Row};
use crate::value::Value;
use Filter::{
    Flag, Like, Name, NameLike, NotBuilt, Nothing, OneOf, OneOfAnyCase, Text, Themselves, When,
    Within,
};
use serde_json::Value as Json;

/// The engines' own words.
const VALUE_ALONE: &str = "Only a single variable value parameter specified: variable name and value are required to be able to query after a specific variable value.";

/// `/variable-instance`
pub static VARIABLES: List = List {
    from: "var v JOIN inst i ON i.id = v.inst",
    fields: &[
        ("id", "v.id", Kind::Text),
        ("name", "v.name", Kind::Text),
        ("processDefinitionId", "i.def", Kind::Text),
        ("processInstanceId", "v.inst", Kind::Text),
        ("executionId", "v.scope", Kind::Text),
        (
            "activityInstanceId",
            "COALESCE(v.ai, (SELECT h.ai FROM h_var h WHERE h.id = v.id))",
            Kind::Text,
        ),
        ("tenantId", "i.tenant", Kind::Text),
        ("", "v.type", Kind::Text),
        ("", "v.num", Kind::Text),
        ("", "v.txt", Kind::Text),
        ("", "v.bytes", Kind::Text),
        ("", "v.meta", Kind::Text),
    ],
    constants: &[
        ("caseInstanceId", Constant::Null),
        ("caseExecutionId", Constant::Null),
        ("taskId", Constant::Null),
        ("batchId", Constant::Null),
        ("errorMessage", Constant::Null),
    ],
    filters: &[
        ("variableName", Text("v.name")),
        ("variableNameIn", OneOf("v.name")),
        ("variableNameLike", Like("v.name")),
        ("processInstanceIdIn", OneOf("v.inst")),
        ("processDefinitionIdIn", OneOf("i.def")),
        ("executionIdIn", OneOf("v.scope")),
        (
            "taskIdIn",
            Within("v.scope IN (SELECT t.exec FROM task t WHERE t.id IN {} AND t.exec <> t.inst)"),
        ),
        (
            "activityInstanceIdIn",
            OneOf("COALESCE(v.ai, (SELECT h.ai FROM h_var h WHERE h.id = v.id))"),
        ),
        ("variableScopeIdIn", OneOf("v.scope")),
        ("tenantIdIn", OneOf("i.tenant")),
        ("variableValues", Themselves),
        ("variableNamesIgnoreCase", Flag),
        ("caseInstanceIdIn", Nothing),
        ("batchIdIn", Nothing),
        ("variableValuesIgnoreCase", Flag),
        ("caseExecutionIdIn", Nothing),
    ],
    sorts: &[
        ("variableName", "v.name"),
        ("variableType", "v.type"),
        (
            "activityInstanceId",
            "COALESCE(v.ai, (SELECT h.ai FROM h_var h WHERE h.id = v.id))",
        ),
        ("tenantId", "i.tenant"),
    ],
    default_order: "v.id",
};

/// `/history/variable-instance`
pub static VARIABLE_HISTORY: List = List {
    from: "h_var v LEFT JOIN definition d ON d.id = v.def",
    fields: &[
        ("id", "v.id", Kind::Text),
        ("name", "v.name", Kind::Text),
        ("processDefinitionKey", "d.key", Kind::Text),
        ("processDefinitionId", "v.def", Kind::Text),
        ("processInstanceId", "v.inst", Kind::Text),
        ("executionId", "v.exec", Kind::Text),
        ("activityInstanceId", "v.ai", Kind::Text),
        ("tenantId", "v.tenant", Kind::Text),
        ("state", "v.state", Kind::Text),
        ("createTime", "v.created", Kind::Date),
        (
            "removalTime",
            "(SELECT p.removal FROM h_inst p WHERE p.id = v.inst)",
            Kind::Date,
        ),
        (
            "rootProcessInstanceId",
            "(SELECT p.root FROM h_inst p WHERE p.id = v.inst)",
            Kind::Text,
        ),
        ("", "v.type", Kind::Text),
        ("", "v.num", Kind::Text),
        ("", "v.txt", Kind::Text),
        ("", "v.bytes", Kind::Text),
        ("", "v.meta", Kind::Text),
    ],
    constants: &[
        ("caseDefinitionKey", Constant::Null),
        ("caseDefinitionId", Constant::Null),
        ("caseInstanceId", Constant::Null),
        ("caseExecutionId", Constant::Null),
        ("taskId", Constant::Null),
        ("errorMessage", Constant::Null),
    ],
    filters: &[
        ("variableName", Name("v.name")),
        ("variableNameIn", OneOf("v.name")),
        ("variableNameLike", NameLike("v.name")),
        ("variableTypeIn", OneOfAnyCase("v.type")),
        ("includeDeleted", When("1 = 1")),
        ("processInstanceId", Text("v.inst")),
        ("processInstanceIdIn", OneOf("v.inst")),
        ("processDefinitionId", Text("v.def")),
        ("processDefinitionKey", Text("d.key")),
        ("executionIdIn", OneOf("v.exec")),
        ("activityInstanceIdIn", OneOf("v.ai")),
        ("tenantIdIn", OneOf("v.tenant")),
        ("withoutTenantId", When("v.tenant IS NULL")),
        ("variableValue", Filter::Value),
        ("taskIdIn", NotBuilt),
        ("caseInstanceId", Nothing),
        ("variableNamesIgnoreCase", Flag),
        ("variableValuesIgnoreCase", Flag),
        ("caseExecutionIdIn", Nothing),
        ("caseActivityIdIn", Nothing),
    ],
    sorts: &[
        ("instanceId", "v.inst"),
        ("variableName", "v.name"),
        ("tenantId", "v.tenant"),
    ],
    default_order: "v.id",
};

/// The value in a row of one of these lists: its five columns are the last.
pub fn variable_row(list: &List, row: &Row) -> Value {
    row.value(list.fields.len() - 5)
}

/// Conditions on variables: the table they are in, what makes them those of a row, and the engines' word for them in
/// what they refuse.
#[derive(Clone, Copy, Debug)]
pub struct Variables {
    /// `var` or `h_var`.
    pub table: &'static str,
    /// With `v` for the variable.
    pub of: &'static str,
    /// "process", "task", "case" or nothing.
    pub word: &'static str,
}

impl Variables {
    /// Rows with such variables.
    pub(super) fn condition(self, value: &Json, all: &Parameters) -> Result<Condition, Problem> {
        let mut out = super::filter::plain("1 = 1");
        let wanted = comparisons(value, all.from_query)?;
        super::within(
            "conditions on variables",
            wanted.len(),
            super::CONDITIONS_MAX,
        )?;
        let (table, of) = (self.table, self.of);
        for (name, operator, value) in wanted {
            let Condition { sql, cells } = named(&name, &operator, &value, self.word, all)?;
            out.sql.push_str(&format!(
                " AND EXISTS (SELECT 1 FROM {table} v WHERE {of} AND {sql})"
            ));
            out.cells.extend(cells);
        }
        Ok(out)
    }
}

/// The variables themselves.
pub(super) fn themselves(value: &Json, all: &Parameters) -> Result<Condition, Problem> {
    let mut out = super::filter::plain("1 = 1");
    let wanted = comparisons(value, all.from_query)?;
    super::within(
        "conditions on variables",
        wanted.len(),
        super::CONDITIONS_MAX,
    )?;
    for (name, operator, value) in wanted {
        let Condition { sql, cells } = named(&name, &operator, &value, "", all)?;
        out.sql.push_str(&format!(" AND {sql}"));
        out.cells.extend(cells);
    }
    Ok(out)
}

/// A value alone, beside the name.
pub(super) fn value(value: &Json, all: &Parameters) -> Result<Condition, Problem> {
    let named = |name: &str| all.values.get(name).is_some_and(|name| !name.is_null());
    if !named("variableName") {
        return Err(Problem::Invalid(VALUE_ALONE.to_owned()));
    }
    compared("eq", value, "", all)
}

/// A variable of this name that compares so.
fn named(
    name: &str,
    operator: &str,
    value: &Json,
    word: &str,
    all: &Parameters,
) -> Result<Condition, Problem> {
    let mut out = compared(operator, value, word, all)?;
    let test = if all.flag("variableNamesIgnoreCase")? {
        "UPPER(v.name) = UPPER(?)"
    } else {
        "v.name = ?"
    };
    out.sql = format!("{test} AND {}", out.sql);
    out.cells.insert(0, name.into());
    Ok(out)
}

/// A value that compares so. What is unequal is also what has another type.
fn compared(
    operator: &str,
    value: &Json,
    word: &str,
    all: &Parameters,
) -> Result<Condition, Problem> {
    let (not, compare) = match operator {
        "eq" => ("", "="),
        "neq" => ("NOT ", "="),
        "gt" => ("", ">"),
        "gteq" => ("", ">="),
        "lt" => ("", "<"),
        "lteq" => ("", "<="),
        "like" => ("", "LIKE"),
        "notLike" if word == "process" => ("NOT ", "LIKE"),
        other => {
            let word = if word.is_empty() {
                String::new()
            } else {
                format!("{word} ")
            };
            return Err(Problem::Invalid(format!(
                "Invalid {word}variable comparator specified: {other}"
            )));
        }
    };
    let (test, cell): (String, Option<Cell>) = match value {
        Json::Null => ("v.type = 'Null'".to_owned(), None),
        Json::Bool(b) => (
            format!("v.type = 'Boolean' AND v.num {compare} ?"),
            Some(Some(f64::from(u8::from(*b))).into()),
        ),
        Json::Number(n) => (
            format!("v.type IN ({}) AND v.num {compare} ?", kinds(n)),
            Some(n.as_f64().into()),
        ),
        Json::String(text) if let Some(at) = date_of(text, compare) => (
            format!("v.type = 'Date' AND v.num {compare} ?"),
            #[expect(clippy::cast_precision_loss, reason = "as the column keeps it")]
            Some(Some(at as f64).into()),
        ),
        other => (
            text_test(compare, all)?,
            Some(super::filter::text(other).into()),
        ),
    };
    Ok(Condition {
        sql: format!("{not}({test})"),
        cells: cell.into_iter().collect(),
    })
}

/// A text in the form of a date is one, as in the real engine; nothing is like a date.
fn date_of(text: &str, compare: &str) -> Option<crate::clock::Millis> {
    crate::time::rest_date(text).filter(|_| compare != "LIKE")
}

/// Kinds that can have this value: a fraction is nothing that a whole number is compared with.
fn kinds(number: &serde_json::Number) -> &'static str {
    match number.as_f64() {
        Some(n) if n.fract() != 0.0 => "'Double'",
        _ => "'Short', 'Integer', 'Long', 'Double'",
    }
}

fn text_test(compare: &str, all: &Parameters) -> Result<String, Problem> {
    let (left, right) = if all.flag("variableValuesIgnoreCase")? {
        ("UPPER(v.txt)", "UPPER(?)")
    } else {
        ("v.txt", "?")
    };
    let escape = if compare == "LIKE" {
        super::filter::ESCAPE
    } else {
        ""
    };
    Ok(format!(
        "v.type = 'String' AND v.txt IS NOT NULL AND {left} {compare} {right} {escape}"
    ))
}

/// `name_operator_value,…` of a query string, or objects of a body.
pub fn comparisons(value: &Json, from_query: bool) -> Result<Vec<(String, String, Json)>, Problem> {
    let invalid = || {
        Problem::Invalid(
            "variable query parameter has to have format VARIABLENAME_OPERATOR_VALUE".to_owned(),
        )
    };
    if from_query {
        let text = value.as_str().unwrap_or_default();
        let parts = text.split(',').filter(|part| !part.is_empty()).map(|part| {
            let mut fields = part.splitn(3, '_');
            match (fields.next(), fields.next(), fields.next()) {
                (Some(name), Some(operator), Some(value)) => {
                    let value = match value {
                        "null" => Json::Null,
                        text => Json::from(text),
                    };
                    Ok((name.to_owned(), operator.to_owned(), value))
                }
                _ => Err(invalid()),
            }
        });
        return parts.collect();
    }
    let items = value.as_array().ok_or_else(invalid)?;
    let items = items.iter().map(|item| {
        let text = |field: &str| item.get(field).and_then(Json::as_str).map(str::to_owned);
        let operator = text("operator").unwrap_or_else(|| "eq".to_owned());
        Ok((
            text("name").ok_or_else(invalid)?,
            operator,
            item.get("value").cloned().unwrap_or(Json::Null),
        ))
    });
    items.collect()
}
