//! Who acts, as the audit trail shows it.
//!
//! Owns the entries of steps. Must not write them.

use crate::clock;
use homing_mapping_store::audit::AuditEntry;
use serde_json::Value;

/// A person or router that wants something, and why.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who: `uid:0`, a token's name, or `router:NAME`.
    pub name: String,
    /// The stated reason.
    pub reason: Option<String>,
    /// Request id of the call.
    pub request_id: Option<String>,
}

impl Actor {
    /// The entry for something that this actor does or causes.
    pub fn entry(&self, action: &str, subject: &str, detail: &Value) -> AuditEntry {
        AuditEntry {
            actor: self.name.clone(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            reason: self.reason.clone(),
            detail: detail.to_string(),
            request_id: self.request_id.clone(),
            at: clock::wall(),
        }
    }
}
