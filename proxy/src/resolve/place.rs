//! Choosing a home for what has none, purely.
//!
//! Owns the placement policies and hard constraints. Must not read clock, store or network; randomness is handed in.

use homing_mapping_store::SiteId;
use xxhash_rust::xxh3::xxh3_64;

/// How homes are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// By weight.
    #[default]
    Weighted,
    /// The site with the least running requests per weight.
    LeastLoaded,
    /// The same business key goes to the same site.
    HashBusinessKey,
    /// The same tenant goes to the same site.
    HashTenant,
    /// The router's own zone first.
    Locality,
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Policy::Weighted => "weighted",
            Policy::LeastLoaded => "least-loaded",
            Policy::HashBusinessKey => "hash-business-key",
            Policy::HashTenant => "hash-tenant",
            Policy::Locality => "locality",
        })
    }
}

/// Hard constraint: this tenant only at these sites, also in a failover.
pub type Constraint = homing_config::settings::Constraint;

/// A site that could take the new thing.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The site.
    pub site: SiteId,
    /// Share of placements.
    pub weight: u32,
    /// Requests of this router that run there.
    pub running: usize,
    /// Whether its serving installation is in the router's own zone.
    pub near: Near,
    /// Whether it takes new work now.
    pub open: Open,
}

/// Whether a site is in the router's own zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Near {
    /// Same zone.
    Here,
    /// Another zone, or unknown.
    Elsewhere,
}

/// Whether a site takes new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It does.
    Yes,
    /// It is not available, or was tried just now.
    No,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// All sites of the group.
    pub candidates: &'a [Candidate],
    /// Policy in force.
    pub policy: Policy,
    /// Constraints in force.
    pub constraints: &'a [Constraint],
    /// Tenant of the request.
    pub tenant: Option<&'a str>,
    /// Business key of the request.
    pub business_key: Option<&'a str>,
    /// Homes to prefer, strongest first: of the business key, of the user.
    pub hints: &'a [SiteId],
    /// Any number.
    pub random: u64,
}

/// Why no site was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The constraint allows no site of this group at all.
    Constraint,
    /// Sites are allowed, but none takes new work now.
    NoneOpen(Vec<SiteId>),
}

/// Chooses a site.
pub fn place(question: &Question<'_>) -> Result<SiteId, Refused> {
    let allowed: Vec<&Candidate> = question
        .candidates
        .iter()
        .filter(|c| allows(question, c.site))
        .collect();
    if allowed.is_empty() {
        return Err(Refused::Constraint);
    }
    let open: Vec<&Candidate> = allowed
        .iter()
        .copied()
        .filter(|c| c.open == Open::Yes)
        .collect();
    if open.is_empty() {
        return Err(Refused::NoneOpen(allowed.iter().map(|c| c.site).collect()));
    }
    if let Some(hint) = question
        .hints
        .iter()
        .find(|hint| open.iter().any(|c| c.site == **hint))
    {
        return Ok(*hint);
    }
    // A site of weight 0 takes new work only when nothing else can.
    let weighted: Vec<&Candidate> = open.iter().copied().filter(|c| c.weight > 0).collect();
    let pool = if weighted.is_empty() { open } else { weighted };
    Ok(choose(question, &pool).unwrap_or(pool[0]).site)
}

fn choose<'c>(question: &Question<'_>, pool: &[&'c Candidate]) -> Option<&'c Candidate> {
    match question.policy {
        Policy::Weighted => weighted(pool, question.random),
        Policy::LeastLoaded => least_loaded(pool, question.random),
        Policy::HashBusinessKey => by_hash(pool, question.business_key, question.random),
        Policy::HashTenant => by_hash(pool, question.tenant, question.random),
        Policy::Locality => {
            let near: Vec<&Candidate> = pool
                .iter()
                .copied()
                .filter(|c| c.near == Near::Here)
                .collect();
            weighted(if near.is_empty() { pool } else { &near }, question.random)
        }
    }
}

fn allows(question: &Question<'_>, site: SiteId) -> bool {
    let Some(tenant) = question.tenant else {
        return true;
    };
    allowed(question.constraints, tenant, site)
}

/// Whether a tenant's work may be at a site.
pub fn allowed(constraints: &[Constraint], tenant: &str, site: SiteId) -> bool {
    constraints
        .iter()
        .filter(|c| c.matches(tenant))
        .all(|c| c.sites.iter().any(|name| name == site.name()))
}

fn weighted<'c>(pool: &[&'c Candidate], random: u64) -> Option<&'c Candidate> {
    let total: u64 = pool.iter().map(|c| u64::from(c.weight.max(1))).sum();
    let mut at = random % total.max(1);
    for candidate in pool {
        let weight = u64::from(candidate.weight.max(1));
        if at < weight {
            return Some(candidate);
        }
        at -= weight;
    }
    None
}

fn least_loaded<'c>(pool: &[&'c Candidate], random: u64) -> Option<&'c Candidate> {
    let load = |c: &Candidate| (c.running as u64 + 1) * 1_000_000 / u64::from(c.weight.max(1));
    let least = pool.iter().map(|c| load(c)).min()?;
    let ties: Vec<&Candidate> = pool.iter().copied().filter(|c| load(c) == least).collect();
    weighted(&ties, random)
}

/// Weighted rendezvous hashing: when a site goes away only its own keys move.
fn by_hash<'c>(pool: &[&'c Candidate], key: Option<&str>, random: u64) -> Option<&'c Candidate> {
    let Some(key) = key else {
        return weighted(pool, random);
    };
    let score = |c: &Candidate| {
        let mut text = Vec::with_capacity(key.len() + 64);
        text.extend_from_slice(c.site.name().as_bytes());
        text.push(0);
        text.extend_from_slice(key.as_bytes());
        // A number in (0, 1]; the score is -weight / ln(x).
        let x = (xxh3_64(&text) >> 11) as f64 / (1_u64 << 53) as f64;
        -f64::from(c.weight.max(1)) / x.max(f64::MIN_POSITIVE).ln()
    };
    pool.iter()
        .copied()
        .max_by(|a, b| score(a).total_cmp(&score(b)))
}

#[cfg(test)]
mod tests;
