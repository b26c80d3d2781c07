//! Pages of lists.
//!
//! A cursor names the last item of the page before, so pages stay right while items come and go. It is opaque to callers. A
//! page is full when it has as many items as the caller asked for, or when one more would make it too large.

use std::ops::Bound;

use api::page::{ITEMS_DEFAULT, ITEMS_MAX, ListPage};
use api::query::{CURSOR, LIMIT};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schema::id::Id;
use schema::limit::EVENT_DATA_BYTES_MAX;
use serde::Serialize;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::http::answer::RenderedItem;
use crate::http::params::{GivenParams, Parameter, RequestParameters, number};
use crate::http::problem::ProblemResponse;

/// Bytes of the items of a page, unless its first item alone has more.
pub(super) const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

const LIMIT_PARAMETER: Parameter = Parameter::query(LIMIT, "How many items a page has at most.", limit_schema);
const CURSOR_PARAMETER: Parameter = Parameter::query(
    CURSOR,
    "Where the page begins: `next` of the page before it. An empty cursor, or none, is the beginning of the list.",
    || json!({"type": "string"}),
);

/// A page of a list, whose items are written already.
pub(super) type RenderedPage<T> = ListPage<RenderedItem<T>>;

/// How many items a page has at most.
pub(super) struct PageLimit(pub(super) usize);

/// `limit` and `cursor` of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageQuery {
    after: Option<Id>,
    limit: usize,
}

/// The items of a page, as JSON, until it is full.
pub(super) struct PageBuilder<T> {
    items: Vec<RenderedItem<T>>,
    bytes: usize,
    limit: usize,
}

impl RequestParameters for PageLimit {
    fn declared() -> Vec<Parameter> {
        vec![LIMIT_PARAMETER]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let read = |text: &str| match number(text).map(usize::try_from) {
            Ok(Ok(limit)) if (1..=ITEMS_MAX).contains(&limit) => Ok(limit),
            _ => Err(format!("is a number from 1 to {ITEMS_MAX}")),
        };
        Ok(Self(given.query(&LIMIT_PARAMETER, read)?.unwrap_or(ITEMS_DEFAULT)))
    }
}

impl RequestParameters for PageQuery {
    fn declared() -> Vec<Parameter> {
        vec![LIMIT_PARAMETER, CURSOR_PARAMETER]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let PageLimit(limit) = PageLimit::take(given)?;
        let after = given.query(&CURSOR_PARAMETER, |text| match text {
            "" => Ok(None),
            cursor => decode_cursor(cursor).map(Some).ok_or_else(|| "is not a cursor of this list".to_string()),
        })?;
        Ok(Self { after: after.flatten(), limit })
    }
}

fn limit_schema() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": ITEMS_MAX, "default": ITEMS_DEFAULT})
}

impl PageQuery {
    /// The range of keys that the page begins in.
    pub(super) fn keys<K: From<Id>>(&self) -> (Bound<K>, Bound<K>) {
        let start = self.after.clone().map_or(Bound::Unbounded, |id| Bound::Excluded(id.into()));
        (start, Bound::Unbounded)
    }

    /// The item after which the page begins.
    pub(super) fn after(&self) -> Option<&Id> {
        self.after.as_ref()
    }

    /// How many items the page has at most.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The page of `rows`, which are in order and within [`PageQuery::keys`].
    pub(super) fn list<K: ListKey, V, T>(
        &self,
        rows: impl Iterator<Item = (K, V)>,
        mut show: impl FnMut(&K, V) -> T,
    ) -> RenderedPage<T>
    where
        T: Serialize,
    {
        let mut items = PageBuilder::new(self.limit);
        let mut last = None;
        for (key, value) in rows {
            if items.is_complete() || !items.push(&show(&key, value)) {
                return items.followed_by(last.map(|key: K| encode_cursor(key.as_id())));
            }
            last = Some(key);
        }
        items.followed_by(None)
    }

    /// Bytes of memory that the page may take.
    pub(super) fn memory_bytes(&self) -> usize {
        memory_bytes(self.limit)
    }
}

/// Bytes of memory that a page of `limit` items may take: its items, and the answer that they are copied into. An item shows the
/// data of an event, and little beside it.
pub(super) fn memory_bytes(limit: usize) -> usize {
    memory_for(limit, EVENT_DATA_BYTES_MAX)
}

