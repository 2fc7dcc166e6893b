//! Reads by a key: those that wait at the same time are one statement.
//!
//! Owns the form of such a statement: `{keys}` stands for a list of keys, and the first column of each row is the key that
//! it belongs to. Pure but for asking the reader.

use super::cell::{Cell, Row};
use super::database::Failure;
use super::statement::marks;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// One that waits.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) sql: String,
    pub(super) key: String,
    pub(super) answer: oneshot::Sender<Result<Vec<Row>, Failure>>,
}

/// Who can read.
pub(super) trait Read: Send {
    fn read(
        &mut self,
        sql: &str,
        keys: &[Cell],
    ) -> impl Future<Output = Result<Vec<Row>, Failure>> + Send;
}

/// Answers all of them, with one statement for each kind.
pub(super) async fn answer_all(by: &mut impl Read, group: Vec<Lookup>) {
    let mut kinds: Vec<(String, Vec<Lookup>)> = Vec::new();
    for lookup in group {
        match kinds.iter_mut().find(|(sql, _)| *sql == lookup.sql) {
            Some((_, same)) => same.push(lookup),
            None => kinds.push((lookup.sql.clone(), vec![lookup])),
        }
    }
    for (sql, lookups) in kinds {
        let keys = padded(lookups.iter().map(|lookup| lookup.key.as_str()));
        let (sql, parameters) = written(&sql, &keys);
        match by.read(&sql, &parameters).await {
            Ok(rows) => deal(rows, lookups),
            Err(failure) => {
                for lookup in lookups {
                    drop(lookup.answer.send(Err(failure.again())));
                }
            }
        }
    }
}

/// Each key once, and the last one again up to a power of two: few texts, so that each is prepared once.
fn padded<'k>(keys: impl Iterator<Item = &'k str>) -> Vec<Cell> {
    let mut all: Vec<&str> = keys.collect();
    all.sort_unstable();
    all.dedup();
    let count = all.len().next_power_of_two();
    let last = all.last().copied().unwrap_or_default();
    all.resize(count, last);
    all.into_iter().map(Cell::from).collect()
}

fn written(sql: &str, keys: &[Cell]) -> (String, Vec<Cell>) {
    let times = sql.matches("{keys}").count();
    let parameters = std::iter::repeat_n(keys, times).flatten().cloned();
    (
        sql.replace("{keys}", &marks(keys.len())),
        parameters.collect(),
    )
}

fn deal(rows: Vec<Row>, lookups: Vec<Lookup>) {
    let mut by_key: HashMap<String, Vec<Row>> = HashMap::new();
    for row in rows {
        by_key.entry(row.text(0)).or_default().push(row);
    }
    for lookup in lookups {
        let rows = by_key.get(&lookup.key).cloned().unwrap_or_default();
        drop(lookup.answer.send(Ok(rows)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table(Vec<(String, Vec<Cell>)>);

    impl Read for Table {
        async fn read(&mut self, sql: &str, keys: &[Cell]) -> Result<Vec<Row>, Failure> {
            self.0.push((sql.to_owned(), keys.to_vec()));
            let known = |key: &&Cell| **key != Cell::from("none");
            let mut keys: Vec<Cell> = keys.iter().filter(known).cloned().collect();
            keys.dedup();
            Ok(keys.into_iter().map(|key| Row(vec![key])).collect())
        }
    }

    #[tokio::test]
    async fn each_gets_the_rows_of_its_own_key_and_equal_statements_are_one() {
        let mut table = Table(Vec::new());
        let asked = [
            ("a", "1"),
            ("a", "2"),
            ("a", "none"),
            ("b", "1"),
            ("a", "1"),
        ];
        let (mut group, mut waits) = (Vec::new(), Vec::new());
        for (sql, key) in asked {
            let (answer, wait) = oneshot::channel();
            let sql = format!("{sql} IN {{keys}}");
            let key = key.to_owned();
            waits.push((key.clone(), wait));
            group.push(Lookup { sql, key, answer });
        }
        answer_all(&mut table, group).await;
        for (key, wait) in waits {
            let rows = wait.await.unwrap().unwrap();
            let expected = if key == "none" { vec![] } else { vec![key] };
            let keys: Vec<String> = rows.iter().map(|row| row.text(0)).collect();
            assert_eq!(keys, expected);
        }
        let texts: Vec<&str> = table.0.iter().map(|(sql, _)| sql.as_str()).collect();
        assert_eq!(texts, ["a IN (?,?,?,?)", "b IN (?)"]);
    }
}
