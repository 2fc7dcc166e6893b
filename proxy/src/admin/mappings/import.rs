//! `POST /v1/mappings/import`: many mappings, insert-once, streamed.
//!
//! Owns the reading of lines in bounded memory. Must not change an existing home: a line that names another one is
//! counted and named as a conflict. Relies on the store's insert-once, so that an import can be repeated.

use crate::admin::State;
use crate::admin::call::Call;
use crate::admin::error::{Error, ProblemShape};
use crate::admin::extract::{DryRun, Query};
use crate::admin::text;
use crate::clock;
use crate::control::reconcile::comparison::ConflictShape;
use crate::resolve::route::has_rows;
use axum::Json;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use futures_util::StreamExt;
use homing_mapping_store::store::{Inserted, NewMapping, Shipment};
use homing_mapping_store::{RoutingKey, Source, State as MappingState};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Mappings written in one transaction.
const BATCH: usize = 1000;
/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 16 * 1024;
/// Conflicts that are named in the answer.
const NAMED_MAX: usize = 100;

/// What became of the lines.
#[derive(Default, Serialize, ToSchema)]
pub struct ImportResult {
    /// Nothing was written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Rows that are new.
    pub imported: u64,
    /// Rows that were there with the same home.
    pub unchanged: u64,
    /// Lines that name another home than the row that is there; nothing was written for them.
    pub conflicts: u64,
    /// The first hundred of those.
    pub conflicting: Vec<ConflictShape>,
}

/// A line: `{"key", "home"}`, or a whole mapping out of an export, of which only key, home and state count.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportLine {
    /// The key.
    key: String,
    /// The site where it lives.
    home: String,
    /// placed, homed or ended; by the kind of the key if not said.
    state: Option<String>,
    #[serde(default, rename = "serving")]
    #[schema(ignore)]
    _serving: IgnoredAny,
    #[serde(default, rename = "generation")]
    #[schema(ignore)]
    _generation: IgnoredAny,
    #[serde(default, rename = "source")]
    #[schema(ignore)]
    _source: IgnoredAny,
    #[serde(default, rename = "created_at")]
    #[schema(ignore)]
    _created_at: IgnoredAny,
    #[serde(default, rename = "updated_at")]
    #[schema(ignore)]
    _updated_at: IgnoredAny,
}

/// One import.
struct Import<'s> {
    state: &'s State,
    dry: bool,
    lines: u64,
    batch: Vec<NewMapping>,
    result: ImportResult,
}

