//! Incidents: something failed and waits for a person.

use super::cell::Cell;
use super::keeping::Level;
use super::statement::Statement;
use crate::clock::Millis;

/// An incident to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// Whose.
    pub instance: String,
    /// At which execution.
    pub execution: String,
    /// Of which definition.
    pub definition: String,
    /// At which element.
    pub element: String,
    /// `failedJob` or `failedExternalTask`.
    pub kind: &'static str,
    /// What went wrong.
    pub message: Option<String>,
    /// The job or external task.
    pub about: String,
    /// Tenant.
    pub tenant: Option<String>,
}

impl Incident {
    /// The statements that open it.
    pub fn open(&self, now: Millis, level: Level) -> Vec<Statement> {
        let columns = "id, inst, exec, def, act, type, message, ref, cause, root_cause, at, tenant";
        let cells = || -> Vec<Cell> {
            vec![
                (&self.id).into(),
                (&self.instance).into(),
                (&self.execution).into(),
                (&self.definition).into(),
                (&self.element).into(),
                self.kind.into(),
                (&self.message).into(),
                (&self.about).into(),
                (&self.id).into(),
                (&self.id).into(),
                now.into(),
                (&self.tenant).into(),
            ]
        };
        let live =
            format!("INSERT INTO incident ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        let kept = format!(
            "INSERT INTO h_incident ({columns}, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open')"
        );
        let mut out = vec![Statement::new(live, cells())];
        if level == Level::Full {
            out.push(Statement::new(kept, cells()));
        }
        out
    }

    /// The statements that resolve what is open about a job or external task.
    pub fn resolve(about: &str, now: Millis) -> Vec<Statement> {
        let mut out = Vec::new();
        super::write::resolve_incidents(&[about.to_owned()], now, &mut out);
        out
    }
}
