//! All clusters of an edge, compiled.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use plenipo_model::{Cluster, Endpoints, Source};

use super::clusters::Upstream;

/// The clusters as the model has them.
type Models = BTreeMap<Arc<str>, Arc<Cluster>>;

/// All clusters. Snapshots share them as long as none changes.
#[derive(Clone, Default)]
pub(crate) struct Upstreams {
    by_name: Arc<HashMap<Arc<str>, Arc<Upstream>>>,
    problems: Arc<[(Source, String)]>,
}

/// Clusters of the snapshot before that are not in this one, or not as they were, by their addresses.
#[derive(Default)]
pub(crate) struct Retired(HashSet<usize>);

impl Upstreams {
    /// Compiles clusters, taking over what was compiled `before` from equal ones.
    pub(crate) fn build(models: &Models, before: Option<(&Models, &Self)>) -> (Self, Retired) {
        let none = Models::new();
        let (known, mut built) = before.map_or((&none, Self::default()), |(m, b)| (m, b.clone()));
        let Differences { changed, gone } = Differences::between(known, models);
        let mut retired = Retired::default();
        if changed.is_empty() && gone.is_empty() {
            return (built, retired);
        }
        let by_name = Arc::make_mut(&mut built.by_name);
        for (name, model) in changed {
            let upstream = Upstream::build(model, by_name.get(name));
            let old = by_name.insert(Arc::clone(name), Arc::clone(&upstream));
            retired.0.extend(old.filter(|old| !Arc::ptr_eq(old, &upstream)).map(|old| address(&old)));
        }
        for name in gone {
            retired.0.extend(by_name.remove(name).map(|old| address(&old)));
        }
        let problems = models.iter().filter_map(|(name, model)| {
            let problem = by_name.get(name)?.problem()?;
            Some((model.source.clone(), problem.to_owned()))
        });
        built.problems = problems.collect();
        (built, retired)
    }

    /// Why some cannot be used.
    pub(crate) fn problems(&self) -> &[(Source, String)] {
        &self.problems
    }

    /// Are they the very same?
    pub(crate) fn are(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.by_name, &other.by_name)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.by_name.values()
    }

    /// The cluster of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.by_name.get(name)
    }

    /// The cluster of that name. An edge that names one it does not have (which translators never make) gets one without
    /// endpoints: its requests are answered 503.
    pub(crate) fn named(&self, name: &Arc<str>, source: &Source) -> Arc<Upstream> {
        self.find(name).cloned().unwrap_or_else(|| {
            let missing = Cluster::new(name, source.clone(), Endpoints::Static(Arc::from([])));
            Upstream::build(&Arc::new(missing), None)
        })
    }
}

impl Retired {
    /// Is it no longer what its name stands for?
    pub(crate) fn contains(&self, upstream: &Arc<Upstream>) -> bool {
        !self.0.is_empty() && self.0.contains(&address(upstream))
    }
}

fn address(upstream: &Arc<Upstream>) -> usize {
    Arc::as_ptr(upstream).addr()
}

/// How the clusters of one edge differ from those of another.
#[derive(Default)]
struct Differences<'a> {
    /// New, or not the very same.
    changed: Vec<(&'a Arc<str>, &'a Arc<Cluster>)>,
    gone: Vec<&'a Arc<str>>,
}

impl<'a> Differences<'a> {
    fn between(old: &'a Models, new: &'a Models) -> Self {
        let mut found = Self::default();
        let mut old = old.iter().peekable();
        for (name, model) in new {
            while let Some((other, _)) = old.next_if(|(other, _)| !Arc::ptr_eq(other, name) && *other < name)
            {
                found.gone.push(other);
            }
            match old.next_if(|(other, _)| *other == name) {
                Some((_, before)) if Arc::ptr_eq(before, model) => {}
                _ => found.changed.push((name, model)),
            }
        }
        found.gone.extend(old.map(|(name, _)| name));
        found
    }
}
