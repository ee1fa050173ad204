//! What operators are told of a cache whose Redis does not answer.

use crate::server::{Data, wait_until};
use serde_json::Value;
use std::net::TcpListener;

#[test]
fn a_redis_that_is_out_is_told_with_the_reason_and_without_the_password() {
    // Bound and not listened to by a Redis: whoever connects is never answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://rhiz:s3cr3t@{}/1", silent.local_addr().unwrap());
    let server = Data::new().serve_with(&[("CACHE_BACKEND", "redis"), ("REDIS_URL", &url)]);
    let keyed = server.keyed();
    let details = || keyed.get("/health/detailed").expect(200);
    wait_until("it has tried to connect", || {
        details()["cache"]["reason"].as_str().is_some_and(|why| !why.ends_with("not connected yet"))
    });
    wait_until("the sampler has looked", || {
        details()["dependencies"]["cache"]["error"] == "redis_out"
    });
    let details = details();
    let cache = &details["cache"];
    assert_eq!((&cache["status"], &cache["error"]), (&"degraded".into(), &"redis_out".into()));
    assert!(cache["reason"].as_str().unwrap().starts_with("Redis is out: "), "{cache}");
    assert!(cache["latency_ms"].is_number() && cache["total_keys"].is_number(), "{cache}");
    assert_eq!(details["dependencies"]["cache"]["status"], "degraded");
    assert!(!details.to_string().contains("s3cr3t"), "{details}");
    // What Redis holds is not known, which is not the same as nothing.
    let stats = keyed.get("/internal/cache/stats").expect(200);
    let redis = &stats["redis"]["lookups"];
    for counts in [&redis["total"], &redis["namespaces"]["trust:score"], &stats["overall"]["total"]]
    {
        assert_eq!((&counts["keys"], &counts["bytes"]), (&Value::Null, &Value::Null), "{stats}");
    }
    let memory = &stats["memory"]["namespaces"]["trust:score"];
    assert_eq!((&memory["keys"], &memory["latency_p50_ms"]), (&0.into(), &Value::Null));
    // It serves all the same.
    assert_eq!(server.anybody().get("/health/ready").expect(200)["status"], "degraded");
}
