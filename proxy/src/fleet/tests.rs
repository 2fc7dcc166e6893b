//! Sites that only the registry knows.

use super::*;
use homing_config::{Inputs, Purpose, load};

fn registered(name: &str, installations: &[&str]) -> SiteRecord {
    let installations = installations.iter().enumerate();
    SiteRecord {
        site: SiteId::named(name),
        dialect: "engine-rest".to_owned(),
        installations: installations
            .map(|(number, name)| InstallationRecord {
                name: (*name).to_owned(),
                zone: None,
                endpoints: vec![format!("http://127.0.0.1:{}/engine-rest", number + 9)],
            })
            .collect(),
        identity: None,
        state: SiteState::Ready,
        generation: Generation::default(),
        revision: 0,
        reason: None,
        updated_at: Timestamp::default(),
        quarantined: Vec::new(),
    }
}

#[test]
fn writes_to_a_site_that_may_have_a_replica_are_noted_though_no_file_here_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let text = format!(
        "[router]\nname = \"r1\"\n[store]\nurl = \"sqlite:{at}/store.db\"\njournal = \"{at}/journal\"\n\
         [[site]]\nname = \"a\"\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.1:9/engine-rest\"]\n"
    );
    let loaded = load(&Inputs::text("homing.toml", text), Purpose::Serve);
    let config = loaded.unwrap_or_else(|report| panic!("{report}")).config;
    let fleet = Fleet::new(&config, Arc::new(Inventory::default())).unwrap();
    let registry = [
        registered("two-places", &["here", "there"]),
        registered("one-place", &["one-place"]),
    ];
    let topology = fleet.topology(&config, &registry, None).unwrap();
    let kept: Vec<_> = topology
        .sites()
        .filter(|site| site.live.tail.is_kept())
        .map(|site| site.id.name())
        .collect();
    assert_eq!(kept, ["two-places"]);
}
