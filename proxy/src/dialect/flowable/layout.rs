//! Where Flowable's APIs stand below an endpoint's base path.
//!
//! Owns the segment in front of each API. Must not know an operation. A site that is named by its process API has only
//! that; one that is named by its root has all that is installed there.

use crate::dialect::path;

/// Where the APIs stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// The base path is the process API's own (`/flowable-rest/service`, `/process-api`).
    Process,
    /// The base path is the root of a Spring Boot application: `/process-api`, `/external-job-api`, `/cmmn-api`, ...
    Boot,
    /// The base path is the root of Flowable's own REST application: `/service`, `/external-job-api`, ...
    Rest,
}

/// Flowable's own REST application is deployed under this name.
const REST: &str = "/flowable-rest";

/// The APIs, by the segments that their paths begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Process,
    Case,
    Decision,
    ExternalJob,
}

impl Layout {
    /// The layout that a base path tells of.
    pub fn of(base_path: &str) -> Layout {
        if base_path.is_empty() {
            Layout::Boot
        } else if base_path.ends_with(REST) {
            Layout::Rest
        } else {
            Layout::Process
        }
    }

    /// Where the path of an operation starts; `None`: no API of this layout stands there.
    pub(super) fn below(self, whole: &str) -> Option<usize> {
        let (first, after) = path::segment(whole, 0)?;
        if self == Layout::Process {
            return (Api::of(whole) == Api::Process).then_some(0);
        }
        let api = match (&whole[first], self) {
            ("process-api", Layout::Boot) | ("service", Layout::Rest) => Api::Process,
            ("cmmn-api", _) => Api::Case,
            ("dmn-api", _) => Api::Decision,
            ("external-job-api", _) => Api::ExternalJob,
            _ => return None,
        };
        (Api::of(whole.get(after..)?) == api).then_some(after)
    }

    /// The path of an operation of the process API, which every layout has.
    pub(super) fn process(self, operation: &str) -> String {
        let api = match self {
            Layout::Process => "",
            Layout::Boot => "/process-api",
            Layout::Rest => "/service",
        };
        format!("{api}{operation}")
    }

    /// The path of an operation below the base path; `None`: this layout does not have its API.
    pub(super) fn path(self, operation: &str) -> Option<String> {
        let api = match (Api::of(operation), self) {
            (Api::Process, _) => return Some(self.process(operation)),
            (_, Layout::Process) => return None,
            (Api::Case, _) => "/cmmn-api",
            (Api::Decision, _) => "/dmn-api",
            (Api::ExternalJob, _) => "/external-job-api",
        };
        Some(format!("{api}{operation}"))
    }
}

impl Api {
    /// Whose operation a path is.
    fn of(operation: &str) -> Api {
        let first = path::segment(operation, 0).map(|(first, _)| &operation[first]);
        match first.unwrap_or_default() {
            "acquire" | "unacquire" | "jobs" => Api::ExternalJob,
            first if first.starts_with("cmmn-") => Api::Case,
            first if first.starts_with("dmn-") => Api::Decision,
            _ => Api::Process,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_the_api_that_it_names() {
        for (layout, path, below) in [
            (Layout::Process, "/runtime/tasks", Some(0)),
            (Layout::Process, "/jobs/1", None),
            (Layout::Process, "/process-api/runtime/tasks", Some(0)),
            (Layout::Boot, "/process-api/runtime/tasks", Some(12)),
            (Layout::Boot, "/process-api/jobs", None),
            (Layout::Boot, "/service/runtime/tasks", None),
            (Layout::Boot, "/external-job-api/acquire/jobs", Some(17)),
            (Layout::Rest, "/service/runtime/tasks", Some(8)),
            (Layout::Rest, "/cmmn-api/cmmn-runtime/tasks", Some(9)),
            (Layout::Rest, "/cmmn-api/dmn-runtime/tasks", None),
            (Layout::Rest, "/", None),
        ] {
            assert_eq!(layout.below(path), below, "{layout:?} {path}");
        }
    }

    #[test]
    fn what_homing_asks_goes_where_the_api_stands() {
        let of = |base: &str, path: &str| Layout::of(base).path(path);
        assert_eq!(
            of("", "/runtime/x").as_deref(),
            Some("/process-api/runtime/x")
        );
        assert_eq!(
            of("/flowable-rest", "/runtime/x").as_deref(),
            Some("/service/runtime/x")
        );
        assert_eq!(
            of("/flowable-rest/service", "/runtime/x").as_deref(),
            Some("/runtime/x")
        );
        assert_eq!(
            of("", "/jobs/1").as_deref(),
            Some("/external-job-api/jobs/1")
        );
        assert_eq!(of("/process-api", "/jobs/1"), None);
    }
}
