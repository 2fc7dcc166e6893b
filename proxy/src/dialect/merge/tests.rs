//! Promises of the merge, on generated sites.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn rows_that_agree_count_once_over_all_sites() {
    let list = |rows: Value| Bytes::from(rows.to_string());
    let by: Vec<Box<str>> = vec!["key".into(), "tenantId".into()];
    let count = distinct(
        &by,
        &[
            list(json!([{ "key": "a", "n": 1 }, { "key": "b" }, { "key": "a", "tenantId": "t" }])),
            list(json!([{ "key": "a", "tenantId": null, "n": 2 }, { "key": "c" }])),
        ],
    );
    assert_eq!(count, Ok(list(json!({ "count": 4 }))));
    assert_eq!(
        distinct(&by, &[list(json!({ "count": 4 }))]),
        Err(Malformed)
    );
}

/// One site: an engine's list over its own database.
#[derive(Debug)]
struct Site {
    rows: Vec<Value>,
    nulls: Nulls,
    /// Changes with every question: engines give rows that are equal in the sort value in any order.
    shuffle: std::cell::Cell<u64>,
}

fn priority(row: &Value) -> Option<i64> {
    row["priority"].as_i64()
}

fn sort(rows: &mut [Value], direction: Direction, nulls: Nulls, ties: impl Fn(&Value) -> Value) {
    let rank = |row: &Value| match (priority(row), nulls) {
        (Some(value), _) => (0, value),
        (None, Nulls::High) => (1, 0),
        (None, Nulls::Low) => (-1, 0),
    };
    rows.sort_by(|one, two| {
        let by_key = rank(one).cmp(&rank(two));
        let by_key = if direction == Direction::Ascending {
            by_key
        } else {
            by_key.reverse()
        };
        by_key.then_with(|| ties(one).to_string().cmp(&ties(two).to_string()))
    });
}

