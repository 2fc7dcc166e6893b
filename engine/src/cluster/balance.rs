//! How much of the work that is ready is this engine's share: a pure division that every engine computes alike.
//!
//! The next job goes to the engine that runs the fewest for its weight, again and again, until the ready ones are given
//! out or all engines are full. Nobody leads: whoever claims more slowly finds less.

/// What one engine runs and can run.
#[derive(Clone, PartialEq, Debug)]
pub struct Load {
    /// Its id.
    pub id: String,
    /// Jobs that it holds.
    pub running: i64,
    /// Jobs that it can hold; 0 while its executor is off.
    pub capacity: i64,
    /// How much it has to give compared with the others, where that is measured.
    pub weight: Option<f64>,
}

/// What an engine may claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Share {
    /// At once.
    pub(crate) now: i64,
    /// Engines that are to be served before this one; when they do not come, it takes what lies there.
    pub(crate) behind: u32,
}

/// An engine that measures nothing left is asked last, but it is asked.
const WEIGHT_MIN: f64 = 1e-6;

impl Load {
    fn weight(&self) -> f64 {
        let weight = self.weight.filter(|w| w.is_finite()).unwrap_or(1.0);
        weight.max(WEIGHT_MIN)
    }

    /// How busy it would be with `more` jobs.
    #[expect(clippy::cast_precision_loss, reason = "counts of jobs are small")]
    fn level(&self, more: i64) -> f64 {
        (self.running + more) as f64 / self.weight()
    }

    fn room(&self) -> i64 {
        (self.capacity - self.running).max(0)
    }
}

/// This engine's share of `ready` jobs.
pub(crate) fn share(own: &str, loads: &[Load], ready: i64) -> Share {
    let nothing = Share { now: 0, behind: 0 };
    let Some(this) = loads.iter().find(|load| load.id == own) else {
        return nothing;
    };
    let others: Vec<&Load> = loads
        .iter()
        .filter(|load| load.id != own && load.room() > 0)
        .collect();
    let before = |load: &&&Load| load.level(1) < this.level(1);
    let behind = u32::try_from(others.iter().filter(before).count()).unwrap_or(u32::MAX);
    let mut given = vec![0_i64; others.len()];
    let mut now = 0;
    for _ in 0..ready.max(0) {
        let next = (0..others.len())
            .filter(|at| given[*at] < others[*at].room())
            .min_by(|a, b| {
                let level = |at: usize| others[at].level(given[at] + 1);
                level(*a).total_cmp(&level(*b))
            });
        let open = now < this.room();
        match next {
            // Of equals this engine comes first: two that both think so meet at the claim, and one gets it.
            Some(at) if !open || others[at].level(given[at] + 1) < this.level(now + 1) => {
                given[at] += 1;
            }
            _ if open => now += 1,
            _ => break,
        }
    }
    Share { now, behind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(id: &str, running: i64, weight: Option<f64>) -> Load {
        Load {
            id: id.to_owned(),
            running,
            capacity: 32,
            weight,
        }
    }

    fn shares(loads: &[Load], ready: i64) -> Vec<i64> {
        let of = |l: &Load| share(&l.id, loads, ready).now;
        loads.iter().map(of).collect()
    }

    #[test]
    fn the_next_job_goes_to_the_engine_that_runs_the_fewest() {
        let loads = [load("a", 3, None), load("b", 1, None), load("c", 2, None)];
        assert_eq!(shares(&loads, 1), [0, 1, 0]);
        assert_eq!(share("a", &loads, 1).behind, 2);
        assert_eq!(share("b", &loads, 1).behind, 0);
        assert_eq!(
            shares(&loads, 2),
            [0, 2, 1],
            "of equals each thinks itself first, and they meet at the claim"
        );
        assert_eq!(shares(&loads, 6), [1, 3, 2]);
    }

    #[test]
    fn work_is_divided_by_weight() {
        let loads = [load("a", 0, Some(3.0)), load("b", 0, Some(1.0))];
        assert_eq!(shares(&loads, 8), [6, 2]);
        let none_left = [load("a", 0, Some(0.0)), load("b", 0, Some(0.5))];
        assert_eq!(shares(&none_left, 8), [0, 8]);
        assert_eq!(
            shares(&none_left, 40),
            [8, 32],
            "when the other is full it is asked"
        );
    }

    #[test]
    fn an_engine_without_an_executor_gets_nothing_and_holds_up_nobody() {
        let mut off = load("a", 0, None);
        off.capacity = 0;
        let loads = [off, load("b", 5, None)];
        assert_eq!(shares(&loads, 4), [0, 4]);
        assert_eq!(share("b", &loads, 4).behind, 0);
        assert_eq!(share("z", &loads, 4), Share { now: 0, behind: 0 });
    }

    proptest::proptest! {
        #[test]
        fn all_that_is_ready_is_given_out_as_far_as_there_is_room(
            running in proptest::collection::vec((0_i64..40, 1_u8..5), 1..40),
            ready in 0_i64..200,
        ) {
            let loads: Vec<Load> = running.iter().enumerate().map(|(n, (r, w))| Load {
                weight: Some(f64::from(*w)),
                ..load(&n.to_string(), *r, None)
            }).collect();
            let room: i64 = loads.iter().map(Load::room).sum();
            let given: i64 = shares(&loads, ready).iter().sum();
            proptest::prop_assert!(given >= ready.min(room));
            for (of, load) in shares(&loads, ready).iter().zip(&loads) {
                proptest::prop_assert!(*of <= load.room());
            }
        }
    }
}
