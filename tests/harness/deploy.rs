//! Models and the multipart form that deploys them to an engine (`POST /deployment/create`).
//!
//! Must not judge the answer. Relies on the client.

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;

use crate::client::{Answer, Client};

const BOUNDARY: &str = "homing-harness-boundary";

/// The models that tests deploy.
pub const ORDER: (&str, &str) = ("order.bpmn", include_str!("../models/order.bpmn"));
pub const PAYMENT: (&str, &str) = ("payment.bpmn", include_str!("../models/payment.bpmn"));
pub const REMINDER: (&str, &str) = ("reminder.bpmn", include_str!("../models/reminder.bpmn"));
pub const ERRAND: (&str, &str) = ("errand.bpmn", include_str!("../models/errand.bpmn"));

/// Deploys files under one deployment name.
pub async fn deploy(client: &Client, name: &str, files: &[(&str, &str)]) -> Result<Answer> {
    deploy_with(client, &[("deployment-name", name)], files).await
}

/// The same with any further fields of the form (tenant, filtering ...).
pub async fn deploy_with(
    client: &Client,
    fields: &[(&str, &str)],
    files: &[(&str, &str)],
) -> Result<Answer> {
    let mut form = String::new();
    for (field, value) in fields {
        form += &format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
        );
    }
    for (file, text) in files {
        form += &format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{file}\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{text}\r\n"
        );
    }
    form += &format!("--{BOUNDARY}--\r\n");
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    client
        .send(
            Method::POST,
            "/deployment/create",
            Bytes::from(form),
            Some(&content_type),
        )
        .await
}
