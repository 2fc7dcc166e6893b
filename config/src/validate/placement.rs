//! `[placement]`.
//!
//! Owns the check that placement names sites that exist and can take work. Must not place anything.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::File;
use crate::file::placement::{
    BusinessKeyFile, ConstraintFile, PolicyFile, StartEventsFile, StartTimersFile,
};
use crate::settings::{
    BusinessKey, Constraint, Placement, Policy, Site, StartEvents, StartTimers, UserSource,
};
use crate::suggest;
use crate::text::At;

impl Validate<'_> {
    pub(super) fn placement(&mut self, root: &File, sites: &[Site]) -> Placement {
        let file = &root.placement;
        if file.policy == PolicyFile::Locality {
            if root.router.zone.is_none() {
                let warning = Diagnostic::warning("zone-missing", "this router has no zone");
                self.report(warning.help(
                    "the policy `locality` then goes by weight alone; add `zone` to `[router]`",
                ));
            }
            for site in sites.iter().filter(|site| site.zone.is_none()) {
                let warning = Diagnostic::warning(
                    "zone-missing",
                    format!("site `{}` has no zone", site.name),
                );
                self.report(
                    warning.help(
                        "the policy `locality` treats it as far away; add `zone` to the site",
                    ),
                );
            }
        }
        Placement {
            policy: match file.policy {
                PolicyFile::Weighted => Policy::Weighted,
                PolicyFile::LeastLoaded => Policy::LeastLoaded,
                PolicyFile::HashBusinessKey => Policy::HashBusinessKey,
                PolicyFile::HashTenant => Policy::HashTenant,
                PolicyFile::Locality => Policy::Locality,
            },
            business_key: match file.business_key {
                BusinessKeyFile::Hint => BusinessKey::Hint,
                BusinessKeyFile::Claim => BusinessKey::Claim,
                BusinessKeyFile::Off => BusinessKey::Off,
            },
            start_timers: match file.start_timers {
                StartTimersFile::OneSite => StartTimers::OneSite,
                StartTimersFile::EverySite => StartTimers::EverySite,
            },
            start_events: match file.start_events {
                StartEventsFile::Placed => StartEvents::Placed,
                StartEventsFile::OneSite => StartEvents::OneSite,
            },
            sticky_user: file
                .sticky_user
                .as_ref()
                .and_then(|user| self.user_source(&user.from)),
            constraints: file
                .constraint
                .iter()
                .map(|constraint| self.constraint(constraint, sites))
                .collect(),
        }
    }

    fn user_source(&mut self, from: &At<String>) -> Option<UserSource> {
        let text = from.get().as_str();
        let (word, name) = text
            .split_once(':')
            .map_or((text, ""), |(word, name)| (word, name.trim()));
        let token = |name: &str| !name.is_empty() && name.chars().all(is_token);
        let parsed = match word {
            "basic" if name.is_empty() => Ok(UserSource::Basic),
            "bearer" if !name.is_empty() => Ok(UserSource::Bearer(name.to_owned())),
            "header" if token(name) => Ok(UserSource::Header(name.to_ascii_lowercase())),
            "cookie" if token(name) => Ok(UserSource::Cookie(name.to_owned())),
            "bearer" => Err("name the claim: \"bearer:sub\"".to_owned()),
            "header" => Err("name the header: \"header:X-User\"".to_owned()),
            "cookie" => Err("name the cookie: \"cookie:SID\"".to_owned()),
            "basic" => Err("write \"basic\" alone".to_owned()),
            other => Err(
                match suggest::nearest(other, ["basic", "bearer", "header", "cookie"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "use \"basic\", \"bearer:CLAIM\", \"header:NAME\" or \"cookie:NAME\""
                        .to_owned(),
                },
            ),
        };
        self.read("sticky-user", from, "a source of user names", parsed)
    }

    fn constraint(&mut self, file: &ConstraintFile, sites: &[Site]) -> Constraint {
        let tenant = file.tenant.get();
        if tenant.is_empty() || tenant.contains(['[', ']', '{', '}']) {
            self.report(
                Diagnostic::error(
                    "tenant-pattern",
                    format!("`{tenant}` is not a pattern of tenants"),
                )
                .at(
                    &file.tenant.span(),
                    "`*` is any run of characters, `?` is one",
                )
                .help("for several tenants write several constraints; for all write \"*\""),
            );
        }
        if file.sites.is_empty() {
            let problem = Diagnostic::error(
                "constraint",
                format!("the constraint for `{tenant}` leaves no site"),
            );
            self.report(
                problem
                    .at(&file.tenant.span(), "`sites` is empty")
                    .help("name at least one site"),
            );
        }
        for name in &file.sites {
            self.known_site(name);
        }
        let named = |site: &&Site| file.sites.iter().any(|name| *name.get() == site.name);
        let allowed: Vec<&Site> = sites.iter().filter(named).collect();
        if allowed.len() == file.sites.len()
            && !allowed.is_empty()
            && allowed.iter().all(|site| site.weight == 0)
        {
            let warning = Diagnostic::warning(
                "constraint",
                format!("no site may take new work of `{tenant}`"),
            );
            self.report(warning.at(
                &file.tenant.span(),
                "all sites of this constraint have weight 0",
            ));
        }
        Constraint {
            tenant: tenant.clone(),
            sites: file.sites.iter().map(|name| name.get().clone()).collect(),
        }
    }

    pub(super) fn known_site(&mut self, name: &At<String>) {
        if self.sites.iter().any(|known| known == name.get()) {
            return;
        }
        let known = self.sites.iter().map(String::as_str);
        let problem =
            Diagnostic::error("unknown-site", format!("there is no site `{}`", name.get()));
        let help = if self.sites.is_empty() {
            "add a `[[site]]`".into()
        } else {
            suggest::did_you_mean(name.get(), known)
        };
        self.report(problem.at(&name.span(), "no site has this name").help(help));
    }
}

/// Whether `c` may stand in a token of HTTP: names of headers and cookies, methods.
pub(super) fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}