impl Site {
    /// The answer to a question for that many rows.
    fn answer(&self, direction: Direction, settled: bool, asked: Option<usize>) -> String {
        let mut rows = self.rows.clone();
        let turn = self.shuffle.get();
        self.shuffle
            .set(turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        let chance = |row: &Value| {
            json!(xxhash_rust::xxh3::xxh3_64_with_seed(
                row.to_string().as_bytes(),
                turn
            ))
        };
        sort(&mut rows, direction, self.nulls, |row| {
            if settled {
                row["id"].clone()
            } else {
                chance(row)
            }
        });
        rows.truncate(asked.unwrap_or(usize::MAX));
        Value::Array(rows).to_string()
    }
}

fn plan(direction: Direction, ties: Ties, page: Page) -> Rows {
    let order = vec![By {
        member: "priority".into(),
        reading: Reading::Number,
        direction,
    }];
    Rows {
        order,
        ties,
        page,
        body: None,
        shape: Shape::List,
    }
}

/// What the gathering step does, without a network.
fn gathered(sites: &[Site], plan: &Rows, settled: bool, nulls: Nulls) -> Vec<Value> {
    let answers: Vec<(String, Option<usize>)> = sites
        .iter()
        .map(|site| {
            let mut asked = plan.ask();
            loop {
                let answer = site.answer(plan.order[0].direction, settled, asked);
                let rows = plan
                    .read(&Bytes::from(answer.clone()), Casing::Unknown)
                    .unwrap();
                match asked.and_then(|asked| plan.ask_again(&rows, asked)) {
                    Some(more) => asked = Some(more),
                    None => return (answer, asked),
                }
            }
        })
        .collect();
    let rows = answers.iter().map(|(answer, asked)| {
        let mut rows = plan
            .read(&Bytes::from(answer.clone()), Casing::Unknown)
            .unwrap();
        plan.settle(&mut rows, *asked);
        rows
    });
    serde_json::from_slice(&plan.merge(rows.collect(), nulls)).unwrap()
}

prop_compose! {
    fn sites(nulls: Nulls)(
        placed in prop::collection::vec((0usize..3, prop::option::of(0i64..6)), 0..120),
    ) -> Vec<Site> {
        let mut sites: Vec<Site> =
            (0..3).map(|number| Site { rows: Vec::new(), nulls, shuffle: std::cell::Cell::new(number) }).collect();
        for (number, (site, priority)) in placed.into_iter().enumerate() {
            let id = format!("{:08x}", (number as u64).wrapping_mul(2_654_435_761) as u32);
            sites[site].rows.push(json!({ "id": id, "priority": priority }));
        }
        sites
    }
}

fn ways() -> impl Strategy<Value = (Direction, Nulls, bool)> {
    let direction = prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)];
    (
        direction,
        prop_oneof![Just(Nulls::High), Just(Nulls::Low)],
        any::<bool>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn pages_joined_are_the_list_that_one_database_would_give(
        (direction, nulls, settled, sites, size) in ways().prop_flat_map(|(direction, nulls, settled)| {
            (Just(direction), Just(nulls), Just(settled), sites(nulls), 1usize..40)
        }),
    ) {
        let ties = if settled { Ties::None } else { Ties::Loose };
        let mut whole: Vec<Value> = sites.iter().flat_map(|site| site.rows.clone()).collect();
        sort(&mut whole, direction, nulls, |row| row["id"].clone());
        let mut joined = Vec::new();
        loop {
            let page = Page { first: joined.len(), max: Some(size) };
            let rows = gathered(&sites, &plan(direction, ties, page), settled, nulls);
            prop_assert!(rows.len() <= size);
            if rows.is_empty() {
                break;
            }
            joined.extend(rows);
        }
        prop_assert_eq!(&joined, &whole);
        let all = gathered(&sites, &plan(direction, ties, Page::default()), settled, nulls);
        prop_assert_eq!(&all, &whole);
    }

    /// A database that sorts in an order that the router does not know (collation, another place for nulls).
    #[test]
    fn no_row_is_lost_or_given_twice_when_a_site_sorts_in_another_way(
        sites in sites(Nulls::Low), other in sites(Nulls::High), size in 1usize..40,
    ) {
        let mut sites = sites;
        for (number, mut site) in other.into_iter().enumerate() {
            for row in &mut site.rows {
                row["id"] = json!(format!("other-{number}-{}", row["id"]));
            }
            sites.push(site);
        }
        let count: usize = sites.iter().map(|site| site.rows.len()).sum();
        let mut seen = std::collections::BTreeSet::new();
        let mut read = 0;
        loop {
            let page = Page { first: read, max: Some(size) };
            let rows = gathered(&sites, &plan(Direction::Ascending, Ties::Loose, page), false, Nulls::High);
            if rows.is_empty() {
                break;
            }
            read += rows.len();
            seen.extend(rows.iter().map(|row| row["id"].to_string()));
        }
        prop_assert_eq!((read, seen.len()), (count, count));
    }

    #[test]
    fn no_answer_of_a_site_makes_the_merge_panic(body in ".{0,60}", json in "[\\[\\]{}\":,0-9a-z ]{0,40}") {
        let plan = plan(Direction::Ascending, Ties::Loose, Page { first: 3, max: Some(2) });
        for body in [body, json] {
            if let Ok(mut rows) = plan.read(&Bytes::from(body.to_owned()), Casing::Unknown) {
                plan.settle(&mut rows, Some(1));
                plan.merge(vec![rows], Nulls::High);
            }
            let bodies = [Bytes::from(body)];
            let sum = Sum { by: vec!["a/b".into()], kept: &[], order: Vec::new(), page: Page::default() };
            let _ = (counted(&bodies[0]), union(&bodies), concat(&bodies), added(&bodies), summed(&sum, &bodies));
        }
    }
}

