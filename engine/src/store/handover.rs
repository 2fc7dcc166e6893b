//! Hand-overs: an instance leaves this database or comes into it. Each step is one transaction and can be repeated.
//!
//! Owns the rows of hand-overs and of what has left. Must not decide where an instance lives: whoever drives it does.

use super::Store;
use super::bundle::{Bundle, Model};
use super::carried::tables;
use super::cell::Cell;
use super::database::{Database, Failure, Under};
use super::statement::{Expect, Statement, insert};
use crate::clock::Millis;
use std::collections::BTreeMap;

/// How far a hand-over is at this site.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It has left the live tables here and can come back.
    Exported,
    /// It is kept here and not yet alive.
    Staged,
    /// It lives here.
    Active,
    /// It lives elsewhere.
    Moved,
}

impl Stage {
    fn text(self) -> &'static str {
        match self {
            Stage::Exported => "exported",
            Stage::Staged => "staged",
            Stage::Active => "active",
            Stage::Moved => "moved",
        }
    }

    fn read(text: &str) -> Stage {
        match text {
            "exported" => Stage::Exported,
            "staged" => Stage::Staged,
            "active" => Stage::Active,
            _ => Stage::Moved,
        }
    }
}

/// A hand-over as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct HandOver {
    /// Its id.
    pub id: String,
    /// The instance.
    pub root: String,
    /// How far it is.
    pub stage: Stage,
    /// The seal of its bundle.
    pub seal: String,
    /// The bundle, while it is needed.
    pub bundle: Option<Bundle>,
    /// Where it went.
    pub site: Option<String>,
    /// At which generation of its home.
    pub generation: i64,
}

const COLUMNS: &str = "id, root, stage, seal, bundle, site, generation, at";

impl Store {
    /// A hand-over.
    pub async fn handover(&self, id: &str) -> Result<Option<HandOver>, Failure> {
        let sql = format!("SELECT {COLUMNS} FROM handover WHERE id = ?");
        let rows = self.rows(sql, vec![id.into()]).await?;
        Ok(rows.first().map(read))
    }

    /// The hand-over that took something with this id away from here.
    pub async fn taken_away(&self, id: &str) -> Result<Option<HandOver>, Failure> {
        let sql = "SELECT h.id, h.root, h.stage, h.seal, NULL, h.site, h.generation, h.at \
                   FROM handed d JOIN handover h ON h.id = d.handover WHERE d.id = ?";
        let rows = self.rows(sql, vec![id.into()]).await?;
        Ok(rows.first().map(read))
    }

    /// The hand-over that brought something with this id here, if that was after this moment.
    pub async fn just_came(&self, id: &str, since: Millis) -> Result<Option<HandOver>, Failure> {
        let sql = "SELECT h.id, h.root, h.stage, h.seal, NULL, h.site, h.generation, h.at FROM handover h \
                   WHERE h.stage = 'active' AND h.at >= ? AND h.root IN (SELECT root FROM inst WHERE id IN (\
                   ?, (SELECT inst FROM task WHERE id = ?), (SELECT inst FROM work WHERE id = ?), \
                   (SELECT inst FROM job WHERE id = ?), (SELECT inst FROM incident WHERE id = ?), \
                   (SELECT inst FROM var WHERE id = ?)))";
        let mut cells: Vec<Cell> = vec![since.into()];
        cells.extend((0..6).map(|_| Cell::from(id)));
        let rows = self.rows(sql, cells).await?;
        Ok(rows.first().map(read))
    }

    /// The root that a running instance belongs to.
    pub async fn root_of(&self, instance: &str) -> Result<Option<String>, Failure> {
        let sql = "SELECT root FROM inst WHERE id = ?";
        let rows = self.rows(sql, vec![instance.into()]).await?;
        Ok(rows.first().map(|row| row.text(0)))
    }

