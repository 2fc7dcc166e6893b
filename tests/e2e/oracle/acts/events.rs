//! Messages that start, that are waited for and that do both; signals of both kinds.

use serde_json::{Value, json};

use super::{Act, pick};
use crate::oracle::{
    step::Step,
    world::{Thing, World},
};

pub(super) fn act(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    let key = world.key(random);
    let mut body = match random.usize(..9) {
        0 | 1 => {
            json!({ "messageName": "begin-MARK", "businessKey": key, "processVariables": { "prio": { "value": 20 } } })
        }
        2 => json!({ "messageName": "both-MARK", "businessKey": key }),
        3 => {
            json!({ "messageName": "both-MARK", "correlationKeys": { "prio": { "value": 50, "type": "Integer" } } })
        }
        4 => json!({ "messageName": "paid-MARK", "businessKey": key }),
        5 => {
            json!({ "messageName": "paid-MARK", "correlationKeys": { "cityMARK": { "value": "Ulm", "type": "String" } } })
        }
        6 => json!({ "messageName": "paid-MARK", "all": true, "businessKey": key }),
        7 => return Some(Act::wide(signal(random, world))),
        _ => {
            let waits = world.at(random, Thing::Subscription, "/waits/payment")?;
            let (instance, _) = waits.split_once("/waits")?;
            json!({ "messageName": "paid-MARK", "processInstanceId": format!("{{{{{instance}}}}}") })
        }
    };
    if random.bool() {
        body["resultEnabled"] = true.into();
    }
    Some(Act::wide(vec![Step::post("/message", body)]))
}

fn signal(random: &mut fastrand::Rng, world: &World) -> Vec<Step> {
    let waiting = world
        .at(random, Thing::Subscription, "/waits/on-signal")
        .filter(|_| random.bool());
    let body: Value = match waiting {
        // One execution's signal needs its id, which a subscription names.
        Some(_) => json!({ "name": "wake-MARK" }),
        None => json!({ "name": pick(random, &["open-MARK", "nobody-MARK"]) }),
    };
    vec![Step::post("/signal", body)]
}
