//! Where to look for the routes that may take a path.

use std::sync::Arc;

use plenipo_model::{PathMatch, Route};

/// Where to look for the routes that may take a path. It depends on nothing but their paths and positions.
pub(super) struct Index {
    tree: Node,
    /// Routes whose paths are compared without case, by position.
    any_case: Vec<u32>,
    regexes: Vec<u32>,
    regex_set: regex::RegexSet,
}

/// A node of the radix tree; its label is on the edge that leads to it.
#[derive(Default)]
struct Node {
    /// Routes that match any path that begins like this.
    prefixes: Vec<u32>,
    /// Routes that match this path and those that go on with a slash.
    segments: Vec<u32>,
    /// Routes that match this path alone.
    exact: Vec<u32>,
    /// First byte of each child's label, in the order of `children`: what a look-up scans.
    firsts: Vec<u8>,
    children: Vec<(Box<[u8]>, Self)>,
}

/// Lists of candidates, merged by position. More than eight lists (deeper nesting than anybody writes) go to `more`.
pub(super) struct Candidates<'a> {
    lists: [&'a [u32]; 8],
    used: usize,
    more: Vec<&'a [u32]>,
}

impl Index {
    /// Of these routes, which are tried in this order. The one `before` serves on where no path is another, and its
    /// regexes where none of those is.
    pub(super) fn following(routes: &[Arc<Route>], before: Option<(&[Arc<Route>], &Arc<Self>)>) -> Arc<Self> {
        let same = |(a, b): (&Arc<Route>, &Arc<Route>)| Arc::ptr_eq(a, b) || a.matches.path == b.matches.path;
        if let Some((old, index)) = before
            && old.len() == routes.len()
            && old.iter().zip(routes).all(same)
        {
            return Arc::clone(index);
        }
        let mut tree = Node::default();
        let (mut any_case, mut regexes, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
        for (position, route) in (0u32..).zip(routes) {
            match &route.matches.path {
                PathMatch::Prefix(text) => tree.at(text.as_bytes()).prefixes.push(position),
                PathMatch::Segments(text) => {
                    let text = text.strip_suffix('/').unwrap_or(text);
                    tree.at(text.as_bytes()).segments.push(position);
                }
                PathMatch::Exact(text) => tree.at(text.as_bytes()).exact.push(position),
                PathMatch::ExactIgnoreCase(_) | PathMatch::PrefixIgnoreCase(_) => any_case.push(position),
                PathMatch::Regex(pattern) => {
                    regexes.push(position);
                    patterns.push(format!("^(?:{pattern})$"));
                }
            }
        }
        let known = before.map(|(_, index)| &index.regex_set).filter(|set| set.patterns() == patterns);
        let regex_set = known.cloned().unwrap_or_else(|| compiled(&patterns));
        Arc::new(Self { tree, any_case, regexes, regex_set })
    }

    /// The routes whose regex takes the path, by position.
    pub(super) fn matching_regexes(&self, path: &str) -> Vec<u32> {
        if self.regex_set.is_empty() {
            return self.regexes.clone();
        }
        self.regex_set.matches(path).iter().map(|index| self.regexes[index]).collect()
    }

    /// The routes that may take the path, with those whose regex does.
    pub(super) fn candidates<'a>(&'a self, path: &str, matching_regexes: &'a [u32]) -> Candidates<'a> {
        let mut candidates = Candidates { lists: [&[]; 8], used: 0, more: Vec::new() };
        self.tree.collect(path.as_bytes(), &mut candidates);
        candidates.add(&self.any_case);
        candidates.add(matching_regexes);
        candidates
    }
}

/// Every pattern compiled alone; together they can only exceed the size limit, which is lifted in proportion.
fn compiled(patterns: &[String]) -> regex::RegexSet {
    let limit = plenipo_model::Pattern::MAX_COMPILED_BYTES * (patterns.len() + 1);
    let built = regex::RegexSetBuilder::new(patterns).size_limit(limit).build();
    built.unwrap_or_else(|_| regex::RegexSet::empty())
}

impl Node {
    /// The node for exactly this text, made if it is not there.
    fn at(&mut self, text: &[u8]) -> &mut Self {
        if text.is_empty() {
            return self;
        }
        let Some(index) = self.firsts.iter().position(|first| *first == text[0]) else {
            self.firsts.push(text[0]);
            self.children.push((text.into(), Self::default()));
            let last = self.children.len() - 1;
            return &mut self.children[last].1;
        };
        let (label, _) = &self.children[index];
        let common = label.iter().zip(text).take_while(|(a, b)| a == b).count();
        if common < label.len() {
            // The edge is split: a new node takes its place, with the old one below it.
            let (label, below) = std::mem::take(&mut self.children[index]);
            let middle = Self {
                firsts: vec![label[common]],
                children: vec![(label[common..].into(), below)],
                ..Self::default()
            };
            self.children[index] = (label[..common].into(), middle);
        }
        self.children[index].1.at(&text[common..])
    }

    /// Adds the lists of every node on the way along `path`.
    fn collect<'a>(&'a self, path: &[u8], candidates: &mut Candidates<'a>) {
        let (mut node, mut rest) = (self, path);
        loop {
            candidates.add(&node.prefixes);
            if rest.is_empty() {
                candidates.add(&node.exact);
            }
            if matches!(rest.first(), None | Some(b'/')) {
                candidates.add(&node.segments);
            }
            let Some(first) = rest.first() else { return };
            let Some(index) = node.firsts.iter().position(|byte| byte == first) else { return };
            let (label, child) = &node.children[index];
            let Some(after) = rest.strip_prefix(&**label) else { return };
            (node, rest) = (child, after);
        }
    }
}

impl<'a> Candidates<'a> {
    fn add(&mut self, list: &'a [u32]) {
        if list.is_empty() {
            return;
        }
        match self.lists.get_mut(self.used) {
            Some(slot) => {
                *slot = list;
                self.used += 1;
            }
            None => self.more.push(list),
        }
    }

    /// The smallest position not given yet.
    pub(super) fn next(&mut self) -> Option<u32> {
        let lists = self.lists[..self.used].iter_mut().chain(&mut self.more);
        let smallest = lists.filter(|list| !list.is_empty()).min_by_key(|list| list[0])?;
        let (first, rest) = smallest.split_first()?;
        *smallest = rest;
        Some(*first)
    }
}
