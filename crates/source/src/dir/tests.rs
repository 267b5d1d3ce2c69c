use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use plenipo_resources::{Object, View};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn mapping(name: &str, prefix: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata:\n  name: {name}\nspec:\n  prefix: {prefix}\n"
    )
}

/// A directory `conf` to read; what is beside it is not in it.
struct Playground {
    base: TempDir,
}

impl Playground {
    fn new() -> Self {
        let playground = Self { base: TempDir::new().expect("a directory") };
        fs::create_dir(playground.path("")).expect("conf");
        playground
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.base.path().join("conf").join(inner)
    }

    fn write(&self, inner: &str, text: &str) {
        let path = self.path(inner);
        fs::create_dir_all(path.parent().expect("it has one")).expect("directories");
        fs::write(path, text).expect("to be written");
    }

    /// As careful programs write: beside it, then renamed into place.
    fn put(&self, inner: &str, text: &str) {
        self.write(".new", text);
        fs::rename(self.path(".new"), self.path(inner)).expect("to be renamed");
    }

    fn open(&self) -> Directory {
        Directory::open(self.path("")).expect("it is there")
    }
}

fn names(set: &Set) -> Vec<&str> {
    set.objects().iter().map(|object| &*object.id.name).collect()
}

fn problems(set: &Set) -> Vec<(&str, String)> {
    let origin = |problem: &Problem| problem.origin.as_ref().map(ToString::to_string).unwrap_or_default();
    set.problems().iter().map(|problem| (problem.code.0, origin(problem))).collect()
}

fn get<'a>(set: &'a Set, name: &str) -> &'a Arc<Object> {
    set.get("Mapping", "default", name).unwrap_or_else(|| panic!("{name} is not among {:?}", names(set)))
}

