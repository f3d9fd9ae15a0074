//! Regions and zones of masters and agents.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Lab, SILENCE, capable, info};
use mezz_testkit::Encoding;
use mezz_testkit::wait::PATIENCE;
use serde_json::json;

const HERE: &str = r#"--domain={"fault_domain":{"region":{"name":"here"},"zone":{"name":"a"}}}"#;
const AWAY: &str = r#"--domain={"fault_domain":{"region":{"name":"away"},"zone":{"name":"b"}}}"#;

#[test]
fn agents_of_another_region_are_offered_only_to_frameworks_that_ask_for_them() {
    let mut lab = Lab::with(&[HERE], &[HERE]);
    let far = lab.another_agent("far", &[AWAY]);
    lab.state_where("both agents are there", |state| {
        state["activated_slaves"] == 2.0
    });
    let mut local = lab.framework(Encoding::Json);
    let offer = local.next_offer();
    let near_zone = &offer["domain"]["fault_domain"]["zone"]["name"];
    assert_eq!(near_zone, "a", "{offer}");
    let more = local.events_within(SILENCE);
    assert!(
        more.iter().all(|event| event["type"] != "OFFERS"),
        "{more:?}"
    );
    local.accepted("TEARDOWN", None);

    let aware = ["MULTI_ROLE", "REGION_AWARE"];
    let mut aware = lab.framework_with(Encoding::Json, &capable(info("dev"), &aware));
    let mut regions: Vec<_> = [aware.next_offer(), aware.next_offer()]
        .iter()
        .map(|offer| offer["domain"]["fault_domain"]["region"]["name"].clone())
        .collect();
    regions.sort_by_key(ToString::to_string);
    assert_eq!(regions, [json!("away"), json!("here")]);
    drop(far);
}

#[test]
fn the_domains_of_master_and_agents_are_shown() {
    let lab = Lab::with(&[HERE], &[HERE]);
    let state = lab.state_where("the agent is there", |state| {
        state["activated_slaves"] == 1.0
    });
    let here = json!({"fault_domain": {"region": {"name": "here"}, "zone": {"name": "a"}}});
    assert_eq!(state["domain"], here);
    assert_eq!(state["leader_info"]["domain"], here);
    assert_eq!(state["slaves"][0]["domain"], here);
    assert_eq!(
        lab.agent_client().get("/state").unwrap().json()["domain"],
        here
    );
}

#[test]
fn an_agent_in_no_known_place_is_refused_with_the_flag_that_is_missing() {
    let refusals: [(&[&str], &[&str], &str); 2] = [
        (
            &[HERE, "--require-agent-domain"],
            &[],
            "start the agent with --domain",
        ),
        (&[], &[HERE], "start the master with --domain"),
    ];
    for (master, agent, told) in refusals {
        let mut lab = Lab::master_alone(master);
        let mut agent = lab.another_agent("agent", agent);
        assert!(agent.ended_within(PATIENCE).is_some());
        let lines = agent.lines().join("\n");
        assert!(lines.contains(told), "{lines}");
    }
}

#[test]
fn a_domain_that_is_none_is_refused_before_anything_starts() {
    for (text, told) in [
        ("--domain=here", "not the JSON of a DomainInfo"),
        ("--domain={}", "fault_domain is missing"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_mezz"))
            .args(["master", "--port=0", text])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(told), "{said}");
    }
}
