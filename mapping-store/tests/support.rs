//! What the tests of the store share: fresh stores of both kinds, and short ways to make records.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![allow(unreachable_pub, reason = "test binaries have no readers outside")]

#[path = "support/postgres.rs"]
pub mod postgres;

use homing_mapping_store::assignment::{Assignment, InstallationRecord, SiteRecord, SiteState};
use homing_mapping_store::audit::AuditEntry;
use homing_mapping_store::store::{Inserted, NewMapping, Shipment};
use homing_mapping_store::switch::{Limits, Switch};
use homing_mapping_store::{
    Generation, Handle, Kind, RoutingKey, SiteId, Source, State, Timestamp, open,
};
use tempfile::TempDir;

/// A store with whatever it lives on.
pub struct Fresh {
    pub store: Handle,
    pub url: String,
    pub folder: Option<TempDir>,
}

pub async fn fresh_sqlite() -> Fresh {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}/store.db", folder.path().display());
    Fresh {
        store: open(&url).await.unwrap(),
        url,
        folder: Some(folder),
    }
}

pub async fn fresh_postgres() -> Fresh {
    let url = postgres::Server::shared().database().await;
    Fresh {
        store: open(&url).await.unwrap(),
        url,
        folder: None,
    }
}

pub fn site(name: &str) -> SiteId {
    SiteId::named(name)
}

pub fn instance(number: u128) -> RoutingKey {
    RoutingKey::new(
        Kind::PROCESS_INSTANCE,
        &uuid::Uuid::from_u128(number).to_string(),
    )
}

pub fn started(key: RoutingKey, home: &str) -> NewMapping {
    NewMapping {
        key,
        home: site(home),
        state: State::Homed,
        source: Source::Started,
        at: Timestamp(1_000),
    }
}

pub fn shipment(mappings: Vec<NewMapping>) -> Shipment {
    Shipment {
        router: "r1".into(),
        mappings,
        ..Shipment::default()
    }
}

pub async fn ship(store: &Handle, mappings: Vec<NewMapping>) -> Vec<Inserted> {
    store.ship(&shipment(mappings)).await.unwrap()
}

pub fn audit(action: &str) -> AuditEntry {
    AuditEntry {
        actor: "uid:0".into(),
        action: action.into(),
        subject: "it".into(),
        reason: Some("a test".into()),
        detail: "{}".into(),
        request_id: None,
        at: Timestamp(2_000),
    }
}

pub fn site_record(name: &str, installations: &[&str]) -> SiteRecord {
    let installation = |name: &&str| InstallationRecord {
        name: (*name).to_owned(),
        zone: Some("eu-1".into()),
        endpoints: vec![format!("http://{name}:8080/engine-rest")],
    };
    SiteRecord {
        site: site(name),
        dialect: "engine-rest".into(),
        installations: installations.iter().map(installation).collect(),
        identity: None,
        state: SiteState::Ready,
        generation: Generation(0),
        revision: 0,
        reason: None,
        updated_at: Timestamp(0),
        quarantined: Vec::new(),
    }
}

/// A fleet of sites `a` (one installation) and `b` (two).
pub async fn two_sites(store: &Handle) {
    store
        .register(
            "r1",
            &[site_record("a", &["a"]), site_record("b", &["b-1", "b-2"])],
        )
        .await
        .unwrap();
}

pub async fn assignment(store: &Handle, name: &str) -> Assignment {
    let all = store.assignments().await.unwrap();
    all.into_iter().find(|one| one.site == site(name)).unwrap()
}

pub fn switch(to: &str, expected: Generation) -> Switch {
    Switch {
        site: site("b"),
        to: to.into(),
        expected,
        operation: uuid::Uuid::from_u128(7),
        limits: Limits {
            freeze: false,
            cool_down_ms: 0,
            share_at_once: 0.5,
        },
        overrides: Vec::new(),
    }
}
