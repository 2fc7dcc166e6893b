//! The inventory: what is observed and wanted of each site, as one snapshot.
//!
//! Owns the snapshot and the live cell of each site. Must not decide what follows from it, beyond `available`.

use super::accrual::Accrual;
use super::judge::{Evidence, Observed};
use super::tail::Tail;
use crate::clock;
use crate::dialect::merge::Habits;
use arc_swap::{ArcSwap, ArcSwapOption};
use homing_mapping_store::assignment::SiteState;
use homing_mapping_store::{Generation, SiteId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Both axes of one site, and what goes with them.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteView {
    /// What is seen.
    pub observed: Observed,
    /// Wall-clock milliseconds since when.
    pub since: i64,
    /// What operators want.
    pub state: SiteState,
    /// Generation of that.
    pub state_generation: Generation,
    /// Whether anybody serves it.
    pub service: Service,
    /// The installation that the assignment names; while nobody serves, the one that did. `None`: not read yet.
    pub assigned: Option<Arc<str>>,
    /// Generation of the assignment.
    pub assignment: Generation,
    /// Whether every live router knows the site.
    pub acknowledged: Acknowledged,
    /// Identity of its database, once known.
    pub identity: Option<String>,
}

/// Whether every live router knows a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// All do: it takes placements.
    ByAll,
    /// Not yet.
    Waiting,
}

/// Whether anybody serves a site, by its assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Service {
    /// The installation that the assignment names.
    #[default]
    Serves,
    /// Nobody: a switch is under way.
    Switching,
    /// Nobody that this router knows: the assignment names an installation that it has not heard of yet.
    Stranger,
}

impl Default for SiteView {
    fn default() -> SiteView {
        SiteView {
            observed: Observed::Unknown,
            since: 0,
            state: SiteState::Ready,
            state_generation: Generation::default(),
            service: Service::default(),
            assigned: None,
            assignment: Generation::default(),
            acknowledged: Acknowledged::Waiting,
            identity: None,
        }
    }
}

impl SiteView {
    /// Whether new work may be placed there.
    pub fn available(&self) -> bool {
        self.service == Service::Serves
            && self.state == SiteState::Ready
            && self.acknowledged == Acknowledged::ByAll
            && matches!(self.observed, Observed::Healthy | Observed::Suspect(_))
    }

    /// Whether it is being switched, or was just now and nothing is known yet of the one that serves.
    pub fn settles(&self) -> bool {
        match self.service {
            Service::Switching => true,
            Service::Serves => self.observed == Observed::Unknown,
            Service::Stranger => false,
        }
    }

    /// Whether work that lives there may be sent there.
    pub fn servable(&self) -> bool {
        self.service == Service::Serves
            && matches!(self.state, SiteState::Ready | SiteState::Draining)
            && !matches!(self.observed, Observed::Down(_))
    }
}

/// The live cell of one site: the view, and the bell of its prober.
pub struct Live {
    view: ArcSwap<SiteView>,
    changed: watch::Sender<()>,
    wake: Notify,
    /// What traffic says.
    pub accrual: Accrual,
    /// The newest writes, where a standby has a replica.
    pub tail: Tail,
    write: Mutex<()>,
    /// Monotonic milliseconds until which this router may believe the assignment without asking the store.
    sure_until_ms: AtomicU64,
    /// How its database sorts; none: it has not told.
    habits: ArcSwapOption<Habits>,
    /// Whether its engine was seen to make ids that no other one makes.
    has_own_ids: AtomicBool,
}

impl Default for Live {
    fn default() -> Live {
        Live {
            view: ArcSwap::from_pointee(SiteView::default()),
            changed: watch::Sender::new(()),
            wake: Notify::new(),
            accrual: Accrual::default(),
            tail: Tail::default(),
            write: Mutex::new(()),
            sure_until_ms: AtomicU64::new(u64::MAX),
            habits: ArcSwapOption::empty(),
            has_own_ids: AtomicBool::new(false),
        }
    }
}

impl Live {
    /// The view as it is now.
    pub fn view(&self) -> Arc<SiteView> {
        self.view.load_full()
    }

    /// How the site's database sorts, if an answer has told.
    pub fn habits(&self) -> Option<Habits> {
        self.habits.load().as_deref().copied()
    }

