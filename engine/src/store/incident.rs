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
    /// The job or external task; nothing: it is that of a called instance.
    pub about: String,
    /// The incident that made this one: itself, or that of the called instance, and the first of all.
    pub causes: Option<(String, String)>,
    /// Tenant.
    pub tenant: Option<String>,
}

impl Incident {
    /// The statements that open it.
    pub fn open(&self, now: Millis, level: Level) -> Vec<Statement> {
        let columns = "id, inst, exec, def, act, type, message, ref, cause, root_cause, at, tenant";
        let own = (self.id.clone(), self.id.clone());
        let (cause, root_cause) = self.causes.as_ref().unwrap_or(&own);
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
                cause.into(),
                root_cause.into(),
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
        resolve_all(&[about.to_owned()], now, &mut out);
        out
    }

    /// The statements that end what is open about a job that a person removes: it is not solved.
    pub(super) fn delete(about: &str, now: Millis) -> Vec<Statement> {
        let mut out = Vec::new();
        end("ref", &[about.to_owned()], "deleted", now, &mut out);
        out
    }
}

/// Incidents of jobs and external tasks that are gone, and what they made at callers.
pub(super) fn resolve_all(refs: &[String], now: Millis, out: &mut Vec<Statement>) {
    if !refs.is_empty() {
        end("ref", refs, "resolved", now, out);
    }
}

/// Incidents of an instance that ends, and what they made at callers if it has one.
pub(super) fn end_with(instance: &String, called: bool, now: Millis, out: &mut Vec<Statement>) {
    if called {
        end("inst", std::slice::from_ref(instance), "deleted", now, out);
    }
    out.extend(Statement::deleting("incident", "inst", [instance]));
    let sql = "UPDATE h_incident SET ended = x.column2, state = 'deleted' FROM {rows} \
               WHERE h_incident.inst = x.column1 AND h_incident.ended IS NULL";
    out.push(Statement::each(
        sql,
        vec![vec![instance.into(), now.into()]],
    ));
}

/// Ends incidents by one of their columns, and those that have them as root cause, in history and then here.
fn end(column: &str, ids: &[String], state: &str, now: Millis, out: &mut Vec<Statement>) {
    let sql = format!(
        "UPDATE h_incident SET ended = x.column2, state = '{state}' FROM {{rows}} \
         WHERE h_incident.ended IS NULL AND h_incident.id IN (SELECT i.id FROM incident i \
         WHERE i.root_cause IN (SELECT y.id FROM incident y WHERE y.{column} = x.column1))"
    );
    let rows = ids.iter().map(|id| vec![id.into(), now.into()]);
    out.push(Statement::each(sql, rows.collect()));
    let sql = format!(
        "DELETE FROM incident WHERE root_cause IN (SELECT y.id FROM incident y \
         WHERE y.{column} IN (SELECT column1 FROM {{rows}}))"
    );
    let rows = ids.iter().map(|id| vec![id.into()]);
    out.push(Statement::each(sql, rows.collect()));
}
