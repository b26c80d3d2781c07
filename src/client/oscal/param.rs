//! Parameters: the blanks in a control's prose.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::labels::Texts;
use super::place::Place;
use super::prose::filled;
use super::skipped::Skips;

/// How deep parameters may insert each other. One that inserts itself is left as it is written at this depth.
const DEPTH_MAX: usize = 8;

/// A parameter.
#[derive(Clone, Debug)]
struct Param {
    values: Vec<String>,
    choices: Vec<String>,
    one_or_more: bool,
    label: Option<String>,
}

/// All parameters of a catalog: prose may insert those of an outer control or group.
#[derive(Debug, Default)]
pub(super) struct Params(BTreeMap<String, Param>);

impl Params {
    /// Adds those at `places`; returns their ids.
    pub(super) fn add(&mut self, places: &[Place<'_>], skips: &mut Skips) -> Result<Vec<String>, Fault> {
        places.iter().map(|place| self.add_one(place, skips)).collect()
    }

    fn add_one(&mut self, place: &Place<'_>, skips: &mut Skips) -> Result<String, Fault> {
        let mut fields = place.fields()?;
        let id = fields.need("id")?.to_owned();
        fields.text("class")?;
        let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
        let mut param = Param {
            values: owned(fields.texts("values")?),
            choices: Vec::new(),
            one_or_more: false,
            label: fields.text("label")?.map(str::to_owned),
        };
        if let Some(mut select) = fields.object("select")? {
            param.one_or_more = select.text("how-many")? == Some("one-or-more");
            param.choices = owned(select.texts("choice")?);
            skips.rest("parameter", &id, &select);
        }
        skips.rest("parameter", &id, &fields);
        match self.0.insert(id.clone(), param) {
            None => Ok(id),
            Some(_) => {
                let first = "another place of this file".to_owned();
                Err(Fault::Clash { path: place.path.clone(), kind: "parameter", id, first })
            }
        }
    }

    /// What a parameter says, if it is known: its values, else what may be chosen, else its label.
    pub(super) fn said(&self, id: &str) -> Option<String> {
        self.said_at(id, 0)
    }

    fn said_at(&self, id: &str, depth: usize) -> Option<String> {
        let param = self.0.get(id).filter(|_| depth < DEPTH_MAX)?;
        let inner = |text: &String| filled(text, |id| Some(bracketed(id, &self.said_at(id, depth + 1)?)));
        let listed = |texts: &[String], between| texts.iter().map(inner).collect::<Vec<_>>().join(between);
        Some(match param {
            Param { values, .. } if !values.is_empty() => listed(values, ", "),
            Param { choices, one_or_more, .. } if !choices.is_empty() => {
                let many = if *one_or_more { "one or more of" } else { "one of" };
                format!("{many}: {}", listed(choices, "; "))
            }
            Param { label: Some(label), .. } => inner(label),
            Param { .. } => id.to_owned(),
        })
    }

    /// Prose with every insertion as `[ID: what it says]`, so that the blank can be found again among the parameters. The
    /// parameters that it names are added to `named`; those that nobody knows are returned.
    pub(super) fn fill(&self, prose: &str, named: &mut Texts) -> (String, Vec<String>) {
        let mut unknown = Vec::new();
        let text = filled(prose, |id| match self.said(id) {
            Some(said) => {
                let text = bracketed(id, &said);
                named.insert(id.to_owned(), said);
                Some(text)
            }
            None => {
                unknown.push(id.to_owned());
                None
            }
        });
        (text, unknown)
    }
}

fn bracketed(id: &str, said: &str) -> String {
    format!("[{id}: {said}]")
}
