//! Forms as files: deployed with their key and version, and found again by who means them.
//!
//! Owns what a form key or a reference leads to. What the fields of a generated form hold is `forms`.

use super::deploy::{Upload, sha};
use super::{Form, Handle};
use crate::error::Error;
use crate::machine::FormRef;
use crate::store::{DefinitionRow, NewForm};
use std::collections::{BTreeMap, HashSet};

/// A form that was deployed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Is it a form of Camunda Forms, or HTML?
    pub is_json: bool,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What a form key begins with that names a resource of the deployment, and whether that is a form of Camunda Forms.
const DEPLOYED: [(&str, bool); 3] = [
    ("embedded:deployment:", false),
    ("camunda-forms:deployment:", true),
    ("deployment:", false),
];

/// The forms among resources: key, and name of the resource.
pub(super) fn forms_of(resources: &[(String, Vec<u8>)]) -> Result<BTreeMap<String, String>, Error> {
    let mut out = BTreeMap::new();
    for (name, bytes) in resources.iter().filter(|(name, _)| is_form(name)) {
        let broken = |why: &str| {
            Error::Wrong(format!(
                "ENGINE-09033 Could not parse Operaton Form resource {name}. Cause: {why}"
            ))
        };
        let json: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| broken(&error.to_string()))?;
        let fields = json.as_object().ok_or_else(|| broken("it is no object"))?;
        // Without an id nobody can refer to it; its key as a resource still leads to it.
        let Some(key) = fields.get("id").and_then(serde_json::Value::as_str) else {
            continue;
        };
        if out.insert(key.to_owned(), name.clone()).is_some() {
            return Err(Error::Wrong(format!(
                "The deployment contains definitions with the same key '{key}' (id attribute), this is not allowed"
            )));
        }
    }
    Ok(out)
}

fn is_form(name: &str) -> bool {
    std::path::Path::new(name)
        .extension()
        .is_some_and(|end| end == "form")
}

impl Handle {
    /// The forms of what is left of an upload, each with its next version.
    pub(super) async fn new_forms(
        &self,
        upload: &Upload,
        left: &HashSet<String>,
    ) -> Result<Vec<NewForm>, Error> {
        let mut out = Vec::new();
        for (key, resource) in forms_of(&upload.resources)? {
            let content = upload.resources.iter().find(|(name, _)| *name == resource);
            let Some((_, bytes)) = content.filter(|(name, _)| left.contains(name)) else {
                continue;
            };
            let tenant = upload.tenant.as_deref();
            let version = self.inner.store.form_version(&key, tenant).await? + 1;
            out.push(NewForm {
                id: self.new_id(),
                sha: sha(bytes),
                key,
                version,
                resource,
            });
        }
        Ok(out)
    }

    /// The deployed form that a key or a reference means.
    pub async fn page(
        &self,
        row: &DefinitionRow,
        key: Option<&str>,
        reference: Option<&FormRef>,
    ) -> Result<Page, Error> {
        if let Some(reference) = reference {
            let tenant = row.tenant.as_deref();
            let found = self.inner.store.form(reference, &row.deployment, tenant);
            let bytes = found.await?.ok_or_else(|| missing(reference))?;
            return Ok(Page {
                is_json: true,
                bytes,
            });
        }
        let Some(key) = key else {
            return Err(Error::Bad(
                "One of the attributes 'formKey' and 'operaton:formRef' must be supplied but none were set."
                    .to_owned(),
            ));
        };
        let named = DEPLOYED
            .iter()
            .find_map(|(begin, is_json)| Some((key.strip_prefix(begin)?, *is_json)));
        let Some((name, is_json)) = named else {
            return Err(Error::Bad(format!(
                "The form key '{key}' does not reference a deployed form."
            )));
        };
        let all = self.inner.store.resources(&row.deployment).await?;
        let resource = all.into_iter().find(|resource| resource.name == name);
        let resource = resource.ok_or_else(|| {
            Error::NotFound(format!(
                "The form with the resource name '{name}' cannot be found in deployment with id {}",
                row.deployment
            ))
        })?;
        let bytes = self.inner.store.content(&resource.sha).await?;
        Ok(Page {
            is_json,
            bytes: bytes.unwrap_or_default(),
        })
    }

    /// Where the form of a start is.
    pub fn start_page(&self, form: &Form) -> Result<(Option<String>, Option<FormRef>), Error> {
        form.page(self)
    }
}

fn missing(reference: &FormRef) -> Error {
    let version = reference.version.map(|version| version.to_string());
    Error::NotFound(format!(
        "No Operaton Form Definition was found for Operaton Form Ref: OperatonFormRefImpl [key={}, binding={}, version={}]",
        reference.key,
        reference.binding,
        version.as_deref().unwrap_or("null")
    ))
}
