//! MessagePack of which nothing is known but its form: what a writer of another version can change.

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WireValue {
    Nil,
    Flag(bool),
    Number(u64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<WireValue>),
    Map(Vec<(String, WireValue)>),
}

/// A member whose value is a document of its own: what stands in it is no shape of this project.
const OPAQUE: &str = "spec";

impl WireValue {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        rmp_serde::from_slice(bytes).unwrap()
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).unwrap()
    }

    /// How many maps there are, this one and those inside.
    pub(crate) fn maps(&self) -> usize {
        self.clone().visit_maps(&mut |_| {})
    }

    /// The same with one member more in one of its maps.
    pub(crate) fn with_member(&self, index: usize) -> Self {
        let (mut newer, mut at) = (self.clone(), 0);
        newer.visit_maps(&mut |members| {
            if at == index {
                let inside = vec![("a".to_owned(), Self::List(vec![Self::Nil, Self::Bytes(vec![0])]))];
                members.push(("later".to_owned(), Self::Map(inside)));
            }
            at += 1;
        });
        newer
    }

    /// The same with another value at a path of names and indexes.
    pub(crate) fn with(&self, path: &[&str], value: Self) -> Self {
        let mut newer = self.clone();
        let mut at = &mut newer;
        for step in path {
            at = match at {
                Self::Map(members) => &mut members.iter_mut().find(|(name, _)| name == step).unwrap().1,
                Self::List(items) => &mut items[step.parse::<usize>().unwrap()],
                other => panic!("{step} is looked for in {other:?}"),
            };
        }
        *at = value;
        newer
    }

    fn visit_maps(&mut self, visit: &mut impl FnMut(&mut Vec<(String, Self)>)) -> usize {
        match self {
            Self::Map(members) => {
                let open = members.iter_mut().filter(|(name, _)| name != OPAQUE);
                let inside: usize = open.map(|(_, member)| member.visit_maps(visit)).sum();
                visit(members);
                inside + 1
            }
            Self::List(items) => items.iter_mut().map(|item| item.visit_maps(visit)).sum(),
            _ => 0,
        }
    }
}

impl Serialize for WireValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, member)| map.serialize_entry(name, member))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for WireValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = WireValue;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessagePack")
    }

    fn visit_unit<E>(self) -> Result<WireValue, E> {
        Ok(WireValue::Nil)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<WireValue, E> {
        Ok(WireValue::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<WireValue, E> {
        Ok(WireValue::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<WireValue, E> {
        Ok(WireValue::Text(text.to_owned()))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<WireValue, E> {
        Ok(WireValue::Bytes(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<WireValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(WireValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<WireValue, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(WireValue::Map(map))
    }
}
