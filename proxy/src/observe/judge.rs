//! Evidence -> observed state of a site, with hysteresis.
//!
//! Owns the rule, purely. Must not probe, read the clock or know what operators want.

/// What is observed of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Not probed yet.
    Unknown,
    /// Works and is the right database.
    Healthy,
    /// Failed lately, not often enough to be given up.
    Suspect(Why),
    /// Given up until it has proven itself again.
    Down(Why),
}

macro_rules! whys {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Why a site is suspect or down.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Why { $($(#[$doc])* $name),* }
        impl Why {
            /// The text in API, log and metrics.
            pub fn as_str(self) -> &'static str { match self { $(Why::$name => $text),* } }
        }
    };
}

whys! {
    /// No connection.
    Unreachable = "unreachable";
    /// A connection, but its certificate is not trusted, or there is no TLS at all.
    Untrusted = "no trusted TLS";
    /// A connection, but no answer in time.
    Slow = "no answer in time";
    /// An answer that is not a healthy one (the engine has lost its database, for example).
    Sick = "unhealthy answer";
    /// Another database than the one registered, or an empty one.
    WrongIdentity = "wrong identity";
    /// The same database is registered as another site.
    SharedIdentity = "identity of another site";
    /// Its engine counts its ids: every other engine that counts makes the same ones.
    CountedIds = "counted ids, which other sites have too: let its engine make UUIDs (id generator \"strong\") and deploy once more, or set virtual_ids = true";
    /// The same where ids cannot be rewritten: a Flowable.
    CountedIdsKept = "counted ids, which other sites have too: let its engine make UUIDs (its configuration's property idGenerator, in Spring Boot the IdGenerator bean: org.flowable.common.engine.impl.persistence.StrongUuidGenerator) and deploy once more";
    /// Live traffic broke off.
    Traffic = "traffic breaks off";
}

impl Observed {
    /// The text in API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Observed::Unknown => "unknown",
            Observed::Healthy => "healthy",
            Observed::Suspect(_) => "suspect",
            Observed::Down(_) => "down",
        }
    }

    /// Why it is not healthy.
    pub fn why(self) -> Option<Why> {
        match self {
            Observed::Suspect(why) | Observed::Down(why) => Some(why),
            Observed::Unknown | Observed::Healthy => None,
        }
    }
}

/// One piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The probe passed: it works and is the right database.
    ProbePassed,
    /// The probe failed.
    ProbeFailed(Why),
    /// Traffic got an answer.
    Answered,
    /// Traffic got no connection.
    ConnectFailed,
    /// Traffic broke off or got no answer in time.
    Broke,
}

/// How many in a row it takes.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Passed probes until a site that was down is healthy again.
    pub rise: u32,
    /// Failed probes until a site is down.
    pub fall: u32,
}

/// The judge of one site.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    thresholds: Thresholds,
    observed: Observed,
    passed: u32,
    failed: u32,
}

impl Judge {
    /// A judge that has seen nothing.
    pub fn new(thresholds: Thresholds) -> Judge {
        Judge::resume(thresholds, Observed::Unknown)
    }

    /// A judge that goes on from what was observed before.
    pub fn resume(thresholds: Thresholds, observed: Observed) -> Judge {
        Judge {
            thresholds,
            observed,
            passed: 0,
            failed: 0,
        }
    }

    /// Takes a piece of evidence and says what is observed now.
    pub fn hear(&mut self, evidence: Evidence) -> Observed {
        match evidence {
            Evidence::ProbePassed => self.passed(),
            // A wrong database is no matter of degree.
            Evidence::ProbeFailed(
                why @ (Why::WrongIdentity
                | Why::SharedIdentity
                | Why::CountedIds
                | Why::CountedIdsKept),
            ) => {
                self.passed = 0;
                self.failed = self.thresholds.fall;
                self.observed = Observed::Down(why);
            }
            Evidence::ProbeFailed(why) => self.failed(why),
            Evidence::ConnectFailed | Evidence::Broke => {
                if self.observed == Observed::Healthy {
                    self.observed = Observed::Suspect(Why::Traffic);
                }
            }
            Evidence::Answered => {}
        }
        self.observed
    }

    fn passed(&mut self) {
        self.failed = 0;
        self.passed = self.passed.saturating_add(1);
        let enough = match self.observed {
            Observed::Down(_) => self.passed >= self.thresholds.rise,
            Observed::Unknown | Observed::Healthy | Observed::Suspect(_) => true,
        };
        if enough {
            self.observed = Observed::Healthy;
        }
    }

    fn failed(&mut self, why: Why) {
        self.passed = 0;
        self.failed = self.failed.saturating_add(1);
        self.observed = match self.observed {
            Observed::Down(_) => Observed::Down(why),
            Observed::Unknown | Observed::Healthy | Observed::Suspect(_)
                if self.failed >= self.thresholds.fall =>
            {
                Observed::Down(why)
            }
            Observed::Unknown | Observed::Healthy | Observed::Suspect(_) => Observed::Suspect(why),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(evidence: &[Evidence]) -> Observed {
        let mut judge = Judge::new(Thresholds { rise: 2, fall: 3 });
        evidence
            .iter()
            .fold(Observed::Unknown, |_, evidence| judge.hear(*evidence))
    }

    const PASS: Evidence = Evidence::ProbePassed;
    const FAIL: Evidence = Evidence::ProbeFailed(Why::Unreachable);

    #[test]
    fn a_site_is_suspect_before_it_is_down() {
        assert_eq!(after(&[PASS]), Observed::Healthy);
        assert_eq!(after(&[PASS, FAIL]), Observed::Suspect(Why::Unreachable));
        assert_eq!(
            after(&[PASS, FAIL, FAIL]),
            Observed::Suspect(Why::Unreachable)
        );
        assert_eq!(
            after(&[PASS, FAIL, FAIL, FAIL]),
            Observed::Down(Why::Unreachable)
        );
    }

    #[test]
    fn one_good_probe_does_not_bring_it_back() {
        assert_eq!(
            after(&[FAIL, FAIL, FAIL, PASS]),
            Observed::Down(Why::Unreachable)
        );
        assert_eq!(
            after(&[FAIL, FAIL, FAIL, PASS, FAIL, PASS]),
            Observed::Down(Why::Unreachable)
        );
        assert_eq!(after(&[FAIL, FAIL, FAIL, PASS, PASS]), Observed::Healthy);
    }

    #[test]
    fn a_wrong_database_is_down_at_once() {
        assert_eq!(
            after(&[PASS, Evidence::ProbeFailed(Why::WrongIdentity)]),
            Observed::Down(Why::WrongIdentity)
        );
    }

    #[test]
    fn traffic_makes_suspect_but_only_probes_take_down() {
        assert_eq!(
            after(&[
                PASS,
                Evidence::Broke,
                Evidence::ConnectFailed,
                Evidence::Broke
            ]),
            Observed::Suspect(Why::Traffic)
        );
    }
}
