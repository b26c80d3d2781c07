//! What files come to: definitions in the order in which they can be made, and what was left out.

use std::collections::{BTreeMap, BTreeSet};

use schema::limit::EVENT_DATA_BYTES_MAX;
use serde::Serialize;
use serde_json::{Map, Value};

use super::fault::Fault;
use super::place::{Fields, Place, sort};
use super::{assessment, catalog, component, strict};

/// What is defined, in the order in which one refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What has to hold.
    Control,
    /// What makes controls hold.
    Component,
    /// How it is found out whether one holds.
    Assessment,
    /// What finds it out.
    Attestation,
}

/// A definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Of what.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// What OSCAL calls it.
    pub original: String,
    /// In which file.
    pub file: String,
    /// Where in it.
    pub path: String,
    /// The fields of the command that defines it, without its type.
    pub command: Map<String, Value>,
    /// What it refers to.
    pub needs: Vec<Need>,
}

/// A reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    kind: Kind,
    id: String,
    path: String,
    /// The list that it is taken out of where there is no such thing; with none, the definition goes with it.
    field: Option<&'static str>,
}

/// Something in a file that Headwater has no place for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// What sort of thing, in OSCAL's words.
    pub kind: &'static str,
    /// Its id, or that of what it belongs to.
    pub id: String,
    /// In which file.
    pub file: String,
    /// Its JSON path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What is left out of the file that is being read.
#[derive(Debug, Default)]
pub(super) struct Skips {
    file: String,
    list: Vec<Skipped>,
}

/// What has been read so far.
#[derive(Debug)]
pub struct Draft {
    items: Vec<Item>,
    /// By kind and id, which of them.
    index: BTreeMap<(Kind, String), usize>,
    pub(super) skips: Skips,
    /// When assessments are due that say nothing of it.
    pub(super) schedule: String,
}

/// What there is already, by kind and id.
pub type Known = BTreeSet<(Kind, String)>;

/// All that is to be defined, each after what it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The definitions.
    pub items: Vec<Item>,
    /// What is left out.
    pub skipped: Vec<Skipped>,
}

impl Kind {
    /// Every kind, each after those that it refers to.
    pub const ALL: [Self; 4] = [Self::Control, Self::Component, Self::Assessment, Self::Attestation];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Component => "component",
            Self::Assessment => "assessment",
            Self::Attestation => "attestation",
        }
    }

    /// The name of the list of them at the door.
    #[must_use]
    pub const fn list(self) -> &'static str {
        match self {
            Self::Control => "controls",
            Self::Component => "components",
            Self::Assessment => "assessments",
            Self::Attestation => "attestations",
        }
    }
}

impl Item {
    /// A definition that refers to nothing.
    pub(super) fn new(kind: Kind, id: String, original: &str, path: &str, command: Map<String, Value>) -> Self {
        let (original, path) = (original.to_owned(), path.to_owned());
        Self { kind, id, original, file: String::new(), path, command, needs: Vec::new() }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} {}", self.file, self.path)
    }
}

impl Need {
    /// One of a list.
    pub(super) fn listed(kind: Kind, field: &'static str, id: String, path: String) -> Self {
        Self { kind, id, path, field: Some(field) }
    }

    /// One that there must be.
    pub(super) fn must(kind: Kind, id: String, path: String) -> Self {
        Self { kind, id, path, field: None }
    }
}

impl Skips {
    /// Names something.
    pub(super) fn add(&mut self, kind: &'static str, id: &str, path: &str, reason: String) {
        let (id, path) = (id.to_owned(), path.to_owned());
        self.list.push(Skipped { kind, id, file: self.file.clone(), path, reason });
    }

    /// Names every member of something that nobody took.
    pub(super) fn rest(&mut self, kind: &'static str, id: &str, fields: &Fields<'_>) {
        for (name, path) in fields.rest() {
            self.add(kind, id, &path, format!("Headwater has no place for its `{name}`"));
        }
    }
}

impl Draft {
    /// Nothing yet. Assessments whose plan does not say when they are due are due by `schedule`.
    #[must_use]
    pub fn new(schedule: impl Into<String>) -> Self {
        Self { items: Vec::new(), index: BTreeMap::new(), skips: Skips::default(), schedule: schedule.into() }
    }

