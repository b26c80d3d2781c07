//! Labels, by which selectors choose nodes and components.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The labels of a node, a control or a component, each a key with a value. Cheap to clone.
///
/// They are a sorted list and no map, because a server holds the labels of every node, and a map takes half a kilobyte for two of them.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[Label]>);

#[derive(PartialEq, Eq, Hash)]
struct Label {
    key: Box<str>,
    value: Box<str>,
}

impl Labels {
    /// No labels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|label| (&*label.key, &*label.value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|label| &*label.key)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|label| (*label.key).cmp(key)).ok()?;
        Some(&self.0[place].value)
    }

    /// Whether there is a label with this key.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<BTreeMap<Box<str>, Box<str>>> for Labels {
    fn from(labels: BTreeMap<Box<str>, Box<str>>) -> Self {
        Self(labels.into_iter().map(|(key, value)| Label { key, value }).collect())
    }
}

/// Of two values for one key, the later one counts.
impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect::<BTreeMap<_, _>>().into()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>, const N: usize> From<[(K, V); N]> for Labels {
    fn from(labels: [(K, V); N]) -> Self {
        labels.into_iter().collect()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<Box<str>, Box<str>>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(feature = "json-schema")]
impl schemars::JsonSchema for Labels {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        BTreeMap::<alloc::string::String, alloc::string::String>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<alloc::string::String, alloc::string::String>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    #[test]
    fn labels_are_read_and_written_as_the_map_that_they_are() {
        for text in ["{}", r#"{"":""}"#, r#"{"a":"","b":"x"}"#, r#"{"rack":"1","site":"lund","ä":"\u0000"}"#] {
            let labels: Labels = serde_json::from_str(text).expect(text);
            let map: BTreeMap<String, String> = serde_json::from_str(text).expect(text);
            assert_eq!(serde_json::to_string(&labels).expect("writes"), text);
            assert_eq!(rmp_serde::to_vec(&labels).expect("writes"), rmp_serde::to_vec(&map).expect("writes"));
            assert_eq!(rmp_serde::from_slice::<Labels>(&rmp_serde::to_vec(&map).expect("writes")).expect(text), labels);
            assert!(labels.iter().eq(map.iter().map(|(key, value)| (key.as_str(), value.as_str()))), "{text}");
            assert!(map.iter().all(|(key, value)| labels.get(key) == Some(value)), "{text}");
            assert!(labels.keys().all(|key| labels.contains_key(key)) && !labels.contains_key("none"), "{text}");
            assert_eq!((labels.len(), labels.is_empty()), (map.len(), map.is_empty()));
            assert_eq!(format!("{labels:?}"), format!("{map:?}"));
        }
    }

    #[test]
    fn the_order_in_which_labels_come_does_not_matter_and_the_last_of_one_key_counts() {
        let labels = Labels::from([("b", "2"), ("a", "0"), ("a", "1")]);
        assert_eq!(labels, Labels::from([("a", "1"), ("b", "2")]));
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        let read: Labels = serde_json::from_str(r#"{"b":"2","a":"0","a":"1"}"#).expect("a map");
        assert_eq!(read, labels);
    }
}
