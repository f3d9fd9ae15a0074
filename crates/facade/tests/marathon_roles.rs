//! `enforceRole` of groups.
#![allow(clippy::unwrap_used)]

mod asking;
mod views;

use asking::Server;
use mezz_facade::marathon;
use serde_json::{Value, json};

fn app(id: &str, role: Option<&str>) -> Value {
    let mut app = json!({ "id": id, "cmd": "serve", "cpus": 0.1, "mem": 16 });
    if let Some(role) = role {
        app["role"] = role.into();
    }
    app
}

fn role(server: &mut Server, id: &str) -> Value {
    server.get(&format!("/v2/apps{id}")).1["app"]["role"].clone()
}

#[test]
fn a_group_that_enforces_its_role_gives_it_to_its_apps_and_takes_no_other() {
    let mut s = Server::new(marathon::handle);
    let group = json!({ "id": "/dev", "enforceRole": true, "groups": [
        { "id": "sub", "apps": [app("web", None)] },
    ] });
    let (status, answer) = s.send("POST", "/v2/groups", &group);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(role(&mut s, "/dev/sub/web"), "dev");
    assert_eq!(s.get("/v2/groups/dev").1["enforceRole"], true);

    let (status, answer) = s.send("POST", "/v2/apps", &app("/dev/other", Some("prod")));
    assert_eq!(status, 422, "{answer}");
    assert_eq!(answer["details"][0]["path"], "/role");
    assert_eq!(
        s.send("POST", "/v2/apps", &app("/dev/other", Some("dev")))
            .0,
        201
    );
    let (status, answer) = s.send("PUT", "/v2/apps/dev/other", &json!({ "role": "prod" }));
    assert_eq!(status, 422, "{answer}");
    // A change of the group that does not name it leaves it as it is.
    let again = json!({ "id": "/dev", "apps": [app("late", None)] });
    assert_eq!(s.send("PUT", "/v2/groups/dev?force=true", &again).0, 200);
    assert_eq!(role(&mut s, "/dev/late"), "dev");
}

#[test]
fn a_patch_says_whether_a_group_enforces_its_role() {
    let mut s = Server::new(marathon::handle);
    assert_eq!(s.send("POST", "/v2/apps", &app("/dev/old", None)).0, 201);
    let patch = |s: &mut Server, enforced: Value| {
        s.send(
            "PATCH",
            "/v2/groups/dev",
            &json!({ "enforceRole": enforced }),
        )
        .0
    };
    assert!(s.get("/v2/groups/dev").1.get("enforceRole").is_none());
    assert_eq!(patch(&mut s, json!(false)), 200);
    assert_eq!(s.get("/v2/groups/dev").1["enforceRole"], false);
    assert_eq!(s.send("POST", "/v2/apps", &app("/dev/new", None)).0, 201);
    assert_eq!(role(&mut s, "/dev/new"), "*");
    assert_eq!(
        s.send("POST", "/v2/apps", &app("/dev/free", Some("prod")))
            .0,
        201
    );
    assert_eq!(patch(&mut s, json!(true)), 200);
    let (status, _) = s.send("POST", "/v2/apps", &app("/dev/bad", Some("prod")));
    assert_eq!(status, 422);
    assert_eq!(patch(&mut s, json!("yes")), 422);
    let (status, _) = s.send("PATCH", "/v2/groups/none", &json!({ "enforceRole": true }));
    assert_eq!(status, 404);
    let (status, _) = s.send(
        "PATCH",
        "/v2/groups/dev/sub",
        &json!({ "enforceRole": true }),
    );
    assert!(
        status == 404 || status == 422,
        "only outermost groups enforce roles"
    );
}
