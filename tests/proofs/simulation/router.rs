//! A router, whole but for its listeners, and the operators who ask it for something.
//!
//! Owns the software of one host.

use super::clocks::Clock;
use super::faults::Wish;
use super::truth::Truth;
use homing_config::{Inputs, Purpose, load};
use homing_mapping_store::Handle;
use homing_mapping_store::switch::Rule;
use homing_proxy::app::{Router, handover::Beginning};
use homing_proxy::attest::{Witness, extend, serve};
use homing_proxy::decide::plan::{Question, Subject, Verb};
use homing_proxy::forward::dial::{Bytes, Opening};
use homing_proxy::rehome::apply::{self, Word};
use homing_proxy::rehome::audit::Actor;
use homing_proxy::rehome::execute::OPERATIONS_MAX;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use turmoil::net::{TcpListener, TcpStream};

/// How soon a router takes up what was asked for.
const HEARS_EVERY: Duration = Duration::from_millis(20);

/// Where a router is asked what it attests to.
pub(crate) const DOOR: u16 = 8083;

/// What operators ask this router for, oldest first.
pub(crate) type Wishes = Arc<Mutex<Vec<Wish>>>;

/// A router.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) clock: Clock,
    pub(crate) truth: Arc<Truth>,
    pub(crate) config: String,
    pub(crate) store: Handle,
    pub(crate) wishes: Wishes,
    pub(crate) site: &'static str,
}

impl Member {
    /// Lives until the host is crashed.
    pub(crate) async fn live(&self) -> turmoil::Result {
        self.clock.rules();
        let inputs = Inputs::text("router.toml", self.config.clone());
        let loaded = load(&inputs, Purpose::Serve).map_err(|report| report.to_string())?;
        let store = Arc::clone(&self.store);
        let router = Router::over(store, inputs, loaded, Beginning::Alone).await?;
        router.start().await;
        let registrar = Arc::clone(&router.admin.registrar);
        let witness = Arc::clone(&registrar.witness);
        let every = registrar.lease().renew_every;
        tokio::task::spawn_local(attest(self.name, Arc::clone(&witness), every));
        tokio::spawn(extend::run(registrar, Arc::clone(&witness)));
        let mut attested = 0;
        loop {
            tokio::time::sleep(HEARS_EVERY).await;
            let now = witness.attested();
            self.truth.attested(now - attested);
            attested = now;
            let wish = self
                .wishes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            match wish {
                Some(Wish::Plan(verb)) => self.plan(&router, verb).await,
                Some(Wish::Abort) => self.say(Word::Abort { fenced_by: None }).await,
                Some(Wish::Resume) => self.say(Word::Resume).await,
                None => {}
            }
        }
    }

    /// A plan, and its application. That it is refused is an answer too.
    async fn plan(&self, router: &Router, verb: Verb) {
        let question = Question {
            verb,
            subject: Subject::Site(self.site.to_owned()),
            to: None,
            key: None,
            fenced_by: None,
            overrides: vec![Rule::CoolDown, Rule::Quorum],
        };
        let actor = operator();
        let executor = &router.admin.executor;
        if let Ok((plan, _)) = apply::make(executor, &question, &actor).await {
            let _ = apply::apply(executor, &plan.hash(), &actor).await;
        }
    }

    /// A word to what is under way.
    async fn say(&self, word: Word) {
        let operations = self
            .store
            .operations(OPERATIONS_MAX)
            .await
            .unwrap_or_default();
        let open = operations.into_iter().find(|one| one.ended_at.is_none());
        if let Some(open) = open {
            let _ = apply::say(&self.store, open.id, None, word, &operator()).await;
        }
    }
}

/// The listener; what is said on its connections, the product says.
async fn attest(name: &'static str, witness: Arc<Witness>, every: Duration) {
    let any = (IpAddr::from(Ipv4Addr::UNSPECIFIED), DOOR);
    let Ok(listener) = TcpListener::bind(any).await else {
        return;
    };
    witness.listens_at(&format!("{name}:{DOOR}"));
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve::speak(stream, Arc::clone(&witness), every));
    }
}

fn operator() -> Actor {
    Actor {
        name: "operator".into(),
        reason: Some("simulated".into()),
        request_id: None,
    }
}

/// The simulated network, for the product's connections to sites.
pub(crate) fn network(host: String, port: u16) -> Opening {
    Box::pin(async move {
        let stream = TcpStream::connect((host, port)).await?;
        Ok(Box::new(stream) as Box<dyn Bytes>)
    })
}
