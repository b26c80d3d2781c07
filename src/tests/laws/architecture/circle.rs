//! Which files of a crate import each other in a circle.
//!
//! A file imports another if it speaks of a path that leads there: to what the other file says itself, or to a module that
//! has no file of its own. Declaring a module and handing its names on with `pub use` is a list of names and no import.

use std::collections::{BTreeMap, BTreeSet};

use super::path::paths;
use super::source::Source;

/// By file, the files that it imports, and on which line first.
type Arrows<'a> = BTreeMap<&'a str, BTreeMap<&'a str, usize>>;

/// Circles, as `a.rs:1 -> b.rs:2 -> a.rs`: of those that close at the same file, one.
pub(crate) fn circles(sources: &[Source]) -> Vec<String> {
    let arrows = arrows(sources);
    let mut walk = Walk { arrows: &arrows, way: Vec::new(), done: BTreeSet::new(), circles: BTreeMap::new() };
    arrows.keys().for_each(|file| walk.enter(file));
    walk.circles.into_values().collect()
}

fn arrows(sources: &[Source]) -> Arrows<'_> {
    let files: BTreeMap<_, _> = sources.iter().map(|source| (source.module(), source.path.as_str())).collect();
    let mut arrows = Arrows::new();
    for source in sources {
        let (folder, _) = source.module();
        let file = |names: &[&str]| {
            let mut prefixes = (0..=names.len()).rev().map(|length| names[..length].to_vec());
            prefixes.find_map(|module| files.get(&(folder, module)).copied())
        };
        let from = arrows.entry(source.path.as_str()).or_default();
        for path in paths(source).iter().filter(|path| !path.is_handed_on) {
            if let Some(to) = file(&path.names).filter(|to| *to != source.path) {
                from.entry(to).or_insert(path.line);
            }
        }
    }
    arrows
}

/// Goes along the arrows, each once.
struct Walk<'a> {
    arrows: &'a Arrows<'a>,
    /// The files from where it began to where it is.
    way: Vec<&'a str>,
    done: BTreeSet<&'a str>,
    /// By the file at which they close.
    circles: BTreeMap<&'a str, String>,
}

impl<'a> Walk<'a> {
    fn enter(&mut self, file: &'a str) {
        if let Some(start) = self.way.iter().position(|passed| *passed == file) {
            let circle = self.circle(start);
            self.circles.entry(file).or_insert(circle);
        } else if self.done.insert(file) {
            self.way.push(file);
            self.arrows[file].keys().for_each(|next| self.enter(next));
            self.way.pop();
        }
    }

    /// The circle that closes where the way was at `start`.
    fn circle(&self, start: usize) -> String {
        let files = &self.way[start..];
        let next = files.iter().cycle().skip(1);
        let steps = files.iter().zip(next).map(|(file, next)| format!("{file}:{} -> ", self.arrows[file][next]));
        format!("{}{}", steps.collect::<String>(), files[0])
    }
}
