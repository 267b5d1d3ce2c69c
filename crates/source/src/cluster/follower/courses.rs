//! Watchers, begun and ended as the plan says.

use plenipo_resources::ObjectId;
use tracing::debug;

use super::Follower;
use crate::cluster::api::Target;
use crate::cluster::plan::{Circumstances, Key};
use crate::cluster::standing::Course;
use crate::cluster::watch;

impl Follower {
    /// Follows what has to be followed, and nothing else.
    pub(super) fn plan(&mut self) {
        let Some(served) = &self.served else { return };
        let refused = self.courses.values().filter(|course| course.refused_list);
        let refused = refused.map(|course| course.key.clone()).collect();
        let circumstances = Circumstances {
            options: &self.options,
            served,
            has_mesh: self.has_mesh,
            refused: &refused,
            wanted: &self.store.wanted().cloned().collect(),
        };
        let mut plan = circumstances.plan();
        let mut over = Vec::new();
        for (number, course) in &self.courses {
            match plan.remove(&course.key) {
                Some((_, versions)) if versions == course.versions => {}
                Some(other) => {
                    plan.insert(course.key.clone(), other);
                    over.push((*number, true));
                }
                None => over.push((*number, false)),
            }
        }
        for (number, goes_on) in over {
            self.stop(number, goes_on);
        }
        for (key, (target, versions)) in plan {
            self.start(key, target, versions);
        }
    }

    fn start(&mut self, key: Key, target: Target, versions: Vec<&'static str>) {
        let number = self.next_number;
        self.next_number += 1;
        debug!(?key, version = target.version, "following");
        let task =
            watch::run(self.client.clone(), target.clone(), versions.clone(), self.news.clone(), number);
        let task = self.tasks.spawn(task);
        self.courses.insert(number, Course::new(key, target, versions, task));
    }

    /// Stops following. What is known of it is given up, unless it is going to be followed otherwise.
    fn stop(&mut self, number: usize, goes_on: bool) {
        let Some(course) = self.courses.remove(&number) else { return };
        course.task.abort();
        let (key, kind) = (&course.key, course.target.kind);
        match (&key.namespace, &key.name) {
            _ if goes_on => {}
            (Some(namespace), Some(name)) => {
                if !self.store.wants(&ObjectId::new(kind.name, namespace, name)) {
                    self.store.remove(kind.name, &(namespace.clone(), name.clone()));
                }
            }
            _ => self.list(key, kind, Vec::new()),
        }
    }
}