    /// Adds what a file says; `file` is its name for people.
    ///
    /// # Errors
    /// If it can't be read, or contradicts what was read before. Then the draft is of no further use.
    pub fn read(&mut self, file: &str, bytes: &[u8]) -> Result<(), Fault> {
        file.clone_into(&mut self.skips.file);
        let value = strict::read(bytes)?;
        let Value::Object(members) = &value else {
            return Err(Fault::NotOscal { found: sort(&value).to_owned() });
        };
        let known = ["catalog", "component-definition", "assessment-plan"];
        let Some((name, inner)) = members.iter().find(|(name, _)| known.contains(&name.as_str())) else {
            let names: Vec<&str> = members.keys().map(String::as_str).collect();
            return Err(Fault::NotOscal { found: format!("an object of `{}`", names.join("`, `")) });
        };
        for other in members.keys().filter(|other| *other != name) {
            self.skips.add("file", file, other, format!("`{other}` beside `{name}` has no place in Headwater"));
        }
        let top = Place::top(name, inner);
        expect_version(&top)?;
        match name.as_str() {
            "catalog" => catalog::read(&top, self),
            "component-definition" => component::read(&top, self),
            _ => assessment::read(&top, self),
        }
    }

    /// The last kind of which anything is defined.
    #[must_use]
    pub fn last_kind(&self) -> Option<Kind> {
        self.items.iter().map(|item| item.kind).max()
    }

    /// Adds a definition. The same one in two files is one.
    pub(super) fn push(&mut self, item: Item) -> Result<(), Fault> {
        let item = Item { file: self.skips.file.clone(), ..item };
        let (kind, path) = (item.kind.name(), item.path.clone());
        let bytes = serde_json::to_string(&item.command).map_or(usize::MAX, |text| text.len());
        if bytes > EVENT_DATA_BYTES_MAX {
            return Err(Fault::TooLarge { path, kind, id: item.id, bytes });
        }
        let key = (item.kind, item.id.clone());
        let Some(first) = self.index.get(&key).map(|index| &self.items[*index]) else {
            self.index.insert(key, self.items.len());
            self.items.push(item);
            return Ok(());
        };
        if first.original == item.original && first.command == item.command && first.file != item.file {
            return Ok(());
        }
        let first = if first.file == item.file { first.path.clone() } else { first.place() };
        Err(Fault::Clash { path, kind, id: item.id, first })
    }

    /// Orders it all, and leaves out what refers to something that is neither in the files nor `known`.
    #[must_use]
    pub fn resolve(self, known: &Known) -> Plan {
        let Self { mut items, mut skips, .. } = self;
        items.sort_by_key(|item| item.kind);
        let mut there = known.clone();
        let mut kept = Vec::with_capacity(items.len());
        for mut item in items {
            skips.file.clone_from(&item.file);
            if item.settle(&there, &mut skips) {
                there.insert((item.kind, item.id.clone()));
                kept.push(item);
            }
        }
        Plan { items: kept, skipped: skips.list }
    }
}

impl Item {
    /// Lets go of what is not there; whether the definition can stand.
    fn settle(&mut self, there: &Known, skips: &mut Skips) -> bool {
        let mut stands = true;
        for need in &self.needs {
            if there.contains(&(need.kind, need.id.clone())) {
                continue;
            }
            let what = format!("{} that is neither in these files nor at the door", need.kind.name());
            let Some(list) = need.field.and_then(|field| self.command.get_mut(field)?.as_array_mut()) else {
                skips.add(self.kind.name(), &self.id, &need.path, format!("needs a {what}: {}", need.id));
                stands = false;
                continue;
            };
            list.retain(|id| id.as_str() != Some(&need.id));
            skips.add("reference", &self.id, &need.path, format!("names a {what}: {}", need.id));
            // No components would be all of them.
            if list.is_empty() && self.kind == Kind::Assessment {
                skips.add(self.kind.name(), &self.id, &self.path, "none of its components is there".to_owned());
                stands = false;
            }
        }
        stands
    }
}

/// Refuses a version of OSCAL that may mean something else by the same names.
fn expect_version(top: &Place<'_>) -> Result<(), Fault> {
    let Some(mut metadata) = top.fields()?.object("metadata")? else { return Ok(()) };
    match metadata.text("oscal-version")? {
        Some(version) if version.strip_prefix('v').unwrap_or(version).split('.').next() != Some("1") => {
            Err(Fault::NotOscal { found: format!("OSCAL {version}; this program reads OSCAL 1") })
        }
        _ => Ok(()),
    }
}