/// The same for items of at most `item_bytes` each. A page has one item at least, however large.
pub(super) fn memory_for(limit: usize, item_bytes: usize) -> usize {
    2 * PAGE_BYTES_MAX.max(item_bytes).min(limit.saturating_mul(item_bytes))
}

impl<T: Serialize> PageBuilder<T> {
    /// An empty page for at most `limit` items.
    pub(super) fn new(limit: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, limit }
    }

    /// Whether the page has `limit` items.
    pub(super) fn is_complete(&self) -> bool {
        self.items.len() >= self.limit
    }

    /// Adds an item; false if the page is full.
    pub(super) fn push(&mut self, item: &T) -> bool {
        let item = to_raw_value(item).expect("BUG: an item is text and numbers");
        let bytes = self.bytes + item.get().len();
        if self.is_complete() || (bytes > PAGE_BYTES_MAX && !self.items.is_empty()) {
            return false;
        }
        self.bytes = bytes;
        self.items.push(RenderedItem::new(item));
        true
    }

    /// The page, with the cursor of the next one.
    pub(super) fn followed_by(self, next: Option<String>) -> RenderedPage<T> {
        ListPage { items: self.items, next }
    }
}

/// A key of a list, which is the id of its item.
pub(super) trait ListKey {
    fn as_id(&self) -> &Id;
}

macro_rules! keys {
    ($($name:ty),*) => {
        $(impl ListKey for &$name {
            fn as_id(&self) -> &Id {
                self.id()
            }
        })*
    };
}
keys!(
    schema::id::DocumentId,
    schema::id::NodeId,
    schema::id::PrincipalName,
    schema::id::ControlId,
    schema::id::ComponentId,
    schema::id::AssessmentId,
    schema::id::AttestationId,
    schema::id::JoinTokenId,
    schema::id::JobId,
    schema::id::ProposalId,
    schema::id::BundleId,
    schema::id::RolloutId,
    schema::id::MarkId
);

fn encode_cursor(id: &Id) -> String {
    URL_SAFE_NO_PAD.encode(id.as_str())
}

fn decode_cursor(cursor: &str) -> Option<Id> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    std::str::from_utf8(&bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use schema::id::NodeId;
    use serde::de::DeserializeOwned;

    fn walk<T: Serialize + DeserializeOwned>(rows: &BTreeMap<NodeId, T>, limit: usize) -> Vec<Vec<T>> {
        let mut page = PageQuery { after: None, limit };
        let mut pages = Vec::new();
        loop {
            let listed = page.list(rows.range(page.keys::<NodeId>()), |_, value| value);
            let items = listed.items.iter().map(|item| serde_json::from_str(item.json()).expect("as it was written"));
            pages.push(items.collect());
            let Some(cursor) = listed.next else { return pages };
            page.after = decode_cursor(&cursor);
        }
    }

    #[test]
    fn pages_show_every_item_once_and_end_where_the_list_ends() {
        let node = |number: u32| (format!("n-{number}").parse().expect("valid"), number);
        let rows: BTreeMap<NodeId, u32> = (0..4).map(node).collect();
        assert_eq!(walk(&rows, 3), [vec![0, 1, 2], vec![3]]);
        assert_eq!(walk(&rows, 4), [vec![0, 1, 2, 3]]);
        assert_eq!(walk(&rows, 2), [vec![0, 1], vec![2, 3]]);
        assert_eq!(walk::<u32>(&BTreeMap::new(), 2), [Vec::<u32>::new()]);
    }

    #[test]
    fn a_page_ends_before_it_is_too_large_and_the_next_one_goes_on() {
        let row = |number: usize, bytes| (format!("n-{number}").parse().expect("valid"), "x".repeat(bytes));
        let sizes = [3, 4, 2, 9, 1, 6].map(|mib| mib * 1024 * 1024);
        let rows: BTreeMap<NodeId, String> =
            sizes.into_iter().enumerate().map(|(number, bytes)| row(number, bytes)).collect();
        let pages = walk(&rows, 100);
        let shown: Vec<Vec<usize>> = pages.iter().map(|page| page.iter().map(String::len).collect()).collect();
        assert_eq!(shown, [&sizes[..2], &sizes[2..3], &sizes[3..4], &sizes[4..]]);
    }
}
