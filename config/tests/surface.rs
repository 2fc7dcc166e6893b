//! The configuration file as users write it.

use homing_config::settings::{
    Class, DialectName, Fence, HistoryCleanup, HistoryLevel, Learn, Probe, Promotion, Recovery,
    StoreUrl, UserSource,
};
use homing_config::{Config, Inputs, Loaded, Purpose, load};
use std::time::Duration;

fn accepted(text: &str, purpose: Purpose) -> Loaded {
    match load(&Inputs::text("homing.toml", text), purpose) {
        Ok(loaded) => loaded,
        Err(report) => panic!("refused:\n{report}"),
    }
}

fn config(text: &str, purpose: Purpose) -> Config {
    accepted(text, purpose).config
}

const TWO_SITES: &str = r#"
[[site]]
name = "a"
dialect = "engine-rest"
endpoints = ["http://127.0.0.1:18081/engine-rest"]

[[site]]
name = "b"
dialect = "engine-rest"
endpoints = ["http://127.0.0.1:18082/engine-rest"]
"#;

#[test]
fn two_sites_are_a_whole_configuration() {
    let inputs = Inputs {
        host_name: "Router-1.example".into(),
        ..Inputs::text("homing.toml", TWO_SITES)
    };
    let loaded = load(&inputs, Purpose::Serve).unwrap();
    assert_eq!(loaded.warnings.diagnostics, []);
    let config = loaded.config;
    assert_eq!(config.router.name, "router-1-example");
    assert!(config.router.threads >= 1);
    assert_eq!(config.listen[0].bind.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.bind.to_string(), "127.0.0.1:8081");
    assert_eq!(config.store.url, StoreUrl::Sqlite("homing.db".into()));
    assert_eq!(
        config.store.journal.to_str(),
        Some("router-1-example.journal")
    );
    assert_eq!(config.sites[1].installations[0].name, "b");
    assert_eq!(
        config.sites[1].installations[0].endpoints[0].base_path,
        "/engine-rest"
    );
    assert_eq!(
        config.sites[0].health.probe,
        Probe::Dialect { expect: vec![] }
    );
    assert_eq!(config.timeouts.keepalive_upstream, Duration::from_secs(15));
    assert_eq!(config.limits.in_flight_per_site, 150);
}

const LONG_FORM: &str = r#"
router = { name = "r1", threads = 2 }
placement = { policy = "least-loaded", sticky_user = { from = "header:X-User" }, business_key = "claim", constraint = [{ tenant = "eu-*", sites = ["b"] }] }

[[listen]]
bind = "127.0.0.1:8080"
trusted_proxies = ["10.0.0.0/8", "::1"]
proxy_protocol = true

[admin]
bind = "unix:/run/homing/admin.sock"

[store]
url = "postgres://homing@db/homing"

[lease]
router = "500ms"
site = "1s"
renew_every = "100ms"

[[site]]
name = "b"
dialect = "engine-rest"
weight = 10
zone = "eu-1"
recovery = { mode = "replica", max_lag = "3s" }
health = { path = "/engine-rest/engine", interval = "250ms", expect = [200, 204] }
[[site.installation]]
name = "b-frankfurt"
endpoints = ["http://10.0.1.7:8080/engine-rest"]
[[site.installation]]
name = "b-paris"
zone = "eu-2"
balance = "active-backup"
tls = { server_name = "engine.example.org" }
endpoints = ["https://10.0.2.7/engine-rest"]
"#;

#[test]
fn every_key_of_the_long_form_arrives() {
    let config = config(LONG_FORM, Purpose::Serve);
    assert_eq!(
        config.placement.sticky_user,
        Some(UserSource::Header("x-user".into()))
    );
    assert!(config.placement.constraints[0].matches("eu-west"));
    assert!(config.listen[0].trusts("10.1.1.1".parse().unwrap()));
    assert_eq!(config.store.journal.to_str(), Some("/var/lib/homing/r1"));
    assert_eq!(config.lease.renew_every, Duration::from_millis(100));
    let site = &config.sites[0];
    assert_eq!(
        site.recovery,
        Recovery::Replica {
            max_lag: Duration::from_secs(3)
        }
    );
    assert_eq!(
        site.health.probe,
        Probe::Get {
            path: "/engine-rest/engine".into(),
            expect: vec![200, 204]
        }
    );
    assert_eq!(site.health.interval, Duration::from_millis(250));
    let [frankfurt, paris] = site.installations.as_slice() else {
        panic!("two installations")
    };
    assert_eq!(
        (frankfurt.zone.as_deref(), paris.zone.as_deref()),
        (Some("eu-1"), Some("eu-2"))
    );
    assert_eq!(frankfurt.tls, None);
    assert_eq!(
        paris.tls.as_ref().unwrap().server_name.as_deref(),
        Some("engine.example.org")
    );
    assert_eq!(paris.endpoints[0].port, 443);
}

