//! What placement promises.

use super::*;

fn candidate(name: &str) -> Candidate {
    Candidate {
        site: SiteId::named(name),
        weight: 100,
        running: 0,
        near: Near::Elsewhere,
        open: Open::Yes,
    }
}

fn question<'a>(candidates: &'a [Candidate]) -> Question<'a> {
    Question {
        candidates,
        policy: Policy::Weighted,
        constraints: &[],
        tenant: None,
        business_key: None,
        hints: &[],
        random: 0,
    }
}

fn shares(question: &Question<'_>) -> Vec<usize> {
    let mut counts = vec![0; question.candidates.len()];
    for random in 0..3000_u64 {
        let site = place(&Question {
            random: random.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            ..question.clone()
        })
        .unwrap();
        counts[question
            .candidates
            .iter()
            .position(|c| c.site == site)
            .unwrap()] += 1;
    }
    counts
}

#[test]
fn weights_are_shares() {
    let mut candidates = vec![candidate("a"), candidate("b")];
    candidates[1].weight = 300;
    let counts = shares(&question(&candidates));
    assert!((600..900).contains(&counts[0]), "{counts:?}");
}

#[test]
fn weight_zero_takes_work_only_when_nothing_else_can() {
    let mut candidates = vec![candidate("a"), candidate("b")];
    candidates[0].weight = 0;
    assert_eq!(shares(&question(&candidates))[0], 0);
    candidates[1].open = Open::No;
    assert_eq!(place(&question(&candidates)), Ok(SiteId::named("a")));
}

#[test]
fn a_hint_wins_while_its_site_is_open() {
    let mut candidates = vec![candidate("a"), candidate("b")];
    let hints = [SiteId::named("b")];
    let asked = Question {
        hints: &hints,
        ..question(&candidates)
    };
    assert_eq!(place(&asked), Ok(SiteId::named("b")));
    candidates[1].open = Open::No;
    let asked = Question {
        hints: &hints,
        ..question(&candidates)
    };
    assert_eq!(place(&asked), Ok(SiteId::named("a")));
}

#[test]
fn a_constraint_is_never_bent() {
    let mut candidates = vec![candidate("a"), candidate("b")];
    let constraints = [Constraint {
        tenant: "eu-*".into(),
        sites: vec!["a".into()],
    }];
    let hints = [SiteId::named("b")];
    let asked = Question {
        constraints: &constraints,
        tenant: Some("eu-north"),
        hints: &hints,
        ..question(&candidates)
    };
    assert_eq!(place(&asked), Ok(SiteId::named("a")));
    candidates[0].open = Open::No;
    let asked = Question {
        constraints: &constraints,
        tenant: Some("eu-north"),
        ..question(&candidates)
    };
    assert_eq!(
        place(&asked),
        Err(Refused::NoneOpen(vec![SiteId::named("a")]))
    );
    let only_b = [candidate("b")];
    let asked = Question {
        constraints: &constraints,
        tenant: Some("eu-north"),
        ..question(&only_b)
    };
    assert_eq!(place(&asked), Err(Refused::Constraint));
    let asked = Question {
        constraints: &constraints,
        tenant: Some("us"),
        ..question(&only_b)
    };
    assert_eq!(place(&asked), Ok(SiteId::named("b")));
}

#[test]
fn hashed_keys_stay_when_another_site_goes() {
    let all = [candidate("a"), candidate("b"), candidate("c")];
    let fewer = [candidate("a"), candidate("b")];
    let mut counts = [0; 3];
    for number in 0..3000 {
        let key = format!("order-{number}");
        let ask = |candidates| {
            place(&Question {
                policy: Policy::HashBusinessKey,
                business_key: Some(&key),
                ..question(candidates)
            })
            .unwrap()
        };
        let before = ask(&all);
        counts[all.iter().position(|c| c.site == before).unwrap()] += 1;
        if before != SiteId::named("c") {
            assert_eq!(ask(&fewer), before);
        }
    }
    assert!(
        counts.iter().all(|count| (800..1200).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn the_least_loaded_site_is_chosen() {
    let mut candidates = vec![candidate("a"), candidate("b")];
    candidates[0].running = 9;
    assert_eq!(
        place(&Question {
            policy: Policy::LeastLoaded,
            ..question(&candidates)
        }),
        Ok(SiteId::named("b"))
    );
}

#[test]
fn the_own_zone_comes_first() {
    let mut candidates = vec![candidate("a"), candidate("b")];
    candidates[1].near = Near::Here;
    let counts = shares(&Question {
        policy: Policy::Locality,
        ..question(&candidates)
    });
    assert_eq!(counts[0], 0);
}
