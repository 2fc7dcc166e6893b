//! Whether branches of one instance run at the same time, on different engines.
//!
//! Pure.

use crate::machine::Effect;

/// Which jobs of an instance may run beside its others. Joins are always one after the other: each commit checks the
/// revision of its instance, and who comes second computes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Branches {
    /// Those of which the model says so: `camunda:exclusive="false"`.
    #[default]
    Model,
    /// All.
    Always,
    /// None.
    Never,
}

impl Branches {
    /// The effects of a step as this policy has them.
    pub(crate) fn over(self, mut effects: Vec<Effect>) -> Vec<Effect> {
        let exclusive = match self {
            Branches::Model => return effects,
            Branches::Always => false,
            Branches::Never => true,
        };
        for effect in &mut effects {
            if let Effect::CreateJob(job) = effect {
                job.exclusive = exclusive;
            }
        }
        effects
    }
}
