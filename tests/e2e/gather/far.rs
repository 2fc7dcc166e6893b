//! Pages far behind in lists of two sites, against both databases.

use homing_harness::{outcome::Promise, pair::Pair};
use std::cmp::Ordering;

/// Tasks at site a and b. Those of b end earlier, so that the sites do not take turns.
const TASKS: [usize; 2] = [900, 700];
const SIZE: usize = 12;

/// Tasks of no process. Some were made in the same millisecond, also at both sites; priorities have few values.
fn insert(site: usize, tasks: usize) -> String {
    format!(
        "WITH made AS (INSERT INTO act_ru_task (id_, rev_, name_, priority_, create_time_, due_date_, suspension_state_) \
         SELECT gen_random_uuid()::text, 1, 'far-' || n, n % 3, \
         timestamp '2003-01-01' + n / {} * interval '10 milliseconds', \
         CASE WHEN n % 7 > 0 THEN timestamp '2003-02-01' + (n * 7919 % 1009) * interval '1 minute' END, 1 \
         FROM generate_series(1, {tasks}) n RETURNING 1) SELECT count(*)::text FROM made",
        2 + site
    )
}

const ROWS: &str = "SELECT id_ || ' ' || priority_ || ' ' || to_char(create_time_, 'YYYYMMDDHH24MISSMS') || ' ' \
     || coalesce(to_char(due_date_, 'YYYYMMDDHH24MI'), '~') FROM act_ru_task WHERE name_ LIKE 'far-%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_far_behind_are_the_union_of_both_databases() -> Promise {
    let pair = Pair::shared().await?;
    let sites = [&pair.a, &pair.b];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (number, site) in sites.iter().enumerate() {
        site.database()
            .column(&insert(number, TASKS[number]))
            .await?;
        let held = site.database().column(ROWS).await?;
        rows.extend(
            held.iter()
                .map(|row| row.split(' ').map(str::to_owned).collect()),
        );
    }
    let router = super::router("gather-far", pair).await?;
    let client = router.client("/engine-rest");
    let all = TASKS[0] + TASKS[1];
    assert_eq!(rows.len(), all);
    // A missing due date is above all others, as PostgreSQL has it and as `~` stands behind digits.
    for (by, column) in [("created", 2), ("dueDate", 3), ("priority", 1)] {
        for order in ["asc", "desc"] {
            rows.sort_by(|one, two| {
                let ordering = one[column].cmp(&two[column]);
                let ordering = if order == "asc" {
                    ordering
                } else {
                    Ordering::reverse(ordering)
                };
                ordering.then_with(|| one[0].cmp(&two[0]))
            });
            for first in [530, 800, 1_111, all - SIZE, all - 5, all, all + 700] {
                let path = format!(
                    "/task?nameLike=far-%25&sortBy={by}&sortOrder={order}&firstResult={first}&maxResults={SIZE}"
                );
                let page = client.get(&path).await?.expect(200)?;
                assert_eq!(page.header("homing-missing-sites"), None, "{path}");
                let wanted: Vec<String> = rows
                    .iter()
                    .skip(first)
                    .take(SIZE)
                    .map(|row| row[0].clone())
                    .collect();
                assert_eq!(super::queries::ids(&page.json()?)?, wanted, "{path}");
            }
        }
    }
    for site in sites {
        let gone = "WITH gone AS (DELETE FROM act_ru_task WHERE name_ LIKE 'far-%' RETURNING 1) SELECT count(*)::text FROM gone";
        site.database().column(gone).await?;
    }
    Ok(())
}