#[test]
fn a_dialect_of_rules_arrives_in_order() {
    let config = config(
        r#"
[[site]]
name = "shop"
dialect = "orders"
endpoints = ["http://127.0.0.1:9000"]

[[dialect]]
name = "orders"
rules = [
  { method = "POST", path = "/orders", class = "create", kind = "order", learn = { body = "/id" } },
  { path = "/orders/{id}/**", class = "keyed", kind = "order", key = { path = "id" } },
  { method = "GET", path = "/orders", class = "gather", merge = "concat" },
  { method = "PUT", path = "/catalog/**", class = "broadcast" },
  { path = "/app/**", class = "sticky", kind = "session", key = { cookie = "SID" }, learn = { set_cookie = "SID" } },
  { path = "/**", class = "any" },
]
"#,
        Purpose::Serve,
    );
    assert_eq!(config.sites[0].dialect, DialectName::Rules("orders".into()));
    assert_eq!(config.sites[0].health.probe, Probe::Tcp);
    let rules = &config.dialects[0].rules;
    assert_eq!(rules.len(), 6);
    assert_eq!(
        rules[0].class,
        Class::Create {
            kind: "order".into(),
            learn: Learn::Body("/id".into()),
            key: None
        }
    );
    assert!(rules[5].path.rest && rules[5].path.segments.is_empty());
}

#[test]
fn an_engine_and_an_agent_need_no_sites() {
    let engine = config("[engine]\nstore = \"sqlite:site-a.db\"\n", Purpose::Engine)
        .engine
        .unwrap();
    assert_eq!(engine.bind.to_string(), "127.0.0.1:18081");
    assert_eq!(engine.failover_window, Duration::from_secs(180));
    assert_eq!(engine.history_level, Some(HistoryLevel::Full));
    assert_eq!(engine.history_cleanup, HistoryCleanup::Always);
    let agent = config(
        r#"
[agent]
site = "b"
installation = "b-paris"
store = "postgres://homing@db/homing"
state = "/var/lib/homing/agent"
mode = "relay"
relay = { listen = "127.0.0.1:6432", database = "127.0.0.1:5432" }
promote = { patroni = "http://127.0.0.1:8008" }
start = ["systemctl", "start", "engine"]
lag = "postgres://127.0.0.1:5432/postgres"
"#,
        Purpose::Agent,
    )
    .agent
    .unwrap();
    assert!(matches!(agent.fence, Fence::Relay { listen, .. } if listen.port() == 6432));
    assert!(matches!(agent.promote, Some(Promotion::Patroni(endpoint)) if endpoint.port == 8008));
}

#[test]
fn later_values_count_for_more() {
    let inputs = Inputs {
        environment: vec![
            (
                "HOMING__STORE__URL".into(),
                "sqlite:from-environment.db".into(),
            ),
            ("HOMING__LIMITS__HEADERS".into(), "50".into()),
            ("HOMING__SITE__A__WEIGHT".into(), "7".into()),
            ("HOMING_ADMIN".into(), "http://127.0.0.1:1".into()),
        ],
        set: vec![
            "limits.headers=60".into(),
            "site.b.endpoints=[\"http://127.0.0.1:3/x\"]".into(),
        ],
        ..Inputs::text(
            "homing.toml",
            format!("[limits]\nheaders = 40\n{TWO_SITES}"),
        )
    };
    let config = load(&inputs, Purpose::Serve)
        .unwrap_or_else(|report| panic!("{report}"))
        .config;
    assert_eq!(
        config.store.url,
        StoreUrl::Sqlite("from-environment.db".into())
    );
    assert_eq!(config.limits.headers, 60);
    assert_eq!(config.sites[0].weight, 7);
    assert_eq!(config.sites[1].installations[0].endpoints[0].port, 3);
}

/// What `deploy/` shows is what a user copies.
#[test]
fn every_example_is_good() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let Ok(files) = std::fs::read_dir(entry.unwrap().path()) else {
            continue;
        };
        for file in files.map(|file| file.unwrap().path()) {
            let name = file.file_name().unwrap().to_str().unwrap();
            if !name.ends_with(".toml") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            // The demonstration fills in where it has started its sites.
            if text.contains("{SITE_A}") {
                continue;
            }
            let loaded = accepted(&text, Purpose::Check);
            assert_eq!(loaded.warnings.diagnostics, [], "{}", file.display());
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked}");
}
