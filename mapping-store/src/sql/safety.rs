//! The safety rules, judged inside the transaction of the change that they guard.
//!
//! Owns what each rule means to the store. Must not change what it judges; an override that was needed is audited here,
//! with the rule and the person.

use super::session::args;
use super::sites::unknown;
use super::write::Write;
use crate::SiteId;
use crate::assignment::{Assignment, SiteState};
use crate::audit::AuditEntry;
use crate::store::Error;
use crate::switch::{Override, Rule, Switch};

/// What a rule says against a change.
struct Objection {
    rule: Rule,
    why: String,
}

pub(super) async fn judge_switch(
    write: &mut Write,
    before: &Assignment,
    number: i64,
    switch: &Switch,
    audit: &AuditEntry,
) -> Result<(), Error> {
    let mut objections = Vec::new();
    if switch.limits.freeze {
        let why = "the freeze switch is on".to_owned();
        objections.push(Objection {
            rule: Rule::Freeze,
            why,
        });
    }
    objections.extend(cool_down(write, before, switch).await?);
    objections.extend(share(write, switch).await?);
    objections.extend(last_available(write, number).await?);
    objections.extend(quarantined(write, number, switch).await?);
    overrule(write, switch.site, objections, &switch.overrides, audit).await
}

/// Of states only those that take a site out of work are judged.
pub(super) async fn judge_state(
    write: &mut Write,
    site: SiteId,
    number: i64,
    state: SiteState,
    overrides: &[Override],
    audit: &AuditEntry,
) -> Result<(), Error> {
    match state {
        SiteState::Ready => return Ok(()),
        SiteState::Draining | SiteState::Maintenance | SiteState::Quarantined => {}
    }
    let objections = last_available(write, number).await?.into_iter().collect();
    overrule(write, site, objections, overrides, audit).await
}

async fn overrule(
    write: &mut Write,
    site: SiteId,
    objections: Vec<Objection>,
    overrides: &[Override],
    audit: &AuditEntry,
) -> Result<(), Error> {
    for Objection { rule, why } in objections {
        let Some(word) = overrides.iter().find(|word| word.rule == rule) else {
            return Err(Error::Refused { rule, site, why });
        };
        let detail = serde_json::json!({ "rule": rule.as_str(), "against": why });
        let entry = AuditEntry {
            actor: word.person.clone(),
            action: "safety.override".into(),
            subject: site.name().into(),
            reason: Some(word.reason.clone()),
            detail: detail.to_string(),
            ..audit.clone()
        };
        write.audit(&entry).await?;
    }
    Ok(())
}

async fn cool_down(
    write: &mut Write,
    before: &Assignment,
    switch: &Switch,
) -> Result<Option<Objection>, Error> {
    let Some(last) = before.switched_at else {
        return Ok(None);
    };
    let now = write.session.now().await?;
    let past = u64::try_from(now.0.saturating_sub(last.0)).unwrap_or(0);
    Ok((past < switch.limits.cool_down_ms).then(|| Objection {
        rule: Rule::CoolDown,
        why: format!(
            "it was switched {past} ms ago, and the cool-down is {} ms",
            switch.limits.cool_down_ms
        ),
    }))
}

async fn quarantined(
    write: &mut Write,
    number: i64,
    switch: &Switch,
) -> Result<Option<Objection>, Error> {
    let found = super::quarantine::of(write, number, &switch.to).await?;
    Ok(found.map(|(generation, _)| Objection {
        rule: Rule::Quarantine,
        why: format!(
            "{} is in quarantine since the failover at generation {generation}; look at it and release it",
            switch.to
        ),
    }))
}

async fn share(write: &mut Write, switch: &Switch) -> Result<Option<Objection>, Error> {
    let sql = "SELECT COUNT(*), COUNT(pending) FROM assignments";
    let rows = write.session.rows(sql, args![]).await?;
    let row = rows.first().ok_or_else(|| unknown(switch.site))?;
    let (all, switching) = (row.number(0)?, row.number(1)?);
    let allowed = (all as f64 * switch.limits.share_at_once).floor().max(1.0) as u64;
    Ok((switching + 1 > allowed).then(|| Objection {
        rule: Rule::ShareAtOnce,
        why: format!("{switching} of {all} sites are switching, and {allowed} may at once"),
    }))
}

/// Whether the site is the last one that is ready, not switching, and not seen down by all routers that look at it. A
/// fleet of one site has no other to keep; a site that is not available itself takes nothing away.
async fn last_available(write: &mut Write, number: i64) -> Result<Option<Objection>, Error> {
    let now = write.session.now().await?;
    let sql = "SELECT s.site, s.state, a.pending, \
               (SELECT COUNT(*) FROM observations o WHERE o.site = s.site AND o.expires_at > $1), \
               (SELECT COUNT(*) FROM observations o WHERE o.site = s.site AND o.expires_at > $1 AND o.seen = 'down') \
               FROM sites s LEFT JOIN assignments a ON a.site = s.site";
    let rows = write.session.rows(sql, args![now]).await?;
    let (mut itself, mut others) = (false, 0);
    for row in &rows {
        let ready = row.int(1)? == super::registry::state_number(SiteState::Ready);
        let (watched, down) = (row.number(3)?, row.number(4)?);
        let seen_down = watched > 0 && down == watched;
        let available = ready && row.text_or_null(2)?.is_none() && !seen_down;
        if row.int(0)? == number {
            itself = available;
        } else if available {
            others += 1;
        }
    }
    Ok(
        (rows.len() > 1 && itself && others == 0).then(|| Objection {
            rule: Rule::LastAvailable,
            why: "no other site is available".to_owned(),
        }),
    )
}
