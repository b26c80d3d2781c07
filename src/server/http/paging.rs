//! Lists in pages: `{items, next}`.
//!
//! A cursor names the last item that was shown, so a page stays right while items come and go. To callers it is opaque. A page
//! is full when it has as many items as were asked for, or when one more would make it too large.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schema::id::Id;
use schema::limit::EVENT_DATA_BYTES_MAX;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::http::params::{Params, number};
use crate::http::problem::Problem;

/// Items on a page unless asked otherwise.
pub(super) const ITEMS_DEFAULT: usize = 100;
/// Items on a page at most.
pub(super) const ITEMS_MAX: usize = 1_000;
/// Bytes of a page's items at most, unless its first item alone has more.
pub(super) const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    after: Option<Id>,
    limit: usize,
}

/// A part of a list.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    /// The items as JSON.
    items: Vec<Box<RawValue>>,
    /// The cursor of the next part; none at the end.
    next: Option<String>,
}

/// The items of a page, until it is full.
pub(super) struct Items {
    items: Vec<Box<RawValue>>,
    bytes: usize,
    limit: usize,
}

impl Page {
    /// Reads `limit` and `cursor`.
    pub(super) fn take(params: &mut Params) -> Result<Self, Problem> {
        let limit = limit(params)?;
        let after = params.take("cursor", |text| match text {
            "" => Ok(None),
            cursor => read(cursor).map(Some).ok_or_else(|| "is not a cursor of this list".to_string()),
        })?;
        Ok(Self { after: after.flatten(), limit })
    }

    /// The keys that the page may show.
    pub(super) fn keys<K: From<Id>>(&self) -> (Bound<K>, Bound<K>) {
        let start = self.after.clone().map_or(Bound::Unbounded, |id| Bound::Excluded(id.into()));
        (start, Bound::Unbounded)
    }

    /// The page of `rows`, which come in order and begin where [`Page::keys`] says.
    pub(super) fn list<K: AsId, V, T>(
        &self,
        rows: impl Iterator<Item = (K, V)>,
        mut show: impl FnMut(&K, V) -> T,
    ) -> Listing
    where
        T: Serialize,
    {
        let mut items = Items::new(self.limit);
        let mut last = None;
        for (key, value) in rows {
            if items.is_complete() || !items.add(&show(&key, value)) {
                return items.before(last.map(|key: K| written(key.as_id())));
            }
            last = Some(key);
        }
        items.before(None)
    }

    /// Bytes of memory that the page may take.
    pub(super) fn bytes(&self) -> usize {
        bytes(self.limit)
    }
}

/// Bytes of memory that a page of so many items may take: of its items, and once more of the answer that they become. What
/// an item shows comes from an event, with little beside it.
pub(super) fn bytes(limit: usize) -> usize {
    2 * PAGE_BYTES_MAX.min(limit.saturating_mul(EVENT_DATA_BYTES_MAX))
}

impl Items {
    /// A page of at most so many.
    pub(super) fn new(limit: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, limit }
    }

    /// Whether there are as many as were asked for.
    pub(super) fn is_complete(&self) -> bool {
        self.items.len() >= self.limit
    }

    /// Adds one: false if the page is full.
    pub(super) fn add(&mut self, item: &impl Serialize) -> bool {
        let item = to_raw_value(item).expect("BUG: an item is text and numbers");
        let bytes = self.bytes + item.get().len();
        if self.is_complete() || (bytes > PAGE_BYTES_MAX && !self.items.is_empty()) {
            return false;
        }
        self.bytes = bytes;
        self.items.push(item);
        true
    }

    /// The page, which is followed by the one that `next` leads to.
    pub(super) fn before(self, next: Option<String>) -> Listing {
        Listing { items: self.items, next }
    }
}

/// Reads `limit`.
pub(super) fn limit(params: &mut Params) -> Result<usize, Problem> {
    let read = |text: &str| match number(text).map(usize::try_from) {
        Ok(Ok(limit)) if (1..=ITEMS_MAX).contains(&limit) => Ok(limit),
        _ => Err(format!("is a number from 1 to {ITEMS_MAX}")),
    };
    Ok(params.take("limit", read)?.unwrap_or(ITEMS_DEFAULT))
}

/// A key of a list: the id of its item.
pub(super) trait AsId {
    /// The id.
    fn as_id(&self) -> &Id;
}

macro_rules! keys {
    ($($name:ty),*) => {
        $(impl AsId for &$name {
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
    schema::id::JobId
);

fn written(id: &Id) -> String {
    URL_SAFE_NO_PAD.encode(id.as_str())
}

fn read(cursor: &str) -> Option<Id> {
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
        let mut page = Page { after: None, limit };
        let mut pages = Vec::new();
        loop {
            let listing = page.list(rows.range(page.keys::<NodeId>()), |_, value| value);
            let items = listing.items.iter().map(|item| serde_json::from_str(item.get()).expect("as it was written"));
            pages.push(items.collect());
            let Some(cursor) = listing.next else { return pages };
            page.after = read(&cursor);
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
