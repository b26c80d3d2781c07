//! Parameters: the placeholders in the prose of controls.

use std::collections::BTreeMap;

use super::error::OscalError;
use super::json_node::JsonNode;
use super::labels::TextMap;
use super::prose::replace_insertions;
use super::skip_list::SkipList;

/// How deep parameters may contain each other. At this depth an insertion stays as it is written, which ends one that contains
/// itself.
const DEPTH_MAX: usize = 8;

#[derive(Clone, Debug)]
struct Parameter {
    values: Vec<String>,
    choices: Vec<String>,
    one_or_more: bool,
    label: Option<String>,
}

/// All parameters of a catalog: prose may refer to those of an outer control or group.
#[derive(Debug, Default)]
pub(super) struct ControlParameters(BTreeMap<String, Parameter>);

impl ControlParameters {
    /// Adds those at `nodes`; returns their ids.
    pub(super) fn add(&mut self, nodes: &[JsonNode<'_>], skips: &mut SkipList) -> Result<Vec<String>, OscalError> {
        nodes.iter().map(|node| self.add_one(node, skips)).collect()
    }

    fn add_one(&mut self, node: &JsonNode<'_>, skips: &mut SkipList) -> Result<String, OscalError> {
        let mut fields = node.fields()?;
        let id = fields.need("id")?.to_owned();
        fields.text("class")?;
        let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
        let mut param = Parameter {
            values: owned(fields.texts("values")?),
            choices: Vec::new(),
            one_or_more: false,
            label: fields.text("label")?.map(str::to_owned),
        };
        if let Some(mut select) = fields.object("select")? {
            param.one_or_more = select.text("how-many")? == Some("one-or-more");
            param.choices = owned(select.texts("choice")?);
            skips.add_rest("parameter", &id, &select);
        }
        skips.add_rest("parameter", &id, &fields);
        match self.0.insert(id.clone(), param) {
            None => Ok(id),
            Some(_) => {
                let first = "another place of this file".to_owned();
                Err(OscalError::Clash { path: node.path.clone(), kind: "parameter", id, first })
            }
        }
    }

    /// The text of a parameter, if it is defined: its values, else its choices, else its label.
    pub(super) fn text_of(&self, id: &str) -> Option<String> {
        self.text_at(id, 0)
    }

    fn text_at(&self, id: &str, depth: usize) -> Option<String> {
        let param = self.0.get(id).filter(|_| depth < DEPTH_MAX)?;
        let inner = |text: &String| replace_insertions(text, |id| Some(bracketed(id, &self.text_at(id, depth + 1)?)));
        let listed = |texts: &[String], between| texts.iter().map(inner).collect::<Vec<_>>().join(between);
        Some(match param {
            Parameter { values, .. } if !values.is_empty() => listed(values, ", "),
            Parameter { choices, one_or_more, .. } if !choices.is_empty() => {
                let many = if *one_or_more { "one or more of" } else { "one of" };
                format!("{many}: {}", listed(choices, "; "))
            }
            Parameter { label: Some(label), .. } => inner(label),
            Parameter { .. } => id.to_owned(),
        })
    }

    /// Prose with every insertion as `[ID: text]`, so that the placeholder can be found among the parameters. The parameters of
    /// the prose are added to `named`; ids without a parameter are returned.
    pub(super) fn fill(&self, prose: &str, named: &mut TextMap) -> (String, Vec<String>) {
        let mut unknown = Vec::new();
        let text = replace_insertions(prose, |id| match self.text_of(id) {
            Some(value) => {
                let text = bracketed(id, &value);
                named.insert(id.to_owned(), value);
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

fn bracketed(id: &str, text: &str) -> String {
    format!("[{id}: {text}]")
}
