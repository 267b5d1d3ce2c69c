//! Against an apiserver that is only pretended, by a clock that only runs when everybody waits.

mod fake;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use plenipo_resources::{
    Code, Earlier, Object, ObjectId, Origin, Problem, Report, SetBuilder, Severity, State, Verdict, decode,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::{Handle, Options, Outcome, keep};
use fake::Fake;

/// Long enough for what is not held up.
const SOON: Duration = Duration::from_secs(1);

/// A gateway with objects, as far as the status of those is concerned.
struct Scene {
    fake: Fake,
    objects: BTreeMap<ObjectId, (Arc<Object>, Arc<Verdict>)>,
    addresses: BTreeMap<ObjectId, Vec<String>>,
    unread: BTreeMap<ObjectId, Arc<Verdict>>,
    outcomes: watch::Sender<Option<Arc<Outcome>>>,
}

fn path(id: &ObjectId) -> String {
    let (group, plural) = match &*id.kind {
        "Mapping" => ("getambassador.io/v3alpha1", "mappings"),
        "Host" => ("getambassador.io/v3alpha1", "hosts"),
        "Ingress" => ("networking.k8s.io/v1", "ingresses"),
        other => panic!("no path for {other}"),
    };
    format!("/apis/{group}/namespaces/{}/{plural}/{}", id.namespace, id.name)
}

fn mapping(name: &str) -> ObjectId {
    ObjectId::new("Mapping", "shop", name)
}

fn accepted() -> Verdict {
    Verdict { state: State::Accepted, problems: Vec::new(), earlier: None }
}

fn refused(id: &ObjectId, why: &str) -> Verdict {
    let problem = Problem {
        severity: Severity::Error,
        code: Code("bad-prefix"),
        object: Some(id.clone()),
        origin: Some(Origin::Cluster),
        field: "spec.prefix".to_owned(),
        message: why.to_owned(),
        fix: String::new(),
    };
    Verdict { state: State::Refused, problems: vec![problem], earlier: None }
}

impl Scene {
    fn new(list: Option<&'static str>) -> Self {
        Self {
            fake: Fake::new(list),
            objects: BTreeMap::new(),
            addresses: BTreeMap::new(),
            unread: BTreeMap::new(),
            outcomes: watch::channel(None).0,
        }
    }

    /// One more object, or the next generation of one that is there.
    fn put(&mut self, id: &ObjectId, verdict: Verdict) {
        let generation = self.objects.get(id).map_or(1, |(object, _)| object.meta.generation + 1);
        let value = self.stored(id, generation);
        let mut decoded = decode(value, Origin::Cluster);
        assert_eq!(decoded.objects.len(), 1, "{:?}", decoded.problems);
        self.objects.insert(id.clone(), (Arc::new(decoded.objects.remove(0)), Arc::new(verdict)));
    }

    /// In the apiserver.
    fn stored(&self, id: &ObjectId, generation: i64) -> Value {
        let api_version =
            if &*id.kind == "Ingress" { "networking.k8s.io/v1" } else { "getambassador.io/v3alpha1" };
        let mut value = json!({
            "apiVersion": api_version, "kind": *id.kind,
            "metadata": {
                "name": *id.name, "namespace": *id.namespace, "generation": generation,
                "uid": format!("uid of {}", id.name), "resourceVersion": "0",
            },
            "spec": {},
        });
        let mut state = self.fake.state();
        if let Some(before) = state.objects.get(&path(id)) {
            value["status"] = before["status"].clone();
        }
        state.objects.insert(path(id), value.clone());
        value
    }

    fn publish(&self) {
        let mut builder = SetBuilder::default();
        let mut verdicts = BTreeMap::new();
        for (id, (object, verdict)) in &self.objects {
            builder.add(Arc::clone(object));
            verdicts.insert(id.clone(), Arc::clone(verdict));
        }
        verdicts.extend(self.unread.clone());
        let report = Report { verdicts: Arc::new(verdicts), ..Report::default() };
        let addresses = Arc::new(self.addresses.clone());
        let outcome = Outcome { set: builder.build(), report, serving: true, faults: Vec::new(), addresses };
        self.outcomes.send_replace(Some(Arc::new(outcome)));
    }

    fn replica(&self, name: &str) -> Handle {
        self.replica_with(Options::new("default", "edge", name))
    }

    fn replica_with(&self, options: Options) -> Handle {
        keep(self.fake.client(), options, self.outcomes.subscribe())
    }

    fn status(&self, id: &ObjectId) -> Value {
        self.fake.state().objects[&path(id)]["status"].clone()
    }

