//! The command line: verbs, options, exit codes.
//!
//! Owns the words that people type. Must not do the work; each verb has its own file.

mod agent;
mod audit;
mod backup;
mod change;
mod client;
mod config;
mod demo;
mod drill;
mod engine;
mod explain;
mod fate;
mod input;
mod map;
mod op;
mod output;
mod page;
mod pin;
mod quiesce;
mod rehome;
mod release;
mod restored;
mod serve;
mod site;
mod store;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// 0 ok, 1 failed, 2 usage, 3 refused by a safety rule, 4 stale plan or lost compare-and-set, 5 partly done, 69 the
/// router cannot be reached, 78 configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Stale = 4,
    Partly = 5,
    Unreachable = 69,
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An intelligent load balancer for process engines.
#[derive(Parser)]
#[command(name = "homing", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a router.
    Serve(serve::Serve),
    /// Run one node of Homing's own engine.
    Engine(engine::Engine),
    /// Run the agent beside one installation of a site.
    Agent(agent::Agent),
    /// Run two sites with own engines, a router and one sample process.
    Demo(demo::Demo),
    /// Check, show and compare configuration files.
    Config(config::Config),
    /// See sites, and say what is wanted of them.
    Site(site::Site),
    /// Keys and their homes.
    Map(map::Map),
    /// Overrides of single keys.
    Pin(pin::Pin),
    /// Say why a request would go where it goes; nothing is sent.
    Explain(explain::Explain),
    /// What becomes of an instance, or of all of a site, when its place fails; nothing is done.
    Fate(fate::Fate),
    /// The store is lost: another copy takes its place.
    Store(store::Store),
    /// The audit trail.
    Audit(audit::Audit),
    /// Say what would be done about a site or a zone; nothing is done.
    Plan(rehome::Plan),
    /// Carry out a plan that was made before.
    Apply(rehome::Apply),
    /// Have another installation serve a site, planned and reversible.
    Switchover(rehome::Act),
    /// Have another installation serve a site whose own one is down.
    Failover(rehome::Act),
    /// Switch a site back to the installation listed first.
    Failback(rehome::Act),
    /// Hand a site's live instances to other sites, where its engine can.
    Evacuate(rehome::Act),
    /// Plans that are carried out.
    Op(op::Op),
    /// Rehearse a switchover and its way back, with a report.
    Drill(drill::Drill),
}

/// Parses the arguments and runs the verb.
pub fn main() -> ExitCode {
    // The one TLS provider of this process; whoever comes second gets this one too.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            }
            .into();
        }
    };
    match arguments.verb {
        Verb::Serve(serve) => serve.run().into(),
        Verb::Engine(engine) => engine.run().into(),
        Verb::Agent(agent) => agent.run().into(),
        Verb::Demo(demo) => demo.run().into(),
        Verb::Config(config) => config.run(),
        Verb::Site(site) => site.run().into(),
        Verb::Map(map) => map.run().into(),
        Verb::Pin(pin) => pin.run().into(),
        Verb::Explain(explain) => explain.run().into(),
        Verb::Fate(fate) => fate.run().into(),
        Verb::Store(store) => store.run().into(),
        Verb::Audit(audit) => audit.run().into(),
        Verb::Plan(plan) => plan.run().into(),
        Verb::Apply(apply) => apply.run().into(),
        Verb::Switchover(act) => act.run(rehome::Verb::Switchover).into(),
        Verb::Failover(act) => act.run(rehome::Verb::Failover).into(),
        Verb::Failback(act) => act.run(rehome::Verb::Failback).into(),
        Verb::Evacuate(act) => act.run(rehome::Verb::Evacuate).into(),
        Verb::Drill(drill) => drill.run().into(),
        Verb::Op(op) => op.run().into(),
    }
}
