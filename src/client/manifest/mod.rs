//! Manifests: files that say what the log is to hold, in YAML 1.2 or JSON, and the same text made of what the log holds.
//!
//! - `source` finds the files below what is named, `yaml_reader` reads each into `yaml_node`s, `plain_scalar` says what a word is.
//! - [`kind`] has the fields of each kind; `entity_form`, `document_form` and `tree` make declarations of them; `attached_file` reads the
//!   files that they name; [`reader`] joins all of it into a [`declared`] set, or says every [`fault`].
//! - [`mod@write`] is the way back.
//!
//! Always: every fault is named with file, line and column, and not only the first; a file that is read lies below the folder of its
//! manifest. Absent on purpose: variables, templates, anchors and tags. Whoever needs those pipes another program's output into `-f -`.

mod attached_file;
mod canonical;
pub mod declared;
mod document_form;
mod entity_form;
pub mod fault;
mod glob;
pub mod kind;
mod plain_scalar;
pub mod reader;
pub(crate) mod rollout_policy;
mod source;
mod tree;
mod tree_id;
pub mod write;
mod yaml_node;
mod yaml_reader;
mod yaml_writer;

#[cfg(test)]
mod tests;
