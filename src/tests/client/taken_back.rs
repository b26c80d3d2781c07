//! Laws of `headwater undo`, `revert`, `history` and `mark` on the server of a `headwater dev`.

use std::fs;

use serde_json::{Value, json};

use crate::managed::{Fleet, bundle, document, done, fails, put};

impl Fleet {
    /// The id of the request that made an entity's last event.
    async fn last_request(&self, entity: &str) -> String {
        let events: Vec<Value> = self.client().list("/v1/events", &[("entity", entity)]).await.unwrap();
        events.last().unwrap()["command_id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn yesterdays_change_is_undone_and_a_mark_is_gone_back_to() {
    let fleet = Fleet::start();
    fleet.write("loki.yaml", &(bundle("loki") + &document("a", "one") + &document("b", "one")));
    done(fleet.apply(&["--reason", "first"]));
    assert!(done(fleet.run(&["mark", "good"])).contains("mark good names position"));
    fails(1, "mark_exists", fleet.run(&["mark", "good", "--at", "1"]));
    fleet.write("loki.yaml", &(bundle("loki") + &document("a", "two") + &document("c", "two")));
    done(fleet.apply(&["--prune", "--reason", "second"]));
    let second = fleet.last_request("document/a").await;
    fleet.send(vec![put("other", "by hand")]).await;
    // Without a terminal nobody is asked.
    fails(2, "there is no terminal to ask on", fleet.run(&["undo", &second]));
    let said = done(fleet.run(&["undo", &second, "--yes"]));
    assert!(said.contains("~ document/a") && said.contains("+ document/b") && said.contains("- document/c"), "{said}");
    assert_eq!(fleet.documents().await, ["a", "b", "other"]);
    assert_eq!(fleet.members("loki").await, ["document/a", "document/b"]);
    assert!(done(fleet.run(&["undo", &second, "--yes"])).contains("there is nothing to take back"));
    let history = done(fleet.run(&["history", "bundle/loki", "--diff"]));
    assert!(history.contains("    first\n") && history.contains("    second\n"), "{history}");
    assert!(
        history.contains(&format!("    undo {second}: second\n"))
            && history.contains("\n-one\n")
            && history.contains("\n+two\n"),
        "{history}"
    );
    assert_eq!(done(fleet.run(&["history", "document/a", "--last", "1"])).matches("request ").count(), 1);
    // Somebody changed it since.
    let undone = fleet.last_request("document/a").await;
    fleet.send(vec![put("a", "three")]).await;
    fails(1, "changed_since", fleet.run(&["undo", &undone, "--yes"]));
    done(fleet.run(&["revert", "--to", "mark:good", "--only", "bundle/loki", "--yes"]));
    assert_eq!(fleet.documents().await, ["a", "b", "other"]);
    done(fleet.run(&["revert", "--to", "mark:good", "--yes"]));
    assert_eq!(fleet.documents().await, ["a", "b"]);
    let before = fleet.position().await;
    fs::remove_file(fleet.manifests.join("loki.yaml")).unwrap();
    fleet.write("loki.yaml", &(bundle("loki") + &document("a", "one") + &document("b", "one")));
    assert!(done(fleet.apply(&["--prune"])).contains("there is nothing to change"));
    assert_eq!(fleet.position().await, before);
}

#[tokio::test]
async fn what_is_not_there_or_stays_is_said() {
    let fleet = Fleet::start();
    fails(1, "there is no mark/never", fleet.run(&["revert", "--to", "mark:never", "--yes"]));
    fails(1, "unknown_command", fleet.run(&["undo", "0198f7a2-7c7b-7def-8000-000000000001", "--yes"]));
    assert!(done(fleet.run(&["history", "document/never"])).contains("nothing ever happened to document/never"));
    let start = fleet.position().await.to_string();
    fleet.send(vec![json!({"type": "enrol_node", "id": "n-1", "labels": {}}), put("a", "one")]).await;
    let enrolled = fleet.last_request("node/n-1").await;
    fails(1, "NodeEnrolled of node/n-1", fleet.run(&["undo", &enrolled, "--yes"]));
    let said = done(fleet.run(&["revert", "--to", &start, "--yes"]));
    assert!(said.contains("enrolled since, and stays so: node/n-1") && said.contains("- document/a"), "{said}");
    let json = done(fleet.run(&["mark", "end", "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["events"][0]["type"], "Marked");
}
