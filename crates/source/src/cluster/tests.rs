use plenipo_resources::{Severity, Standing, View};
use plenipo_testkit::{Apiserver, eventually};
use serde_json::{Value, json};

use super::*;

type Sets = channel::Receiver<Option<Arc<Set>>>;
type States = channel::Receiver<Arc<SourceState>>;

fn mapping(name: &str, prefix: &str) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
        "metadata": {"name": name, "namespace": "shop", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes"}},
        "spec": {"hostname": "*", "prefix": prefix, "service": "quote"},
        "status": {"state": "Running"},
    })
}

fn host(name: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Host",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"hostname": "a.example", "tlsSecret": {"name": secret}},
    })
}

fn secret(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": "shop"}, "stringData": {"value": value},
    })
}

fn client(server: &Apiserver) -> Client {
    let mut config = Config::new(server.url().parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

fn options() -> ClusterOptions {
    ClusterOptions { discovery: Duration::from_millis(100), ..ClusterOptions::default() }
}

fn following(server: &Apiserver, options: ClusterOptions) -> (Sets, States) {
    follow(client(server), options)
}

/// Waits for a set that is so.
async fn becomes(sets: &mut Sets, is_so: impl Fn(&Set) -> bool) -> Arc<Set> {
    let so = sets.wait_for(|set| set.as_ref().is_some_and(|set| is_so(set)));
    let set = timeout(Duration::from_secs(20), so).await.expect("it becomes so").unwrap();
    Arc::clone(set.as_ref().unwrap())
}

async fn stands(states: &mut States, kind: &str, standing: Standing) -> Arc<SourceState> {
    let so = states.wait_for(|state| state.kinds.get(kind).is_some_and(|kind| kind.standing == standing));
    let state = timeout(Duration::from_secs(20), so).await.expect("it comes to stand so").unwrap();
    Arc::clone(&state)
}

fn names(set: &Set) -> Vec<String> {
    set.objects().iter().map(|object| object.id.to_string()).collect()
}

fn prefix(set: &Set, name: &str) -> Option<String> {
    match &set.get("Mapping", "shop", name)?.view {
        View::Mapping(mapping) => mapping.prefix.clone(),
        _ => None,
    }
}

fn value(set: &Set, name: &str) -> Option<String> {
    match &set.get("Secret", "shop", name)?.view {
        View::Secret(secret) => String::from_utf8(secret.data.get("value")?.clone()).ok(),
        _ => None,
    }
}

#[tokio::test]
async fn everything_is_listed_and_followed() {
    let server = Apiserver::start().await.unwrap();
    for number in 0..8 {
        server.put(mapping(&format!("m{number}"), "/a/"));
    }
    server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    let (mut sets, states) = following(&server, options());
    let first = becomes(&mut sets, |_| true).await;
    assert_eq!(first.objects().len(), 9, "{:?}", names(&first));
    assert!(states.borrow().is_synced());
    let object = first.get("Mapping", "shop", "m3").unwrap();
    assert_eq!(object.meta.annotations.keys().collect::<Vec<_>>(), ["kept"]);
    assert!(!object.meta.uid.is_empty());

    server.put(mapping("m3", "/b/"));
    let second = becomes(&mut sets, |set| prefix(set, "m3").as_deref() == Some("/b/")).await;
    let same = |name: &str| {
        Arc::ptr_eq(first.get("Mapping", "shop", name).unwrap(), second.get("Mapping", "shop", name).unwrap())
    };
    assert!(same("m2") && !same("m3"));
    server.put(mapping("m9", "/c/"));
    becomes(&mut sets, |set| prefix(set, "m9").is_some()).await;
    server.delete("Mapping", "shop", "m3");
    becomes(&mut sets, |set| prefix(set, "m3").is_none()).await;
}

#[tokio::test]
async fn secrets_are_read_only_when_something_refers_to_them() {
    let server = Apiserver::start().await.unwrap();
    server.put(secret("used", "1"));
    server.put(secret("private", "1"));
    server.put(host("h", "used"));
    let (mut sets, _states) = following(&server, options());
    let first = becomes(&mut sets, |_| true).await;
    assert_eq!(names(&first), ["Host shop/h", "Secret shop/used"]);
    server.put(secret("used", "2"));
    becomes(&mut sets, |set| value(set, "used").as_deref() == Some("2")).await;
    // First the reference, then the Secret, and the other way round.
    server.put(host("other", "later"));
    becomes(&mut sets, |set| set.get("Host", "shop", "other").is_some()).await;
    server.put(secret("later", "3"));
    becomes(&mut sets, |set| value(set, "later").is_some()).await;
    server.put(host("h", "private"));
    let third =
        becomes(&mut sets, |set| value(set, "private").is_some() && value(set, "used").is_none()).await;
    assert_eq!(names(&third), ["Host shop/h", "Host shop/other", "Secret shop/later", "Secret shop/private"]);
    server.delete("Secret", "shop", "private");
    becomes(&mut sets, |set| value(set, "private").is_none()).await;
    let fetched = server.asked().into_iter().filter(|path| path.contains("/secrets/")).collect::<Vec<_>>();
    assert_eq!(
        fetched,
        ["used", "used", "later", "private"].map(|name| format!("/api/v1/namespaces/shop/secrets/{name}"))
    );
}

#[tokio::test]
async fn settings_are_known_by_their_names() {
    let server = Apiserver::start().await.unwrap();
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"a": "b"}});
    for name in ["istio", "istio-canary", "istio-ca-root-cert", "dashboards", "ingress-nginx-controller"] {
        server.put(map(name));
    }
    let (mut sets, _states) = following(&server, options());
    let set = becomes(&mut sets, |_| true).await;
    assert_eq!(
        names(&set),
        ["ConfigMap shop/ingress-nginx-controller", "ConfigMap shop/istio", "ConfigMap shop/istio-canary"]
    );
}

