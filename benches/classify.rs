//! What classify and learn cost: finding the operation of a path, saying what the request is, reading an answer.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use homing_proxy::dialect::{Answer, Dialect, EngineRest, Found, Head};
use http::{HeaderMap, Method, StatusCode};
use std::hint::black_box;

const ID: &str = "0d0e5c8a-96c7-11f0-8de9-0242ac120002";
const START: &str = r#"{"variables":{"amount":{"value":30,"type":"Long"},"customer":{"value":"mary"}},"businessKey":"B-4711"}"#;
const STARTED: &str = r#"{"links":[{"method":"GET","href":"http://a/engine-rest/process-instance/0d0e5c8a-96c7-11f0-8de9-0242ac120002","rel":"self"}],"id":"0d0e5c8a-96c7-11f0-8de9-0242ac120002","definitionId":"order:1:0c0e5c8a-96c7-11f0-8de9-0242ac120002","businessKey":"B-4711","caseInstanceId":null,"ended":false,"suspended":false,"tenantId":null}"#;

fn classify(
    dialect: &EngineRest,
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: Option<&[u8]>,
) {
    let headers = HeaderMap::new();
    let head = Head {
        method,
        path,
        query,
        headers: &headers,
    };
    if let Found::Route(found) = dialect.find(black_box(&head)) {
        black_box(dialect.classify(&found, &head, body));
    }
}

/// A path of the pattern with an id of the usual length in each place.
fn sample(pattern: &str) -> String {
    let fill = |segment: &str| {
        if segment.starts_with('{') {
            ID.to_owned()
        } else {
            segment.to_owned()
        }
    };
    pattern.split('/').map(fill).collect::<Vec<_>>().join("/")
}

fn every_operation(c: &mut Criterion) {
    let dialect = EngineRest::new().expect("the tables are read by the unit tests");
    let operations = dialect.operations().iter();
    let requests: Vec<(Method, String)> = operations
        .filter_map(|operation| Some((operation.method.clone()?, sample(&operation.path))))
        .collect();
    let mut group = c.benchmark_group("classify");
    group.throughput(Throughput::Elements(requests.len() as u64));
    group.bench_function("every operation once", |b| {
        b.iter(|| {
            for (method, path) in &requests {
                classify(&dialect, method, path, None, None);
            }
        });
    });
    group.finish();
}

/// Name, method, path and query, body.
type Request<'r> = (&'r str, Method, &'r str, Option<&'r [u8]>);

fn telling_requests(c: &mut Criterion) {
    let dialect = EngineRest::new().expect("the tables are read by the unit tests");
    let deepest =
        format!("/process-definition/key/{ID}/tenant-id/{ID}/static-called-process-definitions");
    let requests: [Request<'_>; 6] = [
        ("a short path", Method::GET, &format!("/task/{ID}"), None),
        ("the deepest path", Method::GET, &deepest, None),
        (
            "an escaped id of a named engine",
            Method::POST,
            &format!("/engine/blue/task/%30{ID}/complete"),
            None,
        ),
        (
            "a list narrowed by its query",
            Method::GET,
            &format!("/task?sortBy=name&sortOrder=asc&processInstanceId={ID}"),
            None,
        ),
        (
            "a start with its body",
            Method::POST,
            "/process-definition/key/order/start",
            Some(START.as_bytes()),
        ),
        (
            "no route",
            Method::GET,
            &format!("/process-definition/{ID}/nothing"),
            None,
        ),
    ];
    let mut group = c.benchmark_group("classify");
    for (name, method, target, body) in requests {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        group.bench_function(name, |b| {
            b.iter(|| classify(&dialect, &method, path, query, body))
        });
    }
    group.finish();
}

fn answers(c: &mut Criterion) {
    let dialect = EngineRest::new().expect("the tables are read by the unit tests");
    let headers = HeaderMap::new();
    let head = Head {
        method: &Method::POST,
        path: "/process-definition/key/order/start",
        query: None,
        headers: &headers,
    };
    let Found::Route(found) = dialect.find(&head) else {
        unreachable!("starts have a route")
    };
    c.bench_function("learn/the answer to a start", |b| {
        b.iter_batched(
            || Answer {
                engine: &found.engine,
                status: StatusCode::OK,
                headers: &headers,
                body: STARTED.as_bytes(),
            },
            |answer| dialect.extract(found.operation, &answer),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, every_operation, telling_requests, answers);
criterion_main!(benches);