    /// Whether its engine was seen to make ids that no other one makes.
    pub fn has_own_ids(&self) -> bool {
        self.has_own_ids.load(Ordering::Relaxed)
    }

    /// It was.
    pub fn set_own_ids(&self) {
        self.has_own_ids.store(true, Ordering::Relaxed);
    }

    /// The site has told what database it has.
    pub fn set_habits(&self, habits: Habits) {
        if self.habits() != Some(habits) {
            self.habits.store(Some(Arc::new(habits)));
        }
    }

    /// What is observed now.
    pub fn observed(&self) -> Observed {
        self.view.load().observed
    }

    /// Whether new work may be placed there.
    pub fn available(&self) -> bool {
        self.view.load().available()
    }

    /// Reads something off the view without keeping it.
    pub fn read<T>(&self, reader: impl FnOnce(&SiteView) -> T) -> T {
        reader(&self.view.load())
    }

    /// Whether this router may still believe the assignment. Only sites with several installations can be served from
    /// elsewhere meanwhile; of the others it is always sure.
    pub fn sure(&self) -> bool {
        let until = self.sure_until_ms.load(Ordering::Relaxed);
        until == u64::MAX || clock::monotonic_ms() < until
    }

    /// The store was asked: until then the assignment is believed, or longer if the others have attested to it later.
    pub fn sure_until(&self, monotonic_ms: u64) {
        let later = |until: u64| match until {
            u64::MAX => Some(monotonic_ms),
            _ => Some(monotonic_ms.max(until)),
        };
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        // An error means that nothing was to be changed, which is as good.
        let _ = self.sure_until_ms.fetch_update(set, fetch, later);
    }

    /// Waits until the switch that is under way has ended, at most `within`. Answers whether it has.
    pub async fn switched(&self, within: Duration) -> bool {
        self.comes(within, |view| view.service != Service::Switching)
            .await
    }

    /// The same, and until the one that serves then has been looked at.
    pub async fn settled(&self, within: Duration) -> bool {
        self.comes(within, |view| !view.settles()).await
    }

    async fn comes(&self, within: Duration, it: impl Fn(&SiteView) -> bool) -> bool {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            loop {
                changed.mark_unchanged();
                if self.read(&it) {
                    return true;
                }
                if changed.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(within, waiting).await.unwrap_or(false)
    }

    /// Waits until the view says so.
    pub async fn until<T>(&self, told: impl Fn() -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(told) = told() {
                return told;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Rings the prober's bell.
    pub fn ring(&self) {
        self.wake.notify_one();
    }

    /// Changes the view; the only way to.
    pub fn update(&self, change: impl FnOnce(&mut SiteView)) {
        let _writer = self.write.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.view.load_full();
        let mut view = (*before).clone();
        change(&mut view);
        if view.observed != before.observed {
            view.since = clock::wall().0;
        }
        if view != *before {
            self.view.store(Arc::new(view));
        }
        self.changed.send_replace(());
    }

    /// Evidence from live traffic. Trouble rings the prober's bell.
    pub fn report(&self, evidence: Evidence) {
        match evidence {
            Evidence::ConnectFailed | Evidence::Broke => {
                self.accrual.failed();
                self.wake.notify_one();
            }
            Evidence::Answered => self.accrual.answered(),
            Evidence::ProbePassed | Evidence::ProbeFailed(_) => {}
        }
    }

    /// Rings the bell and waits until `proven` or the site is down, at most `within`. Answers whether it was proven.
    pub async fn verify(&self, proven: impl Fn() -> bool, within: Duration) -> bool {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            loop {
                changed.mark_unchanged();
                if proven() {
                    return true;
                }
                self.wake.notify_one();
                if changed.changed().await.is_err()
                    || (matches!(self.observed(), Observed::Down(_)) && !proven())
                {
                    return false;
                }
            }
        };
        tokio::time::timeout(within, waiting).await.unwrap_or(false)
    }

    /// Returns when the prober should look at once.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// Every site's live cell. Cells are made on first sight and stay: a reload does not forget what was seen.
#[derive(Default)]
pub struct Inventory {
    cells: Mutex<HashMap<SiteId, Arc<Live>>>,
}

impl Inventory {
    /// The cell of a site.
    pub fn of(&self, site: SiteId) -> Arc<Live> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cells.entry(site).or_default())
    }
}
