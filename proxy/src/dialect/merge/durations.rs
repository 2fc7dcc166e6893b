//! Reports of durations: least, greatest and average of each month or quarter.
//!
//! Owns the arithmetic. Averages cannot be averaged, because reports do not say of how many durations; so where two
//! sites report the same period, the report is made out of the rows of both. Must not know where rows come from. Relies
//! on timestamps in the local time of the engine that wrote them, as its own report has them.

use super::Malformed;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How rows become a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Durations {
    /// What the list of rows is asked, beside the report's own path.
    pub query: Box<str>,
    /// Member that holds the time which a row is put into a period by.
    pub when: &'static str,
    /// Member that holds its duration.
    pub took: &'static str,
    /// The periods.
    pub unit: Unit,
    /// Rows that are meant; nothing: all.
    pub only: Vec<Only>,
    /// The media type of comma-separated values, if the report is to be written so.
    pub csv: Option<&'static str>,
}

/// A member that must have one of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// The member.
    pub member: &'static str,
    /// The values.
    pub values: Vec<Box<str>>,
}

/// A part of the year; the same part of all years is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Unit {
    /// One of twelve.
    Month,
    /// One of four.
    Quarter,
}

impl Unit {
    /// Of a time as it is written: `2027-01-31T...`.
    fn of(self, time: &str) -> Option<u64> {
        let month: u64 = time.split('-').nth(1)?.parse().ok()?;
        let known = (1..=12).contains(&month);
        known.then(|| match self {
            Unit::Month => month,
            Unit::Quarter => month.div_ceil(3),
        })
    }
}

/// One row of a report.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Period {
    period: u64,
    period_unit: Unit,
    minimum: i64,
    maximum: i64,
    average: i64,
}

/// Durations of one period.
struct Seen {
    least: i64,
    greatest: i64,
    sum: i128,
    count: i128,
}

#[derive(Deserialize)]
struct Reported {
    period: u64,
}

/// The sites' reports in one, if no two of them have a period in common; else `None`.
pub fn apart(reports: &[Bytes]) -> Result<Option<Bytes>, Malformed> {
    let mut periods = BTreeMap::new();
    for report in reports {
        let rows: Vec<serde_json::Value> = serde_json::from_slice(report).map_err(|_| Malformed)?;
        for row in rows {
            let Reported { period } = Reported::deserialize(&row).map_err(|_| Malformed)?;
            if periods.insert(period, row).is_some() {
                return Ok(None);
            }
        }
    }
    let rows: Vec<_> = periods.into_values().collect();
    Ok(Some(serde_json::Value::Array(rows).to_string().into()))
}

/// The report that one engine would make of all these rows, by period.
pub fn durations(plan: &Durations, lists: &[Bytes]) -> Result<Bytes, Malformed> {
    let mut periods: BTreeMap<u64, Seen> = BTreeMap::new();
    for list in lists {
        let rows: Vec<&serde_json::value::RawValue> =
            serde_json::from_slice(list).map_err(|_| Malformed)?;
        for row in rows {
            let row: BTreeMap<&str, &serde_json::value::RawValue> =
                serde_json::from_str(row.get()).map_err(|_| Malformed)?;
            let Some((period, took)) = plan.read(&row)? else {
                continue;
            };
            let seen = periods.entry(period).or_insert(Seen {
                least: took,
                greatest: took,
                sum: 0,
                count: 0,
            });
            seen.least = seen.least.min(took);
            seen.greatest = seen.greatest.max(took);
            seen.sum += i128::from(took);
            seen.count += 1;
        }
    }
    let rows = periods.into_iter().map(|(period, seen)| {
        // Cut, not rounded: so do the engines' drivers.
        let average = i64::try_from(seen.sum / seen.count).map_err(|_| Malformed)?;
        Ok(Period {
            period,
            period_unit: plan.unit,
            minimum: seen.least,
            maximum: seen.greatest,
            average,
        })
    });
    let rows: Vec<Period> = rows.collect::<Result<_, _>>()?;
    serde_json::to_vec(&rows)
        .map(Bytes::from)
        .map_err(|_| Malformed)
}

impl Durations {
    /// The report in the form that is wanted. `report`: as JSON.
    pub fn written(&self, report: Bytes) -> Result<Bytes, Malformed> {
        if self.csv.is_none() {
            return Ok(report);
        }
        let rows: Vec<Period> = serde_json::from_slice(&report).map_err(|_| Malformed)?;
        let mut text = String::from("PERIOD,PERIOD_UNIT,MINIMUM,MAXIMUM,AVERAGE");
        for row in rows {
            let unit = match row.period_unit {
                Unit::Month => "MONTH",
                Unit::Quarter => "QUARTER",
            };
            let Period {
                period,
                minimum,
                maximum,
                average,
                ..
            } = row;
            text.push_str(&format!("\n{period},{unit},{minimum},{maximum},{average}"));
        }
        Ok(text.into())
    }

    /// Period and duration of a row. `None`: it is not meant, or has no duration.
    fn read(
        &self,
        row: &BTreeMap<&str, &serde_json::value::RawValue>,
    ) -> Result<Option<(u64, i64)>, Malformed> {
        for Only { member, values } in &self.only {
            let held: Option<String> = member_of(row, member)?;
            if !values.iter().any(|value| held.as_deref() == Some(value)) {
                return Ok(None);
            }
        }
        let Some(took) = member_of::<i64>(row, self.took)? else {
            return Ok(None);
        };
        let when: String = member_of(row, self.when)?.ok_or(Malformed)?;
        let period = self.unit.of(&when).ok_or(Malformed)?;
        Ok(Some((period, took)))
    }
}