    /// The generation of its home at which a running instance came here; 0: it began here.
    pub async fn home_generation(&self, instance: &str) -> Result<i64, Failure> {
        let sql = "SELECT home_gen FROM inst WHERE id = ?";
        let rows = self.rows(sql, vec![instance.into()]).await?;
        Ok(rows.first().map_or(0, |row| row.int(0)))
    }

    /// Takes an instance and all that it called out of the live tables, in one transaction; it is remembered at which
    /// generation of its home.
    pub async fn export(
        &self,
        id: &str,
        root: &str,
        generation: i64,
        now: Millis,
    ) -> Result<(), Failure> {
        let models = self.models_of(root).await?;
        let lock = match &*self.db {
            Database::Sqlite(_) => "",
            Database::Postgres(_) => " FOR UPDATE",
        };
        // Twice: what was made while the first one waited is locked by the second.
        let hold = format!("SELECT id FROM inst WHERE root = ?{lock}");
        // What is added to a task holds its row: it is committed before the rows below are taken, or finds no task.
        let tasks =
            format!("SELECT id FROM task WHERE inst IN (SELECT id FROM inst WHERE root = ?){lock}");
        let mut out = vec![
            Statement::new(hold.clone(), vec![root.into()]),
            Statement::new(hold, vec![root.into()]),
            Statement::new(tasks, vec![root.into()]),
            Statement::new(
                "DELETE FROM lane WHERE inst IN (SELECT id FROM inst WHERE root = ?) \
                 AND NOT EXISTS (SELECT 1 FROM job j WHERE j.id = lane.job AND j.owner = lane.owner)",
                vec![root.into()],
            ),
        ];
        for table in tables() {
            let sql = format!(
                "DELETE FROM {} WHERE {} RETURNING {}",
                table.name,
                table.of_root,
                table.names()
            );
            out.push(Statement::new(sql, vec![root.into()]).expecting(Expect::Rows));
        }
        let (id, root) = (id.to_owned(), root.to_owned());
        let then = move |taken: Vec<Vec<super::Row>>| {
            let bundle = Bundle::taken(&id, &root, now, &models, &taken)?;
            let mut out = vec![keep(&bundle, Stage::Exported, generation, now)];
            out.extend(note(&bundle));
            Ok(out)
        };
        let under = Under::Generation(self.known.get());
        self.db.exchange(out, under, Box::new(then)).await
    }

    /// Keeps a bundle that came from elsewhere, not yet alive. What it holds is on its way, for whoever asks for it here.
    pub async fn stage(&self, bundle: &Bundle, now: Millis) -> Result<(), Failure> {
        let mut out = vec![keep(bundle, Stage::Staged, 0, now)];
        out.extend(note(bundle));
        self.apply(out).await
    }

    /// Brings a staged instance to life here, or one that was exported back to life.
    pub async fn activate(
        &self,
        held: &HandOver,
        generation: i64,
        now: Millis,
    ) -> Result<(), Failure> {
        let Some(bundle) = &held.bundle else {
            return Err(Failure::Conflict);
        };
        let models = self.models_here(bundle).await?;
        let sql = "UPDATE handover SET stage = 'active', bundle = NULL, generation = ?, at = ? WHERE id = ? AND stage = ?";
        let cells = vec![
            generation.into(),
            now.into(),
            (&held.id).into(),
            held.stage.text().into(),
        ];
        let mut out = vec![Statement::new(sql, cells).expecting(Expect::One)];
        // What had left before is back.
        for ids in bundle.ids().chunks(256) {
            let marks = super::statement::marks(ids.len());
            let sql = format!("DELETE FROM handed WHERE id IN {marks}");
            out.push(Statement::new(sql, ids.iter().map(Cell::from).collect()));
        }
        out.extend(bundle.put(&models, (generation, self.keeping.level), now));
        self.apply(out).await
    }

