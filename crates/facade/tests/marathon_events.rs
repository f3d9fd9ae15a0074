//! Whom Marathon's events name.
#![allow(clippy::unwrap_used)]

mod views;

use mezz_facade::World;
use mezz_facade::marathon::events::{EventFilter, Feed};
use mezz_facade::world::Cluster;
use mezz_spec::{Kind, Name};
use mezz_workload::fact::Fact;
use mezz_workload::key::ObjectKey;
use serde_json::json;
use views::{NOW, post};

#[test]
fn a_change_names_the_address_of_whoever_made_it_and_nobody_s_when_it_came_of_itself() {
    let work = post(json!({ "id": "/web", "cmd": "serve" }));
    let cluster = Cluster::default();
    let world = World {
        work: &work,
        now: NOW,
        cluster: &cluster,
    };
    let mut feed = Feed::new(EventFilter::default(), &world);
    for (by, told) in [(Some("10.1.2.3"), "10.1.2.3"), (None, "0.0.0.0")] {
        let fact = Fact::ObjectApplied {
            object: ObjectKey(0),
            kind: Kind::Service,
            name: Name::new("/web").unwrap(),
            generation: 1,
            is_new: true,
            by: by.map(Into::into),
        };
        let events = feed.of_fact(&fact, &world, NOW);
        let (kind, event) = &events[0];
        assert_eq!(
            (*kind, &event["clientIp"]),
            ("api_post_event", &json!(told))
        );
        assert_eq!(event["uri"], "/v2/apps/web");
    }
}