#[tokio::test]
async fn secrets_that_may_not_be_listed_are_read_by_name() {
    let server = Apiserver::start().await.unwrap();
    server.put(secret("used", "1"));
    server.put(host("h", "used"));
    server.refuse("secrets", 403, "secrets is forbidden");
    let (mut sets, mut states) = following(&server, options());
    let first = becomes(&mut sets, |set| value(set, "used").is_some()).await;
    assert!(first.problems().is_empty(), "{:?}", first.problems());
    stands(&mut states, "Secret", Standing::Synced).await;
    server.put(secret("used", "2"));
    becomes(&mut sets, |set| value(set, "used").as_deref() == Some("2")).await;
    server.put(host("h", "other"));
    becomes(&mut sets, |set| value(set, "used").is_none()).await;
    server.put(secret("other", "3"));
    becomes(&mut sets, |set| value(set, "other").as_deref() == Some("3")).await;
    server.delete("Secret", "shop", "other");
    becomes(&mut sets, |set| value(set, "other").is_none()).await;
}

#[tokio::test]
async fn what_may_not_be_read_is_said_and_done_without() {
    let server = Apiserver::start().await.unwrap();
    server.put(mapping("m", "/"));
    server.refuse("ingresses", 403, "ingresses is forbidden");
    server.refuse("ingressclasses", 403, "ingressclasses is forbidden");
    let narrow = ClusterOptions { namespaces: vec!["shop".into()], ..options() };
    let (mut sets, states) = following(&server, narrow);
    let set = becomes(&mut sets, |set| set.problems().len() == 2).await;
    assert_eq!(names(&set), ["Mapping shop/m"]);
    let severities: Vec<_> = set.problems().iter().map(|problem| problem.severity).collect();
    assert!(
        severities.contains(&Severity::Warning) && severities.contains(&Severity::Note),
        "{:?}",
        set.problems()
    );
    let state = states.borrow().clone();
    assert_eq!(state.kinds["Ingress"].standing, Standing::Lost);
    assert_eq!(state.kinds["IngressClass"].standing, Standing::LeftOut);
    assert!(
        state.kinds["Ingress"].error.as_ref().is_some_and(|error| error.contains("ingresses is forbidden"))
    );
    // Only the namespace was asked about.
    let wide = server
        .asked()
        .into_iter()
        .filter(|path| path.contains("/mappings") && !path.contains("/namespaces/shop/"));
    assert_eq!(wide.count(), 0);
}

#[tokio::test]
async fn a_compacted_history_is_listed_again() {
    let server = Apiserver::start().await.unwrap();
    server.put(mapping("stays", "/"));
    server.put(mapping("goes", "/"));
    let (mut sets, mut states) = following(&server, options());
    let first = becomes(&mut sets, |set| set.objects().len() == 2).await;
    stands(&mut states, "Mapping", Standing::Synced).await;
    server.refuse("mappings", 500, "not now");
    server.cut();
    stands(&mut states, "Mapping", Standing::Lost).await;
    // What was read last is still there.
    assert_eq!(names(sets.borrow().as_ref().unwrap()), names(&first));
    server.delete("Mapping", "shop", "goes");
    server.put(mapping("new", "/"));
    server.compact();
    server.allow("mappings");
    let second = becomes(&mut sets, |set| set.get("Mapping", "shop", "new").is_some()).await;
    assert_eq!(names(&second), ["Mapping shop/new", "Mapping shop/stays"]);
    let [before, after] = [&first, &second].map(|set| set.get("Mapping", "shop", "stays").unwrap());
    assert!(Arc::ptr_eq(before, after), "what did not change is the same object");
    stands(&mut states, "Mapping", Standing::Synced).await;
}

