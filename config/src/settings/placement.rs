//! Settings of `[placement]`, ready to use.
//!
//! Owns the typed values. Must not read files, judge, or place anything.

/// Which site gets new work.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Placement {
    /// How a site is chosen when nothing else names one.
    pub policy: Policy,
    /// Where the name of the user is read who stays at one site.
    pub sticky_user: Option<UserSource>,
    /// What a business key means.
    pub business_key: BusinessKey,
    /// Which sites start what a timer starts.
    pub start_timers: StartTimers,
    /// Where messages, signals and conditions start what they start.
    pub start_events: StartEvents,
    /// Hard rules, the first that matches a tenant counts.
    pub constraints: Vec<Constraint>,
}

/// A placement policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// By weight.
    #[default]
    Weighted,
    /// By running requests over weight.
    LeastLoaded,
    /// Equal business keys together.
    HashBusinessKey,
    /// Equal tenants together.
    HashTenant,
    /// The nearest zone first.
    Locality,
}

/// What a business key means for placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BusinessKey {
    /// Prefer the homes that it already has.
    #[default]
    Hint,
    /// One home for each tenant, definition and key.
    Claim,
    /// Nothing.
    Off,
}

/// Which sites start what a timer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StartTimers {
    /// One for each definition.
    #[default]
    OneSite,
    /// Each by itself.
    EverySite,
}

/// Where messages, signals and conditions start what they start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StartEvents {
    /// Each start by itself, like any other.
    #[default]
    Placed,
    /// At the site that is armed for the event.
    OneSite,
}

/// Where a user's name is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserSource {
    /// HTTP basic authentication.
    Basic,
    /// This claim of a JSON web token.
    Bearer(String),
    /// This header, in small letters.
    Header(String),
    /// This cookie.
    Cookie(String),
}

/// Where a tenant's work may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// Pattern of the tenant: `*` any run of characters, `?` one.
    pub tenant: String,
    /// The only sites allowed.
    pub sites: Vec<String>,
}

impl Constraint {
    /// Whether the rule is about `tenant`.
    pub fn matches(&self, tenant: &str) -> bool {
        glob(self.tenant.as_bytes(), tenant.as_bytes())
    }
}

// Linear: on a mismatch only the last star is tried again, one byte further.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(b'?') => {
                at += 1;
                from += 1;
                // One character, not one byte: the rest of it goes along.
                while text.get(from).is_some_and(|byte| byte & 0xC0 == 0x80) {
                    from += 1;
                }
            }
            Some(byte) if text.get(from) == Some(byte) => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((star_at, star_from)) = star else {
                    return false;
                };
                star = Some((star_at, star_from + 1));
                at = star_at + 1;
                from = star_from + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_is_about_the_tenants_that_its_pattern_means() {
        let matches = |tenant: &str, name: &str| {
            Constraint {
                tenant: tenant.into(),
                sites: vec![],
            }
            .matches(name)
        };
        assert!(
            matches("eu-*", "eu-west") && matches("eu-*", "eu-") && !matches("eu-*", "us-eu-1")
        );
        assert!(matches("*", "") && matches("a*b*c", "a--b-b-c") && !matches("a*b*c", "a--b"));
        assert!(
            matches("t?t", "töt")
                && !matches("t?t", "tt")
                && matches("acme", "acme")
                && !matches("acme", "acme2")
        );
    }
}