    /// What was exported lives elsewhere from now on.
    pub async fn entomb(&self, id: &str, site: &str, generation: i64) -> Result<(), Failure> {
        let sql = "UPDATE handover SET stage = 'moved', bundle = NULL, site = ?, generation = ? WHERE id = ? AND stage = 'exported'";
        let cells = vec![site.into(), generation.into(), id.into()];
        self.apply(vec![Statement::new(sql, cells).expecting(Expect::One)])
            .await
    }

    /// Forgets what was staged and is not to come.
    pub async fn drop_staged(&self, id: &str) -> Result<(), Failure> {
        let noted = "DELETE FROM handed WHERE handover = ?";
        let sql = "DELETE FROM handover WHERE id = ? AND stage = 'staged'";
        self.apply(vec![
            Statement::new(sql, vec![id.into()]).expecting(Expect::One),
            Statement::new(noted, vec![id.into()]),
        ])
        .await
    }

    /// The definitions that the instances of a root run on.
    async fn models_of(&self, root: &str) -> Result<BTreeMap<String, Model>, Failure> {
        let sql = "SELECT id, key, tenant, sha FROM definition WHERE id IN (SELECT r.def FROM \
                   (SELECT def, root FROM inst UNION ALL SELECT def, root FROM h_inst) r WHERE r.root = ?)";
        let rows = self.rows(sql, vec![root.into()]).await?;
        let model = |row: &super::Row| Model {
            key: row.text(1),
            tenant: row.maybe_text(2),
            sha: row.text(3),
        };
        Ok(rows.iter().map(|row| (row.text(0), model(row))).collect())
    }

    /// The ids that a bundle's definitions have here; `Busy` names one that is not deployed.
    pub async fn models_here(&self, bundle: &Bundle) -> Result<BTreeMap<String, String>, Failure> {
        let mut out = BTreeMap::new();
        for (there, model) in &bundle.models {
            let sql = "SELECT id FROM definition WHERE key = ? AND COALESCE(tenant, '') = ? AND sha = ? \
                       ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END, version DESC LIMIT 1";
            let tenant = model.tenant.clone().unwrap_or_default();
            let cells = vec![
                (&model.key).into(),
                tenant.into(),
                (&model.sha).into(),
                there.into(),
            ];
            let rows = self.rows(sql, cells).await?;
            let Some(row) = rows.first() else {
                return Err(Failure::Busy(format!(
                    "the definition '{}' with the content {} is not deployed here; deploy it first",
                    model.key, model.sha
                )));
            };
            out.insert(there.clone(), row.text(0));
        }
        Ok(out)
    }
}

pub(super) fn read(row: &super::Row) -> HandOver {
    HandOver {
        id: row.text(0),
        root: row.text(1),
        stage: Stage::read(&row.text(2)),
        seal: row.text(3),
        bundle: row
            .maybe_text(4)
            .and_then(|text| serde_json::from_str(&text).ok()),
        site: row.maybe_text(5),
        generation: row.int(6),
    }
}

fn keep(bundle: &Bundle, stage: Stage, generation: i64, now: Millis) -> Statement {
    let sql = format!("INSERT INTO handover ({COLUMNS}) VALUES (?, ?, ?, ?, ?, NULL, ?, ?)");
    let text = serde_json::to_string(bundle).unwrap_or_default();
    let cells = vec![
        (&bundle.handover).into(),
        (&bundle.root).into(),
        stage.text().into(),
        bundle.seal().into(),
        text.into(),
        generation.into(),
        now.into(),
    ];
    Statement::new(sql, cells)
}

/// Where the ids of a bundle went; an id that left before has left again.
fn note(bundle: &Bundle) -> Vec<Statement> {
    let rows = bundle.ids().into_iter();
    let rows = rows.map(|id| vec![Cell::from(id), (&bundle.handover).into()]);
    let conflict = "ON CONFLICT (id) DO UPDATE SET handover = excluded.handover";
    insert("handed", "id, handover", rows.collect(), conflict)
}