    fn condition(&self, id: &ObjectId, at: &str) -> Value {
        let status = self.status(id);
        let all = status["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|it| it["type"] == at).unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_cluster_lacks_is_written_once() {
    let mut scene = Scene::new(Some("map"));
    let (good, bad) = (mapping("good"), mapping("bad"));
    scene.put(&good, accepted());
    scene.put(&bad, refused(&bad, "no slash"));
    let gateway = scene.replica("a");
    sleep(SOON).await;
    assert_eq!(scene.fake.writes(), 0, "nothing is known yet");

    scene.publish();
    sleep(SOON).await;
    assert_eq!(scene.condition(&good, "Accepted")["status"], "True");
    assert_eq!(scene.condition(&good, "Programmed")["observedGeneration"], 1);
    assert_eq!(scene.status(&good)["state"], "Running");
    assert_eq!(scene.condition(&bad, "Accepted")["reason"], "Invalid");
    assert_eq!(scene.status(&bad)["state"], "Inactive");
    scene.publish();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(scene.fake.writes(), 2, "what is there is not written again");
    assert_eq!(gateway.gauge().writes()[0], ("written", 2));

    scene.put(&good, accepted());
    scene.publish();
    sleep(SOON).await;
    assert_eq!(scene.condition(&good, "Accepted")["observedGeneration"], 2);
    assert_eq!(scene.fake.writes(), 3);
    gateway.stop().await;

    // The next that leads finds everything in order.
    let next = scene.replica("b");
    sleep(SOON).await;
    assert!(next.gauge().leads(), "the lease was given back");
    assert_eq!(scene.fake.writes(), 3);
}

#[tokio::test(start_paused = true)]
async fn others_objects_are_not_touched() {
    let mut scene = Scene::new(Some("map"));
    scene.put(&mapping("others"), Verdict { state: State::Ignored, ..accepted() });
    let unread = mapping("unread-of-others");
    scene.stored(&unread, 3);
    scene.fake.state().objects.get_mut(&path(&unread)).expect("it is stored")["spec"] =
        json!({"ambassador_id": ["b"]});
    scene.unread.insert(unread.clone(), Arc::new(refused(&unread, "no text")));
    scene.publish();
    let _gateway = scene.replica("a");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.fake.writes(), 0);
    assert_eq!(scene.fake.count("POST", "/events"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_is_told_all_the_same() {
    let mut scene = Scene::new(Some("map"));
    let id = mapping("unread");
    scene.stored(&id, 3);
    scene.unread.insert(id.clone(), Arc::new(refused(&id, "spec.prefix is a number")));
    scene.publish();
    let _gateway = scene.replica("a");
    sleep(SOON).await;
    let found = scene.condition(&id, "Accepted");
    assert_eq!((&found["status"], &found["observedGeneration"]), (&json!("False"), &json!(3)));
    assert_eq!(scene.fake.count("POST", "/events"), 1);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.fake.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_version_that_serves_stays_accepted() {
    let mut scene = Scene::new(Some("map"));
    let id = mapping("cart");
    scene.put(&id, accepted());
    scene.publish();
    let _gateway = scene.replica("a");
    sleep(SOON).await;
    let since = scene.condition(&id, "Accepted")["lastTransitionTime"].clone();

    scene.put(&id, Verdict { earlier: Some(Earlier::Version(1)), ..refused(&id, "no slash") });
    scene.publish();
    sleep(SOON).await;
    let found = scene.condition(&id, "Accepted");
    assert_eq!((&found["status"], &found["observedGeneration"]), (&json!("True"), &json!(1)));
    assert!(found["message"].as_str().is_some_and(|it| it.contains("no slash")), "{found}");
    assert_eq!(found["lastTransitionTime"], since);
    assert_eq!(scene.condition(&id, "Programmed")["status"], "False");
    assert_eq!(scene.fake.count("POST", "/events"), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_changes_cost_what_the_budget_says() {
    let mut scene = Scene::new(Some("map"));
    let ids: Vec<ObjectId> = (0..10_000).map(|at| mapping(&format!("m{at}"))).collect();
    for id in &ids {
        scene.put(id, accepted());
    }
    scene.publish();
    let gateway = scene.replica("a");
    sleep(Duration::from_secs(10)).await;
    let writes = scene.fake.writes();
    assert!((200..=251).contains(&writes), "{writes} in 10 s, of 50 and 20 each second");
    assert_eq!(gateway.gauge().waiting(), (10_000 - writes) as u64);

    // Another change of all of them waits for no more than one write each, of what is newest.
    for id in &ids {
        scene.put(id, refused(id, "no slash"));
    }
    scene.publish();
    sleep(Duration::from_secs(10)).await;
    assert!(scene.fake.writes() <= 451);
    assert!(gateway.gauge().waiting() <= 10_000);
    sleep(Duration::from_secs(500)).await;
    assert_eq!(gateway.gauge().waiting(), 0);
    let behind = ids.iter().filter(|id| scene.condition(id, "Accepted")["observedGeneration"] != 2).count();
    assert_eq!(behind, 0);
    assert!(scene.fake.writes() <= writes + 10_000 + 200, "{}", scene.fake.writes());
    assert!(scene.fake.count("POST", "/events") <= 3000, "events have a budget of their own");
}

#[tokio::test(start_paused = true)]
async fn deleted_objects_leave_the_queue() {
    let mut scene = Scene::new(Some("map"));
    for at in 0..1000 {
        scene.put(&mapping(&format!("m{at}")), accepted());
    }
    scene.publish();
    let gateway = scene.replica("a");
    sleep(SOON).await;
    scene.objects.clear();
    scene.publish();
    sleep(SOON).await;
    let writes = scene.fake.writes();
    assert_eq!(gateway.gauge().waiting(), 0);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.fake.writes(), writes);
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_with_too_much_to_do_is_left_alone_for_as_long_as_it_says() {
    let mut scene = Scene::new(Some("map"));
    for at in 0..100 {
        scene.put(&mapping(&format!("m{at}")), accepted());
    }
    scene.fake.state().refusing = Some((429, 7));
    scene.publish();
    let gateway = scene.replica("a");
    sleep(Duration::from_secs(6)).await;
    let tried = scene.fake.writes();
    assert!((1..=super::AT_ONCE).contains(&tried), "{tried}");
    scene.fake.state().refusing = None;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(scene.fake.writes(), tried + 100);
    assert_eq!(gateway.gauge().writes()[0], ("written", 100));
}

#[tokio::test(start_paused = true)]
async fn what_the_definition_does_not_hold_is_not_written_and_not_missed() {
    let mut scene = Scene::new(None);
    let id = mapping("cart");
    scene.put(&id, accepted());
    scene.publish();
    let _gateway = scene.replica("a");
    sleep(Duration::from_secs(4000)).await;
    assert_eq!(scene.status(&id), json!({"state": "Running"}));
    assert_eq!(scene.fake.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_definitions_hold_more_what_was_missing_is_written() {
    let mut scene = Scene::new(None);
    let id = mapping("cart");
    scene.put(&id, accepted());
    scene.publish();
    let _gateway = scene.replica("a");
    sleep(SOON).await;
    assert_eq!(scene.condition(&id, "Programmed"), Value::Null);
    scene.fake.state().list = Some("map");
    sleep(super::DEFINITIONS + SOON).await;
    assert_eq!(scene.condition(&id, "Programmed")["status"], "True");
    assert_eq!(scene.fake.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_was_replaced_a_moment_ago_is_read_again() {
    let mut scene = Scene::new(Some("atomic"));
    let id = mapping("cart");
    scene.put(&id, accepted());
    let why = "failed to create typed patch object: .status.conditions: field not declared in schema";
    let refuse = |refusing, list| {
        let mut state = scene.fake.state();
        (state.refusing, state.list, state.why) = (refusing, list, why);
    };
    refuse(Some((500, 0)), Some("atomic"));
    scene.publish();
    let gateway = scene.replica("a");
    sleep(SOON).await;
    assert_eq!(gateway.gauge().writes()[4], ("refused", 1));
    // Now it is published, too.
    refuse(None, None);
    sleep(super::SOON + SOON).await;
    assert_eq!(scene.status(&id), json!({"state": "Running"}));
    assert_eq!(scene.fake.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_apiserver_refuses_is_not_tried_for_ever() {
    let mut scene = Scene::new(Some("map"));
    let id = mapping("cart");
    scene.put(&id, accepted());
    scene.fake.state().refusing = Some((422, 0));
    scene.publish();
    let gateway = scene.replica("a");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(scene.fake.writes(), 1);
    assert_eq!(gateway.gauge().writes()[4], ("refused", 1));
}

#[tokio::test(start_paused = true)]
async fn others_conditions_stay_where_the_list_has_one_writer() {
    let mut scene = Scene::new(Some("atomic"));
    let id = mapping("cart");
    scene.put(&id, accepted());
    let others = json!([{"type": "Certified", "status": "True"}]);
    scene.fake.state().objects.get_mut(&path(&id)).expect("it is stored")["status"] =
        json!({"conditions": others});
    scene.publish();
    let _gateway = scene.replica("a");
    sleep(SOON).await;
    let status = scene.status(&id);
    let types: BTreeSet<&str> =
        status["conditions"].as_array().into_iter().flatten().filter_map(|it| it["type"].as_str()).collect();
    assert_eq!(types, BTreeSet::from(["Accepted", "Certified", "Programmed", "ResolvedRefs"]));
}

#[tokio::test(start_paused = true)]
async fn one_replica_writes_and_another_takes_over() {
    let mut scene = Scene::new(Some("map"));
    let id = mapping("cart");
    scene.put(&id, accepted());
    scene.publish();
    let first = scene.replica("a");
    sleep(SOON).await;
    let second = scene.replica("b");
    sleep(Duration::from_secs(60)).await;
    assert_eq!((first.gauge().leads(), second.gauge().leads()), (true, false));
    assert_eq!((first.gauge().writes()[0].1, second.gauge().writes()[0].1), (1, 0));

    // It dies without a word.
    drop(first);
    sleep(Duration::from_secs(10)).await;
    assert!(!second.gauge().leads());
    sleep(Duration::from_secs(10)).await;
    assert!(second.gauge().leads());
    scene.put(&id, accepted());
    scene.publish();
    sleep(SOON).await;
    assert_eq!(second.gauge().writes()[0].1, 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_renew_the_lease_stops_before_it_runs_out() {
    let mut scene = Scene::new(Some("map"));
    let id = mapping("cart");
    scene.put(&id, accepted());
    scene.publish();
    let gateway = scene.replica("a");
    sleep(SOON).await;
    scene.fake.state().leases_away = true;
    sleep(Duration::from_secs(11)).await;
    assert!(!gateway.gauge().leads());
    scene.put(&id, accepted());
    scene.publish();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.fake.writes(), 1, "only the first, while it led");
    scene.fake.state().leases_away = false;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(scene.fake.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn ingresses_say_where_the_gateway_is() {
    let mut scene = Scene::new(Some("map"));
    let (ours, others) =
        (ObjectId::new("Ingress", "shop", "ours"), ObjectId::new("Ingress", "shop", "others"));
    for id in [&ours, &others] {
        scene.put(id, accepted());
    }
    let taken = json!({"loadBalancer": {"ingress": [{"hostname": "alb.example.com"}]}});
    scene.fake.state().objects.get_mut(&path(&others)).expect("it is stored")["status"] = taken.clone();
    scene.addresses.insert(ours.clone(), vec!["lb.example.com".to_owned()]);
    scene.publish();
    let gateway = scene.replica("a");
    sleep(SOON).await;
    assert_eq!(scene.status(&ours), json!({"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}));
    assert_eq!(scene.status(&others), taken, "it is a load balancer's");

    // No address is known any more: nothing is taken away that others may have made records of.
    scene.addresses.insert(ours.clone(), Vec::new());
    scene.publish();
    sleep(SOON).await;
    assert_eq!(scene.fake.writes(), 1);
    // It is another class' now.
    scene.addresses.clear();
    scene.publish();
    sleep(SOON).await;
    assert_eq!(scene.status(&ours), json!({}));
    assert_eq!(scene.fake.writes(), 2);
    gateway.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_published_can_be_said() {
    let mut scene = Scene::new(Some("map"));
    let id = ObjectId::new("Ingress", "shop", "ours");
    scene.put(&id, accepted());
    scene.addresses.insert(id.clone(), Vec::new());
    scene.publish();
    let mut options = Options::new("default", "edge", "a");
    options.publication.addresses = vec!["192.0.2.1".to_owned()];
    let _gateway = scene.replica_with(options);
    sleep(SOON).await;
    assert_eq!(scene.status(&id), json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}));
}

#[test]
fn leases_of_different_ids_are_called_differently() {
    let name = |id: &str| Options::new(id, "edge", "a").lease();
    assert_eq!(name("default"), "plenipo-default");
    // What the chart makes of it, too: the hash is `sha256sum`'s.
    assert_eq!(name("Edge_1"), "plenipo-1631b428987bec4a");
    let odd = ["Edge_1", "edge-1", "edge_1", "", "-", &"x".repeat(200), &"x".repeat(201), "größer"].map(name);
    let different: BTreeSet<&String> = odd.iter().collect();
    assert_eq!(different.len(), odd.len());
    for name in &odd {
        let fits = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        assert!(name.len() <= 63 && name.chars().all(fits) && !name.ends_with('-'), "{name}");
    }
}