fn prefix(set: &Set, name: &str) -> String {
    match &get(set, name).view {
        View::Mapping(mapping) => mapping.prefix.clone().unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_what_is_configuration() {
    let here = Playground::new();
    here.write("a.yaml", &mapping("a", "/"));
    here.write("deep/er/b.yml", &format!("# first\n---\n{}---\n{}", mapping("b", "/"), mapping("c", "/")));
    here.write("d.json", r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "d"}}"#);
    here.write("notes.txt", "kind: [");
    here.write(".hidden.yaml", &mapping("hidden", "/"));
    here.write(".git/e.yaml", &mapping("git", "/"));
    here.write("empty.yaml", "");
    let set = here.open().read();
    assert_eq!(names(&set), ["a", "b", "c", "d"]);
    assert_eq!(set.problems(), []);
    let origins: Vec<_> = set.objects().iter().map(|object| object.origin.to_string()).collect();
    assert_eq!(origins, ["conf/a.yaml:1", "conf/deep/er/b.yml:3", "conf/deep/er/b.yml:10", "conf/d.json:1"]);
}

#[test]
fn a_single_file() {
    let here = Playground::new();
    here.write("a.yaml", &mapping("a", "/"));
    here.write("b.yaml", &mapping("b", "/"));
    let set = Directory::open(here.path("a.yaml")).expect("it is there").read();
    assert_eq!(names(&set), ["a"]);
    assert_eq!(get(&set, "a").origin.to_string(), "a.yaml:1");
}

#[test]
fn a_path_that_is_not_there() {
    let here = Playground::new();
    let error = Directory::open(here.path("nowhere")).expect_err("nothing is there");
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn what_did_not_change_stays_the_same() {
    let here = Playground::new();
    let file = |middle: &str| {
        let documents: Vec<_> = ["one", "two", "three"]
            .map(|name| mapping(name, if name == "two" { middle } else { "/" }))
            .into();
        documents.join("---\n")
    };
    here.write("a.yaml", &mapping("a", "/"));
    here.write("many.yaml", &file("/old"));
    let mut directory = here.open();
    let before = directory.read();
    here.put("many.yaml", &file("/new"));
    let after = directory.read();
    for name in ["a", "one", "three"] {
        assert!(Arc::ptr_eq(get(&before, name), get(&after, name)), "{name}");
    }
    assert_eq!(prefix(&before, "two"), "/old");
    assert_eq!(prefix(&after, "two"), "/new");

    here.put("many.yaml", &format!("# a comment moves everything down\n{}", file("/new")));
    let moved = directory.read();
    assert_eq!(get(&moved, "three").origin.to_string(), "conf/many.yaml:16");
    assert_eq!(get(&moved, "three").view, get(&after, "three").view);

    here.put("many.yaml", &format!("{}---\n{}", file("/new"), mapping("four", "/")));
    assert_eq!(names(&directory.read()), ["a", "four", "one", "three", "two"]);
    here.put("many.yaml", &mapping("three", "/"));
    assert_eq!(names(&directory.read()), ["a", "three"]);
    fs::remove_file(here.path("many.yaml")).expect("to be removed");
    assert_eq!(names(&directory.read()), ["a"]);
}

#[test]
fn the_items_of_a_list_stay_the_same_too() {
    let list = |prefix: &str| {
        let item = |name: &str, prefix: &str| {
            format!("- {}", mapping(name, prefix).trim_end().replace('\n', "\n  ")) + "\n"
        };
        format!("apiVersion: v1\nkind: List\nitems:\n{}{}", item("a", "/"), item("b", prefix))
    };
    let here = Playground::new();
    here.write("list.yaml", &list("/old"));
    let mut directory = here.open();
    let before = directory.read();
    here.put("list.yaml", &list("/new"));
    let after = directory.read();
    assert!(Arc::ptr_eq(get(&before, "a"), get(&after, "a")));
    assert_eq!((prefix(&before, "b"), prefix(&after, "b")), ("/old".to_owned(), "/new".to_owned()));
}

#[test]
fn a_broken_file_keeps_what_was_good() {
    let here = Playground::new();
    here.write("a.yaml", &mapping("a", "/"));
    here.write("b.yaml", &format!("{}---\n{}", mapping("b", "/old"), mapping("c", "/old")));
    let mut directory = here.open();
    directory.read();

    here.put("b.yaml", &format!("{}---\nkind: [\nspec:\n", mapping("b", "/new")));
    let broken = directory.read();
    assert_eq!(names(&broken), ["a", "b", "c"]);
    assert_eq!(prefix(&broken, "b"), "/new");
    assert_eq!(prefix(&broken, "c"), "/old");
    let [problem] = broken.problems() else { panic!("{:?}", broken.problems()) };
    assert_eq!(problem.code.0, "broken-yaml");
    assert!(problem.origin.as_ref().is_some_and(|origin| origin.to_string().starts_with("conf/b.yaml:")));
    assert!(problem.message.contains("column"), "{problem}");

    here.put("b.yaml", "- [");
    assert_eq!(names(&directory.read()), ["a", "b", "c"], "still, after a second bad version");

    here.put("b.yaml", &mapping("b", "/mended"));
    let mended = directory.read();
    assert_eq!(names(&mended), ["a", "b"]);
    assert_eq!(prefix(&mended, "b"), "/mended");
    assert_eq!(mended.problems(), []);
}

#[test]
fn a_document_that_is_broken_from_the_start_costs_only_itself() {
    let here = Playground::new();
    here.write("a.yaml", &format!("{}---\na: b: c\n---\n{}", mapping("a", "/"), mapping("b", "/")));
    let set = here.open().read();
    assert_eq!(names(&set), ["a", "b"]);
    assert_eq!(problems(&set), [("broken-yaml", "conf/a.yaml:8".to_owned())]);
}

#[test]
fn an_object_of_the_wrong_type_keeps_its_good_version() {
    let here = Playground::new();
    here.write("a.yaml", &format!("{}---\n{}", mapping("a", "/old"), mapping("b", "/old")));
    let mut directory = here.open();
    directory.read();
    here.put("a.yaml", &format!("{}---\n{}", mapping("a", "[]"), mapping("b", "/new")));
    let set = directory.read();
    assert_eq!((prefix(&set, "a"), prefix(&set, "b")), ("/old".to_owned(), "/new".to_owned()));
    assert_eq!(problems(&set), [("wrong-type", "conf/a.yaml:1".to_owned())]);
    // What is taken away is gone, broken neighbours or not.
    here.put("a.yaml", &mapping("a", "[]"));
    assert_eq!(names(&directory.read()), ["a"]);
}

fn service(annotation: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations:\n    getambassador.io/config: |\n{}",
        annotation.lines().map(|line| format!("      {line}\n")).collect::<String>()
    )
}

const INNER: &str = "apiVersion: ambassador/v1\nkind: Mapping\nname: inner\nprefix: /\nservice: s";

#[test]
fn an_annotation_keeps_its_good_objects() {
    let here = Playground::new();
    here.write("a.yaml", &service(INNER));
    let mut directory = here.open();
    assert_eq!(names(&directory.read()), ["inner", "s"]);
    here.put("a.yaml", &service("kind: ["));
    let broken = directory.read();
    assert_eq!(names(&broken), ["inner", "s"]);
    assert_eq!(broken.problems().len(), 1);
    here.put("a.yaml", &service(""));
    assert_eq!(names(&directory.read()), ["s"]);
}

#[test]
fn an_object_given_twice() {
    let here = Playground::new();
    here.write("a.yaml", &mapping("x", "/a"));
    here.write("b.yaml", &mapping("x", "/b"));
    let mut directory = here.open();
    let both = directory.read();
    assert_eq!(prefix(&both, "x"), "/a");
    assert_eq!(problems(&both), [("duplicate-object", "conf/b.yaml:1".to_owned())]);
    fs::remove_file(here.path("a.yaml")).expect("to be removed");
    let one = directory.read();
    assert_eq!(prefix(&one, "x"), "/b");
    assert_eq!(one.problems(), []);
}

#[test]
fn a_directory_that_goes_away_keeps_its_objects() {
    let here = Playground::new();
    here.write("a.yaml", &mapping("x", "/a"));
    let mut directory = here.open();
    directory.read();
    let elsewhere = here.base.path().join("elsewhere");
    fs::rename(here.path(""), &elsewhere).expect("to be moved");
    let without = directory.read();
    assert_eq!(names(&without), ["x"]);
    assert_eq!(problems(&without), [("unreadable", "conf:1".to_owned())]);
    fs::rename(&elsewhere, here.path("")).expect("to be moved");
    fs::remove_file(here.path("a.yaml")).expect("to be removed");
    let back = directory.read();
    assert_eq!((names(&back), back.problems()), (Vec::new(), &[][..]));
}

#[test]
fn a_templates_placeholder_is_named() {
    let here = Playground::new();
    here.write("a.yaml", "a: {{NAME}}x\n");
    let set = here.open().read();
    assert!(set.problems()[0].fix.contains("{{…}}"), "{:?}", set.problems());
}

#[test]
fn an_annotated_object_given_twice() {
    let here = Playground::new();
    here.write("a.yaml", &service(INNER));
    here.write("b.yaml", &service(INNER));
    let mut directory = here.open();
    let both = directory.read();
    assert_eq!(names(&both), ["inner", "s"]);
    assert_eq!(both.problems().len(), 2);
    fs::remove_file(here.path("a.yaml")).expect("to be removed");
    let one = directory.read();
    assert_eq!(names(&one), ["inner", "s"]);
    assert_eq!(one.problems(), []);
    fs::remove_file(here.path("b.yaml")).expect("to be removed");
    assert_eq!(names(&directory.read()), [""; 0]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let here = Playground::new();
    here.write("good.yaml", &mapping("good", "/"));
    fs::write(here.path("latin.yaml"), b"a: 1\nb: \xe4\n").expect("to be written");
    symlink("nowhere", here.path("dangling.yaml")).expect("a link");
    symlink(".", here.path("circle")).expect("a link");
    let set = here.open().read();
    assert_eq!(names(&set), ["good"]);
    let unreadable = |at: &str| ("unreadable", at.to_owned());
    assert_eq!(problems(&set), [unreadable("conf/dangling.yaml:1"), unreadable("conf/latin.yaml:2")]);
}

#[test]
fn a_file_that_cannot_be_read_any_more_keeps_what_was_good() {
    let here = Playground::new();
    here.write("a.yaml", &mapping("a", "/"));
    let mut directory = here.open();
    directory.read();
    fs::write(here.path("a.yaml"), b"\xff\xfe").expect("to be written");
    let set = directory.read();
    assert_eq!(names(&set), ["a"]);
    assert_eq!(problems(&set), [("unreadable", "conf/a.yaml:1".to_owned())]);
    fs::set_permissions(here.path("a.yaml"), fs::Permissions::from_mode(0o644)).expect("its mode");
    here.put("a.yaml", &mapping("a", "/new"));
    assert_eq!(prefix(&directory.read(), "a"), "/new");
}

/// As the kubelet mounts a ConfigMap: `a.yaml -> ..data/a.yaml`, `..data -> ..1`.
fn mount(here: &Playground, generation: u32, text: &str) {
    here.write(&format!("..{generation}/a.yaml"), text);
    symlink(format!("..{generation}"), here.path("..data_tmp")).expect("a link");
    fs::rename(here.path("..data_tmp"), here.path("..data")).expect("to be renamed");
}

#[test]
fn a_mounted_config_map_is_read_once() {
    let here = Playground::new();
    mount(&here, 1, &mapping("a", "/one"));
    symlink("..data/a.yaml", here.path("a.yaml")).expect("a link");
    let mut directory = here.open();
    let set = directory.read();
    assert_eq!(names(&set), ["a"]);
    assert_eq!(get(&set, "a").origin.to_string(), "conf/a.yaml:1");
    mount(&here, 2, &mapping("a", "/two"));
    assert_eq!(prefix(&directory.read(), "a"), "/two");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However it came to be what it is: a directory that was followed reads as one that is opened now.
    #[test]
    fn reading_changes_is_reading_afresh(
        changes in vec((0..3_u8, proptest::option::weighted(0.8, vec((0..5_u8, 0..3_u8), 0..5))), 1..12)
    ) {
        let here = Playground::new();
        let mut directory = here.open();
        for (file, content) in changes {
            let name = format!("{file}.yaml");
            match content {
                Some(documents) => {
                    let documents: Vec<_> =
                        documents.iter().map(|(name, prefix)| mapping(&format!("m{name}"), &format!("/{prefix}"))).collect();
                    here.put(&name, &documents.join("---\n"));
                }
                None => drop(fs::remove_file(here.path(&name))),
            }
            let (followed, fresh) = (directory.read(), here.open().read());
            prop_assert_eq!(followed.objects(), fresh.objects());
            prop_assert_eq!(followed.problems(), fresh.problems());
        }
    }
}

/// Waits until the set that is published is as expected. A change that is never noticed ends it.
async fn becomes(
    sets: &mut tokio::sync::watch::Receiver<Arc<Set>>,
    expected: impl Fn(&Set) -> bool,
) -> Arc<Set> {
    let wait = async { sets.wait_for(|set| expected(set)).await.map(|set| Arc::clone(&set)) };
    match tokio::time::timeout(std::time::Duration::from_secs(20), wait).await {
        Ok(Ok(set)) => set,
        Ok(Err(_)) => panic!("nobody follows any more"),
        Err(_) => panic!("it stayed as {:?}, {:?}", names(&sets.borrow()), sets.borrow().problems()),
    }
}

#[tokio::test]
async fn changes_are_followed() {
    let here = Playground::new();
    here.write("a.yaml", &mapping("a", "/1"));
    here.write("b.yaml", &mapping("b", "/1"));
    let (mut sets, _following) = follow(here.path("")).expect("to be followed");
    let first = Arc::clone(&sets.borrow());
    assert_eq!(names(&first), ["a", "b"]);

    here.write("a.yaml", &mapping("a", "/2"));
    let set = becomes(&mut sets, |set| prefix(set, "a") == "/2").await;
    assert!(Arc::ptr_eq(get(&first, "b"), get(&set, "b")));
    here.put("a.yaml", &mapping("a", "/3"));
    becomes(&mut sets, |set| prefix(set, "a") == "/3").await;
    here.write("c.yaml", &mapping("c", "/1"));
    becomes(&mut sets, |set| names(set) == ["a", "b", "c"]).await;
    fs::remove_file(here.path("b.yaml")).expect("to be removed");
    becomes(&mut sets, |set| names(set) == ["a", "c"]).await;
    here.put("c.yaml", "[");
    let broken = becomes(&mut sets, |set| !set.problems().is_empty()).await;
    assert_eq!(names(&broken), ["a", "c"]);
}

#[tokio::test]
async fn directories_come_and_go() {
    let here = Playground::new();
    let (mut sets, _following) = follow(here.path("")).expect("to be followed");
    here.write("x/y/a.yaml", &mapping("a", "/1"));
    becomes(&mut sets, |set| names(set) == ["a"]).await;
    here.write("x/y/a.yaml", &mapping("a", "/2"));
    becomes(&mut sets, |set| prefix(set, "a") == "/2").await;
    fs::rename(here.path("x"), here.path("z")).expect("to be renamed");
    becomes(&mut sets, |set| get(set, "a").origin.to_string() == "conf/z/y/a.yaml:1").await;
    here.write("z/y/a.yaml", &mapping("a", "/3"));
    becomes(&mut sets, |set| prefix(set, "a") == "/3").await;
    fs::remove_dir_all(here.path("z")).expect("to be removed");
    becomes(&mut sets, |set| set.objects().is_empty()).await;
    here.write("z/y/a.yaml", &mapping("a", "/4"));
    becomes(&mut sets, |set| names(set) == ["a"]).await;
}

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    let here = Playground::new();
    mount(&here, 1, &mapping("a", "/1"));
    symlink("..data/a.yaml", here.path("a.yaml")).expect("a link");
    let (mut all, _directory) = follow(here.path("")).expect("to be followed");
    let (mut one, _file) = follow(here.path("a.yaml")).expect("to be followed");
    for generation in 2..5 {
        let expected = format!("/{generation}");
        mount(&here, generation, &mapping("a", &expected));
        becomes(&mut all, |set| prefix(set, "a") == expected).await;
        becomes(&mut one, |set| prefix(set, "a") == expected).await;
        fs::remove_dir_all(here.path(&format!("..{}", generation - 1))).expect("to be removed");
    }
    becomes(&mut all, |set| prefix(set, "a") == "/4").await;
}

#[tokio::test]
async fn links_out_of_the_directory_are_followed() {
    let here = Playground::new();
    let outside = here.base.path().join("outside");
    fs::create_dir(&outside).expect("outside");
    fs::write(outside.join("a.yaml"), mapping("a", "/1")).expect("to be written");
    fs::write(outside.join("other.yaml"), mapping("other", "/1")).expect("to be written");
    symlink(outside.join("a.yaml"), here.path("a.yaml")).expect("a link");
    let (mut sets, _following) = follow(here.path("")).expect("to be followed");
    assert_eq!(names(&sets.borrow()), ["a"]);
    fs::write(outside.join("a.yaml"), mapping("a", "/2")).expect("to be written");
    becomes(&mut sets, |set| prefix(set, "a") == "/2").await;
    symlink(&outside, here.path("all")).expect("a link");
    becomes(&mut sets, |set| names(set) == ["a", "other"]).await;
    fs::remove_file(here.path("a.yaml")).expect("to be removed");
    becomes(&mut sets, |set| set.problems().is_empty() && names(set) == ["a", "other"]).await;
}

#[tokio::test]
async fn the_directory_itself_is_exchanged() {
    let here = Playground::new();
    for release in ["1", "2"] {
        here.write(&format!("{release}/a.yaml"), &mapping("a", &format!("/{release}")));
    }
    symlink("1", here.path("current")).expect("a link");
    let (mut sets, _following) = follow(here.path("current")).expect("to be followed");
    assert_eq!(prefix(&sets.borrow(), "a"), "/1");
    symlink("2", here.path("next")).expect("a link");
    fs::rename(here.path("next"), here.path("current")).expect("to be renamed");
    becomes(&mut sets, |set| prefix(set, "a") == "/2").await;
    here.write("2/a.yaml", &mapping("a", "/3"));
    becomes(&mut sets, |set| prefix(set, "a") == "/3").await;
}

#[tokio::test]
async fn a_rescan_can_be_asked_for() {
    let here = Playground::new();
    here.write("a.yaml", &mapping("a", "/1"));
    let (mut sets, following) = follow(here.path("")).expect("to be followed");
    here.write("b.yaml", &mapping("b", "/1"));
    following.rescan();
    becomes(&mut sets, |set| names(set) == ["a", "b"]).await;
    drop(following);
    assert!(sets.wait_for(|_| false).await.is_err(), "nobody follows any more");
}
