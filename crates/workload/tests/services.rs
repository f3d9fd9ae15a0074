//! Services: started, kept up, scaled and ended.

mod kernel;

use kernel::{Kernel, service};
use mezz_proto::v1::TaskState;
use mezz_spec::Kind;
use serde_json::json;

#[test]
fn a_service_has_as_many_instances_as_it_says() {
    let mut kernel = Kernel::new(2);
    let applied = kernel.apply(service("/team/web", "serve", json!({ "replicas": 3 })));
    assert!(applied.rollout.is_some());
    let status = kernel.service_status("/team/web");
    assert_eq!((status.wanted, status.running, status.ready), (3, 3, 3));
    assert_eq!(status.stable_generation, Some(1));
    assert!(kernel.is_true(Kind::Service, "/team/web", "ready"));
    assert!(!kernel.is_true(Kind::Service, "/team/web", "progressing"));
}

#[test]
fn an_instance_that_fails_is_replaced_after_its_delay_which_grows() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "serve", json!({})));
    let mut gaps = Vec::new();
    for _ in 0..3 {
        let id = kernel.ids("/web").remove(0);
        kernel.end(&id, TaskState::TaskFailed, "exit 1");
        let failed_at = kernel.now;
        assert!(kernel.ids("/web").is_empty());
        while kernel.ids("/web").is_empty() {
            kernel.pass_ns(100_000_000);
        }
        gaps.push((kernel.launches.last().unwrap().0 - failed_at) / kernel::SECOND);
    }
    assert_eq!(gaps, [1, 2, 4]);
}
