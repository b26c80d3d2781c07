//! The words of `headwater label nodes`: ids of nodes, `KEY=VALUE`, and `KEY-`.

use std::collections::{BTreeMap, BTreeSet};

use schema::id::NodeId;

use crate::entity_name::parse_node;

/// What the words say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LabelWords {
    pub(super) nodes: BTreeSet<NodeId>,
    pub(super) set: BTreeMap<String, String>,
    pub(super) unset: BTreeSet<String>,
}

impl LabelWords {
    /// Reads the words in any order. A word with `=` is a label to set, and one that ends in `-` a label to take away: a node whose id
    /// ends so is written `node/ID`.
    ///
    /// # Errors
    /// With what is wrong, and how to write it.
    pub(super) fn read(words: &[String]) -> Result<Self, String> {
        let mut read = Self::default();
        for word in words {
            read.add(word)?;
        }
        if read.set.is_empty() && read.unset.is_empty() {
            return Err("no label is named: KEY=VALUE sets one, KEY- takes one away".to_owned());
        }
        match read.unset.iter().find(|key| read.set.contains_key(*key)) {
            Some(key) => Err(format!("label `{key}` is set and taken away at once")),
            None => Ok(read),
        }
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        if let Some((key, value)) = word.split_once('=') {
            return match self.set.insert(key.to_owned(), value.to_owned()) {
                _ if key.is_empty() => Err(format!("`{word}` has no key: a label is KEY=VALUE")),
                Some(other) if other != value => Err(format!("label `{key}` is set to `{other}` and to `{value}`")),
                _ => Ok(()),
            };
        }
        match word.strip_suffix('-') {
            Some("") => Err("`-` has no key: KEY- takes a label away".to_owned()),
            Some(key) if !word.starts_with("node/") => {
                self.unset.insert(key.to_owned());
                Ok(())
            }
            _ => {
                let node =
                    parse_node(word).map_err(|error| format!("`{word}` is neither a node nor a label: {error}"))?;
                self.nodes.insert(node);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<LabelWords, String> {
        LabelWords::read(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn each_word_is_a_node_or_a_label_wherever_it_stands() {
        let words = read("ring=1 n-1 topology/zone=a=b spare- node/n-2- empty= topology/old- ring=1").expect("words");
        assert_eq!(words.nodes, ["n-1", "n-2-"].map(|id| id.parse().expect("an id")).into());
        let set = [("empty", ""), ("ring", "1"), ("topology/zone", "a=b")];
        assert_eq!(words.set, set.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert_eq!(words.unset, ["spare", "topology/old"].map(str::to_owned).into());
    }

    #[test]
    fn what_says_nothing_or_two_things_is_refused() {
        for (words, why) in [
            ("n-1", "no label is named"),
            ("n-1 =x", "no key"),
            ("n-1 -", "no key"),
            ("n-1 a=1 a=2", "`1` and to `2`"),
            ("n-1 a=1 a-", "at once"),
            ("n.1 a=1", "neither a node nor a label"),
        ] {
            let refused = read(words).expect_err(words);
            assert!(refused.contains(why), "{refused}");
        }
    }
}
