//! Lists of jobs, and of the kinds of jobs that definitions have.

use super::{Constant, Filter, Kind, List};
use Filter::{Compare, Dates, Flag, Holds, OneOf, Tenants, Text, When};
use Kind::{Bool, Date};

/// The element as the real engine names it: the body of a multi-instance activity has a name of its own.
macro_rules! activity {
    ($row:literal, $place:literal) => {
        concat!(
            "CASE WHEN ",
            $place,
            ".place IN ('body-before', 'body-after') THEN ",
            $row,
            ".act || '#multiInstanceBody' ELSE ",
            $row,
            ".act END"
        )
    };
}

/// The element of a row of the jobs' log.
pub(super) const LOGGED_ACTIVITY: &str = activity!("l", "l");

/// `/job-definition`
pub static JOB_DEFINITIONS: List = List {
    from: "job_def x JOIN definition d ON d.id = x.def",
    fields: &[
        ("id", "x.id", Kind::Text),
        ("processDefinitionId", "x.def", Kind::Text),
        ("processDefinitionKey", "d.key", Kind::Text),
        ("jobType", "x.type", Kind::Text),
        ("jobConfiguration", "x.config", Kind::Text),
        ("activityId", activity!("x", "x"), Kind::Text),
        ("suspended", "x.suspended", Bool),
        ("overridingJobPriority", "x.prio", Kind::Int),
        ("tenantId", "d.tenant", Kind::Text),
    ],
    constants: &[("deploymentId", Constant::Null)],
    filters: &[
        ("jobDefinitionId", Text("x.id")),
        ("activityIdIn", OneOf(activity!("x", "x"))),
        ("processDefinitionId", Text("x.def")),
        ("processDefinitionKey", Text("d.key")),
        ("jobType", Text("x.type")),
        ("jobConfiguration", Text("x.config")),
        ("active", When("x.suspended = 0")),
        ("suspended", When("x.suspended = 1")),
        ("withOverridingJobPriority", When("x.prio IS NOT NULL")),
        (
            "tenantIdIn",
            Tenants("d.tenant", "includeJobDefinitionsWithoutTenantId"),
        ),
        ("withoutTenantId", When("d.tenant IS NULL")),
        ("includeJobDefinitionsWithoutTenantId", Flag),
    ],
    sorts: &[
        ("jobDefinitionId", "x.id"),
        ("activityId", activity!("x", "x")),
        ("processDefinitionId", "x.def"),
        ("processDefinitionKey", "d.key"),
        ("jobType", "x.type"),
        ("jobConfiguration", "x.config"),
        ("tenantId", "d.tenant"),
    ],
    default_order: "x.id",
};

/// `/job`
pub static JOBS: List = List {
    from: "job j JOIN definition d ON d.id = j.def \
           LEFT JOIN job_def x ON x.def = j.def AND x.act = j.act AND x.place = j.place",
    fields: &[
        ("id", "j.id", Kind::Text),
        ("jobDefinitionId", "x.id", Kind::Text),
        ("processInstanceId", "j.inst", Kind::Text),
        ("processDefinitionId", "j.def", Kind::Text),
        ("processDefinitionKey", "d.key", Kind::Text),
        ("executionId", "j.exec", Kind::Text),
        ("exceptionMessage", "j.err", Kind::Text),
        (
            "failedActivityId",
            "CASE WHEN j.err IS NULL THEN NULL ELSE j.act END",
            Kind::Text,
        ),
        ("retries", "j.retries", Kind::Int),
        (
            "dueDate",
            "CASE WHEN j.has_due = 1 THEN j.due ELSE NULL END",
            Date,
        ),
        ("suspended", "j.suspended", Bool),
        ("priority", "j.prio", Kind::Int),
        ("tenantId", "j.tenant", Kind::Text),
        ("createTime", "j.created", Date),
        (
            "rootProcessInstanceId",
            "(SELECT i.root FROM inst i WHERE i.id = j.inst)",
            Kind::Text,
        ),
    ],
    constants: &[("batchId", Constant::Null)],
    filters: &[
        ("jobId", Text("j.id")),
        ("jobIds", OneOf("j.id")),
        ("jobDefinitionId", Text("x.id")),
        ("processInstanceId", Text("j.inst")),
        ("processInstanceIds", OneOf("j.inst")),
        ("executionId", Text("j.exec")),
        ("processDefinitionId", Text("j.def")),
        ("processDefinitionKey", Text("d.key")),
        ("activityId", Text("j.act")),
        ("failedActivityId", Holds("j.act = ? AND j.err IS NOT NULL")),
        ("withRetriesLeft", When("j.retries > 0")),
        ("noRetriesLeft", When("j.retries = 0")),
        (
            "executable",
            When("j.retries > 0 AND j.due <= {now} AND j.suspended = 0"),
        ),
        ("timers", When("j.kind IN ('timer', 'start-timer')")),
        ("messages", When("j.kind = 'continue'")),
        ("withException", When("j.err IS NOT NULL")),
        ("exceptionMessage", Text("j.err")),
        (
            "dueDates",
            Dates(
                "(CASE WHEN j.has_due = 1 THEN j.due ELSE NULL END)",
                "due date",
            ),
        ),
        ("createTimes", Dates("j.created", "create time")),
        ("priorityHigherThanOrEquals", Compare("j.prio", ">=")),
        ("priorityLowerThanOrEquals", Compare("j.prio", "<=")),
        ("active", When("j.suspended = 0")),
        ("suspended", When("j.suspended = 1")),
        (
            "tenantIdIn",
            Tenants("j.tenant", "includeJobsWithoutTenantId"),
        ),
        ("withoutTenantId", When("j.tenant IS NULL")),
        ("includeJobsWithoutTenantId", Flag),
        ("acquired", When("j.owner IS NOT NULL")),
    ],
    sorts: &[
        ("jobId", "j.id"),
        ("executionId", "j.exec"),
        ("processInstanceId", "j.inst"),
        ("processDefinitionId", "j.def"),
        ("processDefinitionKey", "d.key"),
        ("jobPriority", "j.prio"),
        ("jobRetries", "j.retries"),
        ("jobDueDate", "j.due"),
        ("tenantId", "j.tenant"),
    ],
    default_order: "j.id",
};