/// Takes NDJSON of any length. A line that cannot be read ends it with 400 and the counts of what was done before.
#[utoipa::path(post, path = "/v1/mappings/import", tag = "mappings",
    params(DryRun, ("Homing-Reason" = String, Header)),
    request_body(content = ImportLine, content_type = "application/x-ndjson"),
    responses((status = 200, body = ImportResult), (status = 400, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(in crate::admin) async fn import(
    Shared(state): Shared<Arc<State>>,
    Query(dry): Query<DryRun>,
    call: Call,
    body: Body,
) -> Result<Json<ImportResult>, Error> {
    call.needs_reason()?;
    let mut import = Import {
        state: &state,
        dry: dry.dry_run,
        lines: 0,
        batch: Vec::with_capacity(BATCH),
        result: ImportResult {
            dry_run: dry.dry_run,
            ..ImportResult::default()
        },
    };
    if !import.dry {
        let begin = call.audit("mapping.import.begin", "mappings", &json!({}));
        state.store.audit_append(&begin).await?;
    }
    let ended = import.run(body).await;
    if !import.dry {
        let refused = ended.as_ref().err().map(|error| error.detail.as_str());
        let detail = json!({
            "imported": import.result.imported, "unchanged": import.result.unchanged,
            "conflicts": import.result.conflicts, "refused": refused,
        });
        let end = call.audit("mapping.import.end", "mappings", &detail);
        state.store.audit_append(&end).await?;
    }
    match ended {
        Ok(()) => Ok(Json(import.result)),
        Err(error) => Err(error
            .with("imported", import.result.imported)
            .with("unchanged", import.result.unchanged)
            .with("conflicts", import.result.conflicts)),
    }
}

impl Import<'_> {
    async fn run(&mut self, body: Body) -> Result<(), Error> {
        let mut pieces = body.into_data_stream();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| {
                let why = crate::telemetry::chain(&error);
                Error::bad(format!(
                    "the body broke off after line {}: {why}",
                    self.lines
                ))
            })?;
            let mut piece = &piece[..];
            while let Some(end) = memchr::memchr(b'\n', piece) {
                let (line, after) = (&piece[..end], &piece[end + 1..]);
                if rest.is_empty() {
                    self.line(line).await?;
                } else {
                    rest.extend_from_slice(line);
                    let line = std::mem::take(&mut rest);
                    self.line(&line).await?;
                }
                piece = after;
            }
            rest.extend_from_slice(piece);
            if rest.len() > LINE_BYTES_MAX {
                return Err(self.too_long(self.lines + 1));
            }
        }
        self.line(&rest).await?;
        self.ship().await
    }

    async fn line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.lines += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(self.too_long(self.lines));
        }
        match self.read(line) {
            Ok(row) => self.batch.push(row),
            // What stands before the line is written, so that the counts are true.
            Err(why) => {
                self.ship().await?;
                let detail = format!("line {}: {why}", self.lines);
                return Err(Error::bad(detail).with("line", self.lines));
            }
        }
        if self.batch.len() >= BATCH {
            self.ship().await?;
        }
        Ok(())
    }

    fn too_long(&self, line: u64) -> Error {
        let detail = format!("line {line} is longer than {LINE_BYTES_MAX} bytes");
        Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-exceeded", detail)
    }

    fn read(&self, line: &[u8]) -> Result<NewMapping, String> {
        let line: ImportLine = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let key: RoutingKey = line
            .key
            .parse()
            .map_err(|error: homing_mapping_store::key::ParseError| error.to_string())?;
        if !has_rows(key.kind) {
            return Err(format!("keys of the kind {} have no mapping", key.kind));
        }
        let site = text::site(self.state, &line.home).map_err(|error| error.detail)?;
        let state = match line.state.as_deref() {
            None if key.kind.is_placed() => MappingState::Placed,
            // A move that was under way elsewhere is not under way here.
            None | Some("moving") => MappingState::Homed,
            Some(text) => MappingState::parse(text)
                .ok_or_else(|| format!("\"{text}\" is not a state of a mapping"))?,
        };
        Ok(NewMapping {
            key,
            home: site.id,
            state,
            source: Source::Imported,
            at: clock::wall(),
        })
    }

    async fn ship(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mappings = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let results = if self.dry {
            self.compare(&mappings).await?
        } else {
            let shipment = Shipment {
                router: self.state.config.router.name.clone(),
                mappings: mappings.clone(),
                ..Shipment::default()
            };
            self.state.store.ship(&shipment).await?
        };
        for (row, result) in mappings.iter().zip(results) {
            match result {
                Inserted::New => self.result.imported += 1,
                Inserted::Same => self.result.unchanged += 1,
                Inserted::Conflict { held, .. } => {
                    self.result.conflicts += 1;
                    if self.result.conflicting.len() < NAMED_MAX {
                        self.result.conflicting.push(ConflictShape {
                            key: row.key.to_string(),
                            home: held.name().to_owned(),
                            line_home: row.home.name().to_owned(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    async fn compare(&self, mappings: &[NewMapping]) -> Result<Vec<Inserted>, Error> {
        let keys: Vec<RoutingKey> = mappings.iter().map(|row| row.key.clone()).collect();
        let held = self.state.store.get_many(&keys).await?;
        let result = |(row, held): (&NewMapping, Option<homing_mapping_store::Mapping>)| match held
        {
            None => Inserted::New,
            Some(held) if held.home == row.home => Inserted::Same,
            Some(held) => Inserted::Conflict {
                held: held.home,
                generation: held.generation,
            },
        };
        Ok(mappings.iter().zip(held).map(result).collect())
    }
}
