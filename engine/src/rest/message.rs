//! `/message` and `/signal`

use super::answer::{Answer, json, no_content};
use super::body::Body;
use super::error::Refused;
use super::instance::instance_json;
use super::process_definition::key_of;
use super::values;
use crate::runtime::{Correlation, Handle};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/message", post(message))
        .route("/signal", post(signal))
}

/// Tenants that a request names: the id, or explicitly none.
fn tenant(body: &Body) -> Result<Option<Option<String>>, Refused> {
    if body.flag("withoutTenantId")? {
        return Ok(Some(None));
    }
    Ok(body.text("tenantId").map(Some))
}

async fn message(State(handle): State<Handle>, body: Body) -> Answer {
    let name = body
        .text("messageName")
        .ok_or_else(|| Refused::invalid("No message name supplied"))?;
    let read = |field: &str| {
        let all = values::read_all(body.get(field));
        all.map_err(|refused| refused.within("Cannot deliver message"))
    };
    let correlation = Correlation {
        name,
        business_key: body.text("businessKey"),
        instance: body.text("processInstanceId"),
        keys: read("correlationKeys")?,
        local_keys: read("localCorrelationKeys")?,
        tenant: tenant(&body)?,
        all: body.flag("all")?,
        variables: read("processVariables")?,
        local: read("processVariablesLocal")?,
    };
    if body.get("processVariablesToTriggeredScope").is_some() {
        return Err(Refused::not_built("processVariablesToTriggeredScope"));
    }
    let wants_variables = body.flag("variablesInResultEnabled")?;
    if wants_variables && !body.flag("resultEnabled")? {
        return Err(Refused::invalid(
            "Parameter 'variablesInResultEnabled' cannot be used without 'resultEnabled' set to true.",
        ));
    }
    let correlated = handle.correlate(&correlation).await?;
    if !body.flag("resultEnabled")? {
        return Ok(no_content());
    }
    let mut out = Vec::with_capacity(correlated.len());
    for result in correlated {
        let document = &result.document;
        let mut row = match &result.execution {
            Some(execution) => execution_row(execution, document),
            None => {
                let key = key_of(&document.definition);
                let instance = instance_json(document, key.as_str().unwrap_or_default(), None);
                json!({ "resultType": "ProcessDefinition", "execution": null, "processInstance": instance })
            }
        };
        if wants_variables {
            // As the transaction left them: the instance may have ended in it.
            let left = result.variables.of_instance(&document.id);
            row["variables"] = values::write_all(left, true);
        }
        out.push(row);
    }
    Ok(json(out))
}

fn execution_row(execution: &str, document: &crate::machine::Document) -> Json {
    json!({
        "resultType": "Execution",
        "execution": {
            "id": execution,
            "processInstanceId": document.id,
            "ended": document.execution(execution).is_none() || document.ended,
            "tenantId": document.tenant,
        },
        "processInstance": null,
    })
}

async fn signal(State(handle): State<Handle>, body: Body) -> Answer {
    let name = body
        .text("name")
        .ok_or_else(|| Refused::invalid("No signal name given"))?;
    let variables = values::read_all(body.get("variables"))?;
    let tenants = tenant(&body)?.map(|tenant| vec![tenant]);
    handle
        .signal(
            &name,
            body.text("executionId").as_deref(),
            &variables,
            tenants.as_deref(),
        )
        .await?;
    Ok(no_content())
}