/// What looking for a far page does, without a network: the page if it is proven, and the looks that it took.
fn looked(sites: &[Site], plan: &Rows, nulls: Nulls) -> (Option<Vec<Value>>, usize) {
    let window = |site: &Site, (first, max): (usize, usize)| {
        let answer = site.answer(plan.order[0].direction, false, Some(first + max));
        let mut rows = plan.read(&Bytes::from(answer), Casing::Unknown).unwrap();
        let rows = rows.split_off(first.min(rows.len()));
        let is_last = rows.len() < max;
        Window {
            first,
            rows,
            is_last,
        }
    };
    let Some(mut seek) = plan.seek(sites.len()) else {
        return (None, 0);
    };
    let heads: Vec<Window> = sites.iter().map(|site| window(site, (0, 1))).collect();
    for (number, head) in heads.iter().enumerate() {
        seek.saw(number, head);
    }
    let heads: Vec<Option<&Row>> = heads.iter().map(|head| head.rows.first()).collect();
    for look in 1..9 {
        let Some(places) = seek.places() else { break };
        let pairs = sites.iter().zip(places);
        let windows: Vec<Window> = pairs.map(|(site, place)| window(site, place)).collect();
        for (number, window) in windows.iter().enumerate() {
            seek.saw(number, window);
        }
        let windows: Vec<&Window> = windows.iter().collect();
        if let Some(page) = seek.page(&windows, &heads, nulls) {
            return (Some(serde_json::from_slice(&page).unwrap()), look);
        }
    }
    (None, 8)
}

/// Sites of such sizes, with a key for each number.
fn long(sizes: &[usize], nulls: Nulls, key: impl Fn(usize, usize) -> Option<i64>) -> Vec<Site> {
    let site = |(site, size): (usize, &usize)| Site {
        rows: (0..*size)
            .map(|number| {
                let mixed = ((number * 3 + site) as u32).wrapping_mul(2_654_435_761);
                json!({ "id": format!("{mixed:08x}"), "priority": key(site, number) })
            })
            .collect(),
        nulls,
        shuffle: std::cell::Cell::new(site as u64),
    };
    sizes.iter().enumerate().map(site).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// With rows without a value first or last, as the databases have told.
    #[test]
    fn a_far_page_that_is_proven_is_the_one_of_the_whole_lists(
        direction in prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)],
        nulls in any::<bool>(),
        sizes in prop::collection::vec(0usize..1500, 3),
        (spread, few, every) in (1i64..4000, 0i64..9, prop_oneof![Just(usize::MAX), 2usize..900]),
        (first, max) in (500usize..4000, 1usize..40),
    ) {
        let order = |is_low| if is_low { Nulls::Low } else { Nulls::High };
        let sites = long(&sizes, order(nulls), |site, number| {
            let key = (number as i64 * 7919 + site as i64 * few) % spread;
            (number % every != every - 1).then_some(key + site as i64 * few)
        });
        let plan = plan(direction, Ties::Loose, Page { first, max: Some(max) });
        if let (Some(page), _) = looked(&sites, &plan, order(nulls)) {
            prop_assert_eq!(page, gathered(&sites, &plan, false, order(nulls)));
        }
    }
}

#[test]
fn a_far_page_is_found_in_few_looks() {
    let page = |first| {
        plan(
            Direction::Descending,
            Ties::Loose,
            Page {
                first,
                max: Some(50),
            },
        )
    };
    let even = long(&[4000, 4000, 4000], Nulls::High, |site, number| {
        Some((number * 3 + site) as i64)
    });
    let uneven = long(&[9000, 900, 0], Nulls::High, |site, number| {
        Some((number * (1 + site * 7) + site * 500) as i64)
    });
    let curved = long(&[5000, 5000, 2000], Nulls::High, |site, number| {
        Some((number * number) as i64 + site as i64 * 999)
    });
    for (sites, looks) in [(even, 1), (uneven, 5), (curved, 6)] {
        for first in [600, 6000, 9000] {
            let plan = page(first);
            let (found, took) = looked(&sites, &plan, Nulls::High);
            assert_eq!(found.unwrap(), gathered(&sites, &plan, false, Nulls::High));
            assert!(took <= looks, "{took} looks");
        }
    }
    let rows = |sizes: &[usize]| {
        let sites = long(sizes, Nulls::High, |_, number| Some(number as i64));
        looked(&sites, &page(5000), Nulls::High)
            .0
            .map(|rows| rows.len())
    };
    assert_eq!(rows(&[1700, 1700, 1640]), Some(40), "the last page");
    assert!(
        rows(&[1000, 1000, 1000]).is_none_or(|rows| rows == 0),
        "behind the last page"
    );
}

