//! Lists of what is deployed.

use super::{Constant, Filter, Kind, List, UNBUILT};
use Filter::{Flag, Holds, Int, Like, Moment, NotBuilt, OneOf, Tenants, Text, When};
use Kind::{Bool, Date};

/// Of each key and tenant the last one.
const LATEST: &str = "d.version = (SELECT MAX(o.version) FROM definition o WHERE o.key = d.key AND COALESCE(o.tenant, '') = COALESCE(d.tenant, ''))";

/// `/deployment`
pub static DEPLOYMENTS: List = List {
    from: "deployment p",
    fields: &[
        ("id", "p.id", Kind::Text),
        ("name", "p.name", Kind::Text),
        ("source", "p.source", Kind::Text),
        ("tenantId", "p.tenant", Kind::Text),
        ("deploymentTime", "p.at", Date),
    ],
    constants: &[("links", Constant::Empty)],
    filters: &[
        ("id", Text("p.id")),
        ("name", Text("p.name")),
        ("nameLike", Like("p.name")),
        ("source", Text("p.source")),
        ("withoutSource", When("p.source IS NULL")),
        (
            "tenantIdIn",
            Tenants("p.tenant", "includeDeploymentsWithoutTenantId"),
        ),
        ("withoutTenantId", When("p.tenant IS NULL")),
        ("after", Moment("p.at", ">")),
        ("before", Moment("p.at", "<")),
        ("includeDeploymentsWithoutTenantId", Flag),
    ],
    sorts: &[
        ("id", "p.id"),
        ("name", "p.name"),
        ("deploymentTime", "p.at"),
        ("tenantId", "p.tenant"),
    ],
    default_order: "p.id",
};

/// `/process-definition`
pub static DEFINITIONS: List = List {
    from: "definition d",
    fields: &[
        ("id", "d.id", Kind::Text),
        ("key", "d.key", Kind::Text),
        ("name", "d.name", Kind::Text),
        ("version", "d.version", Kind::Int),
        ("resource", "d.resource", Kind::Text),
        ("deploymentId", "d.deployment", Kind::Text),
        ("suspended", "d.suspended", Bool),
        ("tenantId", "d.tenant", Kind::Text),
        ("versionTag", "d.tag", Kind::Text),
        ("historyTimeToLive", "d.ttl", Kind::Int),
        ("startableInTasklist", "d.startable", Bool),
    ],
    constants: &[
        ("category", Constant::Null),
        ("description", Constant::Null),
        ("diagram", Constant::Null),
    ],
    filters: &[
        ("processDefinitionId", Text("d.id")),
        ("processDefinitionIdIn", OneOf("d.id")),
        ("name", Text("d.name")),
        ("nameLike", Like("d.name")),
        ("deploymentId", Text("d.deployment")),
        (
            "deployedAfter",
            Moment(
                "(SELECT p.at FROM deployment p WHERE p.id = d.deployment)",
                ">",
            ),
        ),
        (
            "deployedAt",
            Moment(
                "(SELECT p.at FROM deployment p WHERE p.id = d.deployment)",
                "=",
            ),
        ),
        ("key", Text("d.key")),
        ("keysIn", OneOf("d.key")),
        ("keyLike", Like("d.key")),
        ("version", Int("d.version")),
        ("latestVersion", When(LATEST)),
        ("resourceName", Text("d.resource")),
        ("resourceNameLike", Like("d.resource")),
        ("active", When("d.suspended = 0")),
        ("suspended", When("d.suspended = 1")),
        (
            "incidentId",
            Holds("EXISTS (SELECT 1 FROM incident x WHERE x.def = d.id AND x.id = ?)"),
        ),
        (
            "tenantIdIn",
            Tenants("d.tenant", "includeProcessDefinitionsWithoutTenantId"),
        ),
        ("withoutTenantId", When("d.tenant IS NULL")),
        ("versionTag", Text("d.tag")),
        ("versionTagLike", Like("d.tag")),
        ("withoutVersionTag", When("d.tag IS NULL")),
        ("startableInTasklist", When("d.startable = 1")),
        ("notStartableInTasklist", When("d.startable = 0")),
        ("startablePermissionCheck", Flag),
        ("startableBy", NotBuilt),
        ("category", NotBuilt),
        ("includeProcessDefinitionsWithoutTenantId", Flag),
        ("categoryLike", NotBuilt),
        ("ver", Int("d.version")),
        ("latest", When(LATEST)),
        (
            "incidentType",
            Holds("EXISTS (SELECT 1 FROM incident x WHERE x.def = d.id AND x.type = ?)"),
        ),
        (
            "incidentMessage",
            Holds("EXISTS (SELECT 1 FROM incident x WHERE x.def = d.id AND x.message = ?)"),
        ),
        (
            "incidentMessageLike",
            Holds(
                "EXISTS (SELECT 1 FROM incident x WHERE x.def = d.id AND x.message LIKE ? ESCAPE '\\')",
            ),
        ),
    ],
    sorts: &[
        ("id", "d.id"),
        ("key", "d.key"),
        ("name", "d.name"),
        ("version", "d.version"),
        ("deploymentId", "d.deployment"),
        (
            "deployTime",
            "(SELECT p.at FROM deployment p WHERE p.id = d.deployment)",
        ),
        ("tenantId", "d.tenant"),
        ("versionTag", "d.tag"),
        ("category", UNBUILT),
    ],
    default_order: "d.id",
};

/// `/history/process-definition/cleanable-process-instance-report`
pub static CLEANABLE: List = List {
    from: "definition d LEFT JOIN (SELECT e.def, COUNT(*) AS finished FROM h_inst e WHERE e.ended IS NOT NULL GROUP BY e.def) f \
           ON f.def = d.id",
    fields: &[
        ("processDefinitionId", "d.id", Kind::Text),
        ("processDefinitionKey", "d.key", Kind::Text),
        ("processDefinitionName", "d.name", Kind::Text),
        ("processDefinitionVersion", "d.version", Kind::Int),
        ("historyTimeToLive", "d.ttl", Kind::Int),
        (
            "finishedProcessInstanceCount",
            "COALESCE(f.finished, 0)",
            Kind::Int,
        ),
        (
            "cleanableProcessInstanceCount",
            "(SELECT COUNT(*) FROM h_inst h WHERE h.def = d.id AND {removable})",
            Kind::Int,
        ),
        ("tenantId", "d.tenant", Kind::Text),
    ],
    constants: &[],
    filters: &[
        ("processDefinitionIdIn", OneOf("d.id")),
        ("processDefinitionKeyIn", OneOf("d.key")),
        ("tenantIdIn", OneOf("d.tenant")),
        ("withoutTenantId", When("d.tenant IS NULL")),
        ("compact", When("COALESCE(f.finished, 0) > 0")),
    ],
    sorts: &[("finished", "COALESCE(f.finished, 0)")],
    default_order: "d.id",
};