/// A member that may be missing or null.
fn member_of<T: serde::de::DeserializeOwned>(
    row: &BTreeMap<&str, &serde_json::value::RawValue>,
    member: &str,
) -> Result<Option<T>, Malformed> {
    row.get(member).map_or(Ok(None), |raw| {
        serde_json::from_str(raw.get()).map_err(|_| Malformed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn plan(unit: Unit) -> Durations {
        Durations {
            query: "finished=true".into(),
            when: "startTime",
            took: "durationInMillis",
            unit,
            only: Vec::new(),
            csv: None,
        }
    }

    fn row(month: u64, took: i64) -> Value {
        json!({
            "id": "x", "startTime": format!("2027-{month:02}-09T01:00:00.000+0200"),
            "durationInMillis": took, "processDefinitionKey": "order",
        })
    }

    fn bytes(value: &Value) -> Bytes {
        value.to_string().into()
    }

    fn report(plan: &Durations, lists: &[Value]) -> Value {
        let lists: Vec<Bytes> = lists.iter().map(bytes).collect();
        serde_json::from_slice(&durations(plan, &lists).unwrap()).unwrap()
    }

    #[test]
    fn each_duration_weighs_the_same_wherever_it_lies() {
        let sites = [
            json!([row(1, 10), row(1, 11), row(2, 7)]),
            json!([row(1, 40)]),
        ];
        assert_eq!(
            report(&plan(Unit::Month), &sites),
            json!([
                { "period": 1, "periodUnit": "MONTH", "minimum": 10, "maximum": 40, "average": 20 },
                { "period": 2, "periodUnit": "MONTH", "minimum": 7, "maximum": 7, "average": 7 },
            ])
        );
        assert_eq!(
            report(
                &plan(Unit::Quarter),
                &[json!([row(1, 1), row(3, 2), row(4, 4), row(12, 9)])]
            ),
            json!([
                { "period": 1, "periodUnit": "QUARTER", "minimum": 1, "maximum": 2, "average": 1 },
                { "period": 2, "periodUnit": "QUARTER", "minimum": 4, "maximum": 4, "average": 4 },
                { "period": 4, "periodUnit": "QUARTER", "minimum": 9, "maximum": 9, "average": 9 },
            ])
        );
    }

    #[test]
    fn only_what_is_meant_counts_and_what_has_no_duration_does_not() {
        let mut plan = plan(Unit::Month);
        plan.only = vec![Only {
            member: "processDefinitionKey",
            values: vec!["order".into()],
        }];
        let mut other = row(1, 99);
        other["processDefinitionKey"] = json!("payment");
        let mut keyless = row(1, 99);
        keyless["processDefinitionKey"] = Value::Null;
        let mut running = row(1, 99);
        running["durationInMillis"] = Value::Null;
        let rows = report(&plan, &[json!([other, keyless, running, row(1, 5)])]);
        assert_eq!(rows[0]["maximum"], 5);
    }

    #[test]
    fn a_report_is_written_as_comma_separated_values_too() {
        let mut plan = plan(Unit::Quarter);
        let rows = [bytes(&json!([row(1, 1), row(3, 4), row(12, 9)]))];
        let report = durations(&plan, &rows).unwrap();
        assert_eq!(plan.written(report.clone()), Ok(report.clone()));
        plan.csv = Some("text/csv");
        assert_eq!(
            plan.written(report).unwrap(),
            "PERIOD,PERIOD_UNIT,MINIMUM,MAXIMUM,AVERAGE\n1,QUARTER,1,4,2\n4,QUARTER,9,9,9"
        );
        assert_eq!(plan.written("[7]".into()), Err(Malformed));
    }

    #[test]
    fn reports_of_different_periods_need_no_rows() {
        let of = |month: u64| json!([{ "period": month, "periodUnit": "MONTH", "average": month }]);
        let (one, two) = (bytes(&of(7)), bytes(&of(2)));
        let joined = apart(&[one.clone(), two.clone()]).unwrap().unwrap();
        let joined: Value = serde_json::from_slice(&joined).unwrap();
        assert_eq!((&joined[0], &joined[1]), (&of(2)[0], &of(7)[0]));
        assert_eq!(apart(&[one.clone(), two, one]), Ok(None));
        assert_eq!(apart(&[bytes(&json!([{ "average": 1 }]))]), Err(Malformed));
    }

    #[test]
    fn a_row_that_is_none_is_never_counted() {
        for row in [
            json!([7]),
            json!([{ "startTime": "soon", "durationInMillis": 1 }]),
            json!([{ "startTime": "2027-13-01", "durationInMillis": 1 }]),
            json!([{ "durationInMillis": 1 }]),
            json!([{ "startTime": "2027-01-01", "durationInMillis": "long" }]),
            json!({}),
        ] {
            let read = durations(&plan(Unit::Month), &[bytes(&row)]);
            assert_eq!(read, Err(Malformed), "{row}");
        }
    }

    proptest! {
        #[test]
        fn how_rows_are_spread_over_sites_changes_nothing(
            rows in prop::collection::vec((1u64..=12, 0i64..1_000_000_000_000, 0usize..3), 0..40),
        ) {
            let of = |site: Option<usize>| -> Value {
                rows.iter().filter(|row| site.is_none_or(|site| row.2 == site)).map(|row| self::row(row.0, row.1)).collect()
            };
            let spread = report(&plan(Unit::Month), &[of(Some(0)), of(Some(1)), of(Some(2))]);
            prop_assert_eq!(spread, report(&plan(Unit::Month), &[of(None)]));
        }
    }
}
