//! Which story is told: what is lost, what stands by, and who acknowledges.
//!
//! Owns the command's words. Must not start anything.

use anyhow::{Result, bail};

pub(crate) const USAGE: &str = "usage: demo-failover [--cold] [--agent-lives | --planned]";

/// Without words: the whole place is lost, its agent too, and a warm engine stands by.
#[derive(Clone, Copy, Default)]
pub(crate) struct Story {
    /// The standby's engine does not run until its agent starts it.
    pub(crate) cold: bool,
    pub(crate) loss: Loss,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Agent, engine and database: the fence is proven by time.
    #[default]
    Everything,
    /// Engine and database, on another host than the agent: it acknowledges the fence.
    Host,
    /// Nothing: somebody orders a switchover.
    Nothing,
}

impl Story {
    pub(crate) fn of(words: impl Iterator<Item = String>) -> Result<Story> {
        let mut story = Story::default();
        for word in words {
            let loss = match word.as_str() {
                "--cold" => {
                    story.cold = true;
                    continue;
                }
                "--agent-lives" => Loss::Host,
                "--planned" => Loss::Nothing,
                _ => bail!("unknown argument {word}"),
            };
            if story.loss != Loss::Everything {
                bail!("{word} beside another loss");
            }
            story.loss = loss;
        }
        Ok(story)
    }

    pub(crate) fn standby(self) -> &'static str {
        if self.cold {
            "cold: its agent starts the engine"
        } else {
            "warm: its engine runs beside the replica"
        }
    }
}

impl Loss {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Loss::Everything => {
                "kill -9: the first place's agent, engine and database, all at once; nobody gives an order"
            }
            Loss::Host => {
                "kill -9: the first place's engine and database; its agent lives and can say so; nobody gives an order"
            }
            Loss::Nothing => "switchover: the first place works, and somebody orders the other",
        }
    }
}
