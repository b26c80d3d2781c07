//! A Dockerfile as its stages, each with what its bases said before it.

use std::collections::BTreeMap;

/// Its stages, by name.
pub(crate) struct Dockerfile(BTreeMap<String, Stage>);

/// One stage.
pub(crate) struct Stage {
    /// The image or the stage that it begins with; variables are replaced by their defaults.
    pub(crate) base: String,
    /// Its own instructions, each with its arguments.
    pub(crate) own: Vec<(String, String)>,
}

impl Dockerfile {
    pub(crate) fn read(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let (mut stages, mut name) = (BTreeMap::<String, Stage>::new(), String::new());
        let mut defaults: Vec<(String, String)> = Vec::new();
        for line in lines.join("\n").replace("\\\n", " ").lines().filter(|line| !line.is_empty()) {
            let (instruction, arguments) = line.split_once(' ').unwrap();
            let mut arguments = arguments.split_whitespace().collect::<Vec<_>>().join(" ");
            for (variable, default) in &defaults {
                arguments = arguments.replace(&format!("${{{variable}}}"), default);
            }
            match instruction {
                "ARG" if stages.is_empty() => {
                    let (variable, default) = arguments.split_once('=').unwrap();
                    defaults.push((variable.to_owned(), default.to_owned()));
                }
                "FROM" => {
                    let (base, stage) = arguments.split_once(" AS ").unwrap();
                    stage.clone_into(&mut name);
                    stages.insert(name.clone(), Stage { base: base.to_owned(), own: Vec::new() });
                }
                _ => stages.get_mut(&name).unwrap().own.push((instruction.to_owned(), arguments)),
            }
        }
        Self(stages)
    }

    pub(crate) fn stages(&self) -> &BTreeMap<String, Stage> {
        &self.0
    }

    /// All that is said on the way to a target, the oldest first.
    pub(crate) fn said(&self, target: &str) -> Vec<(String, String)> {
        let stage = &self.0[target];
        let before = if self.0.contains_key(&stage.base) { self.said(&stage.base) } else { Vec::new() };
        before.into_iter().chain(stage.own.iter().cloned()).collect()
    }

    /// The last word about something, on the way to a target.
    pub(crate) fn last(&self, target: &str, instruction: &str) -> Option<String> {
        self.said(target).into_iter().rev().find(|(said, _)| said == instruction).map(|(_, arguments)| arguments)
    }

    /// The variables that are set in a target.
    pub(crate) fn environment(&self, target: &str) -> BTreeMap<String, String> {
        let said = self.said(target).into_iter().filter(|(said, _)| said == "ENV");
        said.map(|(_, set)| set.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
            .collect()
    }
}
