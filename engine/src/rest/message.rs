//! `/message` and `/signal`

use super::answer::{Answer, json, no_content};
use super::body::Body;
use super::error::Refused;
use super::instance::instance_json;
use super::process_definition::key_of;
use super::values;
use crate::runtime::{Correlated, Correlation, Handle};
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
    let correlation = Correlation {
        name,
        business_key: body.text("businessKey"),
        instance: body.text("processInstanceId"),
        keys: values::read_all(body.get("correlationKeys"))?,
        local_keys: values::read_all(body.get("localCorrelationKeys"))?,
        tenant: tenant(&body)?,
        all: body.flag("all")?,
        variables: values::read_all(body.get("processVariables"))?,
        local: values::read_all(body.get("processVariablesLocal"))?,
    };
    if body.get("processVariablesToTriggeredScope").is_some() {
        return Err(Refused::not_built("processVariablesToTriggeredScope"));
    }
    let wants_variables = body.flag("variablesInResultEnabled")?;
    if wants_variables && !body.flag("resultEnabled")? {
        return Err(Refused::invalid(
            "The 'variablesInResultEnabled' property needs 'resultEnabled'",
        ));
    }
    let correlated = handle.correlate(&correlation).await?;
    if !body.flag("resultEnabled")? {
        return Ok(no_content());
    }
    let mut out = Vec::with_capacity(correlated.len());
    for result in correlated {
        let (document, mut row) = match &result {
            Correlated::Execution {
                execution,
                document,
            } => (document, execution_row(execution, document)),
            Correlated::Definition(document) => {
                let instance = instance_json(
                    document,
                    key_of(&document.definition).as_str().unwrap_or_default(),
                    None,
                );
                (
                    document,
                    json!({ "resultType": "ProcessDefinition", "execution": null, "processInstance": instance }),
                )
            }
        };
        if wants_variables {
            let loaded = handle.store().load(&document.id).await?;
            row["variables"] = loaded.map_or_else(
                || json!({}),
                |l| {
                    values::write_all(
                        l.variables
                            .of_scope(&l.document.id)
                            .map(|(n, v)| (n, &v.value)),
                        true,
                    )
                },
            );
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