#[tokio::test]
async fn kinds_come_and_go() {
    let server = Apiserver::start().await.unwrap();
    let (mut sets, _states) = following(&server, options());
    becomes(&mut sets, |set| set.objects().is_empty()).await;
    server.put(mapping("m", "/"));
    becomes(&mut sets, |set| set.objects().len() == 1).await;
    server.unserve("Mapping");
    becomes(&mut sets, |set| set.objects().is_empty()).await;
}

#[tokio::test]
async fn a_version_without_conversion_does() {
    let server = Apiserver::start().await.unwrap();
    let mut old = mapping("m", "/");
    old["apiVersion"] = "getambassador.io/v2".into();
    server.serve("getambassador.io/v3alpha1", &["Mapping"]);
    server.put(old);
    server.cannot_convert_to("getambassador.io/v3alpha1");
    let (mut sets, _states) = following(&server, options());
    let set = becomes(&mut sets, |set| set.objects().len() == 1).await;
    assert_eq!(set.objects()[0].meta.api_version, "getambassador.io/v2");
}

#[tokio::test]
async fn what_cannot_be_read_stays_what_it_was() {
    let server = Apiserver::start().await.unwrap();
    server.put(mapping("m", "/good/"));
    let (mut sets, _states) = following(&server, options());
    becomes(&mut sets, |set| prefix(set, "m").is_some()).await;
    let mut broken = mapping("m", "/bad/");
    broken["spec"]["prefix"] = json!({"not": "a text"});
    server.put(broken);
    let set = becomes(&mut sets, |set| !set.problems().is_empty()).await;
    assert_eq!(prefix(&set, "m").as_deref(), Some("/good/"));
    server.put(mapping("m", "/better/"));
    let set = becomes(&mut sets, |set| set.problems().is_empty()).await;
    assert_eq!(prefix(&set, "m").as_deref(), Some("/better/"));
}

#[tokio::test]
async fn pods_are_read_when_there_is_a_mesh() {
    let server = Apiserver::start().await.unwrap();
    server.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"},
                      "spec": {"serviceAccountName": "sa", "containers": [{"name": "c", "env": []}]}, "status": {"podIP": "10.0.0.1"}}));
    let (mut sets, _states) = following(&server, options());
    becomes(&mut sets, |set| set.objects().is_empty()).await;
    server.put(json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                      "metadata": {"name": "v", "namespace": "shop"}, "spec": {"hosts": ["a"]}}));
    let set = becomes(&mut sets, |set| set.objects().len() == 2).await;
    let View::Pod(pod) = &set.get("Pod", "shop", "p").unwrap().view else { panic!("no pod") };
    assert_eq!(
        (pod.service_account_name.as_deref(), pod.addresses.as_slice()),
        (Some("sa"), &["10.0.0.1".to_owned()][..])
    );
}

#[tokio::test]
async fn many_changes_are_few_sets() {
    let server = Apiserver::start().await.unwrap();
    server.serve("getambassador.io/v3alpha1", &["Mapping"]);
    let (mut sets, _states) = following(&server, options());
    becomes(&mut sets, |_| true).await;
    let mut counted = sets.clone();
    counted.mark_unchanged();
    let count = tokio::spawn(async move {
        let mut count = 0;
        while counted.changed().await.is_ok() {
            count += 1;
            if counted.borrow_and_update().as_ref().is_some_and(|set| set.objects().len() == 1000) {
                break;
            }
        }
        count
    });
    let begin = std::time::Instant::now();
    for number in 0..1000 {
        server.put(mapping(&format!("m{number}"), "/"));
        tokio::task::yield_now().await;
    }
    let count = timeout(Duration::from_secs(20), count).await.unwrap().unwrap();
    let most = begin.elapsed().as_millis() / 20 + 2;
    assert!(count <= most, "{count} sets in {:?}", begin.elapsed());
}

#[tokio::test]
async fn one_reading() {
    let server = Apiserver::start().await.unwrap();
    server.put(mapping("m", "/"));
    let options = ClusterOptions { whole: true, ..options() };
    let set = read(client(&server), options.clone()).await.unwrap();
    assert_eq!(names(&set), ["Mapping shop/m"]);
    let client = client(&server);
    drop(server);
    let error =
        eventually("it is gone", || async { read(client.clone(), options.clone()).await.err() }).await;
    assert!(error.to_string().starts_with("the cluster cannot be read: "), "{error}");
}

#[tokio::test]
async fn a_kubeconfig_says_where() {
    let server = Apiserver::start().await.unwrap();
    server.put(mapping("m", "/"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    std::fs::write(&file, server.kubeconfig()).unwrap();
    let access = Access { kubeconfig: Some(file.clone()), context: None };
    let client = connect(&access).await.unwrap();
    assert_eq!(names(&read(client, options()).await.unwrap()), ["Mapping shop/m"]);
    let wrong = Access { context: Some("other".into()), ..access };
    assert!(matches!(connect(&wrong).await, Err(ClusterError::Access(_))));
}
