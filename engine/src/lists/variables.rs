//! Variables: as rows of their own, and as conditions on instances.

use super::{Constant, Filter, Kind, List, Problem};
use crate::store::{Cell, Condition, Row};
use crate::value::Value;
use Filter::{Holds, Like, NotBuilt, OneOf, Text, When};
use serde_json::Value as Json;

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
            Holds("v.scope IN (SELECT t.exec FROM task t WHERE t.id = ?)"),
        ),
        (
            "activityInstanceIdIn",
            OneOf("COALESCE(v.ai, (SELECT h.ai FROM h_var h WHERE h.id = v.id))"),
        ),
        ("variableScopeIdIn", OneOf("v.scope")),
        ("tenantIdIn", OneOf("i.tenant")),
        ("variableValues", NotBuilt),
        ("variableNamesIgnoreCase", NotBuilt),
        ("caseInstanceIdIn", When("1 = 0")),
        ("batchIdIn", When("1 = 0")),
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
        ("variableName", Text("v.name")),
        ("variableNameIn", OneOf("v.name")),
        ("variableNameLike", Like("v.name")),
        ("variableTypeIn", OneOf("v.type")),
        ("includeDeleted", When("1 = 1")),
        ("processInstanceId", Text("v.inst")),
        ("processInstanceIdIn", OneOf("v.inst")),
        ("processDefinitionId", Text("v.def")),
        ("processDefinitionKey", Text("d.key")),
        ("executionIdIn", OneOf("v.exec")),
        ("activityInstanceIdIn", OneOf("v.ai")),
        ("tenantIdIn", OneOf("v.tenant")),
        ("withoutTenantId", When("v.tenant IS NULL")),
        ("variableValue", NotBuilt),
        ("taskIdIn", NotBuilt),
        ("caseInstanceId", When("1 = 0")),
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

/// Instances with such variables.
pub(super) fn condition(
    instance: &str,
    value: &Json,
    from_query: bool,
) -> Result<Condition, Problem> {
    let mut out = Condition {
        sql: "1 = 1".to_owned(),
        cells: Vec::new(),
    };
    let all = expressions(value, from_query)?;
    super::within("conditions on variables", all.len(), super::CONDITIONS_MAX)?;
    for (name, operator, value) in all {
        let compare = match operator.as_str() {
            "eq" => "=",
            "neq" => "<>",
            "gt" => ">",
            "gteq" => ">=",
            "lt" => "<",
            "lteq" => "<=",
            "like" => "LIKE",
            other => {
                return Err(Problem::Invalid(format!(
                    "Invalid variable comparator specified: {other}"
                )));
            }
        };
        let (test, cell): (&str, Option<Cell>) = match &value {
            Json::Null => ("v.type = 'Null'", None),
            Json::Bool(b) => (
                "v.type = 'Boolean' AND v.num {} ?",
                Some(Some(f64::from(u8::from(*b))).into()),
            ),
            Json::Number(n) => (
                "v.type IN ('Short', 'Integer', 'Long', 'Double') AND v.num {} ?",
                Some(n.as_f64().into()),
            ),
            other => (
                "v.type = 'String' AND v.txt {} ?",
                Some(super::filter::text(other).into()),
            ),
        };
        let test = test.replace("{}", compare);
        out.sql.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM var v WHERE v.inst = {instance} AND v.scope = {instance} AND v.name = ? AND {test})"
        ));
        out.cells.push(name.into());
        out.cells.extend(cell);
    }
    Ok(out)
}

/// `name_operator_value,…` of a query string, or objects of a body.
fn expressions(value: &Json, from_query: bool) -> Result<Vec<(String, String, Json)>, Problem> {
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
                    Ok((name.to_owned(), operator.to_owned(), Json::from(value)))
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
