//! Lists of what is there now.

use super::variables::Variables as Conditions;
use super::{Constant, Filter, Kind, List};
use Filter::{
    At, Compare, Flag, Holds, Like, Moment, NoneOf, Nothing, OneOf, Tenants, Text, Variables, When,
};
use Kind::{Bool, Date};

/// `/process-instance`
pub static INSTANCES: List = List {
    from: "inst i JOIN definition d ON d.id = i.def",
    fields: &[
        ("id", "i.id", Kind::Text),
        ("definitionId", "i.def", Kind::Text),
        ("definitionKey", "d.key", Kind::Text),
        ("businessKey", "i.bkey", Kind::Text),
        ("suspended", "i.suspended", Bool),
        ("tenantId", "i.tenant", Kind::Text),
    ],
    constants: &[
        ("links", Constant::Empty),
        ("caseInstanceId", Constant::Null),
        ("ended", Constant::False),
    ],
    filters: &[
        ("processInstanceIds", OneOf("i.id")),
        ("businessKey", Text("i.bkey")),
        ("businessKeyLike", Like("i.bkey")),
        ("processDefinitionId", Text("i.def")),
        ("processDefinitionKey", Text("d.key")),
        ("processDefinitionKeyIn", OneOf("d.key")),
        ("processDefinitionKeyNotIn", NoneOf("d.key")),
        ("deploymentId", Text("d.deployment")),
        ("superProcessInstance", Text("i.super_inst")),
        (
            "subProcessInstance",
            Holds("i.id = (SELECT c.super_inst FROM inst c WHERE c.id = ?)"),
        ),
        ("active", When("i.suspended = 0")),
        ("suspended", When("i.suspended = 1")),
        (
            "withIncident",
            When("EXISTS (SELECT 1 FROM incident x WHERE x.inst = i.id)"),
        ),
        (
            "incidentId",
            Holds("EXISTS (SELECT 1 FROM incident x WHERE x.inst = i.id AND x.id = ?)"),
        ),
        (
            "incidentType",
            Holds("EXISTS (SELECT 1 FROM incident x WHERE x.inst = i.id AND x.type = ?)"),
        ),
        (
            "incidentMessage",
            Holds("EXISTS (SELECT 1 FROM incident x WHERE x.inst = i.id AND x.message = ?)"),
        ),
        (
            "incidentMessageLike",
            Holds(
                "EXISTS (SELECT 1 FROM incident x WHERE x.inst = i.id AND x.message LIKE ? ESCAPE '\\')",
            ),
        ),
        ("tenantIdIn", OneOf("i.tenant")),
        ("withoutTenantId", When("i.tenant IS NULL")),
        ("rootProcessInstances", When("i.super_inst IS NULL")),
        (
            "leafProcessInstances",
            When("NOT EXISTS (SELECT 1 FROM inst c WHERE c.super_inst = i.id)"),
        ),
        ("processDefinitionWithoutTenantId", When("d.tenant IS NULL")),
        (
            "variables",
            Variables(Conditions {
                table: "var",
                of: "v.inst = i.id",
                word: "",
            }),
        ),
        ("activityIdIn", At("i.doc")),
        ("caseInstanceId", Nothing),
        ("variableNamesIgnoreCase", Flag),
        ("variableValuesIgnoreCase", Flag),
        ("superCaseInstance", Nothing),
        ("subCaseInstance", Nothing),
        ("rootProcessInstanceId", Text("i.root")),
    ],
    sorts: &[
        ("instanceId", "i.id"),
        ("definitionKey", "d.key"),
        ("definitionId", "i.def"),
        ("tenantId", "i.tenant"),
        ("businessKey", "i.bkey"),
    ],
    default_order: "i.id",
};

/// `/external-task`
pub static EXTERNAL_TASKS: List = List {
    from: "work w JOIN inst i ON i.id = w.inst JOIN definition d ON d.id = w.def",
    fields: &[
        ("activityId", "w.act", Kind::Text),
        ("activityInstanceId", "w.ai", Kind::Text),
        ("errorMessage", "w.err", Kind::Text),
        ("executionId", "w.exec", Kind::Text),
        ("id", "w.id", Kind::Text),
        ("lockExpirationTime", "w.lock_until", Date),
        ("createTime", "w.created", Date),
        ("processDefinitionId", "w.def", Kind::Text),
        ("processDefinitionKey", "d.key", Kind::Text),
        ("processDefinitionVersionTag", "d.tag", Kind::Text),
        ("processInstanceId", "w.inst", Kind::Text),
        ("retries", "w.retries", Kind::Int),
        ("suspended", "w.suspended", Bool),
        ("workerId", "w.worker", Kind::Text),
        ("topicName", "w.topic", Kind::Text),
        ("tenantId", "w.tenant", Kind::Text),
        ("priority", "w.prio", Kind::Int),
        ("businessKey", "i.bkey", Kind::Text),
    ],
    constants: &[],
    filters: &[
        ("externalTaskId", Text("w.id")),
        ("externalTaskIdIn", OneOf("w.id")),
        ("topicName", Text("w.topic")),
        ("workerId", Text("w.worker")),
        ("locked", When("w.lock_until >= {now}")),
        (
            "notLocked",
            When("(w.lock_until IS NULL OR w.lock_until < {now})"),
        ),
        ("lockExpirationAfter", Moment("w.lock_until", ">")),
        ("lockExpirationBefore", Moment("w.lock_until", "<")),
        (
            "withRetriesLeft",
            When("(w.retries IS NULL OR w.retries > 0)"),
        ),
        ("noRetriesLeft", When("w.retries = 0")),
        ("executionId", Text("w.exec")),
        ("activityId", Text("w.act")),
        ("activityIdIn", OneOf("w.act")),
        ("processInstanceId", Text("w.inst")),
        ("processInstanceIdIn", OneOf("w.inst")),
        ("processDefinitionId", Text("w.def")),
        ("tenantIdIn", OneOf("w.tenant")),
        ("active", When("w.suspended = 0")),
        ("suspended", When("w.suspended = 1")),
        ("priorityHigherThanOrEquals", Compare("w.prio", ">=")),
        ("priorityLowerThanOrEquals", Compare("w.prio", "<=")),
        ("processDefinitionKey", Text("d.key")),
        ("processDefinitionKeyIn", OneOf("d.key")),
        ("processDefinitionName", Text("d.name")),
        ("processDefinitionNameLike", Like("d.name")),
        (
            "processVariables",
            Variables(Conditions {
                table: "var",
                of: "v.inst = w.inst",
                word: "process",
            }),
        ),
        ("variableNamesIgnoreCase", Flag),
        ("variableValuesIgnoreCase", Flag),
    ],
    sorts: &[
        ("id", "w.id"),
        ("lockExpirationTime", "w.lock_until"),
        ("processInstanceId", "w.inst"),
        ("processDefinitionId", "w.def"),
        ("processDefinitionKey", "d.key"),
        ("tenantId", "w.tenant"),
        ("taskPriority", "w.prio"),
        ("createTime", "w.created"),
    ],
    default_order: "w.id",
};