#[test]
fn a_far_page_of_equal_rows_is_read_from_the_beginning() {
    let plan = plan(
        Direction::Ascending,
        Ties::Loose,
        Page {
            first: 3000,
            max: Some(50),
        },
    );
    let equal = long(&[2000, 2000], Nulls::High, |_, _| Some(50));
    assert_eq!(looked(&equal, &plan, Nulls::High).0, None);
    let text = Rows {
        order: vec![By {
            reading: Reading::Text,
            ..plan.order[0].clone()
        }],
        ..plan
    };
    assert!(text.seek(2).is_none(), "a database sorts texts as it likes");
}

#[test]
fn rows_pass_byte_by_byte() {
    let one = Bytes::from_static(
        br#"[ {"priority":1.0e0 ,"id" : "a","x":{"\u0041":[1, 2]}},{"id":"c","priority":3}]"#,
    );
    let two = Bytes::from_static(br#"[{"id":"b","priority":2,"note":"\/"}]"#);
    let plan = plan(Direction::Ascending, Ties::None, Page::default());
    let rows = vec![
        plan.read(&one, Casing::Unknown).unwrap(),
        plan.read(&two, Casing::Unknown).unwrap(),
    ];
    let merged = plan.merge(rows, Nulls::High);
    let text = std::str::from_utf8(&merged).unwrap();
    assert_eq!(
        text,
        r#"[{"priority":1.0e0 ,"id" : "a","x":{"\u0041":[1, 2]}},{"id":"b","priority":2,"note":"\/"},{"id":"c","priority":3}]"#
    );
}

#[test]
fn a_row_whose_place_nobody_knows_is_not_merged() {
    let mut plan = plan(Direction::Ascending, Ties::Loose, Page::default());
    plan.order[0].member = "name".into();
    plan.order[0].reading = Reading::Folded;
    let body = Bytes::from(r#"[{"id":"1","name":"a"},{"id":"2","name":"Ä"}]"#);
    let unclear = Unmerged::Unclear { by: "name".into() };
    assert_eq!(plan.read(&body, Casing::Unknown).unwrap_err(), unclear);
    // Sites whose databases are known: each row stands where its own one has it.
    let all = plan.read(&body, Casing::All).unwrap();
    let ascii = Bytes::from(r#"[{"id":"3","name":"Ä"},{"id":"4","name":"ä"}]"#);
    let ascii = plan.read(&ascii, Casing::Ascii).unwrap();
    let merged: Value = serde_json::from_slice(&plan.merge(vec![all, ascii], Nulls::High)).unwrap();
    let ids: Vec<&str> = merged
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["id"].as_str())
        .collect();
    assert_eq!(ids, ["1", "3", "2", "4"]);
}

#[test]
fn no_site_is_asked_for_more_rows_than_its_engine_can_read() {
    for (first, ties) in [(0, Ties::Loose), (20, Ties::None), (20, Ties::Loose)] {
        let max = Some(i32::MAX as usize);
        let plan = plan(Direction::Ascending, ties, Page { first, max });
        assert_eq!(plan.ask(), max, "{first} {ties:?}");
    }
}

#[test]
fn a_run_of_equal_rows_is_read_to_its_end_but_not_for_ever() {
    let plan = plan(
        Direction::Ascending,
        Ties::Loose,
        Page {
            first: 0,
            max: Some(10),
        },
    );
    let row = |priority: i64| json!({ "id": "x", "priority": priority });
    let equal = |count: usize| Value::Array(vec![row(1); count]).to_string();
    let again = |body: &str, asked: usize| {
        plan.ask_again(
            &plan
                .read(&Bytes::from(body.to_owned()), Casing::Unknown)
                .unwrap(),
            asked,
        )
    };
    let asked = plan.ask().unwrap();
    assert!(asked > 10);
    assert!(again(&equal(asked), asked).unwrap() > asked);
    assert_eq!(again(&equal(asked - 1), asked), None);
    let enough = Value::Array((0..asked as i64).map(row).collect()).to_string();
    assert_eq!(again(&enough, asked), None);
    assert_eq!(again(&equal(10_010), 10_010), None);
}

#[test]
fn sums_have_the_decimals_of_what_is_summed() {
    let sum = |numbers: &[&str]| {
        let bodies: Vec<Bytes> = numbers.iter().map(|one| one.to_string().into()).collect();
        String::from_utf8(added(&bodies).unwrap().to_vec()).unwrap()
    };
    assert_eq!(sum(&["0.1", "0.2"]), "0.3");
    assert_eq!(sum(&["19.99", "0.01", "100"]), "120.0");
    assert_eq!(sum(&["9223372036854775807", "1"]), "9223372036854775808");
    assert_eq!(
        sum(&["18446744073709551615", "1"]),
        "1.8446744073709552e+19"
    );
    assert_eq!(sum(&["1e300", "1e-300"]), "1e+300");
}

#[test]
fn statistics_are_summed_by_what_they_count() {
    let by = vec!["definition/key".into(), "definition/version".into()];
    let sum = Sum {
        by,
        kept: &["historyTimeToLive"],
        order: Vec::new(),
        page: Page::default(),
    };
    let row = |id: &str, instances: i64, incidents: Value| {
        json!({ "id": id, "instances": instances, "failedJobs": 1, "incidents": incidents, "historyTimeToLive": 30,
            "definition": { "id": id, "key": "order", "version": 2 } })
    };
    let one = json!([row(
        "order:2:a",
        3,
        json!([{ "incidentType": "failedJob", "incidentCount": 2 }])
    )]);
    let two = json!([
        row("order:2:b", 4, json!([{ "incidentType": "failedJob", "incidentCount": 5 }, { "incidentType": "x", "incidentCount": 1 }])),
        { "id": "other", "instances": 1, "definition": { "key": "other", "version": 1 } },
    ]);
    let lists = [Bytes::from(one.to_string()), Bytes::from(two.to_string())];
    let rows: Value = serde_json::from_slice(&summed(&sum, &lists).unwrap()).unwrap();
    assert_eq!(rows[0]["instances"], 7);
    assert_eq!(rows[0]["failedJobs"], 2);
    assert_eq!(rows[0]["historyTimeToLive"], 30);
    assert_eq!(
        rows[0]["definition"],
        json!({ "id": "order:2:a", "key": "order", "version": 2 })
    );
    let incidents = json!([{ "incidentType": "failedJob", "incidentCount": 7 }, { "incidentType": "x", "incidentCount": 1 }]);
    assert_eq!(rows[0]["incidents"], incidents);
    assert_eq!(rows[1]["id"], "other");
}

#[test]
fn sets_and_numbers_are_merged() {
    let lists = [
        Bytes::from_static(br#"["b","a"]"#),
        Bytes::from_static(br#"["c","b"]"#),
    ];
    assert_eq!(union(&lists).unwrap(), r#"["a","b","c"]"#);
    assert_eq!(concat(&lists).unwrap(), r#"["b","a","c","b"]"#);
    assert_eq!(
        added(&[Bytes::from_static(b"3"), Bytes::from_static(b"4")]).unwrap(),
        "7"
    );
    let objects = [
        Bytes::from_static(br#"{"open":1}"#),
        Bytes::from_static(br#"{"open":2,"done":5}"#),
    ];
    assert_eq!(added(&objects).unwrap(), r#"{"done":5,"open":3}"#);
    let mixed = [
        Bytes::from_static(br#"{"open":1}"#),
        Bytes::from_static(b"3"),
    ];
    assert_eq!(added(&mixed), Err(Malformed));
    assert_eq!(counted(br#"{"count":12}"#), Ok(12));
    assert_eq!(counted(b"<html>"), Err(Malformed));
    // More than clients can read.
    assert_eq!(counted(br#"{"count":9223372036854775808}"#), Err(Malformed));
}

#[test]
fn an_answer_of_another_shape_is_none() {
    for (list, number) in [
        ("[]", false),
        ("[1, {}]", false),
        ("7", true),
        ("{\"open\":1}", true),
        ("\"seven\"", false),
        ("null", false),
        ("[1", false),
        ("<html>", false),
        ("", false),
    ] {
        assert_eq!(
            promised(&Plan::Concat, list.as_bytes()),
            list.ends_with(']'),
            "{list}"
        );
        assert_eq!(promised(&Plan::Add, list.as_bytes()), number, "{list}");
    }
}