/// Where a job failed; of external tasks the engines do not say it.
pub(super) const FAILED_AT: &str =
    "(CASE WHEN x.type = 'failedExternalTask' THEN NULL ELSE x.act END)";

/// `/incident`
pub static INCIDENTS: List = List {
    from: "incident x LEFT JOIN definition d ON d.id = x.def LEFT JOIN job j ON j.id = x.ref \
           LEFT JOIN job_def jd ON jd.def = j.def AND jd.act = j.act AND jd.place = j.place",
    fields: &[
        ("id", "x.id", Kind::Text),
        ("processDefinitionId", "x.def", Kind::Text),
        ("processInstanceId", "x.inst", Kind::Text),
        ("executionId", "x.exec", Kind::Text),
        ("incidentTimestamp", "x.at", Date),
        ("incidentType", "x.type", Kind::Text),
        ("activityId", "x.act", Kind::Text),
        ("failedActivityId", FAILED_AT, Kind::Text),
        ("causeIncidentId", "x.cause", Kind::Text),
        ("rootCauseIncidentId", "x.root_cause", Kind::Text),
        ("configuration", "NULLIF(x.ref, '')", Kind::Text),
        ("incidentMessage", "x.message", Kind::Text),
        ("tenantId", "x.tenant", Kind::Text),
        ("jobDefinitionId", "jd.id", Kind::Text),
    ],
    constants: &[("annotation", Constant::Null)],
    filters: &[
        ("incidentId", Text("x.id")),
        ("incidentType", Text("x.type")),
        ("incidentMessage", Text("x.message")),
        ("incidentMessageLike", Like("x.message")),
        ("processDefinitionId", Text("x.def")),
        ("processDefinitionKeyIn", OneOf("d.key")),
        ("processInstanceId", Text("x.inst")),
        ("executionId", Text("x.exec")),
        ("incidentTimestampBefore", Moment("x.at", "<")),
        ("incidentTimestampAfter", Moment("x.at", ">")),
        ("activityId", Text("x.act")),
        ("failedActivityId", Text(FAILED_AT)),
        ("causeIncidentId", Text("x.cause")),
        ("rootCauseIncidentId", Text("x.root_cause")),
        ("configuration", Text("x.ref")),
        ("tenantIdIn", OneOf("x.tenant")),
        ("jobDefinitionIdIn", OneOf("jd.id")),
    ],
    sorts: &[
        ("incidentId", "x.id"),
        ("incidentMessage", "x.message"),
        ("incidentTimestamp", "x.at"),
        ("incidentType", "x.type"),
        ("executionId", "x.exec"),
        ("activityId", "x.act"),
        ("processInstanceId", "x.inst"),
        ("processDefinitionId", "x.def"),
        ("causeIncidentId", "x.cause"),
        ("rootCauseIncidentId", "x.root_cause"),
        ("configuration", "x.ref"),
        ("tenantId", "x.tenant"),
    ],
    default_order: "x.id",
};

/// `/event-subscription`
pub static EVENT_SUBSCRIPTIONS: List = List {
    from: "sub s",
    fields: &[
        ("id", "s.id", Kind::Text),
        ("eventType", "s.kind", Kind::Text),
        ("eventName", "NULLIF(s.name, '')", Kind::Text),
        ("executionId", "s.exec", Kind::Text),
        ("processInstanceId", "s.inst", Kind::Text),
        ("activityId", "s.act", Kind::Text),
        ("tenantId", "s.tenant", Kind::Text),
        ("createdDate", "s.created", Date),
    ],
    constants: &[],
    filters: &[
        ("eventSubscriptionId", Text("s.id")),
        ("eventName", Text("s.name")),
        ("eventType", Text("s.kind")),
        ("executionId", Text("s.exec")),
        ("processInstanceId", Text("s.inst")),
        ("activityId", Text("s.act")),
        (
            "tenantIdIn",
            Tenants("s.tenant", "includeEventSubscriptionsWithoutTenantId"),
        ),
        ("withoutTenantId", When("s.tenant IS NULL")),
        ("includeEventSubscriptionsWithoutTenantId", Flag),
    ],
    sorts: &[("created", "s.created"), ("tenantId", "s.tenant")],
    default_order: "s.id",
};
